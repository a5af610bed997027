//! Links that cannot be updated, at places with room for one: the old one goes before the new one comes.
//!
//! In between nothing of ours is at work there, and the plan says so, or what is there instead. Such a link waits in no stage: it
//! would stay attached there. What it ran is still loaded, so that undoing is attaching it again.

use std::collections::BTreeSet;

use crate::model::address::Address;
use crate::model::attach::Attachment;
use crate::model::identity::Identity;
use crate::model::inventory::{Anchor, LinkRecord, Resource};
use crate::model::live::{LiveLink, LiveObject};
use crate::model::pin::PinPath;

use super::draft::{Draft, Phase};
use super::{ProgramRef, Step, netfilter};

/// That nothing is there instead.
pub(super) const GAP: &str = "in between the place is as if nothing were attached";

/// Whether a place has room for one link that cannot be updated.
pub(super) fn is_released_first(attachment: &Attachment) -> bool {
    matches!(attachment, Attachment::FreplacePinned { .. } | Attachment::Netfilter { .. })
}

/// What the plan says of the moment without the link.
pub(super) fn gap(attachment: &Attachment) -> &'static str {
    match attachment {
        Attachment::Netfilter { .. } => netfilter::BRIDGED,
        _ => GAP,
    }
}

/// Lets go of a live link in the phase of what shall replace it. `runs` is what it runs.
pub(super) fn release(
    (pin, link): (&PinPath, &LiveLink),
    runs: ProgramRef,
    attachment: &Attachment,
    phase: Phase,
    draft: &mut Draft<'_>,
) {
    if !draft.released.insert(pin.clone()) {
        return;
    }
    let step = Step::Release {
        link: draft.open(pin, Identity::link(link.id)),
        pin: pin.clone(),
        program: runs,
        attachment: attachment.clone(),
    };
    draft.step(phase, step);
}

/// A link of ours at the same place that is leaving, with its address: it would be in the way.
pub(super) fn leaving(
    attachment: &Attachment,
    wanted: &BTreeSet<Address>,
    draft: &Draft<'_>,
) -> Option<(Address, PinPath, LiveLink)> {
    let place = format!("[{attachment}]");
    draft.inventory().resources.iter().find_map(|(address, resource)| {
        let Resource::Link(LinkRecord { anchor: Anchor::Pin(pin), id, .. }) = resource else {
            return None;
        };
        let leaves = !wanted.contains(address)
            && !draft.taken.contains_key(address)
            && address.as_str().ends_with(&place);
        match draft.live.pins.get(pin) {
            Some(LiveObject::Link(link)) if leaves && link.id == *id => {
                Some((address.clone(), pin.clone(), link.clone()))
            }
            _ => None,
        }
    })
}
