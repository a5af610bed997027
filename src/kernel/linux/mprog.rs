//! Hooks of interfaces that several programs share in an order of their own: tcx and netkit.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::handle::Handle;
use super::occupant::program_name;
use super::sys::{self, Answer, Beside, flags};
use crate::model::identity::ObjectKind;
use crate::model::kinds::AttachType;
use crate::model::net_hook::{Neighbour, Position};

/// How often a hook may change between being asked and being attached to.
const ATTEMPTS: usize = 16;

/// A hook of an interface.
#[derive(Clone, Copy)]
pub(super) struct Hook<'a> {
    pub(super) interface: u32,
    pub(super) attach_type: AttachType,
    pub(super) operation: &'a str,
}

impl Hook<'_> {
    /// Attaches `program` at a position; `others` has the link of the program of the same
    /// manifest that the position names.
    pub(super) fn attach(
        self,
        program: BorrowedFd<'_>,
        position: Option<&Position>,
        others: &BTreeMap<&str, &Handle>,
    ) -> Result<Answer<OwnedFd>> {
        // Without a program to be relative to, `BEFORE` is before all and `AFTER` is after all.
        let (side, neighbour) = match position {
            Some(Position::First) => (flags::BEFORE, None),
            Some(Position::Last) | None => (flags::AFTER, None),
            Some(Position::Before(neighbour)) => (flags::BEFORE, Some(neighbour)),
            Some(Position::After(neighbour)) => (flags::AFTER, Some(neighbour)),
        };
        match neighbour {
            None => Ok(self.put(program, side, Beside::Nothing, 0)),
            Some(neighbour @ Neighbour::Own { program: name, .. }) => {
                let missing =
                    || self.reason(format!("the link of {neighbour} was not handed over"));
                let own = others.get(name.as_str()).ok_or_else(missing)?;
                Ok(self.put(program, side, beside(own), 0))
            }
            Some(Neighbour::Pinned(path)) => {
                let pinned = self.open(path)?;
                Ok(self.put(program, side, beside(&pinned), 0))
            }
            Some(Neighbour::Named(name)) => self.beside_named(program, side, name),
        }
    }

    /// The hook must not change between finding the program and being put beside it.
    fn beside_named(
        self,
        program: BorrowedFd<'_>,
        side: u32,
        name: &str,
    ) -> Result<Answer<OwnedFd>> {
        for _ in 0..ATTEMPTS {
            let chain = sys::query_chain(self.interface, self.attach_type);
            let chain = match chain {
                Ok(chain) => chain,
                Err(errno) => return Ok(Err(errno)),
            };
            let names: Vec<(u32, String)> = chain
                .attached
                .iter()
                .map(|attached| (attached.program_id, program_name(attached.program_id)))
                .collect();
            let mut meant = names.iter().filter(|(_, known)| known == name);
            let id = match (meant.next(), meant.next()) {
                (Some((id, _)), None) => *id,
                (Some((one, _)), Some((other, _))) => {
                    return Err(self.reason(format!(
                        "programs {one} and {other} at this hook are both named `{name}`"
                    )));
                }
                (None, _) => return Err(self.nobody(name, &names)),
            };
            match self.put(program, side, Beside::ProgramId(id), chain.revision) {
                Err(Errno::STALE) => {}
                answer => return Ok(answer),
            }
        }
        Ok(Err(Errno::STALE))
    }

    fn put(
        self,
        program: BorrowedFd<'_>,
        side: u32,
        beside: Beside<'_>,
        revision: u64,
    ) -> Answer<OwnedFd> {
        sys::create_ordered_link(program, self.interface, self.attach_type, side, beside, revision)
    }

    /// What someone has pinned.
    fn open(self, path: &Path) -> Result<Handle> {
        let failed = |errno| KernelError::errno(self.operation, errno).at(path);
        let pin = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let object = pin.and_then(|pin| sys::object_at(pin.as_fd())).map_err(failed)?;
        let handle = Handle::new(object).map_err(failed)?;
        handle
            .filter(|handle| matches!(handle.kind(), ObjectKind::Program | ObjectKind::Link))
            .ok_or_else(|| self.reason("what is pinned there is no program and no link").at(path))
    }

    fn nobody(self, name: &str, names: &[(u32, String)]) -> KernelError {
        let error = self.reason(format!("no program `{name}` is at this hook"));
        let known: Vec<String> = names
            .iter()
            .map(
                |(id, name)| {
                    if name.is_empty() { format!("program {id}") } else { format!("`{name}`") }
                },
            )
            .collect();
        if known.is_empty() {
            error.advice("none is there at all; use position `first` or `last`")
        } else if names.iter().any(|(_, name)| name.is_empty()) {
            error.advice(format!(
                "{} are there; to see the names of programs needs CAP_SYS_ADMIN",
                known.join(", ")
            ))
        } else {
            error.advice(format!("there: {}", known.join(", ")))
        }
    }

    fn reason(self, reason: impl Into<String>) -> KernelError {
        KernelError::reason(self.operation, reason)
    }
}

/// Whether the kernel has tcx: it then looks for the interface, of which there is none with the index 0.
pub(super) fn has_tcx() -> Answer<bool> {
    match sys::query_chain(0, AttachType::TCX_INGRESS) {
        // Whoever may not ask may not attach either, and is told so then.
        Ok(_) | Err(Errno::NODEV | Errno::PERM) => Ok(true),
        Err(Errno::INVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn beside(handle: &Handle) -> Beside<'_> {
    match handle.kind() {
        ObjectKind::Link => Beside::Link(handle.as_fd()),
        _ => Beside::Program(handle.as_fd()),
    }
}
