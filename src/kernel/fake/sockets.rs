//! Programs that maps of sockets keep by themselves.

use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::objects::{Link, Map, Object};
use super::state::{Counted, State};
use crate::model::identity::{Identity, ObjectKind};
use crate::model::kinds::AttachType;
use crate::model::live::{LinkTarget, LiveObject};
use crate::model::socket_hook::{Kept, SocketHook, holds_sockets};

/// How a kernel attaches programs to maps of sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sockets {
    /// By links.
    #[default]
    Linked,
    /// The map keeps them, and tells which.
    Told,
    /// The map keeps them, and does not tell.
    Untold,
}

impl State {
    /// What a map of sockets runs, whoever attached it.
    pub(super) fn kept(&mut self, id: Identity, attach_type: AttachType) -> Result<Kept> {
        let hidden = self.hooks.sockets == Sockets::Untold;
        let linked = self.linked(id, attach_type);
        let kept = self.sockets(id, "ask a map of sockets")?.kept.get(&attach_type).copied();
        let Some(program) = linked.or(kept) else {
            return Ok(if hidden { Kept::Untold } else { Kept::Nothing });
        };
        let LiveObject::Program(program) = self.describe(program) else {
            return Ok(Kept::Nothing);
        };
        Ok(if hidden { Kept::Untold } else { Kept::Program { id: program.id, name: program.name } })
    }

    pub(super) fn keep(
        &mut self,
        id: Identity,
        attach_type: AttachType,
        new: Identity,
        old: Option<Identity>,
    ) -> Result<()> {
        const OPERATION: &str = "attach to a map of sockets";
        self.expect(new, ObjectKind::Program, OPERATION)?;
        let found = match self.kept(id, attach_type)? {
            Kept::Untold => old.map(|old| old.id),
            Kept::Nothing => None,
            Kept::Program { id, .. } => Some(id),
        };
        if found != old.map(|old| old.id) {
            return Err(KernelError::reason(OPERATION, "another program is attached there"));
        }
        let rival = SocketHook { map: id.id, attach_type }.rival();
        let rival = rival.map(|rival| rival.attach_type);
        let kept = &self.sockets(id, OPERATION)?.kept;
        let has_rival = rival.is_some_and(|rival| kept.contains_key(&rival));
        if has_rival || self.linked(id, attach_type).is_some() {
            return Err(KernelError::errno(OPERATION, Errno::BUSY));
        }
        self.hold(new);
        let replaced = self.sockets(id, OPERATION)?.kept.insert(attach_type, new);
        if let Some(replaced) = replaced {
            self.release(replaced);
        }
        Ok(())
    }

    pub(super) fn let_go(
        &mut self,
        id: Identity,
        attach_type: AttachType,
        program: Identity,
    ) -> Result<bool> {
        const OPERATION: &str = "detach from a map of sockets";
        self.expect(program, ObjectKind::Program, OPERATION)?;
        if self.linked(id, attach_type).is_some() {
            return Err(KernelError::errno(OPERATION, Errno::BUSY));
        }
        let kept = &mut self.sockets(id, OPERATION)?.kept;
        if kept.get(&attach_type) != Some(&program) {
            return Ok(false);
        }
        kept.remove(&attach_type);
        self.release(program);
        Ok(true)
    }

    /// Whether the map keeps a program by itself.
    pub(super) fn keeps(&self, map: Identity, attach_type: AttachType) -> bool {
        self.map(map).is_some_and(|map| map.kept.contains_key(&attach_type))
    }

    /// The program of a link to the map.
    fn linked(&self, map: Identity, attach_type: AttachType) -> Option<Identity> {
        let target = LinkTarget::Map { id: map.id, attach_type };
        let there = |(_, link): &(Identity, &Link)| link.target == target;
        self.links().find(there).map(|(_, link)| link.program)
    }

    fn sockets(&mut self, map: Identity, operation: &str) -> Result<&mut Map> {
        match self.objects.get_mut(&map) {
            Some(Counted { object: Object::Map(found), .. })
                if holds_sockets(found.shape.map_type) =>
            {
                Ok(found)
            }
            _ => Err(KernelError::errno(operation, Errno::OPNOTSUPP)),
        }
    }
}
