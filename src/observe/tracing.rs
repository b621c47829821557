//! The adapter for `tracing`.

use tracing::{Span, field};

use crate::observe::{Begun, Ended, Event, Holder, Observer, Scope};

/// A span of the crate [`tracing`](https://docs.rs/tracing) around each creation, for
/// [`Builder::observer`](crate::Builder::observer).
///
/// The span is named `creation`, at level `INFO`, with the target `dogpile`. It *follows from* the span
/// that the elected caller was in, also if the creation runs in the background. In the foreground it is
/// a child of that span, too. The creator runs inside of it, in each poll of its future. When the lease
/// ends, it records `end`, `waiters`, and the `failure` if there was one.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::Dogpile;
/// use dogpile::observe::Tracing;
///
/// static RATES: Dogpile<u32> = Dogpile::builder(Duration::from_secs(60))
///     .observer_static(&Tracing)
///     .build();
///
/// let request = tracing::info_span!("request");
/// let rate = request.in_scope(|| {
///     RATES.get_or_create(|| {
///         tracing::info!("asking the bank"); // in `creation`, which is in `request`
///         7
///     })
/// });
/// # assert_eq!(*rate, 7);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracing;

impl Observer for Tracing {
    fn event(&self, _event: &Event) {}

    fn begin(&self, begun: &Begun) -> Option<Box<dyn Scope>> {
        macro_rules! creation {
            ($($parent:tt)*) => {
                tracing::info_span!(
                    target: "dogpile",
                    $($parent)*
                    "creation",
                    fence = begun.fence,
                    call = begun.location.map(field::display),
                    end = field::Empty,
                    waiters = field::Empty,
                    failure = field::Empty,
                )
            };
        }
        let caller = Span::current();
        let span = match begun.holder {
            // Else the span of the caller would last as long as the creation.
            Holder::Job => creation!(parent: None,),
            Holder::Thread(_) | Holder::Task => creation!(),
        };
        span.follows_from(&caller);
        Some(Box::new(InSpan(span)))
    }
}

struct InSpan(Span);

impl Scope for InSpan {
    fn enter(&self) {
        self.0.with_subscriber(|(id, dispatch)| dispatch.enter(id));
    }

    fn leave(&self) {
        self.0.with_subscriber(|(id, dispatch)| dispatch.exit(id));
    }

    fn end(&self, ended: &Ended) {
        self.0.record("end", ended.end.name());
        self.0.record("waiters", ended.waiters);
        if let Some(failure) = ended.end.failure() {
            self.0.record("failure", field::display(failure));
        }
    }
}
