//! Attachments of all objects: each place once for a program, and once at all where there is room
//! for one.

use std::collections::BTreeMap;

use crate::manifest::KeyPath;
use crate::model::attach::Attachment;
use crate::model::code;
use crate::model::name::Name;
use crate::model::problem::Problem;
use crate::model::program::ProgramSpec;
use crate::validate::findings::{Findings, Spot};
use crate::validate::room::{Room, Rooms};

/// The places taken so far.
#[derive(Debug, Default)]
pub(in crate::validate) struct Places {
    /// By object, program and place.
    of_programs: BTreeMap<String, KeyPath>,
    /// Places with room for one program: who has it.
    exclusive: Rooms<Holder>,
}

/// The one program of a place.
#[derive(Debug)]
struct Holder {
    name: String,
    at: KeyPath,
    /// Whether the place is one of the host, and not of another program of the manifest.
    of_host: bool,
}

impl Places {
    /// Notes an attachment; reports one that is there already.
    pub(in crate::validate) fn take(
        &mut self,
        object: &Name,
        program: &ProgramSpec,
        attachment: &Attachment,
        at: KeyPath,
        findings: &mut Findings<'_>,
    ) {
        let place = exclusive(program, attachment);
        self.take_place((object, &program.name), (attachment, place), at, findings);
    }

    /// The same for what has no program, such as a struct of operations; whether the place was free.
    pub(in crate::validate) fn take_named(
        &mut self,
        whose: (&Name, &str),
        attachment: &Attachment,
        at: KeyPath,
        findings: &mut Findings<'_>,
    ) -> bool {
        self.take_place(whose, (attachment, exclusive_of_any(attachment)), at, findings)
    }

    fn take_place(
        &mut self,
        (object, name): (&Name, &str),
        (attachment, room): (&Attachment, Option<Room>),
        at: KeyPath,
        findings: &mut Findings<'_>,
    ) -> bool {
        let name = format!("{object}.{name}");
        if let Some(first) = self.of_programs.get(&format!("{name} {attachment}")) {
            let message = format!("`{name}` is attached to `{attachment}` twice");
            let problem = Problem::error(code::DUPLICATE_ATTACHMENT, None, message)
                .label("again here")
                .related(findings.place(&Spot::Value(first.clone())), "first here")
                .help("drop one; a program runs once at a place");
            findings.at_value(&at, problem);
            return false;
        }
        let mut free = true;
        if let Some(room) = room {
            // Of one program's own, what is named goes before what is meant by a pattern.
            if let Some((clash, owner)) = self.exclusive.clash(&room, |owner| owner.name != name) {
                let (first, owner) = (owner.at.clone(), &owner.name);
                let message =
                    format!("`{name}` and `{owner}` both want {}", clash.described(&room));
                let severity = clash.severity();
                let problem = Problem {
                    severity,
                    ..Problem::error(code::ATTACHMENT_CONFLICT, None, message)
                }
                .label(format!("`{name}`"))
                .related(findings.place(&Spot::Value(first)), format!("`{owner}`"))
                .help(clash.help().unwrap_or(advice(attachment)));
                findings.at_value(&at, problem);
                free = clash.is_possible_only();
            }
            let of_host =
                !matches!(attachment, Attachment::Freplace { .. } | Attachment::Sockmap { .. });
            self.exclusive.take(room, Holder { name: name.clone(), at: at.clone(), of_host });
        }
        self.of_programs.insert(format!("{name} {attachment}"), at);
        free
    }

    /// The host's places with room for one program: the place, who has it, and where that is said.
    pub(in crate::validate) fn of_host(&self) -> impl Iterator<Item = (&Room, &str, &KeyPath)> {
        let of_host = self.exclusive.iter().filter(|(_, holder)| holder.of_host);
        of_host.map(|(room, holder)| (room, holder.name.as_str(), &holder.at))
    }
}

/// The place, if it has room for one program of this kind.
fn exclusive(program: &ProgramSpec, attachment: &Attachment) -> Option<Room> {
    // `sock_map_link_update_prog` in `net/core/sock_map.c`.
    let Attachment::Sockmap { object, map } = attachment else {
        return exclusive_of_any(attachment);
    };
    let of = program.kind.as_ref()?.attach_type?;
    Some(Room::other(format!("the one {of} of `{object}.{map}`")))
}

/// The place, if it has room for one, of whatever kind.
fn exclusive_of_any(attachment: &Attachment) -> Option<Room> {
    Some(Room::other(match attachment {
        Attachment::Xdp { interface, .. } => {
            return Some(Room::of_interface("the one XDP link", interface));
        }
        Attachment::Tc { interface, direction, priority: Some(priority), handle: Some(handle) } => {
            let direction = direction.as_str();
            let kind =
                format!("the {direction} filter with priority {priority} and handle {handle}");
            return Some(Room::of_interface(kind, interface));
        }
        Attachment::FlowDissector { .. } | Attachment::Netfilter { .. } => {
            format!("the one place of {attachment}")
        }
        // `bpf_trampoline_link_prog` in `kernel/bpf/trampoline.c`.
        Attachment::Freplace { object, program, function } => {
            format!("function `{function}` of `{object}.{program}`")
        }
        Attachment::StructOps { ops, name: Some(name), .. } => {
            format!("the name `{name}` among `struct {ops}`")
        }
        Attachment::StructOps { ops, .. } if !attachment.shares_its_place() => {
            format!("the one `struct {ops}` that the kernel takes")
        }
        Attachment::FreplacePinned { pin, function } => {
            format!("function `{function}` of the program pinned at {}", pin.display())
        }
        _ => return None,
    }))
}

fn advice(attachment: &Attachment) -> &'static str {
    match attachment {
        Attachment::Xdp { .. } => {
            "an interface runs one XDP program; that one can call others by a prog array"
        }
        Attachment::Sockmap { .. } => "a map of sockets runs one program of each kind",
        Attachment::FlowDissector { .. } => "a network namespace has one flow dissector",
        Attachment::Netfilter { .. } => "give one of them another priority",
        Attachment::Freplace { .. } | Attachment::FreplacePinned { .. } => {
            "a function is replaced by one program at a time"
        }
        Attachment::StructOps { .. } => "register one of them, or give them different names in C",
        _ => "give one of them another priority or handle",
    }
}
