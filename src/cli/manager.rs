//! What a service manager is told: the protocol of `sd_notify(3)`.

use std::cell::{Cell, RefCell};
use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::pace::Pace;
use crate::apply::Progress;
use crate::view::{self, printable};

/// The service manager, if one wants to be told.
#[derive(Debug)]
pub(super) struct Manager {
    address: Option<SocketAddr>,
    /// How often it wants to hear that the work goes on; it waits for twice as long.
    watchdog: Option<Duration>,
    /// When it is told that next: by the loop of a held deployment, and by the steps of an apply, which
    /// may last. `None` before it was told that the deployment is ready, and if it does not ask.
    due: Cell<Option<Instant>>,
    /// When it is told what a run is at.
    pace: RefCell<Pace>,
}

/// Nobody.
impl Default for Manager {
    fn default() -> Self {
        let pace = RefCell::new(Pace::status());
        Self { address: None, watchdog: None, due: Cell::default(), pace }
    }
}

impl Manager {
    /// The one that the environment names.
    pub(super) fn from_environment() -> Self {
        let address = env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let complain = |error| tracing::warn!(%error, ?name, "not the address of a socket");
            address(name.as_bytes()).map_err(complain).ok()
        });
        let watchdog = address.is_some().then(watchdog).flatten();
        Self { address, watchdog, ..Self::default() }
    }

    /// The deployment is applied, or a reload is over, whatever came of it.
    pub(super) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\n{}", line(status)));
        if self.due.get().is_none() {
            self.due.set(self.watchdog.map(|_| Instant::now()));
        }
    }

    /// What there is to know of the deployment has changed.
    pub(super) fn status(&self, status: &str) {
        self.tell(&line(status));
    }

    /// A reload begins. The time tells the manager that it began after the signal it sent; without
    /// it, `systemctl reload` would wait for its timeout.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    /// The deployment is about to end.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\n");
    }

    /// When it wants to hear next that the work goes on.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.get()
    }

    /// The work goes on: tells so if it is time.
    pub(super) fn alive(&self) {
        let now = Instant::now();
        if let (Some(due), Some(interval)) = (self.due.get(), self.watchdog)
            && due <= now
        {
            self.tell("WATCHDOG=1\n");
            self.due.set(Some(now + interval));
        }
    }

    /// A run is at something.
    pub(super) fn hears(&self, progress: &Progress<'_>) {
        if self.address.is_none() {
            return;
        }
        self.alive();
        let mut pace = self.pace.borrow_mut();
        match view::progress::at(progress) {
            None => pace.over(),
            Some(status) if pace.is_due(Instant::now()) => self.status(&status),
            Some(_) => {}
        }
    }

    /// The socket may be made anew between two messages, so each is sent on its own.
    fn tell(&self, message: &str) {
        let Some(address) = &self.address else { return };
        let sent = UnixDatagram::unbound()
            .and_then(|socket| socket.send_to_addr(message.as_bytes(), address));
        if let Err(error) = sent {
            tracing::warn!(%error, "cannot tell the service manager");
        }
    }
}

/// A line break would end the status and begin another variable.
fn line(status: &str) -> String {
    format!("STATUS={}\n", printable(&status.replace('\n', "; ")))
}

/// A path, or a name in the abstract namespace behind an `@`.
fn address(name: &[u8]) -> io::Result<SocketAddr> {
    match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(OsStr::from_bytes(name)),
    }
}

/// Half of what `sd_watchdog_enabled(3)` says, as its manual recommends, if this process is meant.
fn watchdog() -> Option<Duration> {
    let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
    let meant = env::var_os("WATCHDOG_PID").is_none()
        || number("WATCHDOG_PID") == Some(u64::from(std::process::id()));
    let micros = number("WATCHDOG_USEC").filter(|micros| meant && *micros > 1)?;
    Some(Duration::from_micros(micros / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line() {
        assert_eq!(line("failed:\nno such\ninterface"), "STATUS=failed:; no such; interface\n");
    }
}
