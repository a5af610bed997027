//! Structs of operations: registered by a link and swapped under it, or registered without one.
//!
//! What is attached is a map. It is made anew with its object, filled while nobody sees it, and takes the
//! old one's place under the link where the kernel can do that, otherwise after the old one has gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::address::Address;
use crate::model::attach::Attachment;
use crate::model::identity::Identity;
use crate::model::inventory::{Anchor, LinkRecord, Resource};
use crate::model::kinds::MapType;
use crate::model::live::{LinkTarget, LiveLink, LiveObject};
use crate::model::operations::updates_in_place;
use crate::model::pin::PinPath;
use crate::validate::{DesiredObject, DesiredOperations};

use super::draft::{Draft, Phase, Source, foreign};
use super::maps::held;
use super::programs::loaded;
use super::{Action, Change, Operations, ProgramRef, Slot, Step, released};

/// Plans the structs of operations of an object.
pub(super) fn plan(
    object: &DesiredObject,
    reload: bool,
    wanted: &BTreeSet<Address>,
    draft: &mut Draft<'_>,
) {
    for operations in &object.operations {
        let one = Wanted::new(object, operations, reload, draft);
        match &operations.attachment {
            Attachment::StructOps { ops, link: true, .. } => one.plan_link(ops, wanted, draft),
            _ => one.plan_registration(draft),
        }
    }
}

/// Unregisters what has no link and is not kept: maps in the directories that only this deployment
/// uses, wherever a run that was cut short has left them.
pub(super) fn unregister(draft: &mut Draft<'_>) {
    let name = draft.name();
    let mut ours = BTreeMap::new();
    for (pin, found) in draft.live.pins.iter().filter(|(pin, _)| pin.is_private_to(&name)) {
        if let LiveObject::Map(map) = found
            && map.shape.map_type == MapType::STRUCT_OPS
            && draft.live.registered.contains(&map.id)
            && !draft.kept_operations.contains(&map.id)
        {
            ours.insert(map.id, pin.clone());
        }
    }
    for (id, pin) in ours {
        let map = draft.open(&pin, Identity::map(id));
        draft.step(Phase::Unregister, Step::Unregister { map });
    }
}

/// A struct of operations that shall be registered.
struct Wanted<'d> {
    address: Address,
    object: &'d DesiredObject,
    map: &'d str,
    map_address: Address,
    attachment: &'d Attachment,
    pin: PinPath,
    /// The map, new or live.
    slot: Slot,
    /// Id of the map that is live and stays.
    keeps: Option<u32>,
}

impl<'d> Wanted<'d> {
    fn new(
        object: &'d DesiredObject,
        operations: &'d DesiredOperations,
        reload: bool,
        draft: &Draft<'_>,
    ) -> Self {
        let DesiredOperations { map, attachment } = operations;
        let map_address = Address::map(&object.name, map);
        let live = held(&map_address, draft).filter(|_| !reload);
        Self {
            address: Address::link(&object.name, map, attachment),
            object,
            map,
            attachment,
            pin: PinPath::link(&draft.name(), &object.name, map, attachment),
            slot: match &live {
                Some(held) => Slot::Live(held.pin.clone()),
                None => Slot::New(map_address.clone()),
            },
            keeps: live.map(|held| held.found.id),
            map_address,
        }
    }

    fn plan_link(self, ops: &str, wanted: &BTreeSet<Address>, draft: &mut Draft<'_>) {
        let (address, pin, link) = match draft.live.pins.get(&self.pin) {
            Some(LiveObject::Link(link)) => (self.address.clone(), self.pin.clone(), link.clone()),
            Some(other) => {
                let reason = foreign(&draft.after.pin_root, &self.pin, other);
                return draft.refuse(self.address, reason);
            }
            None => {
                let leaving = || {
                    released::leaving(self.attachment, wanted, draft)
                        .filter(|_| !self.attachment.shares_its_place())
                };
                let Some(found) = self.staged(draft).or_else(leaving) else {
                    let reason = match draft.inventory().link(&self.address) {
                        Some(_) => "its link is gone",
                        None => "not registered yet",
                    };
                    return self.attach(Action::Create, reason, draft);
                };
                found
            }
        };
        match link.target {
            LinkTarget::StructOps { map: 0 } if address == self.address => {
                self.attach(Action::Replace, "it was detached: registered anew", draft);
            }
            LinkTarget::StructOps { map } if self.keeps == Some(map) => {
                draft.change(Change::new(
                    self.address.clone(),
                    Action::NoOp,
                    "registered as declared",
                ));
                self.bound((&address, &pin, &link), draft);
            }
            LinkTarget::StructOps { map } => {
                let Some(old) = ours(map, draft) else {
                    let reason = format!(
                        "the link has map id {map}, which is not this deployment's: remove its pin {} by \
                         hand",
                        draft.after.pin_root.join(&pin).display()
                    );
                    return draft.refuse(self.address, reason);
                };
                if updates_in_place(ops) {
                    self.update((&address, &pin, &link), old, draft);
                } else {
                    self.attach_released((&address, &pin, &link), old, draft);
                }
            }
            _ => {
                let reason = format!(
                    "{} is a link of another kind: remove it by hand",
                    draft.after.pin_root.join(&pin).display()
                );
                draft.refuse(self.address, reason);
            }
        }
    }

    /// Its link where a run that was cut short left it, which is attached there as well.
    fn staged(&self, draft: &Draft<'_>) -> Option<(Address, PinPath, LiveLink)> {
        let record = draft.inventory().link(&self.address)?;
        let Anchor::Pin(pin) = &record.anchor else { return None };
        match draft.live.pins.get(pin) {
            Some(LiveObject::Link(link)) if link.id == record.id => {
                Some((self.address.clone(), pin.clone(), link.clone()))
            }
            _ => None,
        }
    }

    fn update(self, found: (&Address, &PinPath, &LiveLink), old: Slot, draft: &mut Draft<'_>) {
        self.fill(draft);
        let (address, pin, link) = found;
        let step = Step::UpdateLink {
            link: draft.open(pin, Identity::link(link.id)),
            program: self.slot.clone(),
            expected: Some(old),
        };
        draft.step(Phase::Links, step);
        let reason = if *address == self.address {
            "its operations changed: swapped atomically".to_owned()
        } else {
            format!("takes over the link of {address}: swapped atomically")
        };
        draft.change(Change::new(self.address.clone(), Action::Update, reason));
        self.bound(found, draft);
    }

    fn attach_released(
        self,
        (address, pin, link): (&Address, &PinPath, &LiveLink),
        old: Slot,
        draft: &mut Draft<'_>,
    ) {
        let runs = ProgramRef { slot: old, ..self.program() };
        released::release((pin, link), runs, self.attachment, Phase::Links, draft);
        let reason = if *address == self.address {
            format!(
                "its operations changed, and the kernel does not swap these: unregistered, then \
                 registered again; {}",
                released::GAP
            )
        } else {
            draft.taken.insert(address.clone(), self.address.clone());
            format!("takes the place of {address}, which is unregistered first; {}", released::GAP)
        };
        self.attach(Action::Replace, &reason, draft);
    }

    fn attach(self, action: Action, reason: &str, draft: &mut Draft<'_>) {
        self.fill(draft);
        let step = Step::Attach {
            address: self.address.clone(),
            program: self.program(),
            attachment: self.attachment.clone(),
            others: BTreeMap::new(),
        };
        draft.step(Phase::Links, step);
        let source = Source::New(self.address.clone());
        draft.claim(self.pin.clone(), &self.address, source, Phase::Links);
        draft.change(Change::new(self.address.clone(), action, reason));
        let anchor = Anchor::Pin(self.pin.clone());
        self.record(0, anchor, draft);
    }

    /// Claims the pin for a live link and records it.
    fn bound(self, (address, pin, link): (&Address, &PinPath, &LiveLink), draft: &mut Draft<'_>) {
        let source = Source::Live { pin: pin.clone(), identity: Identity::link(link.id) };
        draft.claim(self.pin.clone(), &self.address, source, Phase::Links);
        if *address != self.address {
            draft.taken.insert(address.clone(), self.address.clone());
        }
        let anchor = Anchor::Pin(self.pin.clone());
        self.record(link.id, anchor, draft);
    }

    /// Without a link: the kernel keeps it registered, and nothing swaps it.
    fn plan_registration(self, draft: &mut Draft<'_>) {
        let registered = self.keeps.filter(|id| draft.live.registered.contains(id));
        if let Some(id) = registered {
            draft.kept_operations.insert(id);
            draft.change(Change::new(self.address.clone(), Action::NoOp, "registered as declared"));
            return self.record(0, Anchor::Registration { map: id }, draft);
        }
        let before = held(&self.map_address, draft);
        let replaces = before.is_some_and(|held| draft.live.registered.contains(&held.found.id));
        let (action, reason) = if replaces {
            let reason = format!(
                "unregistered, then registered again, which is not taken back if it fails; {}",
                released::GAP
            );
            (Action::Replace, reason)
        } else {
            let reason = "registered without a link: nothing swaps it, and it stays registered until \
                          the deployment ends (`SEC(\".struct_ops.link\")` and Linux 6.4 give it a link)";
            (Action::Create, reason.to_owned())
        };
        self.open(draft);
        let step = Step::Register(self.operations(draft));
        draft.step(Phase::Links, step);
        draft.change(Change::new(self.address.clone(), action, reason));
        let map = self.keeps.unwrap_or_default();
        self.record(0, Anchor::Registration { map }, draft);
    }

    fn fill(&self, draft: &mut Draft<'_>) {
        self.open(draft);
        let step = Step::FillOperations(self.operations(draft));
        draft.step(Phase::FillSlots, step);
    }

    /// Holds the map, if it is there already.
    fn open(&self, draft: &mut Draft<'_>) {
        if let (Slot::Live(pin), Some(id)) = (&self.slot, self.keeps) {
            draft.open(pin, Identity::map(id));
        }
    }

    fn operations(&self, draft: &mut Draft<'_>) -> Operations {
        let object = &self.object.name;
        let map = self.object.maps.iter().find(|map| map.spec.name == self.map);
        let names = map.into_iter().flat_map(|map| map.spec.slots.iter().map(|(_, name)| name));
        let mut programs = BTreeMap::new();
        for name in names {
            let address = Address::program(object, name);
            let slot = match loaded(&address, draft) {
                Some((pin, id)) if self.keeps.is_some() => draft.open(&pin, Identity::program(id)),
                _ => Slot::New(address),
            };
            programs.insert(name.clone(), slot);
        }
        Operations {
            object: object.clone(),
            map: self.map.to_owned(),
            slot: self.slot.clone(),
            programs,
        }
    }

    fn program(&self) -> ProgramRef {
        let (object, program) = (self.object.name.clone(), self.map.to_owned());
        ProgramRef { slot: self.slot.clone(), object, program }
    }

    fn record(self, id: u32, anchor: Anchor, draft: &mut Draft<'_>) {
        let attachment = Some(self.attachment.clone());
        let record = LinkRecord { id, program: self.map_address, attachment, anchor, public: None };
        draft.after.resources.insert(self.address, Resource::Link(record));
    }
}

/// A map of ours with that id, held.
fn ours(map: u32, draft: &mut Draft<'_>) -> Option<Slot> {
    let name = draft.name();
    let identity = Identity::map(map);
    let mut pins = draft.live.pins.iter().filter(|(pin, _)| pin.is_private_to(&name));
    let pin =
        pins.find(|(_, found)| found.identity() == Some(identity)).map(|(pin, _)| pin.clone());
    pin.map(|pin| draft.open(&pin, identity))
}
