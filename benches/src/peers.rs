//! The peers, each in the form that suits it best, with a time to live where it has one.
//!
//! Caches hold one key, and an `Arc` of the value unless they can show it in place.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use amalgam::{BlockingCache, Cache as Amalgam, EntryOptions};
use fibre_cache::CacheBuilder as FibreBuilder;
use foyer_memory::CacheBuilder as FoyerBuilder;
use tokio::sync::OnceCell;

use crate::laps::Row;
use crate::value::{leak, Value, TTL};

const KEY: u64 = 7;

fn shared() -> Arc<Value> {
    Arc::new(Value::new(7))
}

pub(crate) type Moka = moka::sync::Cache<u64, Arc<Value>>;

pub(crate) fn moka() -> Moka {
    let cache = Moka::builder().max_capacity(1000).time_to_live(TTL).build();
    cache.insert(KEY, shared());
    cache
}

#[inline]
pub(crate) fn moka_hit(cache: &Moka) {
    black_box(cache.get(&KEY).expect("inserted").first());
}

#[cached::macros::once(ttl_secs = 86400, sync_writes = true)]
fn cached_once() -> Arc<Value> {
    shared()
}

pub(crate) fn hits() -> Vec<Row> {
    vec![
        Row::new("moka sync get, ttl", {
            let cache = leak(moka());
            move || moka_hit(cache)
        }),
        Row::awaited("moka future get, ttl", {
            let cache = leak(moka::future::Cache::builder().time_to_live(TTL).build());
            futures::executor::block_on(cache.insert(KEY, shared()));
            move || async {
                black_box(cache.get(&KEY).await.expect("inserted").first());
            }
        }),
        Row::new("quick_cache get + Instant (has no ttl)", {
            let cache = leak(quick_cache::sync::Cache::new(1000));
            cache.insert(KEY, (shared(), Instant::now() + TTL));
            move || {
                let (value, deadline) = cache.get(&KEY).expect("inserted");
                assert!(Instant::now() < deadline);
                black_box(value.first());
            }
        }),
        Row::new("cached #[once(ttl, sync_writes)]", || {
            black_box(cached_once().first());
        }),
        Row::new("fibre_cache get in place, ttl by a ticking thread", {
            let cache = FibreBuilder::default().capacity(1000).time_to_live(TTL);
            let cache = leak(cache.build().expect("these settings go together"));
            cache.insert(KEY, Value::new(7), 1);
            move || {
                black_box(cache.get(&KEY, Value::first).expect("inserted"));
            }
        }),
        Row::new("amalgam-cache try_get, blocking, duration", {
            let builder = Amalgam::builder().default_options(EntryOptions::new(TTL));
            let cache = BlockingCache::from_builder(builder).expect("these settings go together");
            let cache = leak(cache);
            let put = cache.set("7", shared()).execute();
            put.expect("nothing can fail");
            move || {
                let got = cache.try_get("7").execute().expect("nothing can fail");
                black_box(got.expect("inserted").first());
            }
        }),
        Row::new("foyer-memory get (has no ttl)", {
            let cache: foyer_memory::Cache<u64, Value> = FoyerBuilder::new(1000).build();
            let cache = leak(cache);
            cache.insert(KEY, Value::new(7));
            move || {
                black_box(cache.get(&KEY).expect("inserted").first());
            }
        }),
        Row::new("tokio OnceCell get (never expires)", {
            let cell = leak(OnceCell::new_with(Some(Value::new(7))));
            move || {
                black_box(cell.get().expect("set").first());
            }
        }),
        Row::awaited("tokio OnceCell get_or_init (never expires)", {
            let cell = leak(OnceCell::new_with(Some(Value::new(7))));
            move || async {
                let value = cell.get_or_init(|| async { Value::new(8) }).await;
                black_box(value.first());
            }
        }),
    ]
}
