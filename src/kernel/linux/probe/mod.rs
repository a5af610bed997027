//! Programs that watch functions and events: where those are, and the links to them.

mod arguments;
mod attach;
mod elf;
mod events;
mod file;
mod functions;
mod mapped;
mod multi;
mod places;
mod pmu;
mod settle;
mod specs;
mod symbols;
mod target;
mod usdt;

pub(super) use attach::{By, Call, attach};
pub(super) use events::has_event_links;
pub(super) use file::candidates;
pub(super) use settle::settle;
pub(super) use target::state;
