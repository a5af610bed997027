//! Attachments of all objects: each place once for a program, and once at all where there is room
//! for one.

use std::collections::BTreeMap;

use crate::manifest::KeyPath;
use crate::model::attach::{Attachment, XdpMode};
use crate::model::code;
use crate::model::dispatch::PROGRAMS_MAX;
use crate::model::name::Name;
use crate::model::problem::Problem;
use crate::model::program::ProgramSpec;
use crate::validate::findings::{Findings, Spot};

/// The places taken so far.
#[derive(Debug, Default)]
pub(in crate::validate) struct Places {
    /// By object, program and place.
    of_programs: BTreeMap<String, KeyPath>,
    /// Places with room for one program: who has it.
    exclusive: BTreeMap<String, Holder>,
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
        (attachment, place): (&Attachment, Option<String>),
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
        if let Some((other, first)) = self.in_the_way(attachment) {
            let message = format!("`{name}` and `{other}` cannot both run on one interface");
            let problem = Problem::error(code::ATTACHMENT_CONFLICT, None, message)
                .label(format!("`{name}`"))
                .related(findings.place(&Spot::Value(first)), format!("`{other}`"))
                .help(
                    "an interface runs one program, or a dispatcher that calls several: write \
                     `dispatcher = true` at all of them, and no two modes",
                );
            findings.at_value(&at, problem);
            free = false;
        }
        if let Attachment::XdpShared { interface, mode, .. } = attachment {
            let sharers = self.shared.entry(interface.clone()).or_default();
            if sharers.len() == PROGRAMS_MAX {
                let message =
                    format!("a dispatcher calls {PROGRAMS_MAX} programs, and `{name}` is one more");
                findings.at_value(&at, Problem::error(code::ATTACHMENT_CONFLICT, None, message));
            }
            sharers.push(Sharer { name: name.clone(), at: at.clone(), mode: *mode });
        }
        if let Some(place) = place {
            if let Some(Holder { name: owner, at: first, .. }) = self.exclusive.get(&place) {
                let message = format!("`{name}` and `{owner}` both want {place}");
                let problem = Problem::error(code::ATTACHMENT_CONFLICT, None, message)
                    .label(format!("`{name}`"))
                    .related(findings.place(&Spot::Value(first.clone())), format!("`{owner}`"))
                    .help(advice(attachment));
                findings.at_value(&at, problem);
                free = false;
            } else {
                let of_host =
                    !matches!(attachment, Attachment::Freplace { .. } | Attachment::Sockmap { .. });
                self.exclusive
                    .insert(place, Holder { name: name.clone(), at: at.clone(), of_host });
            }
        }
        self.of_programs.insert(format!("{name} {attachment}"), at);
        free
    }

    /// Who has an interface for itself that others share, or the other way round, or shares it in another
    /// mode.
    fn in_the_way(&self, attachment: &Attachment) -> Option<(String, KeyPath)> {
        let sharers = |interface| self.shared.get(interface).map(Vec::as_slice).unwrap_or_default();
        let sharer = match attachment {
            Attachment::Xdp { interface, .. } => sharers(interface).first(),
            Attachment::XdpShared { interface, mode, .. } => {
                let alone = self.exclusive.get(&only_xdp(interface));
                if let Some(Holder { name, at, .. }) = alone {
                    return Some((name.clone(), at.clone()));
                }
                let other = |sharer: &&Sharer| {
                    ![sharer.mode, *mode].contains(&XdpMode::Auto) && sharer.mode != *mode
                };
                sharers(interface).iter().find(other)
            }
            _ => None,
        }?;
        Some((sharer.name.clone(), sharer.at.clone()))
    }

    /// The interfaces that are shared: the place of which they take a part, who shares it, and where that
    /// is said.
    pub(in crate::validate) fn shared(&self) -> impl Iterator<Item = (String, &str, &KeyPath)> {
        self.shared.iter().filter_map(|(interface, sharers)| {
            let first = sharers.first()?;
            Some((only_xdp(interface), first.name.as_str(), &first.at))
        })
    }

    /// The host's places with room for one program: the place, who has it, and where that is said.
    pub(in crate::validate) fn of_host(&self) -> impl Iterator<Item = (&str, &str, &KeyPath)> {
        let of_host = self.exclusive.iter().filter(|(_, holder)| holder.of_host);
        of_host.map(|(place, holder)| (place.as_str(), holder.name.as_str(), &holder.at))
    }
}

/// The place, if it has room for one program of this kind.
fn exclusive(program: &ProgramSpec, attachment: &Attachment) -> Option<String> {
    // `sock_map_link_update_prog` in `net/core/sock_map.c`.
    let Attachment::Sockmap { object, map } = attachment else {
        return exclusive_of_any(attachment);
    };
    let of = program.kind.as_ref()?.attach_type?;
    Some(format!("the one {of} of `{object}.{map}`"))
}

/// The place, if it has room for one, of whatever kind.
fn exclusive_of_any(attachment: &Attachment) -> Option<String> {
    match attachment {
        Attachment::Xdp { interface, .. } => Some(only_xdp(interface)),
        Attachment::Tc { interface, direction, priority: Some(priority), handle: Some(handle) } => {
            let direction = direction.as_str();
            Some(format!(
                "the {direction} filter of `{interface}` with priority {priority} and handle {handle}"
            ))
        }
        Attachment::FlowDissector { .. } | Attachment::Netfilter { .. } => {
            Some(format!("the one place of {attachment}"))
        }
        // `bpf_trampoline_link_prog` in `kernel/bpf/trampoline.c`.
        Attachment::Freplace { object, program, function } => {
            Some(format!("function `{function}` of `{object}.{program}`"))
        }
        Attachment::StructOps { ops, name: Some(name), .. } => {
            Some(format!("the name `{name}` among `struct {ops}`"))
        }
        Attachment::StructOps { ops, .. } if !attachment.shares_its_place() => {
            Some(format!("the one `struct {ops}` that the kernel takes"))
        }
        Attachment::FreplacePinned { pin, function } => {
            Some(format!("function `{function}` of the program pinned at {}", pin.display()))
        }
        _ => None,
    }
}

fn only_xdp(interface: &str) -> String {
    format!("the one XDP link of `{interface}`")
}

fn advice(attachment: &Attachment) -> &'static str {
    match attachment {
        Attachment::Xdp { .. } => {
            "an interface runs one XDP program; with `dispatcher = true` at both, it is one that calls \
             them"
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
