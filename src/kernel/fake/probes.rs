//! Probes and counters: links of one place, or of several.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::super::{KernelError, Result, Settled};
use super::fault::CallKind;
use super::sockets::Sockets;
use super::state::{FACTS, State};
use super::{Fake, Handle, Held};
use crate::model::attach::Attachment;
use crate::model::identity::Identity;
use crate::model::kinds::{AttachType, LinkType, ProgramType};
use crate::model::live::{Descriptor, LinkTarget, LiveHeld, LiveObject};
use crate::model::probe::PerfEvent;
use crate::model::program::ProgramSpec;

/// The pid of every process, and when it started.
const PROCESS: (u32, u64) = (1, 1);

/// What others see of an attachment by a descriptor.
pub(super) fn descriptor(event: Identity) -> Descriptor {
    Descriptor { pid: PROCESS.0, started: PROCESS.1, number: event.id }
}

impl Fake {
    pub(super) fn make_link(
        &self,
        (program, spec): (&Handle, &ProgramSpec),
        attachment: &Attachment,
        others: &BTreeMap<&str, &Handle>,
    ) -> Result<Handle> {
        let others: Vec<Identity> = others.values().map(|other| other.object).collect();
        let mut state = self.act(CallKind::Attach, attachment.to_string())?;
        state.has_link_for(attachment)?;
        let link = state.attach(program.object, spec, attachment, &others)?;
        drop(state);
        Ok(self.handle(link))
    }

    pub(super) fn make_held(
        &self,
        (program, spec): (&Handle, &ProgramSpec),
        attachment: &Attachment,
    ) -> Result<Held> {
        let mut state = self.act(CallKind::Hold, attachment.to_string())?;
        let event = state.attach(program.object, spec, attachment, &[])?;
        drop(state);
        Ok(Held(self.handle(event)))
    }
}

impl State {
    /// `EINVAL` where the kernel has no link for that.
    pub(super) fn has_link_for(&self, attachment: &Attachment) -> Result<()> {
        let lacks = match attachment {
            Attachment::Sockmap { .. } => self.hooks.sockets != Sockets::Linked,
            _ => attachment.is_event() && self.hooks.lacks_event_links,
        };
        if lacks {
            return Err(KernelError::errno(format!("attach to {attachment}"), Errno::INVAL));
        }
        Ok(())
    }

    /// The attachment that a descriptor keeps in place. Of counters, the program is not told.
    pub(super) fn held(&self, of: &Descriptor) -> Option<LiveHeld> {
        let (_, link) = self.links().find(|(id, _)| descriptor(*id) == *of)?;
        let LiveObject::Program(program) = self.describe(link.program) else { return None };
        let is_counter = program.program_type == ProgramType::PERF_EVENT;
        Some(LiveHeld { program_id: (!is_counter).then_some(program.id) })
    }
}

/// The link of a probe, by what its program is loaded for.
pub(super) fn link(spec: &ProgramSpec, attachment: &Attachment) -> (LinkType, LinkTarget) {
    let several = spec.kind.as_ref().is_some_and(|kind| kind.attach_type.is_some());
    match (several, attachment) {
        (false, _) => (LinkType::PERF_EVENT, LinkTarget::Tracepoint { name: None }),
        (true, Attachment::Kprobe(_) | Attachment::Kretprobe(_)) => {
            (LinkType::KPROBE_MULTI, LinkTarget::Other)
        }
        (true, _) => (LinkType::UPROBE_MULTI, LinkTarget::Other),
    }
}

/// What wanted attachments come to: links of several places are there, and every possible CPU is online.
pub(super) fn settle(spec: &ProgramSpec, wanted: &[Attachment]) -> Option<Settled> {
    let declared = spec.kind.as_ref().and_then(|kind| kind.attach_type);
    let counter = |place: &Attachment| matches!(place, Attachment::PerfEvent(_));
    let several = |place: &Attachment| place.is_several() || matches!(place, Attachment::Usdt(_));
    if !wanted.iter().any(|place| counter(place) || several(place)) {
        return None;
    }
    let user = wanted.iter().any(|place| {
        matches!(place, Attachment::Uprobe(_) | Attachment::Uretprobe(_) | Attachment::Usdt(_))
    });
    let multi = if user { AttachType::TRACE_UPROBE_MULTI } else { AttachType::TRACE_KPROBE_MULTI };
    let attach_type = if wanted.iter().any(several) { Some(multi) } else { declared };
    let on_cpus = |place: &Attachment| match place {
        Attachment::PerfEvent(event) if event.cpu.is_none() && event.pid.is_none() => {
            let on = |cpu| Attachment::PerfEvent(PerfEvent { cpu: Some(cpu), ..event.clone() });
            (0..FACTS.possible_cpus).map(on).collect()
        }
        other => vec![other.clone()],
    };
    let attachments = wanted.iter().flat_map(on_cpus).collect();
    Some(Settled { attach_type, attachments, note: None })
}
