//! The kinds of piles that the crate has.

use std::sync::Arc;

use dogpile::{Builder, Dogpile, SyncReaderDogpile};

use super::forms::{AnyPile, any_pile};

/// Each, to be made of settings.
pub(crate) const KINDS: [fn(Builder<u32>) -> Arc<dyn AnyPile>; 2] = [
    |builder| Arc::new(Arc::new(builder.build())),
    |builder| Arc::new(Arc::new(builder.build_sync_reader())),
];

any_pile!(Dogpile<u32>, "plain", false);
any_pile!(SyncReaderDogpile<u32>, "reader", true);
