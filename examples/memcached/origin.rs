//! Where pages come from: slow, and watching who asks, and why.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::client::Client;

/// The key under which the page is stored.
pub(crate) const KEY: &str = "page";

/// How long a creation takes.
pub(crate) const DELAY: Duration = Duration::from_millis(20);

/// A page. Stored with the time of its creation, for processes that did not see it created.
#[derive(Clone, Copy)]
pub(crate) struct Page {
    pub(crate) number: u64,
    made: Duration,
}

impl Page {
    fn new(number: u64) -> Self {
        Self {
            number,
            made: now(),
        }
    }

    /// How old it is by the wall clock: the one clock that processes share.
    pub(crate) fn age(&self) -> Duration {
        now().saturating_sub(self.made)
    }

    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let page = text.split_once(' ').and_then(|(number, made)| {
            Some(Self {
                number: number.parse().ok()?,
                made: Duration::from_micros(made.parse().ok()?),
            })
        });
        page.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no page: `{text}`")))
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.made.as_micros())
    }
}

fn now() -> Duration {
    // A clock before 1970 is wrong anyway.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// A creation that was completed.
#[derive(Clone, Copy)]
pub(crate) struct Creation {
    /// How old the previous page was when this creation began; `None` for the first.
    pub(crate) replaced: Option<Duration>,
    /// Whether a page was still stored when the new one was put there.
    pub(crate) stored_before: bool,
}

/// Creates pages and keeps the books.
#[derive(Default)]
pub(crate) struct Origin {
    running: AtomicU64,
    pub(crate) most_at_once: AtomicU64,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    creations: Vec<Creation>,
    last: Option<Instant>,
}

impl Origin {
    /// Makes a page and stores it.
    pub(crate) fn create(&self, client: &mut Client) -> io::Result<Page> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(running, Ordering::SeqCst);
        let page = self.create_watched(client);
        self.running.fetch_sub(1, Ordering::SeqCst);
        page
    }

    fn create_watched(&self, client: &mut Client) -> io::Result<Page> {
        let (number, replaced) = {
            let books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
            let number = books.creations.len() as u64 + 1;
            (number, books.last.map(|last| last.elapsed()))
        };
        thread::sleep(DELAY);
        let page = Page::new(number);
        // Sooner than the pile takes the time: ages in the books are never too low.
        let made = Instant::now();
        let stored_before = client.put(KEY, &page.to_string())?;
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.creations.push(Creation {
            replaced,
            stored_before,
        });
        books.last = Some(made);
        Ok(page)
    }

    pub(crate) fn creations(&self) -> Vec<Creation> {
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.creations.clone()
    }
}
