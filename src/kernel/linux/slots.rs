//! Initialised slots of prog arrays and map-in-maps (libbpf `init_prog_array_slots`,
//! `init_map_in_map_slots`).

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;

use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::handle::Handle;
use super::sys;
use crate::model::identity::ObjectKind;

/// Puts each program or map into its slot.
pub(super) fn fill(map: &Handle, slots: &BTreeMap<u32, &Handle>) -> Result<()> {
    for (index, content) in slots {
        sys::set_slot(map.as_fd(), *index, content.as_fd())
            .map_err(|errno| refused(*index, content, errno))?;
    }
    Ok(())
}

fn refused(index: u32, content: &Handle, errno: Errno) -> KernelError {
    let error = KernelError::errno(format!("put {} into slot {index}", content.identity()), errno);
    match (errno, content.kind()) {
        (Errno::INVAL, ObjectKind::Map) => error.advice(
            "it is not of the shape that the outer map says its inner maps have: type, sizes, flags \
             and, but for hashes, the number of entries must be the same",
        ),
        (Errno::INVAL, _) => error.advice(
            "all programs of a prog array must be of the type of the first one that used it, and \
             fit its other properties (JIT, XDP fragments, attach type)",
        ),
        (Errno::TOOBIG, _) => error.advice("the map has fewer entries; raise `max-entries`"),
        _ => error,
    }
}
