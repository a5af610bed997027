//! Notices that a held deployment is no longer as it was applied, and says it once.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use crate::apply::DeploymentStatus;
use crate::kernel::linux::Interfaces;
use crate::plan::ResourceStatus;
use crate::watch::Places;

use super::session::Session;

/// Looks after what is pinned and attached.
///
/// Events are hints, here as well: a look holds what is there against the record, so what the
/// deployment's own runs change is told apart by finding nothing.
#[derive(Debug, Default)]
pub(super) struct Guard {
    places: Places,
    interfaces: Option<Interfaces>,
    /// An interface came that may be the one that was missing.
    interface_came: bool,
    /// What has drifted, as last said.
    said: Vec<ResourceStatus>,
    /// Why it is not known, as last said.
    unknown: Option<String>,
}

/// What a look leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing is new.
    Same,
    /// What has drifted has changed, or what it lacks may be there now, or its record is lost: healing
    /// is worth a try.
    Drifted,
    /// It is as it was applied, after it was not.
    InSync,
    /// Something that is attached to came or went, so it is no drift.
    Arrived,
}

impl Guard {
    /// What is readable when something was noticed.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.places.descriptor().into_iter().chain(self.interfaces.as_ref().map(AsFd::as_fd))
    }

    /// When to look, if there is a reason to.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.places.deadline()
    }

    /// Takes in what was noticed.
    pub(super) fn notice(&mut self, now: Instant) {
        self.places.notice(now);
        let noticed = self.interfaces.as_ref().map(Interfaces::drain).unwrap_or_default();
        self.interface_came |= noticed.new;
        if noticed.any {
            self.places.stirred(now);
        }
    }

    /// There is a reason to look at once.
    pub(super) fn force(&mut self, now: Instant) {
        self.places.force(now);
    }

    /// Looks, if it is time, and says what is new; unless `arrived` says that something came or went
    /// meanwhile.
    pub(super) fn look(
        &mut self,
        now: Instant,
        session: &Session<'_>,
        arrived: impl FnOnce() -> bool,
    ) -> Look {
        if !self.places.is_due(now) {
            return Look::Same;
        }
        let came = std::mem::take(&mut self.interface_came);
        let drifted = match self.observe(session) {
            Ok(drifted) => drifted,
            Err(error) => {
                if self.unknown.as_ref() == Some(&error) {
                    return Look::Same;
                }
                tracing::warn!("whether the deployment has drifted is not known: {error}");
                self.unknown = Some(error);
                return Look::Drifted;
            }
        };
        self.unknown = None;
        if drifted == self.said {
            return if came && !drifted.is_empty() { Look::Drifted } else { Look::Same };
        }
        if !drifted.is_empty() && arrived() {
            return Look::Arrived;
        }
        self.said = drifted;
        session.report_drift(&self.said);
        if self.said.is_empty() { Look::InSync } else { Look::Drifted }
    }

    /// How many resources have drifted, in words, for the service manager.
    pub(super) fn status(&self) -> Option<String> {
        match self.said.len() {
            0 => None,
            1 => Some("1 resource has drifted".to_owned()),
            count => Some(format!("{count} resources have drifted")),
        }
    }

    /// What has drifted. Every place is watched before it is looked at.
    fn observe(&mut self, session: &Session<'_>) -> Result<Vec<ResourceStatus>, String> {
        self.places.watch(self.places.paths().clone());
        loop {
            let DeploymentStatus { inventory, resources, .. } = session.observe()?;
            let at = |(pin, _)| inventory.pin_root.join(pin);
            let pins: BTreeSet<_> = inventory.pins().map(at).collect();
            let mut others = self.places.watch(pins);
            if inventory.has_interfaces() && self.interfaces.is_none() {
                let refused = |error| tracing::debug!(%error, "changes of interfaces are not noticed at once");
                self.interfaces = Interfaces::follow().map_err(refused).ok();
                others |= self.interfaces.is_some();
            }
            if !others {
                return Ok(resources.into_iter().filter(ResourceStatus::has_drifted).collect());
            }
        }
    }
}
