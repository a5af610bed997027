//! Attachments that name another resource of the deployment: the map of a sockmap, the program that one
//! shall be beside. They are planned after all that they may name.

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
use super::maps::Bindings;

/// What an attachment names.
#[derive(Clone, Debug)]
pub(super) struct Named {
    source: Source,
    is_map: bool,
}

impl Named {
    /// What a link must be attached to; none is attached to a map that is yet to be made.
    pub(super) fn target(&self) -> Option<u64> {
        self.is_map.then(|| self.source.identity().map_or(u64::MAX, |map| u64::from(map.id)))
    }

    /// Where it is found by whoever attaches to it.
    pub(super) fn slot(&self, draft: &mut Draft<'_>) -> Slot {
        draft.slot(&self.source)
    }
}

/// Whether an attachment waits for what it names to be planned.
pub(super) fn names_another(attachment: &Attachment) -> bool {
    matches!(attachment, Attachment::Sockmap { .. }) || own_neighbour(attachment).is_some()
}

fn own_neighbour(attachment: &Attachment) -> Option<(&str, &str)> {
    match attachment.position()?.neighbour()? {
        Neighbour::Own { object, program } => Some((object, program)),
        Neighbour::Named(_) | Neighbour::Pinned(_) => None,
    }
}

/// One such attachment.
type Wanted<'d> = (usize, &'d DesiredObject, &'d DesiredProgram, &'d Attachment);

/// Plans all of them, neighbours first.
pub(super) fn plan(
    desired: &Desired,
    bindings: &[Bindings],
    reloads: &[Option<String>],
    draft: &mut Draft<'_>,
) {
    let wanted = links::wanted(desired);
    let mut open: Vec<Wanted<'_>> = Vec::new();
    for (index, object) in desired.objects.iter().enumerate() {
        for program in &object.programs {
            let named = program.attachments.iter().filter(|place| names_another(place));
            open.extend(named.map(|attachment| (index, object, program, attachment)));
        }
    }
    while !open.is_empty() {
        let left = open.len();
        let mut later = Vec::new();
        for one in open {
            let (index, object, program, attachment) = one;
            let named = find(attachment, desired, bindings, draft);
            // What it names is missing at a place that is missing as well.
            let is_there =
                matches!(draft.live.targets.get(attachment), Some(TargetState::Present(_)));
            if named.is_none() && is_there {
                later.push(one);
                continue;
            }
            let reload = reloads.get(index).is_some_and(Option::is_some);
            let place = Place { object, program, attachment, reload, named };
            links::plan_one(place, &wanted, draft);
        }
        if later.len() == left {
            // The validator leaves no ring of neighbours, so one of them was refused.
            for (_, object, program, attachment) in later {
                let address = Address::link(&object.name, &program.spec.name, attachment);
                draft.refuse(address, "what it names cannot be had");
            }
            return;
        }
        open = later;
    }
}

/// What an attachment names, once that is planned.
fn find(
    attachment: &Attachment,
    desired: &Desired,
    bindings: &[Bindings],
    draft: &Draft<'_>,
) -> Option<Named> {
    if let Attachment::Sockmap { object, map } = attachment {
        return find_map(object, map, desired, bindings, draft);
    }
    let (object, program) = own_neighbour(attachment)?;
    let object = Name::new(object).ok()?;
    let pin = PinPath::link(&draft.name(), &object, program, attachment);
    let source = draft.claims.get(&pin)?.source.clone();
    Some(Named { source, is_map: false })
}

fn find_map(
    object: &str,
    map: &str,
    desired: &Desired,
    bindings: &[Bindings],
    draft: &Draft<'_>,
) -> Option<Named> {
    let index = desired.objects.iter().position(|known| known.name.as_str() == object)?;
    let name = &desired.objects.get(index)?.name;
    let source = match bindings.get(index)?.get(map) {
        Some(bound) => bound.clone()?,
        // One that is not pinned by name has a pin that keeps its sockets.
        None => draft.claims.get(&PinPath::map(&draft.name(), name, map))?.source.clone(),
    };
    Some(Named { source, is_map: true })
}

/// The same attachment as it was on record, and what it names, to be attached again if the run fails.
/// A neighbour that is gone is no help: then it comes last.
pub(super) fn as_it_was(old: &Attachment, draft: &mut Draft<'_>) -> (Attachment, Option<Slot>) {
    let Some((object, program)) = own_neighbour(old) else { return (old.clone(), None) };
    let pin = Name::new(object)
        .ok()
        .map(|object| PinPath::link(&draft.name(), &object, program, old))
        .filter(|pin| draft.live.pins.contains_key(pin));
    let mut attachment = old.clone();
    let Some(pin) = pin else {
        if let Attachment::Tcx { position, .. } | Attachment::Netkit { position, .. } =
            &mut attachment
        {
            *position = Some(Position::Last);
        }
        return (attachment, None);
    };
    let identity = draft.identity_at(&pin);
    let slot = identity.map(|identity| draft.slot(&Source::Live { pin, identity }));
    (attachment, slot)
}
