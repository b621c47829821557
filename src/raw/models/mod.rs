//! White-box models of the parts, in both forms of the barrier.

mod cell;
mod gate;
mod index;
