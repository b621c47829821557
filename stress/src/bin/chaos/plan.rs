//! What a creator will do: drawn when it is handed to a call, and done by whoever runs it.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dogpile::{Created, Creating};

use crate::ledger::{Failed, Inside, Ledger, Panics, Value, stamp};
use crate::random::Random;
use crate::rate::Rate;
use crate::site::Site;
use crate::tasks::pause;

#[derive(Clone, Copy)]
enum Makes {
    Value,
    ShortLived,
    Unchanged,
    NotKept,
    Failure,
    /// Which is an answer: the value held is gone.
    Answer,
    RetryAfter,
    Panic,
}

#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) ledger: Arc<Ledger>,
    /// Of the map, if it is one key's.
    all: Option<Arc<Ledger>>,
    /// Of the map, and when the call began.
    rate: Option<(Arc<Rate>, Instant)>,
    /// If there is one pile.
    site: Option<Arc<Site>>,
    makes: Makes,
    yields: u64,
    span: Duration,
    locks: bool,
    lends: bool,
}

impl Plan {
    pub(crate) fn of_pile(site: &Arc<Site>, random: &mut Random) -> Self {
        let mut plan = Self::draw(&site.ledger, site.hangs, random);
        plan.locks = site.reader().is_some() && random.once_in(4);
        plan.site = Some(Arc::clone(site));
        plan
    }

    pub(crate) fn of_key(
        ledger: &Arc<Ledger>,
        all: &Arc<Ledger>,
        rate: Option<&Arc<Rate>>,
        random: &mut Random,
    ) -> Self {
        let mut plan = Self::draw(ledger, false, random);
        plan.all = Some(Arc::clone(all));
        plan.rate = rate.map(|rate| (Arc::clone(rate), Instant::now()));
        plan
    }

    pub(crate) fn of_no_map(self) -> Self {
        Self { all: None, ..self }
    }

    fn draw(ledger: &Arc<Ledger>, hangs: bool, random: &mut Random) -> Self {
        let makes = match random.below(16) {
            0 => Makes::ShortLived,
            1 => Makes::Unchanged,
            2 => Makes::NotKept,
            3..=4 => Makes::Failure,
            5 => Makes::Answer,
            6 => Makes::RetryAfter,
            7 => Makes::Panic,
            _ => Makes::Value,
        };
        let span = match random.below(8) {
            0..=3 => Duration::ZERO,
            4 if hangs => Duration::from_millis(6),
            5 => random.micros(2000),
            _ => random.micros(200),
        };
        Self {
            ledger: Arc::clone(ledger),
            all: None,
            rate: None,
            site: None,
            makes,
            yields: random.below(4),
            span,
            locks: false,
            lends: random.once_in(6),
        }
    }

    /// A creator that cannot fail, but panics. It runs whatever the rate is.
    pub(crate) fn run_infallibly(self) -> Value {
        let inside = self.enter();
        self.wait();
        if matches!(self.makes, Makes::Panic) {
            resume_unwind(Box::new(Panics));
        }
        let value = Value::created(inside.began);
        self.keep_elsewhere(inside.began);
        value
    }

    pub(crate) fn run(self, creating: &Creating<'_, Value>) -> Result<Created<Value>, Failed> {
        let inside = self.enter();
        self.count();
        self.lend(&inside, creating);
        self.wait();
        self.end(&inside, creating)
    }

    pub(crate) async fn run_async(
        self,
        creating: Creating<'_, Value>,
    ) -> Result<Created<Value>, Failed> {
        let inside = self.enter();
        self.count();
        self.lend(&inside, &creating);
        pause(self.yields, self.span).await;
        self.end(&inside, &creating)
    }

    pub(crate) async fn run_infallibly_async(self) -> Value {
        let inside = self.enter();
        pause(self.yields, self.span).await;
        self.keep_elsewhere(inside.began);
        Value::created(inside.began)
    }

    fn lend(&self, inside: &Runs, creating: &Creating<'_, Value>) {
        if self.lends {
            creating.lend(Created::new(Value::lent(inside.began)));
        }
    }

    fn wait(&self) {
        (0..self.yields).for_each(|_| thread::yield_now());
        if !self.span.is_zero() {
            thread::sleep(self.span);
        }
    }

    fn enter(&self) -> Runs {
        Runs {
            _here: self.ledger.enter(),
            _all: self.all.as_ref().map(Ledger::enter),
            began: stamp(),
        }
    }

    fn count(&self) {
        if let Some((rate, asked)) = &self.rate {
            rate.begins(*asked);
        }
    }

    fn keep_elsewhere(&self, began: u64) {
        if let Some(site) = &self.site {
            site.store.keep(began, None);
        }
    }

    fn end(&self, inside: &Runs, creating: &Creating<'_, Value>) -> Result<Created<Value>, Failed> {
        let began = inside.began;
        if let Some(reader) = self
            .site
            .as_ref()
            .filter(|_| self.locks)
            .and_then(|site| site.reader())
            && let Ok(write) = reader.acquire_write_lock_for(Duration::from_millis(1))
        {
            self.ledger.write();
            if self.yields.is_multiple_of(2) {
                write.until_published(creating);
            }
        }
        let created = match self.makes {
            Makes::Value => Created::new(Value::created(began)),
            Makes::ShortLived => {
                let ttl = Duration::from_micros(100 * self.yields);
                Created::new(Value::created(began))
                    .ttl(ttl)
                    .stale_while_revalidate(ttl)
            }
            Makes::NotKept => Created::new(Value::created(began)).keep(false),
            Makes::Unchanged => match creating.previous() {
                Some(previous) => {
                    previous.validated(began);
                    Created::unchanged(previous)
                }
                None => Created::new(Value::created(began)),
            },
            Makes::Failure => return Err(Failed::new()),
            Makes::Answer => {
                creating.no_fallback();
                return Err(Failed::new());
            }
            Makes::RetryAfter => {
                creating.retry_after(Duration::from_micros(300));
                return Err(Failed::new());
            }
            Makes::Panic => resume_unwind(Box::new(Panics)),
        };
        self.keep_elsewhere(began);
        Ok(created)
    }
}

/// A creator that runs.
struct Runs {
    _here: Inside,
    _all: Option<Inside>,
    began: u64,
}
