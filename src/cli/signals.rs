//! The signals that a held deployment listens to.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

use super::ExitStatus;
use super::context::Context;

/// Signals, caught from the moment this is made: one that arrives during an apply, or while a
/// deployment ends, waits until that is done.
#[derive(Debug)]
pub(super) struct Signals(SignalDelivery<UnixStream, SignalOnly>);

/// What has been asked for since the last time; any number of equal signals is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// SIGTERM or SIGINT.
    pub(super) end: bool,
    /// SIGHUP.
    pub(super) reload: bool,
}

impl Signals {
    pub(super) fn catch(context: &Context) -> Result<Self, ExitStatus> {
        let signals = [SIGINT, SIGTERM, SIGHUP];
        let caught = UnixStream::pair()
            .and_then(|(read, write)| SignalDelivery::with_pipe(read, write, SignalOnly, signals));
        caught.map(Self).map_err(|error| context.failed(&format!("cannot catch signals: {error}")))
    }

    /// What was asked for; does not wait.
    pub(super) fn asked(&mut self) -> Asked {
        let mut asked = Asked::default();
        for signal in self.0.pending() {
            match signal {
                SIGHUP => asked.reload = true,
                _ => asked.end = true,
            }
        }
        asked
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_read().as_fd()
    }
}
