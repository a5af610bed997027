//! Who is already at a hook of this host.
//!
//! A link tells the index of its interface and not the network namespace that counts it, so an index
//! alone proves nothing: links of other namespaces have the same. Hooks of interfaces are therefore
//! asked themselves, and links only after them.

use std::os::fd::AsFd as _;

use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::dispatcher::{self, Dispatcher};
use super::handle::Handle;
use super::sys::{self, Answer};
use super::xdp::{self, By, Running};
use super::{observe, target};
use crate::model::attach::{Attachment, XdpMode};
use crate::model::identity::ObjectKind;
use crate::model::kinds::{AttachType, LinkType};
use crate::model::live::{LinkTarget, LiveLink, LiveObject, Occupant, TargetState};

/// Every program at what `attachment` names; at a cgroup, only what links attach.
pub(super) fn all(attachment: &Attachment) -> Result<Vec<Occupant>> {
    let TargetState::Present(place) = target::state(attachment)? else { return Ok(Vec::new()) };
    let search = Search { attachment };
    match attachment {
        Attachment::Xdp { interface, mode } => search.at_xdp(interface, *mode, index(place)),
        Attachment::Tcx { direction, .. } => search.in_chain(direction.tcx_type(), index(place)),
        Attachment::Netkit { side, .. } => search.in_chain(side.attach_type(), index(place)),
        Attachment::Cgroup { .. } | Attachment::CgroupUnit { .. } => search.at_cgroup(place),
        Attachment::SkLookup { .. } => search.in_netns(place, AttachType::SK_LOOKUP),
        Attachment::FlowDissector { .. } => search.in_netns(place, AttachType::FLOW_DISSECTOR),
        _ => Ok(Vec::new()),
    }
}

/// Opens a link or a program by its id.
pub(super) fn open(id: u32, kind: ObjectKind) -> Result<Handle> {
    let (what, opened) = match kind {
        ObjectKind::Link => ("link", sys::open_link(id)),
        _ => ("program", sys::open_program(id)),
    };
    opened.and_then(|fd| Handle::of_kind(fd, kind)).map_err(|errno| {
        let error = KernelError::errno(format!("open {what} {id}"), errno);
        match errno {
            Errno::NOENT => error.advice("it has gone meanwhile"),
            Errno::PERM => error.advice("opening what others made by its id needs CAP_SYS_ADMIN"),
            _ => error,
        }
    })
}

/// Describes what runs as XDP on an interface, as advice for `EBUSY`.
pub(super) fn of_xdp(interface: &str, index: u32, mode: XdpMode) -> String {
    let Ok(Some(running)) = xdp::running(index, mode) else {
        return format!("another program runs there already, {}", ways(&[]));
    };
    let id = running.program_id;
    if let Ok(Some(dispatcher)) = Dispatcher::of(id, index) {
        let (what, unload) = (dispatcher.describe(), dispatcher::unload(interface));
        return if dispatcher.is_shared() {
            format!(
                "program {id} runs there already, {what}; with `dispatcher = true` it calls this one \
                 too, or else it must go first (`{unload}`)"
            )
        } else {
            format!(
                "program {id} runs there already, {what}; nothing can be put beside that, so it must go \
                 first (`{unload}`)"
            )
        };
    }
    // The name needs CAP_SYS_ADMIN; the id alone is a help too.
    let who = match program_name(id).as_str() {
        "" => format!("program {id} runs there already"),
        name => format!("program {id} (`{name}`) runs there already"),
    };
    let free = match xdp::attached_by(index, running) {
        Ok(By::Netlink) => Some(detach(interface, running)),
        _ => None,
    };
    format!("{who}, {}", ways(free.as_slice()))
}

/// What to do about a program that runs alone.
fn ways(free: &[String]) -> String {
    match free {
        [command, ..] => format!(
            "attached without a link, and an interface takes one XDP program; `{command}` detaches it"
        ),
        [] => "and an interface takes one XDP program; `bpftool net` and `bpftool link` show who \
               attached it, and `ebpf-apply adopt` takes a link over"
            .to_owned(),
    }
}

/// The command that detaches what was attached without a link.
fn detach(interface: &str, running: Running) -> String {
    format!("ip link set dev {interface} {} off", running.word())
}

/// One search under way, for its errors.
#[derive(Clone, Copy)]
struct Search<'a> {
    attachment: &'a Attachment,
}

impl Search<'_> {
    /// The interface tells the program and whether a link attached it; the link is the one that runs
    /// this program at this index, if there is only one in all namespaces.
    fn at_xdp(self, interface: &str, mode: XdpMode, index: u32) -> Result<Vec<Occupant>> {
        let ask = || xdp::running(index, mode).map_err(|errno| self.failed(errno));
        let Some(running) = ask()? else { return Ok(Vec::new()) };
        let program_id = running.program_id;
        let alike =
            self.links(LinkType::XDP, |link| link.program_id == program_id && is_at(link, index))?;
        let by = xdp::attached_by(index, running).map_err(|errno| self.failed(errno))?;
        // The links were looked for in between, so they are those of what still runs.
        if ask()? != Some(running) {
            return Err(self.changed());
        }
        let program = program_name(program_id);
        let mut alike = alike.into_iter();
        Ok(vec![match (by, alike.next(), alike.next()) {
            (By::Link, Some(link), None) => Occupant::Linked { link, program },
            (By::Link, Some(one), Some(other)) => {
                let links = [one, other].into_iter().chain(alike).map(|link| link.id).collect();
                Occupant::Unproven { program_id, program, links }
            }
            (By::Netlink, ..) => {
                let free = match Dispatcher::of(program_id, index) {
                    Ok(Some(_)) => dispatcher::unload(interface),
                    _ => detach(interface, running),
                };
                Occupant::Bare { program_id, program, free: Some(free) }
            }
            (By::Link, None, _) | (By::Nothing, ..) => return Err(self.changed()),
        }])
    }

    /// The hook tells its programs and the ids of their links, which are global.
    fn in_chain(self, attach_type: AttachType, index: u32) -> Result<Vec<Occupant>> {
        let attached = match sys::query_chain(index, attach_type) {
            Ok(chain) => chain.attached,
            // Before Linux 6.6 nobody is at this hook; no netkit device, nobody either.
            Err(Errno::INVAL | Errno::NXIO) => return Ok(Vec::new()),
            Err(errno) => return Err(self.failed(errno)),
        };
        let mut found = Vec::new();
        for sys::Attached { program_id, link_id } in attached {
            let program = program_name(program_id);
            let Some(id) = link_id else {
                // bpftool(8) detaches the last program of a hook, whichever that is.
                found.push(Occupant::Bare { program_id, program, free: None });
                continue;
            };
            let link = existing(id).and_then(|link| link.as_ref().map_or(Ok(None), described));
            match link.map_err(|errno| self.failed(errno))? {
                Some(link) if link.program_id == program_id && is_at(&link, index) => {
                    found.push(Occupant::Linked { link, program });
                }
                _ => return Err(self.changed()),
            }
        }
        Ok(found)
    }

    /// Ids of cgroups are global, so a link's is proof enough.
    fn at_cgroup(self, place: u64) -> Result<Vec<Occupant>> {
        self.linked(
            LinkType::CGROUP,
            |target| matches!(target, LinkTarget::Cgroup { id, .. } if *id == place),
        )
    }

    /// So are inodes of namespaces, all of one file system.
    fn in_netns(self, place: u64, of: AttachType) -> Result<Vec<Occupant>> {
        self.linked(LinkType::NETNS, |target| {
            *target == LinkTarget::Netns { inode: place, attach_type: of }
        })
    }

    fn linked(
        self,
        link_type: LinkType,
        here: impl Fn(&LinkTarget) -> bool,
    ) -> Result<Vec<Occupant>> {
        let links = self.links(link_type, |link| here(&link.target))?;
        let linked =
            |link: LiveLink| Occupant::Linked { program: program_name(link.program_id), link };
        Ok(links.into_iter().map(linked).collect())
    }

    /// The links of a type, of the whole machine, that `wanted` says yes to.
    fn links(
        self,
        link_type: LinkType,
        wanted: impl Fn(&LiveLink) -> bool,
    ) -> Result<Vec<LiveLink>> {
        links(link_type, wanted).map_err(|errno| self.failed(errno))
    }

    fn operation(self) -> String {
        format!("look for programs at {}", self.attachment)
    }

    fn failed(self, errno: Errno) -> KernelError {
        let error = KernelError::errno(self.operation(), errno);
        match errno {
            Errno::PERM => error.advice(
                "to find links of others by their ids needs CAP_SYS_ADMIN, and to ask an interface \
                 for them CAP_NET_ADMIN",
            ),
            _ => error,
        }
    }

    fn changed(self) -> KernelError {
        KernelError::reason(self.operation(), "somebody else attached or detached one meanwhile")
            .advice("run it again")
    }
}

fn is_at(link: &LiveLink, interface: u32) -> bool {
    matches!(link.target, LinkTarget::Interface { index, .. } if index == interface)
}

/// Indices of interfaces are 32 bits wide.
fn index(place: u64) -> u32 {
    u32::try_from(place).unwrap_or_default()
}

/// Links that go meanwhile are left out.
fn links(link_type: LinkType, wanted: impl Fn(&LiveLink) -> bool) -> Answer<Vec<LiveLink>> {
    let mut all = Vec::new();
    let mut last = 0;
    loop {
        last = match sys::next_link(last) {
            Ok(id) => id,
            Err(Errno::NOENT) => return Ok(all),
            Err(errno) => return Err(errno),
        };
        let Some(link) = existing(last)? else { continue };
        if sys::link_info(link.as_fd())?.link_type == link_type {
            all.extend(described(&link)?.filter(&wanted));
        }
    }
}

/// Opens a link by its id; `None` if it has gone, or is on its way (`bpf_link_by_id`).
fn existing(id: u32) -> Answer<Option<Handle>> {
    match sys::open_link(id) {
        Ok(fd) => Handle::of_kind(fd, ObjectKind::Link).map(Some),
        Err(Errno::NOENT | Errno::AGAIN) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn described(link: &Handle) -> Answer<Option<LiveLink>> {
    Ok(match observe::object(link)? {
        LiveObject::Link(link) => Some(link),
        _ => None,
    })
}

/// Empty for a program that has gone.
pub(super) fn program_name(id: u32) -> String {
    let info = sys::open_program(id).and_then(|program| sys::program_info(program.as_fd()));
    info.map(|info| info.name).unwrap_or_default()
}
