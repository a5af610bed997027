//! Notices that something came or went that a held deployment attaches to: an interface that a pattern
//! stands for, a target that an attachment waits for, and with `--watch` any target that is back.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::apply::Awaited;
use crate::kernel::linux::{self, Interfaces};
use crate::view;
use crate::watch::Places;

use super::session::Session;

/// How often to look although nothing was noticed: not everything that comes gives notice.
const SAFETY: Duration = Duration::from_secs(30);
/// After something was noticed, to look once more, and then ever less often: what came may not have been
/// complete, as a network namespace that is made before it is mounted.
const SETTLED: Duration = Duration::from_secs(1);

/// Looks after what may come and go.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    places: Places,
    interfaces: Option<Interfaces>,
    /// What was there when it was last applied.
    seen: Awaited,
    /// When to look again in any case; `None` while nothing is awaited.
    check: Option<Instant>,
    /// How long after that to look next.
    pause: Duration,
}

impl Arrivals {
    /// What is readable when something was noticed.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let interfaces = self.interfaces.iter().map(AsFd::as_fd);
        self.places.descriptor().into_iter().chain(interfaces).filter(|_| self.check.is_some())
    }

    /// When to look.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.check.map(|check| self.places.deadline().map_or(check, |due| due.min(check)))
    }

    /// What is waited for, in a line.
    pub(super) fn waits(&self) -> Option<String> {
        self.check.and_then(|_| view::progress::waits(self.seen.missing()))
    }

    /// The deployment was applied: to what was there shortly before, so what came meanwhile is found by
    /// the look that is due now.
    pub(super) fn applied(&mut self, now: Instant, session: &Session<'_>) {
        self.check = session.applied_to().map(|seen| {
            self.seen = seen.clone();
            now
        });
    }

    /// The deployment could not be applied to what was found: later it may.
    pub(super) fn failed(&mut self, now: Instant) {
        self.seen = Awaited::default();
        self.check = Some(now + SAFETY);
    }

    /// Takes in what was noticed, and says whether something came or went.
    pub(super) fn came_or_went(&mut self, now: Instant, session: &Session<'_>) -> bool {
        let Some(check) = self.check else { return false };
        self.places.notice(now);
        let noticed = self.interfaces.as_ref().map(Interfaces::drain).unwrap_or_default();
        if noticed.any {
            self.places.stirred(now);
        }
        let noticed = self.places.is_due(now);
        if !noticed && now < check {
            return false;
        }
        self.pause = if noticed { SETTLED } else { (2 * self.pause).clamp(SETTLED, SAFETY) };
        self.check = Some(now + self.pause);
        self.has_others(session)
    }

    /// Whether something else is there than when this was last asked.
    pub(super) fn has_others(&mut self, session: &Session<'_>) -> bool {
        if self.check.is_none() {
            return false;
        }
        let Some(found) = self.follow(session) else { return false };
        let calls = found.calls_for_apply(&self.seen);
        self.seen = found;
        calls
    }

    /// What is there now. Everything is watched before it is looked at.
    fn follow(&mut self, session: &Session<'_>) -> Option<Awaited> {
        if self.interfaces.is_none() {
            let refused =
                |error| tracing::debug!(%error, "changes of interfaces are not noticed at once");
            self.interfaces = Interfaces::follow().map_err(refused).ok();
        }
        let places = session.applied_to().into_iter().flat_map(Awaited::attachments);
        self.places.watch(places.flat_map(linux::places).collect());
        let unknown =
            |error| tracing::warn!("whether something came or went is not known: {error}");
        session.awaited().map_err(unknown).ok()
    }
}
