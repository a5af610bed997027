//! Programs of netfilter, whose links take no other program, at a place that takes one program.
//!
//! The old one has to go before the new one comes. So that no packet goes by unseen, the new program
//! is attached at a priority nearby first, and leaves it once the run is over: for a moment it runs
//! twice, instead of not at all.

use std::collections::BTreeSet;

use crate::model::address::Address;
use crate::model::attach::Attachment;
use crate::model::inventory::Resource;

use super::draft::{Draft, Phase};
use super::{ProgramRef, Step};

/// What is said of it.
pub(super) const BRIDGED: &str = "meanwhile the new program runs at a priority nearby";

/// How many priorities are tried.
const REACH: i32 = 8;

/// Attaches `program` near `attachment` until the run is over.
pub(super) fn bridge(
    address: &Address,
    program: &ProgramRef,
    attachment: &Attachment,
    wanted: &BTreeSet<Address>,
    draft: &mut Draft<'_>,
) {
    let Attachment::Netfilter { family, at, priority, defrag } = *attachment else { return };
    let near = (1..=REACH)
        .flat_map(|step| [priority.checked_add(step), priority.checked_sub(step)])
        .flatten()
        .map(|priority| Attachment::Netfilter { family, at, priority, defrag });
    let is_free = |place: &Attachment| {
        let place = format!("[{place}]");
        let recorded = draft.inventory().resources.iter();
        let mut links = recorded.filter(|(_, resource)| matches!(resource, Resource::Link(_)));
        !wanted.iter().any(|other| other.as_str().ends_with(&place))
            && !links.any(|(other, _)| other.as_str().ends_with(&place))
    };
    let attachments = near.filter(is_free).collect();
    let step = Step::Bridge { address: address.clone(), program: program.clone(), attachments };
    draft.step(Phase::Links, step);
}
