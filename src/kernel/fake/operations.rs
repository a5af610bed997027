//! Maps of struct ops: filled, registered with and without links.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::objects::{Link, Object};
use super::state::{Counted, State};
use crate::model::attach::Attachment;
use crate::model::identity::{Identity, ObjectKind};
use crate::model::kinds::{LinkType, MapType};
use crate::model::live::{self, LinkTarget};
use crate::model::map::MapSpec;
use crate::model::operations;

/// What became of a map of struct ops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OperationsState {
    #[default]
    Empty,
    Registered,
    Ending,
    Ready,
}

impl State {
    fn operations(&mut self, map: Identity, operation: &str) -> Result<&mut super::objects::Map> {
        match self.objects.get_mut(&map).map(|counted| &mut counted.object) {
            Some(Object::Map(found)) if found.shape.map_type == MapType::STRUCT_OPS => Ok(found),
            _ => Err(KernelError::errno(operation, Errno::INVAL)),
        }
    }

    pub(super) fn fill_operations(
        &mut self,
        map: Identity,
        spec: &MapSpec,
        programs: &BTreeMap<u32, Identity>,
    ) -> Result<()> {
        const OPERATION: &str = "fill struct ops";
        let refused = |errno| KernelError::errno(OPERATION, errno);
        let place = Attachment::of_operations(spec).ok_or_else(|| refused(Errno::INVAL))?;
        for program in programs.values() {
            self.program(*program, OPERATION)?;
        }
        match self.operations(map, OPERATION)?.operations {
            OperationsState::Empty => {}
            OperationsState::Registered | OperationsState::Ready => return Ok(()),
            OperationsState::Ending => return Err(refused(Errno::INVAL)),
        }
        let link = matches!(place, Attachment::StructOps { link: true, .. });
        if !link && self.is_taken(&place) {
            return Err(refused(Errno::EXIST));
        }
        for program in programs.values() {
            self.hold(*program);
        }
        let found = self.operations(map, OPERATION)?;
        found.fill_with(programs.clone());
        found.operations = if link { OperationsState::Ready } else { OperationsState::Registered };
        if !link {
            self.hooks.registered.insert(map, place);
            self.hold(map);
        }
        Ok(())
    }

    pub(super) fn operations_state(&mut self, map: Identity) -> Result<live::OperationsState> {
        Ok(match self.operations(map, "read the state of struct ops")?.operations {
            OperationsState::Empty | OperationsState::Ready => live::OperationsState::Unregistered,
            OperationsState::Registered => live::OperationsState::Registered,
            OperationsState::Ending => live::OperationsState::Spent,
        })
    }

    pub(super) fn unregister_operations(&mut self, map: Identity) -> Result<()> {
        let found = self.operations(map, "unregister struct ops")?;
        if found.operations == OperationsState::Registered {
            found.operations = OperationsState::Ending;
            self.hooks.registered.remove(&map);
            self.release(map);
        }
        Ok(())
    }

    pub(super) fn attach_operations(
        &mut self,
        map: Identity,
        attachment: &Attachment,
    ) -> Result<Identity> {
        let operation = format!("register {attachment}");
        let refused = |errno| KernelError::errno(operation.as_str(), errno);
        if self.operations(map, &operation)?.operations != OperationsState::Ready {
            return Err(refused(Errno::INVAL));
        }
        if self.is_taken(attachment) {
            return Err(refused(Errno::EXIST));
        }
        Ok(self.add(Object::Link(Link {
            of_type: LinkType::STRUCT_OPS,
            program: map,
            target: LinkTarget::StructOps { map: map.id },
            map: None,
            function: Some(attachment.to_string()),
        })))
    }

    /// Whether the kernel has something of that name already.
    fn is_taken(&self, attachment: &Attachment) -> bool {
        let place = attachment.to_string();
        let linked = |(_, link): (Identity, &Link)| {
            link.function.as_ref() == Some(&place)
                && link.target != LinkTarget::StructOps { map: 0 }
        };
        !attachment.shares_its_place()
            && (self.links().any(linked)
                || self.hooks.registered.values().any(|other| other.to_string() == place))
    }

    pub(super) fn update_operations(
        &mut self,
        link: Identity,
        new: Identity,
        old: Option<Identity>,
    ) -> Result<()> {
        const OPERATION: &str = "update the link";
        let refused = |errno| Err(KernelError::errno(OPERATION, errno));
        self.expect(new, ObjectKind::Map, OPERATION)?;
        if self.operations(new, OPERATION)?.operations != OperationsState::Ready {
            return refused(Errno::INVAL);
        }
        let Some(Counted { object: Object::Link(found), .. }) = self.objects.get_mut(&link) else {
            return refused(Errno::INVAL);
        };
        let ops = found.function.as_deref().and_then(|place| place.split(':').nth(1));
        if !ops.is_some_and(operations::updates_in_place) {
            return refused(Errno::OPNOTSUPP);
        }
        if found.target == (LinkTarget::StructOps { map: 0 }) {
            return refused(Errno::NOLINK);
        }
        if old.is_some_and(|old| old != found.program) {
            return refused(Errno::PERM);
        }
        let replaced = std::mem::replace(&mut found.program, new);
        found.target = LinkTarget::StructOps { map: new.id };
        self.hold(new);
        self.release(replaced);
        Ok(())
    }
}
