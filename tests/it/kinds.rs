//! The kinds of piles that the crate has.

use std::sync::Arc;

use dogpile::{Dogpile, SyncReaderDogpile};

use super::forms::{AnyPile, Kind, any_pile};

/// Each, to be made of settings.
pub(crate) const KINDS: [Kind; 2] = [
    |builder| Arc::new(Arc::new(builder.build())),
    |builder| Arc::new(Arc::new(builder.build_sync_reader())),
];

any_pile!(Dogpile<u32>, "plain", false);
any_pile!(SyncReaderDogpile<u32>, "reader", true);
