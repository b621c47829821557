//! Fails when the models run without loom, or against a crate that was built without it.

#[cfg(dogpile_loom)]
#[test]
#[should_panic(expected = "outside a Loom model")]
fn the_crate_is_built_for_loom() {
    let pile = dogpile::Dogpile::new(std::time::Duration::ZERO);
    pile.set(0);
}

#[cfg(not(dogpile_loom))]
#[test]
fn the_models_are_run_with_loom() {
    // A plain `cargo test --workspace` comes here: that is fine. The script that runs the models
    // says so, and must not.
    assert!(
        std::env::var_os("DOGPILE_MODELS").is_none(),
        "no model was run: build with RUSTFLAGS=\"--cfg dogpile_loom\", as .ci/loom does"
    );
}
