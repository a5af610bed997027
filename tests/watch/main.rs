//! The watcher on real files and the real inotify(7), with a clock of its own: the tests say how
//! much time passes, so nothing waits and nothing depends on the machine's speed. That nothing is
//! handed on is proven by letting time pass until the watcher has nothing left to do.

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod contents;
mod limits;
mod places;
mod polling;
