//! Programs: whether an object is loaded again, and where its programs are pinned.

use std::collections::BTreeMap;

use crate::model::address::Address;
use crate::model::identity::Identity;
use crate::model::inventory::{ProgramRecord, PublicPin, Resource};
use crate::model::name::Name;
use crate::model::pin::{PinPath, PinPolicy};
use crate::validate::{DesiredObject, DesiredProgram};

use super::draft::{Draft, Phase, Source};
use super::maps::Bindings;
use super::{Action, Change, ObjectLoad, Slot, private, probes};

/// Why an object must be loaded (again); `None` if what is loaded is what is wanted.
pub(super) fn reload_reason(
    object: &DesiredObject,
    bindings: &Bindings,
    draft: &Draft<'_>,
) -> Option<String> {
    let Some(record) = draft.inventory().objects.get(&object.name) else {
        return Some("not loaded yet".to_owned());
    };
    if record.digest != object.image.digest {
        return Some("the object file changed".to_owned());
    }
    if record.load_digest != object.load_digest {
        return Some("its globals, map overrides or program list changed".to_owned());
    }
    for program in &object.programs {
        let name = &program.spec.name;
        if loaded(&Address::program(&object.name, name), draft).is_none() {
            return Some(format!("program `{name}` is no longer loaded"));
        }
    }
    for (map, source) in bindings {
        let known = draft.inventory().map(&Address::map(&object.name, map));
        let bound = source.as_ref().and_then(Source::identity);
        if bound.is_none() || bound != known.map(|known| Identity::map(known.id)) {
            return Some(format!("map `{map}` is another one now"));
        }
    }
    private::reload_reason(object, draft).or_else(|| probes::reload_reason(object, draft))
}

/// The program on record for a resource, if it is still at its pin.
pub(super) fn loaded(address: &Address, draft: &Draft<'_>) -> Option<(PinPath, u32)> {
    let record = draft.inventory().program(address)?;
    draft.holds_program(&record.pin, record.id).then(|| (record.pin.clone(), record.id))
}

/// Plans an object's programs.
pub(super) fn plan(
    object: &DesiredObject,
    bindings: &Bindings,
    reload: Option<&str>,
    draft: &mut Draft<'_>,
) {
    if reload.is_some() && object.programs.iter().any(|program| program.replaces().is_none()) {
        let maps = map_slots(object, bindings, draft);
        draft.load(ObjectLoad { object: object.name.clone(), maps });
    }
    for program in &object.programs {
        plan_program(&object.name, program, reload, draft);
    }
}

/// Where each map of the object is found when its programs are loaded.
pub(super) fn map_slots(
    object: &DesiredObject,
    bindings: &Bindings,
    draft: &mut Draft<'_>,
) -> BTreeMap<String, Slot> {
    let mut slots = BTreeMap::new();
    for map in &object.maps {
        let name = &map.spec.name;
        let slot = match bindings.get(name) {
            Some(Some(source)) => draft.slot(source),
            Some(None) | None => Slot::New(Address::map(&object.name, name)),
        };
        slots.insert(name.clone(), slot);
    }
    slots
}

fn plan_program(
    object: &Name,
    program: &DesiredProgram,
    reload: Option<&str>,
    draft: &mut Draft<'_>,
) {
    let address = Address::program(object, &program.spec.name);
    let live = loaded(&address, draft);
    // The pin of an iterator's program is that of its link, which can be read.
    let own = program.policy != PinPolicy::None && !program.is_iterator();
    let public = program.pin.as_ref().filter(|_| own);
    let wanted = public.map(|pin| PublicPin { pin: pin.clone(), policy: program.policy });
    let (source, change) = match (reload, &live) {
        (None, Some((pin, id))) => {
            let change = keep(&address, wanted.as_ref(), *id, draft);
            (Source::Live { pin: pin.clone(), identity: Identity::program(*id) }, change)
        }
        (reason, _) => {
            let action = if live.is_some() { Action::Update } else { Action::Create };
            let kind = program.spec.kind.as_ref();
            let kind = kind.map_or("unknown".to_owned(), |kind| kind.program_type.to_string());
            let mut change =
                Change::new(address.clone(), action, reason.unwrap_or("not loaded yet"))
                    .after(format!("{kind}, SEC(\"{}\")", program.spec.section));
            if let Some((_, id)) = live {
                change = change.before(format!("id {id}"));
            }
            (Source::New(address.clone()), change)
        }
    };
    draft.change(change);
    let id = source.recorded_id();
    let private = PinPath::program(&draft.name(), object, &program.spec.name);
    for pin in std::iter::once(&private).chain(public) {
        draft.claim(pin.clone(), &address, source.clone(), Phase::PinPrograms);
        if let Some(claim) = draft.claims.get_mut(pin) {
            // A program's own pin always shows the program that is loaded.
            claim.replaces = true;
        }
    }
    let record = ProgramRecord { id, pin: private, public: wanted };
    draft.after.resources.insert(address, Resource::Program(record));
}

/// What is said of a program that stays loaded.
fn keep(address: &Address, wanted: Option<&PublicPin>, id: u32, draft: &Draft<'_>) -> Change {
    let recorded = draft.inventory().program(address).and_then(|record| record.public.as_ref());
    let missing = wanted.is_some_and(|wanted| !draft.holds_program(&wanted.pin, id));
    let reason = match (recorded, wanted) {
        (Some(old), Some(new)) if old.policy != new.policy => "its pin policy changed",
        (old, new) if old.map(|old| &old.pin) != new.map(|new| &new.pin) => "its pin path changed",
        _ if missing => "its pin is gone",
        _ => return Change::new(address.clone(), Action::NoOp, "loaded as declared"),
    };
    let show = |public: Option<&PublicPin>| {
        public.map_or_else(
            || "not pinned".to_owned(),
            |public| {
                format!("{} ({})", draft.after.pin_root.join(&public.pin).display(), public.policy)
            },
        )
    };
    Change::new(address.clone(), Action::Update, reason).before(show(recorded)).after(show(wanted))
}
