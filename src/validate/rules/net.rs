//! Hooks of the network: what their options come to.

use std::path::{Path, PathBuf};

use super::attachments::Place;
use super::replaced::pinned;
use crate::manifest::{self, Netfilter, Netns, Order, Sockmap};
use crate::model::attach::{Attachment, Direction};
use crate::model::code;
use crate::model::kinds::AttachType;
use crate::model::map::KERNEL_NAME_MAX;
use crate::model::net_hook::{NETNS_DIRECTORY, Neighbour, NetkitSide, Position};
use crate::model::problem::Problem;

/// `NF_IP_PRI_CONNTRACK_DEFRAG`: where the kernel reassembles fragments.
const DEFRAG_PRIORITY: i32 = -400;

/// What is wrong with an option has been said.
struct Reported;

impl Place<'_, '_, '_> {
    /// Where among the programs of a hook.
    pub(super) fn position(&mut self, asked: Order<'_>) -> Option<Position> {
        match asked {
            Order { position: None, before: None, after: None } => None,
            Order { position: Some(manifest::Position::First), before: None, after: None } => {
                Some(Position::First)
            }
            Order { position: Some(manifest::Position::Last), before: None, after: None } => {
                Some(Position::Last)
            }
            Order { position: None, before: Some(name), after: None } => {
                self.neighbour("before", name).map(Position::Before)
            }
            Order { position: None, before: None, after: Some(name) } => {
                self.neighbour("after", name).map(Position::After)
            }
            Order { before, .. } => {
                let option = if before.is_some() { "before" } else { "after" };
                let message = "`position`, `before` and `after` exclude each other";
                self.report(option, Problem::error(code::BAD_TARGET, None, message));
                None
            }
        }
    }

    /// Whether a program of the manifest is there, [`super::named`] looks.
    fn neighbour(&mut self, option: &str, name: &str) -> Option<Neighbour> {
        let neighbour = Neighbour::named(name);
        if matches!(neighbour, Neighbour::Pinned(_))
            && let Err(problem) = pinned(name)
        {
            self.report(option, *problem);
            return None;
        }
        if matches!(neighbour, Neighbour::Named(_))
            && (name.is_empty() || name.len() > KERNEL_NAME_MAX)
        {
            let message = format!("{name:?} cannot be the name of a program in the kernel");
            let problem = Problem::error(code::BAD_TARGET, None, message).help(format!(
                "the kernel keeps the first {KERNEL_NAME_MAX} bytes of a name; write \
                 `<object>.<program>` for one of this manifest, or the path of a pin"
            ));
            self.report(option, problem);
            return None;
        }
        Some(neighbour)
    }

    /// Whether the section says another direction, or an end of a netkit pair. The kernel runs what it
    /// is given: of this type `bpf_prog_attach_check_attach_type` in `kernel/bpf/syscall.c` asks only how
    /// it is attached, not how it was loaded, and `net/sched/cls_bpf.c` nothing at all.
    pub(super) fn direction(&mut self, wanted: Direction) {
        self.made_for("direction", wanted.as_str());
    }

    /// The same for the ends of a netkit pair.
    pub(super) fn side(&mut self, wanted: NetkitSide) {
        self.made_for("side", wanted.as_str());
    }

    fn made_for(&mut self, option: &str, wanted: &str) {
        let declared = match self.kind.attach_type {
            Some(AttachType::TCX_INGRESS) => Direction::Ingress.as_str(),
            Some(AttachType::TCX_EGRESS) => Direction::Egress.as_str(),
            Some(AttachType::NETKIT_PRIMARY) => NetkitSide::Primary.as_str(),
            Some(AttachType::NETKIT_PEER) => NetkitSide::Peer.as_str(),
            _ => return,
        };
        if declared == wanted {
            return;
        }
        let (name, section) = (&self.program.name, &self.program.section);
        let message = format!(
            "program `{name}` of section `{section}` is for `{declared}`, not for `{wanted}`"
        );
        let help = "the kernel runs it all the same; `SEC(\"tc\")` in C makes a program for any";
        let problem = Problem::warning(code::TARGET_MISMATCH, None, message).help(help);
        self.findings.at_value(&self.at.key(option), problem);
    }

    pub(super) fn sk_lookup(&mut self, hook: &Netns) -> Option<Attachment> {
        let netns = self.netns(hook).ok()?;
        Some(Attachment::SkLookup { netns })
    }

    pub(super) fn flow_dissector(&mut self, hook: &Netns) -> Option<Attachment> {
        let netns = self.netns(hook).ok()?;
        Some(Attachment::FlowDissector { netns })
    }

    /// Where the namespace is mounted; `None` for our own.
    fn netns(&mut self, hook: &Netns) -> Result<Option<PathBuf>, Reported> {
        let Some(name) = &hook.netns else { return Ok(None) };
        let path = Path::new(name);
        if path.is_absolute() {
            return Ok(Some(path.components().collect()));
        }
        // `ip netns add` takes what can be the name of a file.
        if !name.is_empty() && !name.contains(['/', '\0']) && !matches!(name.as_str(), "." | "..") {
            return Ok(Some(Path::new(NETNS_DIRECTORY).join(name)));
        }
        let message = format!("{name:?} cannot be the name of a network namespace");
        let problem = Problem::error(code::BAD_TARGET, None, message)
            .help("write a name that `ip netns` lists, or an absolute path");
        self.report("netns", problem);
        Err(Reported)
    }

    /// Whether the map is there, [`super::named`] looks.
    pub(super) fn sockmap(&mut self, hook: &Sockmap) -> Option<Attachment> {
        if self.kind.attach_type.is_none() {
            let message = format!(
                "section `{}` of program `{}` does not say for which calls of its sockets it is",
                self.program.section, self.program.name
            );
            let help = "write `SEC(\"sk_skb/verdict\")`, `SEC(\"sk_skb/stream_verdict\")` or \
                        `SEC(\"sk_skb/stream_parser\")` in C";
            let problem = Problem::error(code::SECTION_INCOMPLETE, None, message).help(help);
            self.report("hook", problem);
        }
        if let Some((object, map)) = hook.map.split_once('.') {
            let (object, map) = (object.to_owned(), map.to_owned());
            return Some(Attachment::Sockmap { object, map });
        }
        let message = format!("{:?} is no map of a manifest", hook.map);
        let problem =
            Problem::error(code::BAD_TARGET, None, message).help("write `<object>.<map>`");
        self.report("map", problem);
        None
    }

    /// What the kernel refuses of it: `bpf_nf_check_pf_and_hooks` in `net/netfilter/nf_bpf_link.c`.
    pub(super) fn netfilter(&mut self, hook: &Netfilter) -> Option<Attachment> {
        let Netfilter { family, at, priority, defrag, .. } = *hook;
        let (reason, help) = if matches!(priority, i32::MIN | i32::MAX) {
            ("the lowest and the highest priority are the kernel's own", "choose one between")
        } else if defrag && priority <= DEFRAG_PRIORITY {
            (
                "with `defrag` the priority must be above -400, where fragments are reassembled",
                "choose a higher one, or leave `defrag` out",
            )
        } else {
            return Some(Attachment::Netfilter { family, at, priority, defrag });
        };
        self.report("priority", Problem::error(code::BAD_TARGET, None, reason).help(help));
        None
    }

    /// A unit's name, as systemd.unit(5) has it.
    pub(super) fn unit(&mut self, unit: &str) -> Option<Attachment> {
        let typed = unit.rsplit_once('.').is_some_and(|(name, of)| {
            !name.is_empty()
                && ["service", "slice", "scope", "socket", "mount", "swap"].contains(&of)
        });
        if typed && !unit.contains(['/', '\0']) && unit.len() <= 255 {
            return Some(Attachment::CgroupUnit { unit: unit.to_owned() });
        }
        let message = format!("{unit:?} is no unit that has a cgroup");
        let problem = Problem::error(code::BAD_TARGET, None, message)
            .help("write it with its type, as in `nginx.service` or `machine.slice`");
        self.report("unit", problem);
        None
    }
}
