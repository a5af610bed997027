//! Attachments: made, swapped in place, taken over, made anew, or left alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::address::Address;
use crate::model::attach::Attachment;
use crate::model::identity::Identity;
use crate::model::inventory::{Anchor, LinkRecord, PublicPin, Resource};
use crate::model::kinds::AttachType;
use crate::model::live::{LiveLink, LiveObject, TargetState};
use crate::model::pin::PinPath;
use crate::model::program::ProgramSpec;
use crate::validate::{Desired, DesiredObject, DesiredProgram};

use super::adopt::{self, Takeover};
use super::draft::{Draft, Phase, Source, foreign};
use super::link_kinds::{link_types, lost_its_target, lost_reason, phase, updates_in_place};
use super::options::options;
use super::probes::{self, Maps, run_side_by_side};
use super::programs::loaded;
use super::{Action, Change, ProgramRef, Slot, Step, neighbours, netfilter, released};

/// The addresses of all wanted attachments: those on record that are not among them are leaving.
pub(super) fn wanted(desired: &Desired) -> BTreeSet<Address> {
    let mut all = BTreeSet::new();
    for object in &desired.objects {
        for program in &object.programs {
            let name = &program.spec.name;
            let places = program.attachments.iter();
            all.extend(places.map(|place| Address::link(&object.name, name, place)));
        }
        let operations = object.operations.iter();
        all.extend(operations.map(|ops| Address::link(&object.name, &ops.map, &ops.attachment)));
    }
    all
}

/// Plans every attachment of an object's programs.
pub(super) fn plan(
    object: &DesiredObject,
    reload: bool,
    wanted: &BTreeSet<Address>,
    maps: Maps<'_>,
    draft: &mut Draft<'_>,
) {
    for program in &object.programs {
        let beside_none = |place: &&Attachment| neighbours::own(place).is_none();
        for attachment in program.attachments.iter().filter(beside_none) {
            let others = maps.of(attachment, object, draft);
            plan_one(Place { object, program, attachment, reload, others }, wanted, draft);
        }
    }
}

/// One attachment of a program of an object.
pub(super) struct Place<'d> {
    pub(super) object: &'d DesiredObject,
    pub(super) program: &'d DesiredProgram,
    pub(super) attachment: &'d Attachment,
    /// Whether the object is loaded again.
    pub(super) reload: bool,
    /// What the attachment names beside its program, by name in C.
    pub(super) others: BTreeMap<String, Source>,
}

/// Plans one attachment.
pub(super) fn plan_one(place: Place<'_>, wanted: &BTreeSet<Address>, draft: &mut Draft<'_>) {
    let (attachment, terms) = (place.attachment, &place.program.terms);
    let link = Wanted::new(place, draft);
    if let Some(reason) = terms.impossible.get(attachment) {
        return draft.refuse(link.address, reason.clone());
    }
    match link.target(draft) {
        Err(reason) if terms.waits.contains(attachment) => {
            draft.change(Change::new(link.address, Action::Wait, reason));
        }
        Err(reason) => draft.refuse(link.address, reason),
        Ok(target) => match attachment {
            Attachment::Tc { .. } => link.plan_filter(target, wanted, draft),
            Attachment::XdpShared { .. } => link.plan_shared(target, draft),
            Attachment::Sockmap { .. } if draft.live.sockets.is_some() => {
                link.plan_kept(wanted, draft);
            }
            _ if terms.held.contains(attachment) => link.plan_held(draft),
            _ => link.plan_link(target, wanted, draft),
        },
    }
}

/// One wanted attachment.
pub(super) struct Wanted<'d> {
    pub(super) address: Address,
    spec: &'d ProgramSpec,
    pub(super) attachment: &'d Attachment,
    pub(super) pin: PinPath,
    pub(super) program: ProgramRef,
    pub(super) program_address: Address,
    /// What is attached with the program, by name in C.
    pub(super) others: BTreeMap<String, Source>,
    /// The pin of an iterator that users read.
    pub(super) public: Option<PublicPin>,
    /// How it is made on this host.
    note: Option<&'d str>,
}

/// A live link to attach through: where it is pinned, and for whom it is on record.
pub(super) struct Found {
    pub(super) pin: PinPath,
    pub(super) address: Address,
    pub(super) link: LiveLink,
}

impl<'d> Wanted<'d> {
    fn new(place: Place<'d>, draft: &Draft<'_>) -> Self {
        let Place { object, program, attachment, reload, others } = place;
        let name = &program.spec.name;
        let program_address = Address::program(&object.name, name);
        let slot = match loaded(&program_address, draft) {
            Some((pin, _)) if !reload => Slot::Live(pin),
            _ => Slot::New(program_address.clone()),
        };
        Self {
            address: Address::link(&object.name, name, attachment),
            spec: &program.spec,
            attachment,
            pin: PinPath::link(&draft.name(), &object.name, name, attachment),
            program: ProgramRef { slot, object: object.name.clone(), program: name.clone() },
            program_address,
            others,
            public: probes::public_pin(program, attachment),
            note: program.terms.notes.get(attachment).map(String::as_str),
        }
    }

    /// The interface index, cgroup, namespace or map id to attach to.
    fn target(&self, draft: &Draft<'_>) -> Result<u64, String> {
        if let Attachment::Sockmap { map, .. } = self.attachment {
            return match self.others.get(map) {
                // Nothing is attached to a map that is yet to be made.
                Some(source) => Ok(source.identity().map_or(u64::MAX, |map| u64::from(map.id))),
                None => Err(format!("map `{map}` cannot be had")),
            };
        }
        match draft.live.targets.get(self.attachment) {
            Some(TargetState::Present(id)) => Ok(*id),
            Some(TargetState::Missing { reason }) => Err(reason.clone()),
            None => Err(format!("{} was not looked for", self.attachment)),
        }
    }

    fn plan_link(self, target: u64, wanted: &BTreeSet<Address>, draft: &mut Draft<'_>) {
        if let Some(reason) = self.shared_instead(target, draft) {
            return draft.refuse(self.address, reason);
        }
        let found = match draft.live.pins.get(&self.pin) {
            Some(LiveObject::Link(link)) => {
                let (pin, address) = (self.pin.clone(), self.address.clone());
                let staged = lost_its_target(link, target).then(|| self.staged_link(target, draft));
                staged.flatten().or_else(|| Some(Found { pin, address, link: link.clone() }))
            }
            Some(other) => {
                let reason = foreign(&draft.after.pin_root, &self.pin, other);
                return draft.refuse(self.address, reason);
            }
            None => self.staged_link(target, draft).or_else(|| self.leaving_link(wanted, draft)),
        };
        let Some(found) = found else {
            let reason = match draft.inventory().link(&self.address) {
                Some(_) => "its link is gone",
                None => "not attached yet",
            };
            if released::is_released_first(self.attachment)
                && let Some((address, pin, link)) =
                    released::leaving(self.attachment, wanted, draft)
            {
                let found = Found { pin, address, link };
                return self.attach_released(&found, "its program changed", wanted, draft);
            }
            return self.attach_or_take(Action::Create, reason, draft);
        };
        if lost_its_target(&found.link, target) {
            let reason = lost_reason(self.attachment);
            return self.attach_or_take(Action::Replace, reason, draft);
        }
        if let Some(old) = self.other_options(&found.address, draft) {
            if run_side_by_side(found.link.link_type) {
                let reason = format!("{}: both run for a moment", changed(&old, self.attachment));
                self.attach(Action::Replace, &reason, draft);
            } else if released::is_released_first(self.attachment) {
                let reason = format!("its options changed ({})", changed(&old, self.attachment));
                self.attach_released(&found, &reason, wanted, draft);
            } else {
                self.attach_anew(&found, &old, draft);
            }
            return;
        }
        if self.others.values().any(|map| matches!(map, Source::New(_))) && self.is_iterator() {
            let reason = "the map that it goes over is another one now";
            return self.attach(Action::Replace, reason, draft);
        }
        self.plan_live_link(&found, wanted, draft);
    }

    /// A link for this very attachment that a run which was cut short left in the stage. It is attached
    /// there as well.
    fn staged_link(&self, target: u64, draft: &Draft<'_>) -> Option<Found> {
        let recorded = draft.inventory().link(&self.address).map(|record| record.id);
        let program = draft.inventory().program(&self.program_address).map(|record| record.id);
        draft.live.pins.iter().filter(|(pin, _)| pin.is_staged()).find_map(|(pin, found)| {
            let LiveObject::Link(link) = found else { return None };
            let hook = link_types(self.attachment).contains(&link.link_type);
            let for_this = recorded == Some(link.id) || program == Some(link.program_id);
            (hook && for_this && !lost_its_target(link, target)).then(|| Found {
                pin: pin.clone(),
                address: self.address.clone(),
                link: link.clone(),
            })
        })
    }

    /// A link at the same place, ours and leaving, whose program can be swapped: taking it over
    /// leaves no moment without a program, and no hook occupied by what is about to go.
    fn leaving_link(&self, wanted: &BTreeSet<Address>, draft: &Draft<'_>) -> Option<Found> {
        let place = format!("[{}]", self.attachment);
        draft.inventory().resources.iter().find_map(|(address, resource)| {
            let Resource::Link(LinkRecord { anchor: Anchor::Pin(pin), id, .. }) = resource else {
                return None;
            };
            let leaving = !wanted.contains(address) && !draft.taken.contains_key(address);
            match draft.live.pins.get(pin) {
                Some(LiveObject::Link(link))
                    if leaving
                        && link.id == *id
                        && address.as_str().ends_with(&place)
                        && updates_in_place(link.link_type) =>
                {
                    Some(Found { pin: pin.clone(), address: address.clone(), link: link.clone() })
                }
                _ => None,
            }
        })
    }

    /// The attachment on record, if its options are not those that are wanted.
    pub(super) fn other_options(
        &self,
        recorded: &Address,
        draft: &Draft<'_>,
    ) -> Option<Attachment> {
        let record = draft.inventory().link(recorded)?;
        record.attachment.clone().filter(|old| old != self.attachment)
    }

    /// The options of a live link cannot change, and while it is attached, the same program cannot be
    /// attached beside it. So for a moment nothing is.
    fn attach_anew(self, found: &Found, old: &Attachment, draft: &mut Draft<'_>) {
        if found.address != self.address {
            let reason = format!(
                "takes the place of {}, which has other options ({}): take that one out of the \
                 manifest, apply, and put this one in",
                found.address,
                options(old)
            );
            return draft.refuse(self.address, reason);
        }
        let Some(program) = draft.open_program(found.link.program_id) else {
            return self.refuse_foreign_program(found, draft);
        };
        let (attachment, others) = neighbours::as_it_was(old, draft);
        let step = Step::Detach {
            link: draft.open(&found.pin, Identity::link(found.link.id)),
            pin: found.pin.clone(),
            program: ProgramRef { slot: program, ..self.program.clone() },
            attachment,
            others,
        };
        draft.step(Phase::Links, step);
        let reason = format!(
            "its options changed ({}): detached, then attached again; in between nothing runs there",
            changed(old, self.attachment)
        );
        self.attach(Action::Replace, &reason, draft);
    }

    fn refuse_foreign_program(self, found: &Found, draft: &mut Draft<'_>) {
        let reason = format!(
            "the link runs program id {}, which is not this deployment's: remove its pin {} by hand",
            found.link.program_id,
            draft.after.pin_root.join(&found.pin).display()
        );
        draft.refuse(self.address, reason);
    }

    fn plan_live_link(self, found: &Found, wanted: &BTreeSet<Address>, draft: &mut Draft<'_>) {
        let link = &found.link;
        let keeps = self.runs_already(link.program_id, draft);
        if keeps {
            let change = if let Some(reason) = self.pin_change(found, draft) {
                Change::new(self.address.clone(), Action::Update, reason)
            } else if found.address == self.address {
                Change::new(self.address.clone(), Action::NoOp, "attached as declared")
            } else {
                let reason = format!("takes over the link of {}", found.address);
                Change::new(self.address.clone(), Action::Update, reason)
            };
            draft.change(change);
            return self.bound(found, draft);
        }
        if released::is_released_first(self.attachment) {
            return self.attach_released(found, "its program changed", wanted, draft);
        }
        if !updates_in_place(link.link_type) {
            let reason = match self.attachment {
                Attachment::Freplace { .. } => {
                    "goes over with the program whose function it replaces"
                }
                _ => "this kind of link cannot be updated: both programs run for a moment",
            };
            return self.attach(Action::Replace, reason, draft);
        }
        let ours = draft.known.has_program(link.program_id);
        let expected = if ours {
            draft.open_program(link.program_id)
        } else if adopt::takes_back(&found.address, link.id, draft) {
            Some(draft.open_foreign(link.program_id))
        } else {
            return self.refuse_foreign_program(found, draft);
        };
        self.update(found, expected, draft);
    }

    /// Lets go of the link that is there, and attaches then.
    fn attach_released(
        self,
        found: &Found,
        reason: &str,
        wanted: &BTreeSet<Address>,
        draft: &mut Draft<'_>,
    ) {
        let Some(program) = draft.open_program(found.link.program_id) else {
            return self.refuse_foreign_program(found, draft);
        };
        let runs = ProgramRef { slot: program, ..self.program.clone() };
        self.hold_program(draft);
        netfilter::bridge(&self.address, &self.program, self.attachment, wanted, draft);
        let was = self.other_options(&found.address, draft);
        let was = was.as_ref().unwrap_or(self.attachment);
        let phase = phase(self.attachment);
        released::release((&found.pin, &found.link), runs, was, phase, draft);
        let gap = released::gap(self.attachment);
        let reason = if found.address == self.address {
            format!("{reason}: detached, then attached again; {gap}")
        } else {
            draft.taken.insert(found.address.clone(), self.address.clone());
            format!("takes the place of {}, which is detached first; {gap}", found.address)
        };
        self.attach(Action::Replace, &reason, draft);
    }

    fn update(self, found: &Found, expected: Option<Slot>, draft: &mut Draft<'_>) {
        let link = draft.open(&found.pin, Identity::link(found.link.id));
        self.hold_program(draft);
        let back = matches!(expected, Some(Slot::Foreign(_)));
        let step = Step::UpdateLink { link, program: self.program.slot.clone(), expected };
        draft.step(Phase::Links, step);
        let reason = if back {
            format!("{}: swapped back atomically", runs_another(found.link.program_id))
        } else if found.address == self.address {
            "its program changed: swapped atomically".to_owned()
        } else {
            format!("takes over the link of {}: swapped atomically", found.address)
        };
        draft.change(Change::new(self.address.clone(), Action::Update, reason));
        self.bound(found, draft);
    }

    /// Claims the pin for a live link and records it.
    fn bound(self, found: &Found, draft: &mut Draft<'_>) {
        let identity = Identity::link(found.link.id);
        let source = Source::Live { pin: found.pin.clone(), identity };
        self.claim(source, Phase::Links, draft);
        if found.address != self.address {
            draft.taken.insert(found.address.clone(), self.address.clone());
        }
        self.record(found.link.id, draft);
    }

    fn attach_or_take(self, action: Action, reason: &str, draft: &mut Draft<'_>) {
        match adopt::takeover(self.attachment, self.spec, draft) {
            Ok(None) => self.attach(action, reason, draft),
            Ok(Some(takeover)) => self.take(&takeover, draft),
            Err(reason) => draft.refuse(self.address, reason),
        }
    }

    /// Puts the program under someone else's link and pins that. Whoever made it can do nothing about
    /// it any more but detach it.
    fn take(self, Takeover { link, program }: &Takeover, draft: &mut Draft<'_>) {
        let address = self.address.clone();
        draft.adopted.insert(link.id);
        draft.step(Phase::Open, Step::TakeLink { address: address.clone(), link: link.id });
        let foreign = draft.open_foreign(link.program_id);
        self.hold_program(draft);
        let step = Step::UpdateLink {
            link: Slot::New(address.clone()),
            program: self.program.slot.clone(),
            expected: Some(foreign),
        };
        draft.step(Phase::Links, step);
        self.claim(Source::New(address.clone()), Phase::Links, draft);
        let reason = format!(
            "link {} of someone else is taken over: its program is swapped atomically, its mode and \
             place stay, and so do pins that others have of it",
            link.id
        );
        let before = format!("program {} (`{program}`)", link.program_id);
        draft.change(Change::new(address, Action::Adopt, reason).before(before));
        self.record(0, draft);
    }

    fn attach(self, action: Action, reason: &str, draft: &mut Draft<'_>) {
        self.hold_program(draft);
        let step = self.attach_step(draft);
        let phase = phase(self.attachment);
        draft.step(phase, step);
        self.claim(Source::New(self.address.clone()), phase, draft);
        draft.change(Change::new(self.address.clone(), action, self.noted(reason)));
        self.record(0, draft);
    }

    /// Whether the program with that id is the wanted one, and loaded before this run.
    pub(super) fn runs_already(&self, program_id: u32, draft: &Draft<'_>) -> bool {
        matches!(&self.program.slot, Slot::Live(pin) if draft.holds_program(pin, program_id))
    }

    /// For which of the hooks of its target the program is.
    pub(super) fn attach_type(&self) -> Option<AttachType> {
        self.spec.kind.as_ref().and_then(|kind| kind.attach_type)
    }

    /// Whether the program takes packets in several buffers.
    pub(super) fn takes_frags(&self) -> bool {
        self.spec.kind.as_ref().is_some_and(|kind| kind.xdp_frags)
    }

    /// A reason with what else there is to say.
    pub(super) fn noted(&self, reason: &str) -> String {
        self.note.map_or_else(|| reason.to_owned(), |note| format!("{reason}; {note}"))
    }

    pub(super) fn hold_program(&self, draft: &mut Draft<'_>) {
        if let Slot::Live(pin) = &self.program.slot
            && let Some(identity) = draft.identity_at(pin)
        {
            draft.open(pin, identity);
        }
    }

    fn record(&self, id: u32, draft: &mut Draft<'_>) {
        let record = LinkRecord {
            id,
            program: self.program_address.clone(),
            attachment: Some(self.attachment.clone()),
            anchor: Anchor::Pin(self.pin.clone()),
            public: self.public.clone(),
        };
        draft.after.resources.insert(self.address.clone(), Resource::Link(record));
    }
}

/// How the options of an attachment change.
fn changed(old: &Attachment, new: &Attachment) -> String {
    format!("{} → {}", options(old), options(new))
}

pub(super) fn runs_another(program_id: u32) -> String {
    format!("someone made it run program id {program_id}")
}
