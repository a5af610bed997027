//! Attachments: made, swapped in place, made anew, or left alone.

use crate::model::address::Address;
use crate::model::attach::Attachment;
use crate::model::inventory::{Anchor, LinkRecord, Resource};
use crate::model::kinds::LinkType;
use crate::model::live::{FilterKey, LinkTarget, LiveLink, LiveObject, TargetState};
use crate::model::pin::PinPath;
use crate::validate::{DesiredObject, DesiredProgram};

use super::draft::{Draft, Phase, foreign};
use super::programs::live_program;
use super::{Action, Change, ProgramRef, Slot, Step};

/// Plans every attachment of an object's programs.
pub(super) fn plan(object: &DesiredObject, reload: bool, draft: &mut Draft<'_>) {
    for program in &object.programs {
        for attachment in &program.attachments {
            let link = Wanted::new(object, program, attachment, reload, draft);
            match link.target(draft) {
                Err(reason) => draft.refuse(link.address, reason),
                Ok(target) => match attachment {
                    Attachment::Tc { .. } => link.plan_filter(target, draft),
                    _ => link.plan_link(target, draft),
                },
            }
        }
    }
}

/// One wanted attachment.
struct Wanted<'d> {
    address: Address,
    attachment: &'d Attachment,
    pin: PinPath,
    program: ProgramRef,
    program_address: Address,
    /// The program as it is before this run, if it is loaded.
    previous: Option<(PinPath, u32)>,
    reload: bool,
}

impl<'d> Wanted<'d> {
    fn new(
        object: &DesiredObject,
        program: &DesiredProgram,
        attachment: &'d Attachment,
        reload: bool,
        draft: &Draft<'_>,
    ) -> Self {
        let name = &program.spec.name;
        let previous = live_program(&object.name, name, draft);
        let program_address = Address::program(&object.name, name);
        let slot = match (&previous, reload) {
            (Some((pin, _)), false) => Slot::Live(pin.clone()),
            _ => Slot::New(program_address.clone()),
        };
        Self {
            address: Address::link(&object.name, name, attachment),
            attachment,
            pin: PinPath::link(&draft.name(), &object.name, name, attachment),
            program: ProgramRef { slot, object: object.name.clone(), program: name.clone() },
            program_address,
            previous,
            reload,
        }
    }

    /// The interface index or cgroup id to attach to.
    fn target(&self, draft: &Draft<'_>) -> Result<u64, String> {
        match draft.live.targets.get(self.attachment) {
            Some(TargetState::Present(id)) => Ok(*id),
            Some(TargetState::Missing { reason }) => Err(reason.clone()),
            None => Err(format!("{} was not looked for", self.attachment)),
        }
    }

    fn plan_link(self, target: u64, draft: &mut Draft<'_>) {
        let Some(found) = draft.live.pins.get(&self.pin) else {
            let reason = match draft.inventory.link(&self.address) {
                Some(_) => "its link is gone",
                None => "not attached yet",
            };
            return self.attach(Action::Create, reason, draft);
        };
        let LiveObject::Link(link) = found else {
            let reason = foreign(&draft.after.pin_root, &self.pin, found);
            return draft.refuse(self.address, reason);
        };
        if !draft.owns(&self.pin, link.id) {
            let reason = foreign(&draft.after.pin_root, &self.pin, found);
            return draft.refuse(self.address, reason);
        }
        let link = link.clone();
        let recorded = draft.inventory.link(&self.address);
        if let Some(record) = recorded.filter(|record| record.attachment != *self.attachment) {
            let reason = format!(
                "options of a live attachment cannot change in place ({} → {}): take it out of the \
                 manifest, apply, and put it back",
                options(&record.attachment),
                options(self.attachment)
            );
            return draft.refuse(self.address, reason);
        }
        if lost_its_target(&link, target) {
            let reason = "its interface or cgroup went away and came back: attached anew";
            return self.attach(Action::Replace, reason, draft);
        }
        self.plan_live_link(&link, draft);
    }

    fn plan_live_link(self, link: &LiveLink, draft: &mut Draft<'_>) {
        let runs_ours = self.previous.as_ref().is_some_and(|(_, id)| *id == link.program_id);
        match (self.reload, runs_ours) {
            (false, true) => {
                draft.change(Change::new(
                    self.address.clone(),
                    Action::NoOp,
                    "attached as declared",
                ));
                self.record(link.id, draft);
            }
            _ if !updates_in_place(link.link_type) => self.attach(
                Action::Replace,
                "this kind of link cannot be updated: both programs run for a moment",
                draft,
            ),
            (true, true) => self.update(link, draft),
            (_, false) => {
                let reason = format!(
                    "the link runs program id {} that is not on record as this deployment's: remove \
                     its pin {} by hand",
                    link.program_id,
                    draft.after.pin_root.join(&self.pin).display()
                );
                draft.refuse(self.address, reason);
            }
        }
    }

    fn attach(self, action: Action, reason: &str, draft: &mut Draft<'_>) {
        self.hold_program(draft);
        let step = Step::Attach {
            address: self.address.clone(),
            program: self.program.clone(),
            attachment: self.attachment.clone(),
        };
        draft.step(Phase::Links, step);
        match draft.place(Phase::Links, Slot::New(self.address.clone()), &self.pin) {
            Ok(()) => {
                draft.change(Change::new(self.address.clone(), action, reason));
                self.record(0, draft);
            }
            Err(reason) => draft.refuse(self.address, reason),
        }
    }

    fn update(self, link: &LiveLink, draft: &mut Draft<'_>) {
        let Some((pin, id)) = self.previous.clone() else { return };
        let expected = draft.open(&pin, id);
        let live = draft.open(&self.pin, link.id);
        let step = Step::UpdateLink { link: live, program: self.program.slot.clone(), expected };
        draft.step(Phase::Links, step);
        let reason = "its program changed: swapped atomically";
        draft.change(Change::new(self.address.clone(), Action::Update, reason));
        self.record(link.id, draft);
    }

    fn plan_filter(self, target: u64, draft: &mut Draft<'_>) {
        let known = draft.inventory.link(&self.address).cloned();
        let place = known.as_ref().and_then(|record| match &record.anchor {
            Anchor::Filter { key, .. } if u64::from(key.index) == target => Some(key.clone()),
            _ => None,
        });
        let running = place.as_ref().and_then(|key| draft.live.filters.get(key));
        let runs_ours = match (running, &self.previous) {
            (Some(filter), Some((_, id))) => filter.program_id == *id,
            _ => false,
        };
        match (known, place) {
            (Some(record), _) if record.attachment != *self.attachment => {
                let reason = format!(
                    "options of a live attachment cannot change in place ({} → {}): take it out of \
                     the manifest, apply, and put it back",
                    options(&record.attachment),
                    options(self.attachment)
                );
                draft.refuse(self.address, reason);
            }
            (Some(record), Some(_)) if runs_ours && !self.reload => {
                draft.change(Change::new(
                    self.address.clone(),
                    Action::NoOp,
                    "attached as declared",
                ));
                draft.after.resources.insert(self.address, Resource::Link(record));
            }
            (Some(record), Some(key)) if runs_ours => self.replace_filter(record, key, draft),
            (Some(_), _) => self.attach_filter("its filter is gone", draft),
            (None, _) => self.attach_filter("not attached yet", draft),
        }
    }

    fn replace_filter(self, record: LinkRecord, key: FilterKey, draft: &mut Draft<'_>) {
        let Some((pin, id)) = self.previous.clone() else { return };
        let previous = draft.open(&pin, id);
        let step = Step::ReplaceFilter { key, program: self.program.slot.clone(), previous };
        draft.step(Phase::Links, step);
        let reason = "its program changed: replaced in place";
        draft.change(Change::new(self.address.clone(), Action::Update, reason));
        draft.after.resources.insert(self.address, Resource::Link(record));
    }

    fn attach_filter(self, reason: &str, draft: &mut Draft<'_>) {
        self.hold_program(draft);
        let step = Step::AttachFilter {
            address: self.address.clone(),
            program: self.program.clone(),
            attachment: self.attachment.clone(),
        };
        draft.step(Phase::Links, step);
        draft.change(Change::new(self.address.clone(), Action::Create, reason));
        // The kernel may choose priority and handle; the executor records what it chose.
        self.record(0, draft);
    }

    fn hold_program(&self, draft: &mut Draft<'_>) {
        if let (Slot::Live(pin), Some((_, id))) = (&self.program.slot, &self.previous) {
            draft.open(pin, *id);
        }
    }

    fn record(&self, id: u32, draft: &mut Draft<'_>) {
        let record = LinkRecord {
            id,
            program: self.program_address.clone(),
            attachment: self.attachment.clone(),
            anchor: Anchor::Pin(self.pin.clone()),
        };
        draft.after.resources.insert(self.address.clone(), Resource::Link(record));
    }
}

/// Whether a live link no longer hangs where its manifest line points.
fn lost_its_target(link: &LiveLink, wanted: u64) -> bool {
    match link.target {
        LinkTarget::Interface { index, .. } => u64::from(index) != wanted,
        LinkTarget::Cgroup { id, .. } => id != wanted,
        LinkTarget::Tracepoint { .. } | LinkTarget::Other => false,
    }
}

/// Whether `BPF_LINK_UPDATE` can swap the program (`bpf_link_ops.update_prog` of each type).
fn updates_in_place(link_type: LinkType) -> bool {
    [
        LinkType::XDP,
        LinkType::TCX,
        LinkType::CGROUP,
        LinkType::NETNS,
        LinkType::ITER,
        LinkType::NETKIT,
        LinkType::SOCKMAP,
    ]
    .contains(&link_type)
}

/// The part of an attachment that is not its identity, in words.
fn options(attachment: &Attachment) -> String {
    match attachment {
        Attachment::Xdp { mode, .. } => format!("mode {}", format!("{mode:?}").to_lowercase()),
        Attachment::Tcx { position, .. } => match position {
            Some(position) => format!("position {}", format!("{position:?}").to_lowercase()),
            None => "no position".to_owned(),
        },
        Attachment::Tc { priority, handle, .. } => {
            format!("priority {}, handle {}", number(*priority), number(*handle))
        }
        _ => attachment.to_string(),
    }
}

fn number<N: std::fmt::Display>(number: Option<N>) -> String {
    number.map_or_else(|| "any".to_owned(), |number| number.to_string())
}
