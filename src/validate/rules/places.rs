//! Attachments of all objects: each place once for a program, and once at all where there is room
//! for one.

use std::collections::BTreeMap;

use crate::manifest::KeyPath;
use crate::model::attach::{Attachment, XdpMode};
use crate::model::code;
use crate::model::dispatch::PROGRAMS_MAX;
use crate::model::kinds::AttachType;
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
    /// The programs that share an interface.
    shared: BTreeMap<String, Vec<Sharer>>,
}

/// One of the programs that share an interface.
#[derive(Debug)]
struct Sharer {
    name: String,
    at: KeyPath,
    mode: XdpMode,
}

/// The one program of a place.
#[derive(Debug)]
struct Holder {
    name: String,
    at: KeyPath,
    /// Whether the place is one of the host, and not of another program of the manifest.
    of_host: bool,
    /// Whether others that do the same may have a part in it.
    shares: bool,
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
        if let Attachment::XdpShared { interface, mode, .. } = attachment {
            self.share((interface, *mode), &name, &at, findings);
        }
        if let Some(room) = room {
            let shares = matches!(attachment, Attachment::XdpShared { .. });
            // Of one program's own, what is named goes before what is meant by a pattern.
            let other = |owner: &Holder| owner.name != name && !(owner.shares && shares);
            if let Some((clash, owner)) = self.exclusive.clash(&room, other) {
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
            self.exclusive
                .take(room, Holder { name: name.clone(), at: at.clone(), of_host, shares });
        }
        self.of_programs.insert(format!("{name} {attachment}"), at);
        free
    }

    /// Notes one of the programs that share an interface; reports one too many, and one in a mode that
    /// another excludes.
    fn share(
        &mut self,
        (interface, mode): (&str, XdpMode),
        name: &str,
        at: &KeyPath,
        findings: &mut Findings<'_>,
    ) {
        let sharers = self.shared.entry(interface.to_owned()).or_default();
        let other =
            |sharer: &&Sharer| ![sharer.mode, mode].contains(&XdpMode::Auto) && sharer.mode != mode;
        if let Some(Sharer { name: first, at: there, .. }) = sharers.iter().find(other) {
            let message = format!("`{name}` and `{first}` want one dispatcher in two modes");
            let problem = Problem::error(code::ATTACHMENT_CONFLICT, None, message)
                .label(format!("`{name}`"))
                .related(findings.place(&Spot::Value(there.clone())), format!("`{first}`"))
                .help("give both the same `mode`, or none");
            findings.at_value(at, problem);
        }
        if sharers.len() == PROGRAMS_MAX {
            let message =
                format!("a dispatcher calls {PROGRAMS_MAX} programs, and `{name}` is one more");
            findings.at_value(at, Problem::error(code::ATTACHMENT_CONFLICT, None, message));
        }
        sharers.push(Sharer { name: name.to_owned(), at: at.clone(), mode });
    }

    /// The host's places with room for one program: the place, who has it, where that is said, and
    /// whether others that say so may have a part in it.
    pub(in crate::validate) fn of_host(
        &self,
    ) -> impl Iterator<Item = (&Room, &str, &KeyPath, bool)> {
        let of_host = self.exclusive.iter().filter(|(_, holder)| holder.of_host);
        of_host.map(|(room, holder)| (room, holder.name.as_str(), &holder.at, holder.shares))
    }
}

/// The place, if it has room for one program of this kind.
fn exclusive(program: &ProgramSpec, attachment: &Attachment) -> Option<Room> {
    let Attachment::Sockmap { object, map } = attachment else {
        return exclusive_of_any(attachment);
    };
    // `sock_map_prog_link_lookup` in `net/core/sock_map.c`: either verdict excludes the other.
    let of = match program.kind.as_ref()?.attach_type? {
        AttachType::SK_SKB_VERDICT | AttachType::SK_SKB_STREAM_VERDICT => "verdict".to_owned(),
        of => of.to_string(),
    };
    Some(Room::other(format!("the one {of} of `{object}.{map}`")))
}

/// The place, if it has room for one, of whatever kind.
fn exclusive_of_any(attachment: &Attachment) -> Option<Room> {
    Some(Room::other(match attachment {
        // `dev_xdp_mode` in `net/core/dev.c`: the card has a slot of its own.
        Attachment::Xdp { interface, mode: XdpMode::Offload } => {
            return Some(Room::of_interface("the one XDP program in the card", interface));
        }
        Attachment::Xdp { interface, .. } | Attachment::XdpShared { interface, .. } => {
            return Some(Room::of_interface("the one XDP link", interface));
        }
        Attachment::Tc { interface, direction, priority: Some(priority), handle: Some(handle) } => {
            let direction = direction.as_str();
            let kind =
                format!("the {direction} filter with priority {priority} and handle {handle}");
            return Some(Room::of_interface(kind, interface));
        }
        Attachment::FlowDissector { netns: None } => {
            "the flow dissector of the network namespace".to_owned()
        }
        Attachment::FlowDissector { netns: Some(netns) } => {
            format!("the flow dissector of network namespace {}", netns.display())
        }
        Attachment::Netfilter { family, at, priority, .. } => {
            format!("priority {priority} of netfilter's {} for {}", at.as_str(), family.as_str())
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
        Attachment::Xdp { mode: XdpMode::Offload, .. } => "a card runs one XDP program",
        Attachment::Xdp { .. } | Attachment::XdpShared { .. } => {
            "an interface runs one XDP program; with `dispatcher = true` at both, it is one that calls \
             them"
        }
        Attachment::Sockmap { .. } => {
            "a map of sockets runs one program of each kind, and of `sk_skb/verdict` and \
             `sk_skb/stream_verdict` one or the other"
        }
        Attachment::FlowDissector { .. } => "a network namespace has one flow dissector",
        Attachment::Netfilter { .. } => "give one of them another priority",
        Attachment::Freplace { .. } | Attachment::FreplacePinned { .. } => {
            "a function is replaced by one program at a time"
        }
        Attachment::StructOps { .. } => "register one of them, or give them different names in C",
        _ => "give one of them another priority or handle",
    }
}
