//! A dispatcher in the place of another: built while that runs, pinned, and put on the interface in one
//! step, unless somebody else was faster.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::super::super::{Dispatching, KernelError, Result};
use super::super::handle::Handle;
use super::super::sys::{self, flags as sys_flags};
use super::super::{capability, occupant, xdp};
use super::config::{self, Calls, Slot};
use super::current::{Current, Dispatcher};
use super::pins::{Key, Pins};
use super::program::{self, RETVAL};
use crate::model::attach::XdpMode;
use crate::model::dispatch::PROGRAMS_MAX;
use crate::model::identity::ObjectKind;
use rustix::thread::CapabilitySet;

/// How often it is tried again when somebody else changes what runs meanwhile (libxdp's `MAX_RETRY`).
const ATTEMPTS: usize = 10;

/// Changes what is called on an interface.
pub(super) fn change(wanted: &Dispatching<'_, Handle>) -> Result<()> {
    let change = Change {
        wanted,
        operation: format!("change what the XDP dispatcher of `{}` calls", wanted.interface),
    };
    if Pins::look(&change.operation)?.is_none() {
        // Then nothing is made for what is refused anyway.
        let found = Current::read(wanted.index, None).map_err(|errno| change.failed(errno))?;
        change.can_replace(&found)?;
    }
    let pins = Pins::lock(&change.operation)?;
    for _ in 0..ATTEMPTS {
        if let Attempt::Runs(runs) = change.attempt(&pins)? {
            change.sweep(&pins, runs);
            return Ok(());
        }
    }
    let reason = "somebody else keeps changing what runs there";
    Err(KernelError::reason(change.operation, reason).advice("run it again"))
}

/// A program that shall be called.
struct Member<'a> {
    program: &'a Handle,
    slot: Slot,
    name: String,
    tag: [u8; 8],
}

impl Member<'_> {
    /// What it is ordered by (`cmp_xdp_programs` of libxdp): its priority, name and tag, and last who
    /// was loaded first.
    fn order(&self) -> (u32, &str, [u8; 8], u32) {
        (self.slot.priority, &self.name, self.tag, self.program.identity().id)
    }
}

/// What came of one attempt.
enum Attempt {
    /// It is as it shall be: this dispatcher runs, or none.
    Runs(Option<Key>),
    /// Somebody else was faster.
    Raced,
}

/// One change under way.
struct Change<'a> {
    wanted: &'a Dispatching<'a, Handle>,
    operation: String,
}

impl Change<'_> {
    fn attempt(&self, pins: &Pins) -> Result<Attempt> {
        let found = Current::read(self.wanted.index, Some(pins));
        let found = found.map_err(|errno| self.failed(errno))?;
        self.can_replace(&found)?;
        let old = match found {
            Current::Changing => return Ok(Attempt::Raced),
            Current::Nothing => None,
            Current::Dispatcher(old) => Some(old),
            // There is nothing of ours to take out of it.
            Current::Other(_) => return Ok(Attempt::Runs(None)),
        };
        let members = self.members(old.as_ref())?;
        let runs = old.as_ref().map(|old| old.key);
        if old.as_ref().is_some_and(|old| calls_just(old, &members))
            || (old.is_none() && members.is_empty())
        {
            return Ok(Attempt::Runs(runs));
        }
        let mode = self.mode(old.as_ref())?;
        let built = if members.is_empty() {
            None
        } else {
            let version = old.as_ref().map_or(config::VERSION, |old| old.calls.version);
            Some(self.build(&members, version, pins)?)
        };
        let program = built.as_ref().map(|built| built.program.as_fd());
        let place = old.as_ref().map(|old| old.program.as_fd());
        let answer = xdp::replace(self.wanted.index, mode, program, place);
        let key = built.map(|built| built.key);
        if let Err(errno) = answer {
            if let Some(key) = key {
                let _whatever_is_left = pins.unpin(key);
            }
            return match errno {
                // Another program is there than was read, or one where none was (`dev_xdp_attach`).
                Errno::EXIST | Errno::BUSY => Ok(Attempt::Raced),
                errno => Err(self.refused(errno, mode)),
            };
        }
        if let Some(old) = &old
            && let Err(errno) = pins.unpin(old.key)
        {
            tracing::warn!(%errno, "the pins of the dispatcher before could not be removed");
        }
        Ok(Attempt::Runs(key))
    }

    /// Whether what runs can be changed, or need not be.
    fn can_replace(&self, found: &Current) -> Result<()> {
        match found {
            Current::Other(what) if !self.wanted.add.is_empty() => Err(self.occupied(what)),
            _ => Ok(()),
        }
    }

    /// What shall be called, in order.
    fn members<'m>(&'m self, old: Option<&'m Dispatcher>) -> Result<Vec<Member<'m>>> {
        let ids = |handles: &mut dyn Iterator<Item = &Handle>| -> BTreeSet<u32> {
            handles.map(|handle| handle.identity().id).collect()
        };
        let mut leaving = ids(&mut self.wanted.remove.iter().copied());
        leaving.extend(ids(&mut self.wanted.add.iter().map(|joining| joining.program)));
        let mut members = Vec::new();
        if let Some(old) = old {
            for (slot, program) in old.calls.slots.iter().zip(&old.programs) {
                if !leaving.contains(&program.identity().id) {
                    members.push(self.member(program, *slot)?);
                }
            }
        }
        for joining in &self.wanted.add {
            let slot = Slot {
                actions: joining.run.bits() | 1 << RETVAL,
                priority: joining.run.priority,
                flags: if joining.frags { sys_flags::XDP_HAS_FRAGS } else { 0 },
            };
            members.push(self.member(joining.program, slot)?);
        }
        if members.len() > PROGRAMS_MAX {
            let reason = format!(
                "it would call {} programs, and the protocol of libxdp has room for {PROGRAMS_MAX}",
                members.len()
            );
            return Err(KernelError::reason(self.operation.as_str(), reason));
        }
        members.sort_by(|one, other| one.order().cmp(&other.order()));
        Ok(members)
    }

    fn member<'m>(&self, program: &'m Handle, slot: Slot) -> Result<Member<'m>> {
        let info = program.expect(ObjectKind::Program).and_then(sys::program_info);
        let info = info.map_err(|errno| self.failed(errno))?;
        Ok(Member { program, slot, name: info.name, tag: info.tag })
    }

    /// How it runs: as what is there does.
    fn mode(&self, old: Option<&Dispatcher>) -> Result<XdpMode> {
        let wanted = self.wanted.mode;
        let Some(old) = old else { return Ok(wanted) };
        if self.wanted.add.is_empty() || wanted == XdpMode::Auto || wanted == old.mode {
            return Ok(old.mode);
        }
        let [wanted, there] = [wanted, old.mode].map(XdpMode::as_str);
        let reason = format!(
            "the dispatcher there runs in mode `{there}`, and the manifest says `{wanted}`"
        );
        Err(KernelError::reason(self.operation.as_str(), reason).advice(format!(
            "write `mode = \"{there}\"`, or leave it out; or end what is there first (`{}`)",
            super::unload(self.wanted.interface)
        )))
    }

    /// Loads a dispatcher, has its functions replaced, and pins that.
    fn build(&self, members: &[Member<'_>], version: u8, pins: &Pins) -> Result<Built> {
        let slots = members.iter().map(|member| member.slot).collect();
        let mut calls = Calls { version, slots, frags: false };
        let program = program::load(&mut calls)?;
        let mut links = Vec::new();
        for (slot, member) in members.iter().enumerate() {
            let function = program::function(slot, members.len());
            let link = sys::replace_function(member.program.as_fd(), program.as_fd(), function);
            links.push(link.map_err(|errno| self.not_linked(errno, &member.name))?);
        }
        let info = sys::program_info(program.as_fd()).map_err(|errno| self.failed(errno))?;
        let key = Key { interface: self.wanted.index, dispatcher: info.id };
        let pairs: Vec<(BorrowedFd<'_>, BorrowedFd<'_>)> = members
            .iter()
            .zip(&links)
            .map(|(member, link)| (member.program.as_fd(), link.as_fd()))
            .collect();
        pins.pin(key, &pairs).map_err(|errno| self.failed(errno).at(Pins::path()))?;
        Ok(Built { key, program })
    }

    /// Removes the pins of dispatchers that do not run.
    fn sweep(&self, pins: &Pins, runs: Option<Key>) {
        for dispatcher in &self.wanted.sweep {
            let key = Key { interface: self.wanted.index, dispatcher: *dispatcher };
            if Some(key) != runs
                && let Err(errno) = pins.unpin(key)
            {
                tracing::warn!(%errno, "the pins of an earlier dispatcher could not be removed");
            }
        }
    }

    fn failed(&self, errno: Errno) -> KernelError {
        let error = KernelError::errno(self.operation.as_str(), errno);
        match errno {
            Errno::PERM => error.advice(
                "to read a dispatcher of others and to put another in its place needs CAP_SYS_ADMIN",
            ),
            _ => error,
        }
    }

    fn not_linked(&self, errno: Errno, program: &str) -> KernelError {
        let error = KernelError::errno(
            format!("{}: have it call program `{program}`", self.operation),
            errno,
        );
        match errno {
            Errno::PERM => error.advice(capability::advice(CapabilitySet::NET_ADMIN)),
            Errno::INVAL => error.advice(
                "its function must be `int NAME(struct xdp_md *ctx)`; and programs move from one \
                 dispatcher to the next since Linux 5.10",
            ),
            _ => error,
        }
    }

    fn occupied(&self, what: &str) -> KernelError {
        let Dispatching { interface, index, mode, .. } = self.wanted;
        let reason = format!("the program that runs there {what}");
        KernelError::reason(self.operation.as_str(), reason)
            .advice(occupant::of_xdp(interface, *index, *mode))
    }

    fn refused(&self, errno: Errno, mode: XdpMode) -> KernelError {
        let error = self.failed(errno);
        match errno {
            Errno::OPNOTSUPP if mode == XdpMode::Native => error.advice(
                "the interface's driver does not run XDP itself; use mode `generic` or `auto`",
            ),
            Errno::INVAL | Errno::RANGE => error.advice(
                "the interface's mode does not allow XDP: MTU, LRO or header split (`ethtool -k`); with a \
                 large MTU every program that the dispatcher calls must be one of `xdp.frags`",
            ),
            Errno::NODEV => error.advice("the interface has gone meanwhile"),
            _ => error,
        }
    }
}

/// A dispatcher that is pinned and does not run yet.
struct Built {
    key: Key,
    program: OwnedFd,
}

/// Whether a dispatcher calls these as they shall be called.
fn calls_just(old: &Dispatcher, members: &[Member<'_>]) -> bool {
    let there = old.programs.iter().map(|program| program.identity().id).zip(&old.calls.slots);
    let wanted = members.iter().map(|member| (member.program.identity().id, &member.slot));
    there.eq(wanted)
}
