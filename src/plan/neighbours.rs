//! Attachments beside another program of the deployment: they are planned once that one's link is.

use std::collections::BTreeMap;

use crate::model::address::Address;
use crate::model::attach::Attachment;
use crate::model::live::TargetState;
use crate::model::name::Name;
use crate::model::net_hook::{Neighbour, Position};
use crate::model::pin::PinPath;
use crate::validate::{Desired, DesiredObject, DesiredProgram};

use super::Slot;
use super::draft::{Draft, Source};
use super::links::{self, Place};

/// The object and program of the deployment that an attachment shall be beside.
pub(super) fn own(attachment: &Attachment) -> Option<(&str, &str)> {
    match attachment.position()?.neighbour()? {
        Neighbour::Own { object, program } => Some((object, program)),
        Neighbour::Named(_) | Neighbour::Pinned(_) => None,
    }
}

/// One such attachment, with the number of its object.
type Wanted<'d> = (usize, &'d DesiredObject, &'d DesiredProgram, &'d Attachment);

/// Plans all of them, each after its neighbour.
pub(super) fn plan(desired: &Desired, reloads: &[Option<String>], draft: &mut Draft<'_>) {
    let wanted = links::wanted(desired);
    let mut open: Vec<Wanted<'_>> = Vec::new();
    for (index, object) in desired.objects.iter().enumerate() {
        for program in &object.programs {
            let beside = program.attachments.iter().filter(|place| own(place).is_some());
            open.extend(beside.map(|attachment| (index, object, program, attachment)));
        }
    }
    while !open.is_empty() {
        let left = open.len();
        let mut later = Vec::new();
        for one in open {
            let (index, object, program, attachment) = one;
            let others = find(attachment, draft);
            // Where the hook is missing, so is the neighbour.
            let is_there =
                matches!(draft.live.targets.get(attachment), Some(TargetState::Present(_)));
            if others.is_empty() && is_there {
                later.push(one);
                continue;
            }
            let reload = reloads.get(index).is_some_and(Option::is_some);
            let place = Place { object, program, attachment, reload, others };
            links::plan_one(place, &wanted, draft);
        }
        if later.len() == left {
            // The validator leaves no ring of neighbours, so one of them was refused.
            for (_, object, program, attachment) in later {
                let address = Address::link(&object.name, &program.spec.name, attachment);
                draft.refuse(address, "what it shall be beside cannot be had");
            }
            return;
        }
        open = later;
    }
}

/// The neighbour's link, once that is planned.
fn find(attachment: &Attachment, draft: &Draft<'_>) -> BTreeMap<String, Source> {
    let link = || {
        let (object, program) = own(attachment)?;
        let pin = PinPath::link(&draft.name(), &Name::new(object).ok()?, program, attachment);
        let source = draft.claims.get(&pin)?.source.clone();
        Some((program.to_owned(), source))
    };
    link().into_iter().collect()
}

/// The same attachment as it was on record, and the link beside it, to be attached again if the run
/// fails. A neighbour that is gone is no help: then it comes last.
pub(super) fn as_it_was(
    old: &Attachment,
    draft: &mut Draft<'_>,
) -> (Attachment, BTreeMap<String, Slot>) {
    let mut attachment = old.clone();
    let Some((object, program)) = own(old) else { return (attachment, BTreeMap::new()) };
    let pin = Name::new(object)
        .ok()
        .map(|object| PinPath::link(&draft.name(), &object, program, old))
        .filter(|pin| draft.live.pins.contains_key(pin));
    let Some(pin) = pin else {
        if let Attachment::Tcx { position, .. } | Attachment::Netkit { position, .. } =
            &mut attachment
        {
            *position = Some(Position::Last);
        }
        return (attachment, BTreeMap::new());
    };
    let identity = draft.identity_at(&pin);
    let slot = identity.map(|identity| draft.slot(&Source::Live { pin, identity }));
    (attachment, slot.map(|slot| (program.to_owned(), slot)).into_iter().collect())
}
