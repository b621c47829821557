//! What a thread did, when it was not plain work with fresh keys.

use std::time::{Duration, Instant};

use crate::ways::{How, NoKeys};

/// What one thread's list may grow to.
const MOST: usize = 20_000;

/// A stretch of time in which a thread did the same thing. Times count from the start of the run.
#[derive(Clone, Copy)]
pub(crate) struct Spell {
    pub(crate) doing: Doing,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// The later in this list the more it matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Doing {
    UsingOldKeys,
    Waiting,
    Fetching,
    /// Fetching, in vain: the parser panicked.
    Panicking,
}

/// The spells of one thread.
pub(crate) struct Spells {
    start: Instant,
    looking_since: Instant,
    /// Whether there were no fresh keys since the last spell of the list.
    unbroken: bool,
    list: Vec<Spell>,
}

impl Spells {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            looking_since: start,
            unbroken: false,
            list: Vec::new(),
        }
    }

    /// Watches a look for keys.
    pub(crate) fn watch<T>(
        &mut self,
        look: impl FnOnce() -> Result<(T, How), NoKeys>,
    ) -> Result<T, NoKeys> {
        self.looking_since = Instant::now();
        let found = look();
        match &found {
            Ok((_, How::Fresh)) => self.unbroken = false,
            Ok((_, How::Old)) => self.note(Doing::UsingOldKeys),
            Ok((_, How::Waited)) | Err(NoKeys) => self.note(Doing::Waiting),
            Ok((_, How::Fetched)) => self.note(Doing::Fetching),
        }
        found.map(|(keys, _)| keys)
    }

    /// The look ended in a panic.
    pub(crate) fn panicked(&mut self) {
        self.note(Doing::Panicking);
    }

    pub(crate) fn into_list(self) -> Vec<Spell> {
        self.list
    }

    fn note(&mut self, doing: Doing) {
        let to = self.start.elapsed();
        // Work with old keys goes on from look to look.
        if doing == Doing::UsingOldKeys
            && self.unbroken
            && let Some(last) = self.list.last_mut().filter(|last| last.doing == doing)
        {
            last.to = to;
            return;
        }
        self.unbroken = true;
        if self.list.len() < MOST {
            self.list.push(Spell {
                doing,
                from: self.looking_since.saturating_duration_since(self.start),
                to,
            });
        }
    }
}
