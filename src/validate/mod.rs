//! A manifest held against the objects it names: either a [`Desired`] state, or every problem at once.
//!
//! Knows no kernel and prints nothing.

mod desired;

pub use desired::{Desired, DesiredMap, DesiredObject, DesiredProgram};
