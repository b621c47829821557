//! What several examples share: drawing, what happened in each second, and what was promised.

pub mod drawing;
pub mod seconds;
pub mod verdicts;
