//! Keep one value for each tenant, and bound what all of them cost.
//!
//! Each key of a [`KeyedDogpile`] is a pile. A slow tenant delays no other tenant. The map bounds how many values it
//! holds, how many creations run at once, and how many begin in a second.
//!
#![cfg_attr(feature = "tokio", doc = "```")]
#![cfg_attr(not(feature = "tokio"), doc = "```ignore")]
//! use std::sync::Arc;
//! use std::time::Duration;
//! use dogpile::executor::Tokio;
//! use dogpile::{Backoff, Dogpile, Error, KeyedDogpile, KeyedGuard};
//!
//! type Plan = String;
//! type Plans = KeyedDogpile<String, Plan>;
//! type PlanGuard<'a> = KeyedGuard<'a, String, Plan>;
//!
//! struct Tenants {
//!     plans: Plans,
//!     database: Arc<Database>,
//! }
//!
//! impl Tenants {
//!     fn new(database: Arc<Database>) -> Self {
//!         let plans = Dogpile::builder(Duration::from_secs(300))
//!             .stale_while_revalidate(Duration::from_secs(3600))
//!             .stale_if_error(Duration::from_secs(86_400))
//!             .backoff(Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60)))
//!             .ttl_jitter(10) // plans that were loaded together are not renewed together
//!             .keyed()
//!             .max_entries(10_000)
//!             .creation_limit(16) // at once: what the database bears
//!             .creation_rate(500, Duration::from_secs(1)) // if names are made up
//!             .build();
//!         Self { plans, database }
//!     }
//!
//!     async fn plan(&self, tenant: &str) -> Result<PlanGuard<'_>, Error<DatabaseError>> {
//!         let (database, name) = (Arc::clone(&self.database), tenant.to_owned());
//!         let call = self.plans.background(tenant, &Tokio).wait(Duration::from_secs(1));
//!         call.get_or_try_create_async(move || async move { database.load(&name).await }).await
//!     }
//!
//!     /// The tenant changed: one caller loads the plan, the others get the old one meanwhile.
//!     fn changed(&self, tenant: &str) {
//!         self.plans.expire(tenant);
//!     }
//!
//!     /// Loads many in one query: those that are held are not asked for again.
//!     async fn warm(&self, tenants: &[&str]) -> usize {
//!         let tenants = tenants.iter().copied();
//!         let plans = self.plans.get_or_try_create_multi_async(tenants, |missing| {
//!             let database = &self.database;
//!             async move { database.load_all(&missing).await }
//!         });
//!         plans.await.iter().filter(|plan| plan.is_ok()).count()
//!     }
//! }
//! # #[derive(Debug)]
//! # struct DatabaseError;
//! # struct Database;
//! # impl Database {
//! #     async fn load(&self, name: &str) -> Result<Plan, DatabaseError> { Ok(format!("plan of {name}")) }
//! #     async fn load_all(&self, names: &[&str]) -> Result<Vec<(String, Result<Plan, DatabaseError>)>, DatabaseError> {
//! #         Ok(names.iter().map(|name| (name.to_string(), Ok(format!("plan of {name}")))).collect())
//! #     }
//! # }
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! # let tenants = Tenants::new(Arc::new(Database));
//! # assert_eq!(*tenants.plan("ada").await.unwrap(), "plan of ada");
//! # tenants.changed("ada");
//! # assert_eq!(tenants.warm(&["ada", "bob", "eve"]).await, 3);
//! # assert_eq!(*tenants.plan("eve").await.unwrap(), "plan of eve");
//! # });
//! ```
//!
//! - A call that finds the rate used up gets the old plan. If there is none it gets
//!   [`Error::BackingOff`] at once, with the time until the next creation may begin: answer "503" with that time as
//!   `Retry-After`. [`is_over_rate`](Error::is_over_rate) tells this case from a failure.
//! - Eviction keeps what is asked for. It never ends a creation, and it never lets a second creator in.
//! - If a cache of your program holds the values already, keep it: the crates `dogpile-moka`,
//!   `dogpile-quick-cache` and `dogpile-cache` put the same election over it.
//! - There is no time to idle, and there are no tags: see [the pitfalls](crate::docs::pitfalls#not-offered).
//!
//! # What the bounds do
//!
//! Ten thousand tenants, room for four thousand, and a database that bears sixteen loads at once, as the
//! example `tenants` of the repository draws them. Strangers with made-up names would keep all turns busy, and
//! a fifth of the tenants' requests would wait. With a [`creation_rate`](KeyedBuilder::creation_rate) few
//! wait: a caller with an older value gets it, and the others are told at once when to come back.
//!
#![doc = include_str!("../picture.html")]
#![doc = include_str!("../../../docs/tenants.svg")]
//! </div>
#![doc(alias = "per key", alias = "map", alias = "users")]

#[allow(unused_imports)]
use crate::*;
