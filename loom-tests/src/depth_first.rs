//! All schedules with a bounded number of preemptions, one after the other.
//!
//! shuttle's own depth-first search knows no bound, and without one even two threads have more
//! schedules than can be run.

use std::cell::Cell;
use std::rc::Rc;

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

/// Each execution takes the same threads as the one before up to the last choice that has another
/// one left.
pub(crate) struct DepthFirst {
    bound: usize,
    begun: bool,
    /// How many executions there may still be.
    left: usize,
    path: Vec<Choice>,
    /// How many choices this execution has made, and how many of them were preemptions.
    depth: usize,
    preemptions: usize,
    outcome: Outcome,
}

/// The threads that can be taken, of which all before `taken` have been.
struct Choice {
    threads: Vec<TaskId>,
    taken: usize,
}

/// What became of a search.
#[derive(Clone, Default)]
pub(crate) struct Outcome {
    exhausted: Rc<Cell<bool>>,
    cut: Rc<Cell<bool>>,
}

impl Outcome {
    /// Whether there was nothing left within the bound.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    /// Whether anything was left out for the bound.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.get()
    }
}

impl DepthFirst {
    /// Runs at most `limit` schedules with at most `bound` preemptions.
    pub(crate) fn new(bound: usize, limit: usize) -> (Self, Outcome) {
        let outcome = Outcome::default();
        let search = Self {
            bound,
            begun: false,
            left: limit,
            path: Vec::new(),
            depth: 0,
            preemptions: 0,
            outcome: outcome.clone(),
        };
        (search, outcome)
    }

    /// Goes to the next schedule; `false` if there is none.
    fn advance(&mut self) -> bool {
        while let Some(last) = self.path.last_mut() {
            last.taken += 1;
            if last.taken < last.threads.len() {
                return true;
            }
            self.path.pop();
        }
        false
    }

    /// The threads that may go on. To take another one than the current, which could go on and does
    /// not yield, is a preemption. Who yields waits for something, and is not taken again at once.
    fn choices(&self, runnable: &[&Task], current: Option<TaskId>, yields: bool) -> Vec<TaskId> {
        let mut threads: Vec<_> = runnable.iter().map(|thread| thread.id()).collect();
        let Some(at) = threads.iter().position(|&thread| Some(thread) == current) else {
            return threads;
        };
        if yields && threads.len() > 1 {
            threads.remove(at);
        } else if !yields {
            threads.swap(0, at);
            if self.preemptions == self.bound && threads.len() > 1 {
                threads.truncate(1);
                self.outcome.cut.set(true);
            }
        }
        threads
    }
}

impl Scheduler for DepthFirst {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.left == 0 {
            return None;
        }
        if self.begun && !self.advance() {
            self.outcome.exhausted.set(true);
            return None;
        }
        self.begun = true;
        self.left -= 1;
        self.depth = 0;
        self.preemptions = 0;
        Some(Schedule::new(0))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        yields: bool,
    ) -> Option<TaskId> {
        let threads = self.choices(runnable, current, yields);
        match self.path.get(self.depth) {
            Some(known) => assert_eq!(known.threads, threads, "a model depends on something else"),
            None => self.path.push(Choice { threads, taken: 0 }),
        }
        let choice = &self.path[self.depth];
        let thread = choice.threads[choice.taken];
        self.depth += 1;
        let could_go_on = runnable.iter().any(|thread| Some(thread.id()) == current);
        if could_go_on && !yields && Some(thread) != current {
            self.preemptions += 1;
        }
        Some(thread)
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("a model that draws random numbers cannot be run depth-first")
    }
}
