//! The source that all processes fetch from.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::record::Record;

/// How many requests it works on at once, and for how long on each: fifty a second.
const DESKS: usize = 10;
pub(crate) const FETCH: Duration = Duration::from_millis(200);
pub(crate) const CAPACITY: u32 = 50;

/// How many more wait in line. Whoever finds the line full is refused at once.
const LINE: usize = 20;

/// How long a client waits for an answer before it hangs up.
pub(crate) const TIME_OUT: Duration = Duration::from_secs(1);

pub(crate) struct Source {
    desks: Semaphore,
    at_once: AtomicUsize,
    outage: Option<Range<Duration>>,
    /// How often each process asked during the outage.
    in_outage: Vec<AtomicU32>,
    record: Arc<Record>,
}

impl Source {
    pub(crate) fn new(
        processes: usize,
        outage: Option<Range<Duration>>,
        record: Arc<Record>,
    ) -> Self {
        Self {
            desks: Semaphore::new(DESKS),
            at_once: AtomicUsize::new(0),
            outage,
            in_outage: (0..processes).map(|_| AtomicU32::new(0)).collect(),
            record,
        }
    }

    /// One request of the process with this number. It takes its time.
    pub(crate) async fn fetch(&self, process: usize) -> Result<(), &'static str> {
        self.record.now(|second| second.requests += 1);
        let now = self.record.elapsed();
        if self.outage.as_ref().is_some_and(|time| time.contains(&now)) {
            self.in_outage[process].fetch_add(1, Ordering::Relaxed);
            sleep(TIME_OUT).await;
            return Err("no answer within a second");
        }
        let before = self.at_once.fetch_add(1, Ordering::Relaxed);
        let _leave = Leave(&self.at_once);
        if before >= DESKS + LINE {
            self.record.now(|second| second.refused += 1);
            return Err("503: overloaded");
        }
        let _desk = self.desks.acquire().await.expect("it is never closed");
        sleep(FETCH).await;
        Ok(())
    }

    /// How often each process asked during the outage.
    pub(crate) fn in_outage(&self) -> Vec<u32> {
        let counts = self.in_outage.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
