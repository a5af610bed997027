//! Programs: whether an object is loaded again, and where its programs are pinned.

use std::collections::BTreeMap;

use crate::model::address::Address;
use crate::model::inventory::{ProgramRecord, PublicPin, Resource};
use crate::model::live::LiveObject;
use crate::model::name::Name;
use crate::model::pin::{PinPath, PinPolicy};
use crate::validate::{DesiredObject, DesiredProgram};

use super::draft::{Draft, Phase};
use super::maps::{Binding, Bindings};
use super::{Action, Change, Slot, Step};

/// Why an object must be loaded (again); `None` if what is loaded is what is wanted.
pub(super) fn reload_reason(
    object: &DesiredObject,
    bindings: &Bindings,
    draft: &Draft<'_>,
) -> Option<String> {
    let Some(record) = draft.inventory.objects.get(&object.name) else {
        return Some("not loaded yet".to_owned());
    };
    if record.digest != object.image.digest {
        return Some("the object file changed".to_owned());
    }
    if record.load_digest != object.load_digest {
        return Some("its globals, map overrides or program list changed".to_owned());
    }
    for program in &object.programs {
        if live_program(&object.name, &program.spec.name, draft).is_none() {
            return Some(format!("program `{}` is no longer loaded", program.spec.name));
        }
    }
    for map in &object.maps {
        let address = Address::map(&object.name, &map.spec.name);
        let known = draft.inventory.map(&address);
        let same = match bindings.get(&map.spec.name) {
            Some(Binding::Existing { id, .. }) => known.is_some_and(|known| known.id == *id),
            Some(Binding::Created(_) | Binding::Refused) => false,
            None => known.is_some(),
        };
        if !same {
            return Some(format!("map `{}` is another one now", map.spec.name));
        }
    }
    None
}

/// Plans an object's programs.
pub(super) fn plan(
    object: &DesiredObject,
    bindings: &Bindings,
    reload: Option<&str>,
    draft: &mut Draft<'_>,
) {
    if reload.is_some() && !object.programs.is_empty() {
        let maps = map_slots(object, bindings, draft);
        let step = Step::LoadPrograms { object: object.name.clone(), maps };
        draft.step(Phase::LoadPrograms, step);
    }
    for program in &object.programs {
        Placement::new(object, program, draft).plan(reload, draft);
    }
}

/// Where each map of the object is found when its programs are loaded.
fn map_slots(
    object: &DesiredObject,
    bindings: &Bindings,
    draft: &mut Draft<'_>,
) -> BTreeMap<String, Slot> {
    let mut slots = BTreeMap::new();
    for map in &object.maps {
        let name = &map.spec.name;
        let slot = match bindings.get(name) {
            Some(Binding::Existing { pin, id }) => draft.open(pin, *id),
            Some(Binding::Created(owner)) => Slot::New(owner.clone()),
            Some(Binding::Refused) | None => Slot::New(Address::map(&object.name, name)),
        };
        slots.insert(name.clone(), slot);
    }
    slots
}

/// The program of that name as we left it: on record and still at its pin, or, where the record was
/// lost, at the pin that only this deployment uses.
pub(super) fn live_program(
    object: &Name,
    program: &str,
    draft: &Draft<'_>,
) -> Option<(PinPath, u32)> {
    let record = draft.inventory.program(&Address::program(object, program));
    let pin = PinPath::program(&draft.name(), object, program);
    match draft.live.pins.get(&pin) {
        Some(LiveObject::Program(found)) if record.is_none_or(|record| record.id == found.id) => {
            Some((pin, found.id))
        }
        _ => None,
    }
}

/// One program and its pins.
struct Placement<'d> {
    address: Address,
    pin: PinPath,
    program: &'d DesiredProgram,
    live: Option<(PinPath, u32)>,
}

impl<'d> Placement<'d> {
    fn new(object: &DesiredObject, program: &'d DesiredProgram, draft: &Draft<'_>) -> Self {
        let name = &program.spec.name;
        Self {
            address: Address::program(&object.name, name),
            pin: PinPath::program(&draft.name(), &object.name, name),
            program,
            live: live_program(&object.name, name, draft),
        }
    }

    fn plan(&self, reload: Option<&str>, draft: &mut Draft<'_>) {
        match (reload, &self.live) {
            (None, Some((pin, id))) => {
                let (pin, id) = (pin.clone(), *id);
                self.keep(&pin, id, draft);
            }
            (reason, _) => self.load(reason.unwrap_or("not loaded yet"), draft),
        }
    }

    fn load(&self, reason: &str, draft: &mut Draft<'_>) {
        let action = if self.live.is_some() { Action::Update } else { Action::Create };
        let kind = self.program.spec.kind.as_ref();
        let kind = kind.map_or("unknown".to_owned(), |kind| kind.program_type.to_string());
        let mut change = Change::new(self.address.clone(), action, reason)
            .after(format!("{kind}, SEC(\"{}\")", self.program.spec.section));
        if let Some((_, id)) = self.live {
            change = change.before(format!("id {id}"));
        }
        draft.change(change);
        let slot = Slot::New(self.address.clone());
        for pin in std::iter::once(&self.pin).chain(&self.program.pin) {
            if let Err(reason) = draft.place(Phase::PinPrograms, slot.clone(), pin) {
                draft.refuse(self.address.clone(), reason);
            }
        }
        self.retire_public(draft);
        self.record(0, draft);
    }

    fn keep(&self, pin: &PinPath, id: u32, draft: &mut Draft<'_>) {
        let public = self.program.pin.as_ref();
        let pinned = public.map(|public| draft.live.pins.get(public).and_then(LiveObject::id));
        let change = match pinned {
            Some(found) if found != Some(id) => {
                let slot = draft.open(pin, id);
                match public.map_or(Ok(()), |at| draft.place(Phase::PinPrograms, slot, at)) {
                    Ok(()) => Change::new(self.address.clone(), Action::Update, "not pinned yet"),
                    Err(reason) => Change::new(self.address.clone(), Action::Refuse, reason),
                }
            }
            _ if self.retire_public(draft) => {
                Change::new(self.address.clone(), Action::Update, "its pin policy changed")
            }
            _ => Change::new(self.address.clone(), Action::NoOp, "loaded as declared"),
        };
        draft.change(change);
        self.record(id, draft);
    }

    /// Unpins the public pin on record if it is not the wanted one; says whether it did.
    fn retire_public(&self, draft: &mut Draft<'_>) -> bool {
        let Some(record) = draft.inventory.program(&self.address) else { return false };
        let Some(public) = record.public.as_ref() else { return false };
        let stale = self.program.pin.as_ref() != Some(&public.pin);
        let there = draft.live.pins.get(&public.pin).and_then(LiveObject::id) == Some(record.id);
        if stale && there {
            draft.unpin(Phase::RetirePrograms, &public.pin, record.id);
        }
        stale
    }

    fn record(&self, id: u32, draft: &mut Draft<'_>) {
        let public = self.program.pin.clone().filter(|_| self.program.policy != PinPolicy::None);
        let record = ProgramRecord {
            id,
            pin: self.pin.clone(),
            public: public.map(|pin| PublicPin { pin, policy: self.program.policy }),
        };
        draft.after.resources.insert(self.address.clone(), Resource::Program(record));
    }
}
