//! The database: a version of the settings for each tenant, and how it bears its load.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::service::Record;

/// How many tenants there are. Other names are made up.
pub(crate) const TENANTS: u32 = 10_000;

/// How long a load takes, if there are not too many at once.
pub(crate) const LOAD: Duration = Duration::from_millis(25);
/// So many it bears at once.
const BEARS: usize = 16;

/// What a tenant has set.
pub(crate) struct Settings {
    pub(crate) version: u32,
}

/// There is no such tenant.
#[derive(Debug)]
pub(crate) struct Unknown;

pub(crate) struct Database {
    state: Mutex<State>,
    record: Arc<Record>,
}

struct State {
    versions: Vec<u32>,
    running: HashSet<u32>,
    figures: Figures,
}

/// What it bore in all.
#[derive(Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) loads: u64,
    pub(crate) most_at_once: usize,
    pub(crate) slowest: Duration,
    /// Loads of a tenant while another one of the same ran.
    pub(crate) twice: u64,
}

impl Database {
    pub(crate) fn new(record: Arc<Record>) -> Self {
        let state = State {
            versions: vec![0; TENANTS as usize],
            running: HashSet::new(),
            figures: Figures::default(),
        };
        Self {
            state: Mutex::new(state),
            record,
        }
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads what was written when it begins.
    pub(crate) async fn load(&self, tenant: u32) -> Result<Settings, Unknown> {
        self.record.now(|second| second.loads += 1);
        let begin = Instant::now();
        let (version, takes) = self.change(|state| {
            let is_first = state.running.insert(tenant);
            let at_once = state.running.len();
            let figures = &mut state.figures;
            figures.loads += 1;
            figures.twice += u64::from(!is_first);
            figures.most_at_once = figures.most_at_once.max(at_once);
            let version = state.versions.get(tenant as usize).copied();
            let share = at_once.max(BEARS) as u32;
            (version, LOAD * share / BEARS as u32)
        });
        sleep(takes).await;
        self.change(|state| {
            state.running.remove(&tenant);
            let figures = &mut state.figures;
            figures.slowest = figures.slowest.max(begin.elapsed());
        });
        let version = version.ok_or(Unknown)?;
        Ok(Settings { version })
    }

    /// A tenant changes its settings. The version that they have from here on.
    pub(crate) fn write(&self, tenant: u32) -> u32 {
        self.change(|state| {
            let version = &mut state.versions[tenant as usize];
            *version += 1;
            *version
        })
    }

    pub(crate) fn figures(&self) -> Figures {
        self.change(|state| state.figures)
    }
}
