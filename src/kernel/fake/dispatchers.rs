//! Dispatchers of libxdp: what they call. Their pins and their own programs are not shown.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::super::{Dispatching, KernelError, Result};
use super::fault::CallKind;
use super::objects::Link;
use super::state::State;
use super::{Fake, Handle};
use crate::model::attach::XdpMode;
use crate::model::dispatch::{LiveDispatcher, LiveMember, PROGRAMS_MAX, Run};
use crate::model::identity::{Identity, ObjectKind};
use crate::model::kinds::{LinkType, ProgramType};
use crate::model::live::LinkTarget;

/// A program that a dispatcher calls and holds.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) program: Identity,
    pub(super) run: Run,
    frags: bool,
}

impl Fake {
    pub(super) fn make_dispatcher(&self) -> Result<Handle> {
        let program = self.act(CallKind::LoadDispatcher, "")?.add_dispatcher();
        Ok(self.handle(program))
    }

    /// Has the dispatcher of an interface call nothing that `gone` says yes to, as somebody else would do
    /// it; the last takes the dispatcher along.
    pub fn unload_from_dispatcher(&self, interface: &str, gone: impl Fn(u32) -> bool) {
        let mut state = self.lock();
        let Ok(index) = state.hooks.interface(interface, "unload") else { return };
        let there = state.hooks.dispatchers.remove(&index).unwrap_or_default();
        let (gone, kept): (Vec<Member>, Vec<Member>) =
            there.into_iter().partition(|member| gone(member.program.id));
        if !kept.is_empty() {
            state.hooks.dispatchers.insert(index, kept);
        }
        for member in gone {
            state.release(member.program);
        }
    }
}

impl State {
    pub(super) fn dispatcher(&self, interface: u32) -> Option<LiveDispatcher> {
        let there = self.hooks.dispatchers.get(&interface)?;
        let members = there.iter().map(|member| LiveMember {
            program_id: member.program.id,
            run: member.run.clone(),
            frags: member.frags,
        });
        Some(LiveDispatcher {
            interface: self.hooks.interface_name(interface),
            program_id: u32::MAX,
            mode: XdpMode::Auto,
            members: members.collect(),
            leftovers: BTreeMap::new(),
        })
    }

    pub(super) fn dispatch(&mut self, change: &Dispatching<'_, Handle>) -> Result<()> {
        let operation = format!("change what the XDP dispatcher of `{}` calls", change.interface);
        let refused = |errno| Err(KernelError::errno(operation.as_str(), errno));
        let index = self.hooks.interface(change.interface, &operation)?;
        if index != change.index {
            return refused(Errno::NODEV);
        }
        let mut members = self.hooks.dispatchers.get(&index).cloned().unwrap_or_default();
        let mut leaving: Vec<Identity> = change.remove.iter().map(|gone| gone.object).collect();
        leaving.extend(change.add.iter().map(|joining| joining.program.object));
        members.retain(|member| !leaving.contains(&member.program));
        for joining in &change.add {
            let program = joining.program.object;
            self.expect(program, ObjectKind::Program, &operation)?;
            if self.program(program, &operation)?.of_type != ProgramType::EXT {
                return refused(Errno::INVAL);
            }
            members.push(Member { program, run: joining.run.clone(), frags: joining.frags });
        }
        let alone = |(_, link): (Identity, &Link)| {
            let target = LinkTarget::Interface { index, attach_type: None };
            link.of_type == LinkType::XDP && link.target == target
        };
        if !change.add.is_empty() && self.links().any(alone) {
            return refused(Errno::BUSY);
        }
        if members.len() > PROGRAMS_MAX {
            return Err(KernelError::reason(operation, "it would call too many programs"));
        }
        let name = |member: &Member| self.program(member.program, "").map(|p| p.name.clone()).ok();
        members.sort_by_key(|member| (member.run.priority, name(member), member.program));
        for member in &members {
            self.hold(member.program);
        }
        let before = if members.is_empty() {
            self.hooks.dispatchers.remove(&index)
        } else {
            self.hooks.dispatchers.insert(index, members)
        };
        for member in before.unwrap_or_default() {
            self.release(member.program);
        }
        Ok(())
    }

    /// The interface with that index has gone.
    pub(super) fn sever_dispatcher(&mut self, gone: u32) {
        for member in self.hooks.dispatchers.remove(&gone).unwrap_or_default() {
            self.release(member.program);
        }
    }
}
