//! Fails when the models run without loom or shuttle, or against a crate that was built without it.

#[cfg(dogpile_loom)]
#[test]
#[should_panic(expected = "outside a Loom model")]
fn the_crate_is_built_for_loom() {
    let pile = dogpile::Dogpile::new(std::time::Duration::ZERO);
    pile.set(0);
}

#[cfg(dogpile_shuttle)]
#[test]
#[should_panic(expected = "outside of a Shuttle test")]
fn the_crate_is_built_for_shuttle() {
    // Not a pile, whose end would panic as well.
    let clock = dogpile::ManualClock::new();
    dogpile::Clock::now(&clock);
}

#[cfg(not(any(dogpile_loom, dogpile_shuttle)))]
#[test]
fn the_models_are_run_with_loom_or_shuttle() {
    // A plain `cargo test --workspace` comes here: that is fine. The scripts that run the models
    // say so, and must not.
    assert!(
        std::env::var_os("DOGPILE_MODELS").is_none(),
        "no model was run: build with RUSTFLAGS=\"--cfg dogpile_loom\", as .ci/loom does, or with \
         dogpile_shuttle, as .ci/shuttle does"
    );
}
