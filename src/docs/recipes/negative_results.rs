//! Remember for a short time that something does not exist.
//!
//! "There is no such user" is an answer, and a creator returns it as a value: `None`, with a short life of its own. "The database is
//! down" is no answer, and a creator returns it as an error: errors are not kept.
//!
//! ```
//! use std::time::Duration;
//! use dogpile::{Created, Dogpile, Error, KeyedDogpile, KeyedGuard};
//!
//! type Users = KeyedDogpile<String, Option<User>>;
//!
//! fn users() -> Users {
//!     Dogpile::builder(Duration::from_secs(300))
//!         .stale_if_error(Duration::from_secs(3600))
//!         .keyed()
//!         .max_entries(10_000) // Names that do not exist take room too.
//!         .creation_rate(100, Duration::from_secs(1)) // Strangers can make up any number.
//!         .build()
//! }
//!
//! fn find<'a>(
//!     users: &'a Users,
//!     name: &str,
//!     database: &Database,
//! ) -> Result<KeyedGuard<'a, String, Option<User>>, Error<DatabaseError>> {
//!     users.get_or_try_create_with(name, |_creating| match database.find(name)? {
//!         Some(user) => Ok(Created::new(Some(user))),
//!         None => Ok(Created::new(None)
//!             .ttl(Duration::from_secs(5)) // Somebody may sign up.
//!             .stale_while_revalidate(Duration::ZERO)), // And is not told "no such user" then.
//!     })
//! }
//! # use std::cell::Cell;
//! # struct User(String);
//! # #[derive(Debug)]
//! # struct DatabaseError;
//! # struct Database(Cell<u32>);
//! # impl Database {
//! #     fn find(&self, name: &str) -> Result<Option<User>, DatabaseError> {
//! #         self.0.set(self.0.get() + 1);
//! #         Ok((name == "ada").then(|| User(name.to_owned())))
//! #     }
//! # }
//!
//! # let (users, database) = (users(), Database(Cell::new(0)));
//! assert!(find(&users, "ada", &database)?.is_some());
//! for _ in 0..100 {
//!     assert!(find(&users, "nobody", &database)?.is_none()); // one query
//! }
//! # assert_eq!(database.0.get(), 2);
//! # assert_eq!(dogpile::KeyedGuard::ttl(&find(&users, "nobody", &database)?), Duration::from_secs(5));
//! # Ok::<_, Error<DatabaseError>>(())
//! ```
//!
//! When a user signs up, call [`set`](KeyedDogpile::set) with the new user, or
//! [`invalidate`](KeyedDogpile::invalidate). A look-up that began before does not overwrite that.
//!
//! # If "not found" is an error in your program
//!
//! Then say so in the creator with [`Creating::no_fallback`], before you return the error. It tells a 404 from an
//! outage: the error goes to all who wait, and the old value is removed instead of standing in for the error.
//! To keep such an error from being asked for again at once, say [`Creating::retry_after`].
#![doc(alias = "404", alias = "not found", alias = "negative caching")]

#[allow(unused_imports)]
use crate::*;
