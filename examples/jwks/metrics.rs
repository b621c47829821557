//! What goes on in the pile, as Prometheus reads it.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use dogpile::observe::Stats;

use crate::verifier::Verifier;

pub(crate) async fn metrics(State(verifier): State<Arc<Verifier>>) -> impl IntoResponse {
    let text = text("keys", &verifier.keys.stats());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

fn text(pile: &str, stats: &Stats) -> String {
    let mut text = String::new();
    let mut line = |name: &str, kind: &str, label: &str, value: f64| {
        if !text.contains(name) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "# TYPE {name} {kind}");
        }
        let _ = writeln!(text, "{name}{{pile=\"{pile}\"{label}}} {value}");
    };
    let counters = stats.counters.unwrap_or_default();
    for (end, number) in counters.ends() {
        let label = format!(",end=\"{end}\"");
        line("dogpile_creations_total", "counter", &label, number as f64);
    }
    line("dogpile_waits_total", "counter", "", counters.waits as f64);
    line(
        "dogpile_timeouts_total",
        "counter",
        "",
        counters.timed_out as f64,
    );
    line("dogpile_waiters", "gauge", "", stats.waiters as f64);
    // That nobody gets an error may mean that all get old keys: this tells.
    let stale_for = stats.stale_for.unwrap_or_default();
    line(
        "dogpile_stale_seconds",
        "gauge",
        "",
        stale_for.as_secs_f64(),
    );
    let retry_in = stats.retry_in.unwrap_or_default();
    line("dogpile_retry_seconds", "gauge", "", retry_in.as_secs_f64());
    let held_for = stats.creating.as_ref().and_then(|lease| lease.held_for);
    line(
        "dogpile_creating_seconds",
        "gauge",
        "",
        held_for.unwrap_or_default().as_secs_f64(),
    );
    text
}
