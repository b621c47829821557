//! The promises of a guard over a cache, on real threads and in tasks, and what comes in the middle of the
//! calls of a cache. The adapters run the promises over their caches too.

mod background;
mod cancelled;
mod limited;
mod memory;
mod pile;
mod promises;
mod races;
mod settings;
#[allow(dead_code)] // It is that of the crate's own tests.
#[path = "../../../../tests/it/support.rs"]
mod support;
mod table;

use dogpile_cache::CacheDogpile;

use crate::pile::{Tasks, Threads};
use crate::table::{Slow, Table};

mod of_threads {
    use super::*;

    crate::promises::promises!(|settings| Threads(CacheDogpile::new(Table::default(), settings)));
}

mod of_tasks {
    use super::*;

    crate::promises::promises!(|settings| Tasks(CacheDogpile::new(Slow::default(), settings)));
}
