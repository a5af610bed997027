//! The steps that make attachments, and that let go of them.

use std::collections::BTreeMap;

use rustix::io::Errno;

use crate::kernel::{Dispatching, Joining, Kernel, KernelError};
use crate::model::address::Address;
use crate::model::attach::Attachment;
use crate::model::inventory::{Anchor, LinkRecord, Resource};
use crate::model::pin::PinPath;
use crate::plan::{Dispatch, Operations, ProgramRef, Slot, Sockets};

use super::super::undo::Undo;
use super::{Executor, Result};

impl<K: Kernel> Executor<'_, K> {
    pub(super) fn attach(
        &self,
        what: &ProgramRef,
        attachment: &Attachment,
        others: &BTreeMap<String, Slot>,
    ) -> Result<K::Handle> {
        let handle = self.handle(&what.slot)?;
        if let Attachment::StructOps { .. } = attachment {
            return self.kernel.attach_operations(handle, attachment);
        }
        let spec = self.program_spec(what)?;
        if others.is_empty() {
            return self.kernel.attach(handle, spec, attachment);
        }
        self.kernel.attach_with(handle, spec, attachment, &self.others(others)?)
    }

    fn others<'o>(
        &'o self,
        others: &'o BTreeMap<String, Slot>,
    ) -> Result<BTreeMap<&'o str, &'o K::Handle>> {
        others.iter().map(|(name, slot)| Ok((name.as_str(), self.handle(slot)?))).collect()
    }

    /// The link goes with the run, whatever comes of it.
    pub(super) fn bridge(
        &mut self,
        address: &Address,
        program: &ProgramRef,
        attachments: &[Attachment],
    ) -> Result<()> {
        for attachment in attachments {
            match self.attach(program, attachment, &BTreeMap::new()) {
                Ok(link) => {
                    self.bridges.push(link);
                    return Ok(());
                }
                Err(error) if error.raw() == Some(Errno::BUSY) => {}
                Err(error) => return Err(error),
            }
        }
        tracing::warn!(%address, "every place nearby is taken: for a moment nothing runs there");
        Ok(())
    }

    /// Registers a struct of operations without a link, and records which map it is.
    pub(super) fn register(&mut self, ops: &Operations) -> Result<()> {
        self.fill_operations(ops)?;
        let id = self.kernel.id(self.handle(&ops.slot)?);
        self.undo.push(Undo::Unregister(ops.slot.clone()));
        let of = Address::map(&ops.object, &ops.map);
        for resource in self.after.resources.values_mut() {
            if let Resource::Link(LinkRecord {
                program, anchor: Anchor::Registration { map }, ..
            }) = resource
                && *program == of
            {
                *map = id;
            }
        }
        Ok(())
    }

    pub(super) fn release(
        &mut self,
        link: &Slot,
        pin: &PinPath,
        program: &ProgramRef,
        attachment: &Attachment,
    ) -> Result<()> {
        self.open(pin, self.kernel.identity_of(self.handle(link)?))?;
        let missing = || KernelError::reason(format!("use {link}"), "no earlier step obtained it");
        let handle = self.held.remove(link).ok_or_else(missing)?;
        self.kernel.release_link(handle, &self.root, pin)?;
        let (pin, program, attachment) = (pin.clone(), program.clone(), attachment.clone());
        self.undo.push(Undo::Attach { pin, program, attachment });
        Ok(())
    }

    /// Attaches by a descriptor of this process, and records it.
    pub(super) fn attach_held(
        &mut self,
        address: &Address,
        program: &ProgramRef,
        attachment: &Attachment,
        others: &BTreeMap<String, Slot>,
    ) -> Result<()> {
        let spec = self.program_spec(program)?;
        let (handle, others) = (self.handle(&program.slot)?, self.others(others)?);
        let held = self.kernel.hold(handle, spec, attachment, &others)?;
        let descriptor = self.kernel.descriptor(&held)?;
        self.made.insert(descriptor, held);
        self.undo.push(Undo::LetGo(descriptor));
        let record = LinkRecord {
            id: 0,
            program: Address::program(&program.object, &program.program),
            attachment: Some(attachment.clone()),
            anchor: Anchor::Held(descriptor),
            public: None,
        };
        self.after.resources.insert(address.clone(), Resource::Link(record));
        Ok(())
    }

    pub(super) fn change_dispatcher(&mut self, change: &Dispatch) -> Result<()> {
        self.dispatch(change)?;
        self.undo.push(Undo::Dispatch(change.inverse()));
        Ok(())
    }

    /// Has a dispatcher call what it shall from now on.
    pub(super) fn dispatch(&self, change: &Dispatch) -> Result<()> {
        let mut add = Vec::new();
        for member in &change.add {
            let program = self.handle(&member.program)?;
            add.push(Joining { program, run: &member.run, frags: member.frags });
        }
        let remove = change.remove.iter().map(|member| self.handle(&member.program));
        self.kernel.dispatch(&Dispatching {
            interface: &change.interface,
            index: change.index,
            mode: change.mode,
            add,
            remove: remove.collect::<Result<_>>()?,
            sweep: change.sweep.clone(),
        })
    }

    pub(super) fn change_sockets(&mut self, change: &Sockets) -> Result<()> {
        if self.set_sockets(change)? {
            self.undo.push(Undo::Sockets(change.inverse()));
        }
        Ok(())
    }

    /// Has a map of sockets keep what it shall from now on; says whether that was a change.
    pub(super) fn set_sockets(&self, change: &Sockets) -> Result<bool> {
        let map = self.handle(&change.map)?;
        let from = change.from.as_ref().map(|from| self.handle(from)).transpose()?;
        match (&change.to, from) {
            (Some(to), from) => {
                self.kernel.keep(map, change.attach_type, self.handle(to)?, from).map(|()| true)
            }
            (None, Some(from)) => self.kernel.let_go(map, change.attach_type, from),
            (None, None) => Ok(false),
        }
    }

    pub(super) fn attach_filter(
        &mut self,
        address: &Address,
        program: &ProgramRef,
        attachment: &Attachment,
        shares_clsact: bool,
    ) -> Result<()> {
        let spec = self.program_spec(program)?;
        let filter = self.kernel.attach_filter(self.handle(&program.slot)?, spec, attachment)?;
        let key = filter.key;
        let with_clsact = filter.made_clsact;
        self.undo.push(Undo::RemoveFilter { key: key.clone(), with_clsact });
        let record = LinkRecord {
            id: 0,
            program: Address::program(&program.object, &program.program),
            attachment: Some(attachment.clone()),
            anchor: Anchor::Filter { key, made_clsact: with_clsact || shares_clsact },
            public: None,
        };
        self.after.resources.insert(address.clone(), Resource::Link(record));
        Ok(())
    }
}
