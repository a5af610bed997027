//! Dispatchers of libxdp: an XDP program that calls several others, one after the other.
//!
//! An interface takes one XDP program. libxdp's protocol (`lib/libxdp/protocol.org` of xdp-tools)
//! makes that a dispatcher, whose functions `prog0` to `prog9` are replaced by the programs that
//! shall run. The programs are pinned below `/sys/fs/bpf/xdp`, and how they run stands in the dispatcher's one
//! map. Here they are read, so that whoever is in the way has a name, and changed, so that programs of
//! a deployment run beside those of others.

mod change;
mod config;
mod current;
mod pins;
mod program;

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::io::Errno;

use super::super::{Dispatching, KernelError, Result};
use super::handle::Handle;
use super::occupant;
use super::sys::{self, Answer, Elements};
use crate::model::dispatch::LiveDispatcher;
use crate::model::identity::ObjectKind;
use config::{Calls, Config};
use pins::{Key, Pins};

/// What libxdp knows its dispatcher by (`check_dispatcher_version`).
const NAME: &str = "xdp_dispatcher";

/// A dispatcher that runs on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dispatcher {
    version: u8,
    /// The programs that it calls, in their order; `None` for one whose pin cannot be read.
    calls: Vec<Option<Called>>,
}

/// A program that a dispatcher calls.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Called {
    id: u32,
    name: String,
}

impl Dispatcher {
    /// What a program that runs on an interface is a dispatcher of; `None` if it is none.
    pub(super) fn of(program: u32, interface: u32) -> Answer<Option<Self>> {
        let opened = sys::open_program(program)?;
        let info = sys::program_info(opened.as_fd())?;
        if info.name != NAME {
            return Ok(None);
        }
        let value = value(opened.as_fd())?;
        let config = value.as_deref().and_then(Config::parse);
        let Some(Config { version, programs }) = config else { return Ok(None) };
        let pins = Pins::look("look for a dispatcher").ok().flatten();
        let key = Key { interface, dispatcher: program };
        let calls = (0..usize::from(programs)).map(|slot| called(pins.as_ref()?, key, slot));
        Ok(Some(Self { version, calls: calls.collect() }))
    }

    /// Whether programs can be put beside those that it calls.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.version, 2 | 3) && self.calls.iter().all(Option::is_some)
    }

    /// What it is and what it calls, for messages.
    pub(super) fn describe(&self) -> String {
        let all: Vec<String> = self
            .calls
            .iter()
            .map(|called| match called {
                Some(Called { id, name }) => format!("program {id} (`{name}`)"),
                None => format!("a program without a pin below {}", Pins::path().display()),
            })
            .collect();
        let calls = if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
        format!("a libxdp dispatcher of version {}, which calls {calls}", self.version)
    }
}

/// The command that ends all that a dispatcher calls.
pub(super) fn unload(interface: &str) -> String {
    format!("xdp-loader unload {interface} --all")
}

fn called(pins: &Pins, key: Key, slot: usize) -> Option<Called> {
    let id = pins.program(key, slot).ok()?.identity().id;
    Some(Called { id, name: occupant::program_name(id) })
}

/// The value of a dispatcher's map; `None` if the program has no such map.
fn value(program: BorrowedFd<'_>) -> Answer<Option<Vec<u8>>> {
    let info = sys::program_info(program)?;
    let maps = sys::program_map_ids(program, info.maps)?;
    let [map] = maps.as_slice() else { return Ok(None) };
    let map = sys::open_map(*map)?;
    let (elements, shape) = match Elements::of(map.as_fd()) {
        Ok((elements, info)) => (elements, info.shape),
        Err(Errno::INVAL) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    // Not what any version has.
    if shape.key_size != 4 || shape.max_entries != 1 || shape.value_size > config::SIZE_MAX {
        return Ok(None);
    }
    let mut value = vec![0; usize::try_from(shape.value_size).unwrap_or_default()];
    elements.lookup(&0_u32.to_ne_bytes(), &mut value, 0)?;
    Ok(Some(value))
}

/// What a dispatcher on an interface calls; `None` if there is none, or none that could be changed.
pub(super) fn live(interface: u32) -> Result<Option<LiveDispatcher>> {
    const OPERATION: &str = "look at what an XDP dispatcher calls";
    let pins = Pins::look(OPERATION)?;
    current::live(interface, pins.as_ref()).map_err(|errno| {
        let error = KernelError::errno(OPERATION, errno);
        match errno {
            Errno::PERM => error.advice("to read a dispatcher of others needs CAP_SYS_ADMIN"),
            _ => error,
        }
    })
}

/// The interfaces, by index, for which there are pins.
pub(super) fn interfaces() -> Result<Vec<u32>> {
    const OPERATION: &str = "look for XDP dispatchers";
    let Some(pins) = Pins::look(OPERATION)? else { return Ok(Vec::new()) };
    let keys = pins.all().map_err(|errno| KernelError::errno(OPERATION, errno).at(Pins::path()))?;
    let indices: BTreeSet<u32> = keys.into_iter().map(|key| key.interface).collect();
    Ok(indices.into_iter().collect())
}

/// Changes what is called on an interface.
pub(super) fn change(wanted: &Dispatching<'_, Handle>) -> Result<()> {
    change::change(wanted)
}

/// A dispatcher that runs nowhere, for programs to be loaded for its first function.
pub(super) fn load() -> Result<Handle> {
    let slots = vec![config::Slot { actions: 0, priority: 0, flags: 0 }];
    let mut calls = Calls { version: config::VERSION, slots, frags: false };
    Handle::of_kind(program::load(&mut calls)?, ObjectKind::Program)
        .map_err(|errno| KernelError::errno("describe a dispatcher", errno))
}
