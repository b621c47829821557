//! The promises of a guard over moka's caches, and moka's eviction in the middle of them.

mod evicted;
#[allow(dead_code)]
#[path = "../../../cache/tests/it/pile.rs"]
mod pile;
#[path = "../../../cache/tests/it/promises.rs"]
mod promises;
#[allow(dead_code)] // It is that of the crate's own tests.
#[path = "../../../../tests/it/support.rs"]
mod support;
mod tokio_tasks;

use dogpile_moka::{future, sync};

use crate::pile::{Tasks, Threads};

mod of_threads {
    use super::*;

    crate::promises::promises!(|settings| {
        let cache = sync::Moka(moka::sync::Cache::new(100));
        Threads(sync::MokaDogpile::new(cache, settings))
    });
}

/// The forms for tasks over the cache for threads.
mod of_tasks_over_sync {
    use super::*;

    crate::promises::promises!(|settings| {
        let cache = sync::Moka(moka::sync::Cache::new(100));
        Tasks(sync::MokaDogpile::new(cache, settings))
    });
}

mod of_tasks {
    use super::*;

    crate::promises::promises!(|settings| {
        let cache = future::Moka(moka::future::Cache::new(100));
        Tasks(future::MokaDogpile::new(cache, settings))
    });
}
