//! One line at the end of what a terminal shows, which is rewritten, and taken away before anything
//! else is written.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::view;

/// Clears from the cursor to the end of its line (ECMA-48 EL).
const CLEAR: &str = "\x1b[K";

/// Whether the terminal shows a line. A process has one standard error; who changes this has it locked.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// Whether standard error is a terminal that can rewrite a line.
pub(super) fn is_there() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether the terminal shows the line, as nothing was written since.
pub(super) fn is_drawn() -> bool {
    DRAWN.load(Ordering::Relaxed)
}

/// Shows a line in the place of the one before. While another job has the terminal, nothing is shown:
/// somebody types there.
pub(super) fn draw(line: &str) {
    let mut stderr = io::stderr().lock();
    let owner = rustix::termios::tcgetpgrp(&stderr);
    if owner.is_ok_and(|owner| owner != rustix::process::getpgrp()) {
        return;
    }
    let columns = rustix::termios::tcgetwinsize(&stderr).map_or(0, |size| usize::from(size.ws_col));
    // In the last column, some terminals break the line already.
    let columns = if columns == 0 { view::Style::PLAIN.width } else { columns } - 1;
    let line = view::progress::fitted(&view::outlet(line, false), columns);
    // What cannot be shown is no loss: the work goes on.
    let _ = stderr.write_all(format!("\r{line}{CLEAR}").as_bytes());
    DRAWN.store(true, Ordering::Relaxed);
}

/// Takes the line away.
pub(super) fn erase() {
    if is_drawn() {
        let mut stderr = io::stderr().lock();
        if DRAWN.swap(false, Ordering::Relaxed) {
            let _ = stderr.write_all(format!("\r{CLEAR}").as_bytes());
        }
    }
}
