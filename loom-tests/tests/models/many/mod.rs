//! Larger models, of three to eight threads and tasks, which loom cannot bear.

mod callers;
mod fleet;
mod readers;
mod tasks;
