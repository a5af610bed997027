//! Where it is shown what a run is at: in a line of the terminal, else in lines of the log.

use std::cell::RefCell;
use std::time::Instant;

use crate::apply::{Observer, Progress};
use crate::view;

use super::context::Context;
use super::journal::Priority;
use super::manager::Manager;
use super::pace::Pace;
use super::terminal;

/// What standard error shows of work that lasts.
pub(super) struct Shown {
    /// Whether it is a terminal.
    terminal: bool,
    pace: RefCell<Pace>,
    /// What is waited for, as last said.
    awaited: RefCell<Option<String>>,
}

impl Shown {
    pub(super) fn new() -> Self {
        let terminal = terminal::is_there();
        let pace = RefCell::new(if terminal { Pace::line() } else { Pace::log() });
        Self { terminal, pace, awaited: RefCell::default() }
    }
}

/// The end of the program, or of a test's.
impl Drop for Shown {
    fn drop(&mut self) {
        terminal::erase();
    }
}

impl Observer for Context {
    fn tell(&self, progress: Progress<'_>) {
        let mut pace = self.shown.pace.borrow_mut();
        if matches!(progress, Progress::Done) {
            pace.over();
            terminal::erase();
        } else if pace.is_due(Instant::now())
            && let Some(line) = view::progress::at(&progress)
        {
            self.show(&line);
        }
    }
}

impl Context {
    /// Shows for how long nothing happens but waiting: until something else is written there, or until
    /// another thing or nothing is waited for. In a log it is said once.
    pub(super) fn awaits(&self, what: Option<String>) {
        let mut awaited = self.shown.awaited.borrow_mut();
        let same = *awaited == what;
        if same && (!self.shown.terminal || terminal::is_drawn()) {
            return;
        }
        match &what {
            Some(line) => self.show(line),
            None => terminal::erase(),
        }
        *awaited = what;
    }

    fn show(&self, line: &str) {
        if self.shown.terminal {
            terminal::draw(line);
        } else {
            self.say(Priority::Info, |_| format!("{line}\n"));
        }
    }
}

/// Standard error and the service manager.
pub(super) struct Both<'a>(pub(super) &'a Context, pub(super) &'a Manager);

impl Observer for Both<'_> {
    fn tell(&self, progress: Progress<'_>) {
        let Self(context, manager) = self;
        manager.hears(&progress);
        context.tell(progress);
    }
}
