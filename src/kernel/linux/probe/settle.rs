//! What the wanted attachments of a program come to on this host.

use super::super::super::Settled;
use super::multi::{self, KPROBES, UPROBES};
use super::{places, pmu};
use crate::model::attach::Attachment;
use crate::model::kinds::AttachType;
use crate::model::probe::{PerfEvent, Usdt, UserProbe};
use crate::model::program::ProgramSpec;

/// `None` if to just that.
pub(in crate::kernel::linux) fn settle(
    spec: &ProgramSpec,
    wanted: &[Attachment],
) -> Option<Settled> {
    let declared = spec.kind.as_ref().and_then(|kind| kind.attach_type);
    let (probes, events) = (wanted.iter().any(is_probe), wanted.iter().any(is_counter));
    if !probes && !events {
        return None;
    }
    let mut notes = Vec::new();
    let (attach_type, is_multi) =
        if probes { link_kind(declared, wanted) } else { (declared, false) };
    let mut attachments = Vec::new();
    for attachment in wanted.iter().map(at_file) {
        let parts = match &attachment {
            Attachment::PerfEvent(event) => on_cpus(event),
            _ if is_multi => vec![attachment],
            _ => multi::apart(&attachment),
        };
        for part in parts {
            if !attachments.contains(&part) {
                attachments.push(part);
            }
        }
    }
    if probes && attachments.len() > wanted.len() {
        let user = wanted.iter().any(is_user_probe);
        notes.push(multi::note(if user { UPROBES } else { KPROBES }));
    }
    if events && attachments.len() > wanted.len() {
        notes.push("one link for each CPU that is online now".to_owned());
    }
    let note = (!notes.is_empty()).then(|| notes.join("; "));
    Some(Settled { attach_type, attachments, note })
}

/// What the program is loaded for, and whether its links take several places. One that is loaded for
/// such links can have no others.
fn link_kind(declared: Option<AttachType>, wanted: &[Attachment]) -> (Option<AttachType>, bool) {
    match declared {
        None | Some(AttachType::TRACE_KPROBE_MULTI | AttachType::TRACE_UPROBE_MULTI) => {}
        // Sessions have no older way.
        session => return (session, true),
    }
    let several = declared.is_some()
        || wanted.iter().any(|place| place.is_several() || matches!(place, Attachment::Usdt(_)));
    let all_user = wanted.iter().all(is_user_probe);
    let all_kernel = wanted.iter().all(is_kernel_probe);
    // Such links are at the beginnings of functions.
    let inside = wanted.iter().any(|place| match place {
        Attachment::Kprobe(probe) => probe.offset > 0,
        _ => false,
    });
    let (attach_type, _) = if all_user { UPROBES } else { KPROBES };
    let possible = several && (all_user || (all_kernel && !inside));
    if possible && multi::has_links(attach_type) {
        (Some(attach_type), true)
    } else {
        (None, false)
    }
}

/// With the inode of the file that is meant.
fn at_file(attachment: &Attachment) -> Attachment {
    let of = |probe: &UserProbe| UserProbe { inode: places::inode(&probe.target), ..probe.clone() };
    match attachment {
        Attachment::Uprobe(probe) => Attachment::Uprobe(of(probe)),
        Attachment::Uretprobe(probe) => Attachment::Uretprobe(of(probe)),
        Attachment::Usdt(probe) => {
            Attachment::Usdt(Usdt { inode: places::inode(&probe.target), ..probe.clone() })
        }
        other => other.clone(),
    }
}

fn on_cpus(event: &PerfEvent) -> Vec<Attachment> {
    let of = |cpu| Attachment::PerfEvent(PerfEvent { cpu, ..event.clone() });
    match (event.cpu, event.pid) {
        (None, None) => match pmu::online() {
            Ok(cpus) => cpus.into_iter().map(|cpu| of(Some(cpu))).collect(),
            // What is wrong is told when the target is looked for.
            Err(_) => vec![of(None)],
        },
        (cpu, _) => vec![of(cpu)],
    }
}

fn is_probe(attachment: &Attachment) -> bool {
    is_user_probe(attachment) || is_kernel_probe(attachment)
}

fn is_user_probe(attachment: &Attachment) -> bool {
    matches!(attachment, Attachment::Uprobe(_) | Attachment::Uretprobe(_) | Attachment::Usdt(_))
}

fn is_kernel_probe(attachment: &Attachment) -> bool {
    matches!(attachment, Attachment::Kprobe(_) | Attachment::Kretprobe(_))
}

fn is_counter(attachment: &Attachment) -> bool {
    matches!(attachment, Attachment::PerfEvent(_))
}
