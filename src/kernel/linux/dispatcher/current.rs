//! The dispatcher that runs on an interface, read so that another can take its place.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::io::Errno;

use super::super::handle::Handle;
use super::super::sys::{self, Answer, flags as sys_flags};
use super::super::xdp;
use super::config::Calls;
use super::pins::{Key, Pins};
use super::{NAME, value};
use crate::model::attach::XdpMode;
use crate::model::dispatch::{LiveDispatcher, LiveMember, Run};

/// What runs as XDP on an interface.
pub(super) enum Current {
    Nothing,
    Dispatcher(Dispatcher),
    /// Something that cannot be changed, and why.
    Other(String),
    /// Somebody else put another in its place just now.
    Changing,
}

/// A dispatcher with what it calls.
pub(super) struct Dispatcher {
    pub(super) key: Key,
    pub(super) program: OwnedFd,
    pub(super) mode: XdpMode,
    pub(super) calls: Calls,
    /// The program in each slot.
    pub(super) programs: Vec<Handle>,
}

impl Current {
    /// Reads what runs. Without pins there are no programs.
    pub(super) fn read(interface: u32, pins: Option<&Pins>) -> Answer<Self> {
        let Some(running) = xdp::running(interface, XdpMode::Auto)? else {
            return Ok(Self::Nothing);
        };
        let key = Key { interface, dispatcher: running.program_id };
        let program = match sys::open_program(key.dispatcher) {
            Err(Errno::NOENT) => return Ok(Self::Changing),
            opened => opened?,
        };
        let is_called_so = sys::program_info(program.as_fd())?.name == NAME;
        let value = if is_called_so { value(program.as_fd())? } else { None };
        let Some(value) = value else {
            return Ok(Self::Other("is no dispatcher of libxdp".to_owned()));
        };
        let calls = match Calls::parse(&value) {
            Ok(calls) => calls,
            Err(reason) => {
                return Ok(Self::Other(format!("is a dispatcher of libxdp that {reason}")));
            }
        };
        let opened: Option<Vec<Handle>> = pins.and_then(|pins| {
            (0..calls.slots.len()).map(|slot| pins.program(key, slot).ok()).collect()
        });
        let Some(programs) = opened else {
            let now = xdp::running(interface, XdpMode::Auto)?;
            if now.is_none_or(|now| now.program_id != key.dispatcher) {
                return Ok(Self::Changing);
            }
            return Ok(Self::Other(format!(
                "is a dispatcher of libxdp without the pins of what it calls below {}",
                Pins::path().display()
            )));
        };
        let mode = running.mode();
        Ok(Self::Dispatcher(Dispatcher { key, program, mode, calls, programs }))
    }
}

impl Dispatcher {
    fn members(&self) -> Vec<LiveMember> {
        let slots = self.calls.slots.iter().zip(&self.programs);
        slots
            .map(|(slot, program)| LiveMember {
                program_id: program.identity().id,
                run: Run::new(slot.priority, slot.actions),
                frags: slot.flags & sys_flags::XDP_HAS_FRAGS != 0,
            })
            .collect()
    }
}

/// What a dispatcher on an interface calls, and what others before it have left; `None` if there is
/// neither, or none that could be changed.
pub(super) fn live(interface: u32, pins: Option<&Pins>) -> Answer<Option<LiveDispatcher>> {
    let current = Current::read(interface, pins)?;
    let runs = match &current {
        Current::Dispatcher(found) => Some(found.key),
        _ => None,
    };
    let mut leftovers = BTreeMap::new();
    if let Some(pins) = pins {
        let others = |key: &Key| key.interface == interface && Some(*key) != runs;
        for key in pins.all()?.into_iter().filter(others) {
            leftovers.insert(key.dispatcher, pins.programs(key).into_iter().collect());
        }
    }
    // It may have gone meanwhile.
    let name = super::super::interface::name(interface).unwrap_or_default();
    Ok(match current {
        Current::Dispatcher(found) => Some(LiveDispatcher {
            interface: name,
            program_id: found.key.dispatcher,
            mode: found.mode,
            members: found.members(),
            leftovers,
        }),
        _ if leftovers.is_empty() => None,
        _ => Some(LiveDispatcher {
            interface: name,
            program_id: 0,
            mode: XdpMode::Auto,
            members: Vec::new(),
            leftovers,
        }),
    })
}
