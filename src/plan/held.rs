//! Attachments to perf events before Linux 5.15, which has links to them: kept by a descriptor of the
//! process that holds the deployment, they end with it.

use crate::model::attach::Attachment;
use crate::model::inventory::{Anchor, LinkRecord, Resource};
use crate::model::live::LiveHeld;
use crate::model::probe::USDT_ADDRESSES;
use crate::validate::{Desired, Terms};

use super::draft::Draft;
use super::link_kinds::phase;
use super::links::{Wanted, runs_another};
use super::options::options;
use super::{Action, Change, Step};

/// What it means that a process holds an attachment.
const HELD: &str = "Linux has links to events since 5.15, so the process that applies holds it: it is \
                    not pinned, and ends with the process";
const DETACHED: &str = "Linux has links to events since 5.15; before, such an attachment ends with the \
                        process that made it, so it cannot be left to the kernel: apply without \
                        `--detach`";
const COOKIE: &str = "cookies of attachments to events need Linux 5.15";
const NO_ADDRESSES: &str = "the program cannot find a probe's arguments: before Linux 5.15, which has cookies, \
                            that takes a map `__bpf_usdt_ip_to_spec_id` in its object, which \
                            `#include <bpf/usdt.bpf.h>` in C brings";

/// Whether the manifest attaches to perf events.
#[must_use]
pub fn has_events(desired: &Desired) -> bool {
    desired.attachments().any(Attachment::is_event)
}

/// Has every attachment to a perf event held by the process that applies, if that can.
pub fn hold_events(desired: &mut Desired, can_hold: bool) {
    for object in &mut desired.objects {
        let finds_probes = object.maps.iter().any(|map| map.spec.name == USDT_ADDRESSES);
        for program in &mut object.programs {
            for attachment in program.attachments.iter().filter(|at| at.is_event()) {
                let reason = match attachment {
                    Attachment::Usdt(_) if !finds_probes => Some(NO_ADDRESSES),
                    // The program finds its cookie where it finds the arguments.
                    Attachment::Usdt(_) => None,
                    _ => attachment.cookie().map(|_| COOKIE),
                };
                let reason = reason.or((!can_hold).then_some(DETACHED));
                hold_event(&mut program.terms, attachment, reason);
            }
        }
    }
}

fn hold_event(terms: &mut Terms, attachment: &Attachment, impossible: Option<&str>) {
    if let Some(reason) = impossible {
        terms.impossible.insert(attachment.clone(), reason.to_owned());
        return;
    }
    terms.held.insert(attachment.clone());
    let note = terms.notes.entry(attachment.clone()).or_default();
    if !note.is_empty() {
        note.push_str("; ");
    }
    note.push_str(HELD);
}

impl Wanted<'_> {
    /// As links of that kind: the new one is there before the old one goes.
    pub(super) fn plan_held(self, draft: &mut Draft<'_>) {
        let record = draft.inventory().link(&self.address).cloned();
        let found = record.as_ref().and_then(|record| live(record, draft));
        let (Some(record), Some(found)) = (record.as_ref(), found) else {
            let reason = match &record {
                Some(LinkRecord { anchor: Anchor::Held(by), .. }) => {
                    format!("pid {}, which held it, is gone", by.pid)
                }
                Some(_) => "its link is gone".to_owned(),
                None => "not attached yet".to_owned(),
            };
            return self.hold(Action::Create, &reason, draft);
        };
        if let Some(old) = self.other_options(&self.address, draft) {
            let (old, new) = (options(&old), options(self.attachment));
            let reason = format!("{old} → {new}: both run for a moment");
            return self.hold(Action::Replace, &reason, draft);
        }
        let recorded = draft.inventory().program(&record.program).map(|program| program.id);
        let running = found.program_id.or(recorded).unwrap_or_default();
        if self.runs_already(running, draft) && record.program == self.program_address {
            draft.change(Change::new(self.address.clone(), Action::NoOp, "attached as declared"));
            draft.after.resources.insert(self.address, Resource::Link(record.clone()));
            return;
        }
        let reason = match found.program_id {
            Some(other) if Some(other) != recorded => runs_another(other),
            _ => "its program changed".to_owned(),
        };
        self.hold(Action::Replace, &format!("{reason}: both run for a moment"), draft);
    }

    /// The executor records it: only then it is known which descriptor it is.
    fn hold(self, action: Action, reason: &str, draft: &mut Draft<'_>) {
        self.hold_program(draft);
        let others = self.slots(draft);
        let step = Step::Hold {
            address: self.address.clone(),
            program: self.program.clone(),
            attachment: self.attachment.clone(),
            others,
        };
        draft.step(phase(self.attachment), step);
        draft.change(Change::new(self.address.clone(), action, self.noted(reason)));
    }
}

/// What is there of an attachment on record that a process holds.
pub(super) fn live(record: &LinkRecord, draft: &Draft<'_>) -> Option<LiveHeld> {
    let Anchor::Held(descriptor) = &record.anchor else { return None };
    draft.live.held.get(descriptor).copied()
}
