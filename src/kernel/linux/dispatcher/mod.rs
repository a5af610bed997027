//! Dispatchers of libxdp: an XDP program that calls several others, one after the other.
//!
//! An interface takes one XDP program. libxdp's protocol (`lib/libxdp/protocol.org` of xdp-tools)
//! makes that a dispatcher, whose functions `prog0` to `prog9` are replaced by the programs that
//! shall run. The programs are pinned below [`PINS`], and how they run stands in the dispatcher's one
//! map. Here they are read, so that whoever is in the way has a name.

mod config;

use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::io::Errno;

use super::sys::{self, Answer, Elements};
use super::{bpffs, occupant};
use config::Config;

/// Where libxdp pins what dispatchers call, unless `LIBXDP_BPFFS` tells it otherwise.
const PINS: &str = "/sys/fs/bpf/xdp";

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
        let maps = sys::program_map_ids(opened.as_fd(), info.maps)?;
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
        let Some(Config { version, programs }) = Config::parse(&value) else { return Ok(None) };
        let pins = Path::new(PINS).join(format!("dispatch-{interface}-{program}"));
        let calls = (0..programs).map(|slot| called(&pins.join(format!("prog{slot}-prog"))));
        Ok(Some(Self { version, calls: calls.collect() }))
    }

    /// What it is and what it calls, for messages.
    pub(super) fn describe(&self) -> String {
        let all: Vec<String> = self
            .calls
            .iter()
            .map(|called| match called {
                Some(Called { id, name }) => format!("program {id} (`{name}`)"),
                None => format!("a program without a pin below {PINS}"),
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

fn called(pin: &Path) -> Option<Called> {
    let id = bpffs::open_program(pin).ok()?.identity().id;
    Some(Called { id, name: occupant::program_name(id) })
}
