//! The loop of a held deployment: it waits for signals and for files, reloads, and ends.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::watch::{Turn, Watcher};

use super::ExitStatus;
use super::arrivals::Arrivals;
use super::checked::Checked;
use super::drift::{Guard, Look};
use super::files::Files;
use super::manager::Manager;
use super::session::{Reloaded, Session};
use super::signals::{Asked, Signals};
use super::terms::Terms;

/// A deployment being held. One thread does all there is to do, so there is one reload at a time;
/// what happens meanwhile is in the queues of the kernel and makes for one more.
pub(super) struct Hold<'c> {
    manifest: &'c Path,
    terms: &'c Terms,
    session: Session<'c>,
    watcher: Option<Watcher>,
    /// Only who watches looks for drift.
    guard: Option<Guard>,
    arrivals: Arrivals,
    signals: Signals,
    manager: Manager,
    /// Why changes are found by polling, as last said.
    polls_because: Option<String>,
}

impl<'c> Hold<'c> {
    /// With a watcher, changes of its files are followed; without, only SIGHUP.
    pub(super) fn new(
        manifest: &'c Path,
        terms: &'c Terms,
        session: Session<'c>,
        watcher: Option<Watcher>,
        signals: Signals,
        manager: Manager,
    ) -> Self {
        let polls_because = None;
        let guard = watcher.is_some().then(Guard::default);
        let arrivals = Arrivals::default();
        Self { manifest, terms, session, watcher, guard, arrivals, signals, manager, polls_because }
    }

    /// Holds the deployment until SIGINT or SIGTERM; one that arrives during a reload waits for it.
    pub(super) fn run(mut self) -> ExitStatus {
        self.arrivals.applied(Instant::now(), &self.session);
        self.manager.ready(&self.with_waits(self.session.status()));
        self.force_look();
        loop {
            self.look_for_arrivals();
            self.look_for_drift();
            self.say_how_changes_are_found();
            self.session.awaits(self.arrivals.waits());
            self.wait();
            let asked = self.signals.asked();
            if asked.end {
                self.manager.stopping();
                return self.session.finish();
            }
            if let Some(checked) = self.turn(asked) {
                self.reload(checked);
            }
            self.manager.alive();
        }
    }

    /// Looks after whatever has come up. Returns what is to be applied, if anything is.
    fn turn(&mut self, asked: Asked) -> Option<Checked> {
        let Some(watcher) = &mut self.watcher else {
            return asked.reload.then(|| Checked::read(self.manifest, self.terms));
        };
        let now = Instant::now();
        watcher.notice(now);
        if asked.reload {
            watcher.force(now);
        }
        let files = Files::new(self.manifest, self.terms);
        match watcher.turn(now, &files) {
            Turn::Changed(snapshot) => Some(files.check(&snapshot)),
            // It comes at the latest half a minute after the last: what of the host changes without a
            // notice is found then.
            Turn::Same => {
                self.force_look();
                None
            }
            Turn::Waiting => None,
        }
    }

    /// Says what someone else has changed. To heal it is to apply what the files say, which may have
    /// changed as well.
    fn look_for_drift(&mut self) {
        let (Some(guard), Some(watcher)) = (&mut self.guard, &mut self.watcher) else { return };
        let now = Instant::now();
        guard.notice(now);
        let look = guard.look(now, &self.session, || self.arrivals.has_others(&self.session));
        if look == Look::Same {
            return;
        }
        if look == Look::Arrived {
            return self.reapply();
        }
        if look == Look::Drifted && self.session.heals() {
            watcher.force(now);
        }
        let status = with_drift(self.session.status(), guard);
        self.manager.status(&self.with_waits(status));
    }

    /// Applies again when something came or went that is attached to.
    fn look_for_arrivals(&mut self) {
        if self.arrivals.came_or_went(Instant::now(), &self.session) {
            self.reapply();
        }
    }

    fn reapply(&mut self) {
        self.manager.reloading();
        let reloaded = self.session.reapply(&self.manager);
        if !reloaded.applied {
            self.arrivals.failed(Instant::now());
        }
        self.done(reloaded);
    }

    fn force_look(&mut self) {
        if let Some(guard) = &mut self.guard {
            guard.force(Instant::now());
        }
    }

    fn reload(&mut self, checked: Checked) {
        self.manager.reloading();
        let reloaded = self.session.reload(checked, &self.manager);
        let retry = reloaded.retry;
        self.done(reloaded);
        if let Some(watcher) = self.watcher.as_mut().filter(|_| retry) {
            watcher.retry(Instant::now());
        }
    }

    fn done(&mut self, mut reloaded: Reloaded) {
        if reloaded.applied {
            self.arrivals.applied(Instant::now(), &self.session);
        }
        if let Some(guard) = &self.guard {
            reloaded.status = with_drift(reloaded.status, guard);
        }
        self.manager.ready(&self.with_waits(reloaded.status));
        self.force_look();
    }

    /// Waits for a signal, for something that was noticed, or until it is time to look.
    fn wait(&self) {
        let deadline = self.watcher.as_ref().map(Watcher::deadline);
        let look = self.guard.as_ref().and_then(Guard::deadline);
        let arrival = self.arrivals.deadline();
        let pulse = self.manager.due();
        let deadline = deadline.into_iter().chain(look).chain(arrival).chain(pulse).min();
        let timeout = deadline.map(|deadline| timespec(deadline - Instant::now()));
        let noticed = self.watcher.as_ref().and_then(Watcher::descriptor);
        let ready = |descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
        let mut descriptors = vec![ready(self.signals.as_fd())];
        descriptors.extend(noticed.map(ready));
        descriptors.extend(self.guard.iter().flat_map(Guard::descriptors).map(ready));
        descriptors.extend(self.arrivals.descriptors().map(ready));
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => tracing::warn!(%error, "cannot wait for changes"),
        }
    }

    fn with_waits(&self, status: String) -> String {
        self.arrivals.waits().into_iter().fold(status, |status, waits| format!("{status}; {waits}"))
    }

    fn say_how_changes_are_found(&mut self) {
        let reason = self.watcher.as_ref().and_then(Watcher::polls_because);
        if reason != self.polls_because.as_deref() {
            if let Some(reason) = reason {
                tracing::warn!("changes are found by polling: {reason}");
            } else {
                tracing::info!("changes are found by inotify again");
            }
            self.polls_because = reason.map(str::to_owned);
        }
    }
}

fn with_drift(status: String, guard: &Guard) -> String {
    guard.status().into_iter().fold(status, |status, drift| format!("{status}; {drift}"))
}

fn timespec(duration: Duration) -> Timespec {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec: seconds, tv_nsec: i64::from(duration.subsec_nanos()) }
}
