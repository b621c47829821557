//! Show a page that is slow to render: nobody waits for it but the first visitors.
//!
//! The page is rendered on a thread of its own. A visitor who finds it stale gets the old page at once, also
//! the one whose visit starts the rendering.
//!
#![cfg_attr(feature = "async", doc = "```")]
#![cfg_attr(not(feature = "async"), doc = "```ignore")]
//! use std::time::Duration;
//! use dogpile::executor::Thread;
//! use dogpile::{Dogpile, Error, Guard};
//!
//! static FRONT: Dogpile<String> = Dogpile::builder(Duration::from_secs(60))
//!     .stale_while_revalidate(Duration::from_secs(600)) // an older page is not shown
//!     .stale_if_error(Duration::from_secs(86_400)) // unless the template fails
//!     .max_create_time(Duration::from_secs(30)) // a template that hangs is given up
//!     .build();
//!
//! /// The page, with the headers that tell browsers and proxies how old it is.
//! fn front() -> Result<(String, Guard<'static, String>), Error<TemplateError>> {
//!     let call = FRONT.background_static(&Thread).wait(Duration::from_secs(5));
//!     let page = call.get_or_try_create(render)?;
//!     let (age, ttl) = (Guard::age(&page).as_secs(), Guard::ttl(&page).as_secs());
//!     Ok((format!("Age: {age}\r\nCache-Control: max-age={ttl}\r\n"), page))
//! }
//!
//! /// Somebody edited the page: one visitor starts a rendering, all see the old page meanwhile.
//! fn edited() {
//!     FRONT.expire();
//! }
//!
//! /// Something on the page must go: no later visitor sees it. They wait for the new page.
//! fn withdrawn() {
//!     FRONT.invalidate();
//! }
//!
//! # #[derive(Debug)]
//! # struct TemplateError;
//! # static RENDERED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
//! fn render() -> Result<String, TemplateError> {
//!     // ... a second of work
//! #   let number = RENDERED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
//! #   if number == 1 { return Err(TemplateError) }
//!     Ok("<h1>Welcome</h1>".to_owned())
//! }
//!
//! let (headers, page) = front().unwrap();
//! assert_eq!(*page, "<h1>Welcome</h1>");
//! assert!(headers.ends_with("max-age=60\r\n"));
//! # edited();
//! # assert_eq!(*front().unwrap().1, "<h1>Welcome</h1>"); // the old one, and a rendering that fails
//! # while FRONT.is_creating() { std::thread::yield_now() }
//! # withdrawn();
//! # assert_eq!(*front().unwrap().1, "<h1>Welcome</h1>");
//! # assert_eq!(RENDERED.load(std::sync::atomic::Ordering::Relaxed), 3);
//! ```
//!
//! - In a service on tokio, give it [`executor::TokioBlocking`] if the template is a function that blocks, and
//!   [`executor::Tokio`] if it is a future.
//! - For a page for each address, see [`tenants`](super::tenants): a map with the same settings.
//! - A page that is not there any more says so with [`Creating::no_fallback`]: see
//!   [`negative_results`](super::negative_results).
#![doc(alias = "template", alias = "http cache")]

#[allow(unused_imports)]
use crate::*;
