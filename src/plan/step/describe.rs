//! Steps in words, for errors and logs.

use std::fmt;

use super::{Sockets, Step};
use crate::model::live::FilterKey;

/// Fits to follow "cannot".
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeRoot => f.write_str("make the pin root"),
            Self::MakeDirectory(path) => write!(f, "make directory {path}"),
            Self::Open { pin, .. } => write!(f, "open pin {pin}"),
            Self::OpenMap { id } => write!(f, "open map id {id}"),
            Self::CreateMap { address, .. } => write!(f, "create {address}"),
            Self::LoadPrograms(loads) => {
                let s = if loads.len() == 1 { "" } else { "s" };
                let names: Vec<String> =
                    loads.iter().map(|load| format!("`{}`", load.object)).collect();
                write!(f, "load the programs of object{s} {}", names.join(", "))
            }
            Self::LoadDispatcher => f.write_str("load a dispatcher of XDP programs"),
            Self::Sockets(Sockets { map, to: Some(program), .. }) => {
                write!(f, "attach {program} to {map}")
            }
            Self::Sockets(Sockets { map, from, .. }) => match from {
                Some(program) => write!(f, "detach {program} from {map}"),
                None => write!(f, "detach nothing from {map}"),
            },
            Self::Dispatch(change) => {
                write!(f, "change what the XDP dispatcher of `{}` calls", change.interface)
            }
            Self::LoadReplacement { object, program, replaced, .. } => {
                write!(f, "load program `{program}` of object `{object}` for {replaced}")
            }
            Self::FillOperations(ops) => write!(f, "fill {}", ops.slot),
            Self::Register(ops) => write!(f, "register {}", ops.slot),
            Self::Unregister { map } => write!(f, "unregister {map}"),
            Self::FillSlots { map, .. } => write!(f, "fill the slots of {map}"),
            Self::CopyEntries { from, to, .. } => write!(f, "copy the entries of {from} to {to}"),
            Self::CarryEntries { from, to, .. } => {
                write!(f, "carry late writes of {from} over to {to}")
            }
            Self::Pin { slot, pin } => write!(f, "pin {slot} at {pin}"),
            Self::Swap { slot, pin, .. } => write!(f, "put {slot} in place of pin {pin}"),
            Self::Rename { from, to } => write!(f, "rename pin {from} to {to}"),
            Self::Attach { address, .. }
            | Self::AttachFilter { address, .. }
            | Self::Hold { address, .. } => write!(f, "attach {address}"),
            Self::Bridge { address, .. } => write!(f, "attach {address} at a place nearby"),
            Self::TakeLink { address, link } => write!(f, "take link {link} for {address}"),
            Self::OpenForeign { program } => write!(f, "open program id {program}"),
            Self::OpenPinned { pin, .. } => {
                write!(f, "open the program pinned at {}", pin.display())
            }
            Self::UpdateLink { link, .. } => write!(f, "swap the program of {link}"),
            Self::Detach { link, .. } => write!(f, "detach {link}"),
            Self::Release { pin, .. } => write!(f, "let go of the link {pin}"),
            Self::ReplaceFilter { key, .. } => write!(f, "replace {}", filter(key)),
            Self::RemoveFilter { key, .. } => write!(f, "remove {}", filter(key)),
            Self::Retire { pin, .. } => write!(f, "retire pin {pin}"),
            Self::DropStaged(pin) => write!(f, "drop {pin}"),
            Self::RemoveDirectory(path) => write!(f, "remove directory {path}"),
            Self::RemoveRoot => f.write_str("remove the pin root"),
        }
    }
}

/// A filter in the words of tc(8).
fn filter(key: &FilterKey) -> String {
    format!(
        "filter {} {} pref {} handle {:#x}",
        key.interface,
        key.direction.as_str(),
        key.priority,
        key.handle
    )
}
