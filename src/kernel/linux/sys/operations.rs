//! Maps of struct ops: their one value, which registers them where no link does.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::abi::{self, Command};
use super::{Answer, address, address_mut, bpf, map_info, number};
use crate::model::kinds::MapType;

/// `enum bpf_struct_ops_state` of `include/linux/bpf.h`, which a value begins with after a reference
/// count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel::linux) enum OperationsState {
    /// Nothing was written into it.
    Empty,
    /// Registered, without a link.
    Registered,
    /// Unregistered; it cannot be registered again.
    Ending,
    /// A link can register it.
    Ready,
}

/// What became of a map of struct ops; `EINVAL` for any other map.
pub(in crate::kernel::linux) fn operations_state(map: BorrowedFd<'_>) -> Answer<OperationsState> {
    let mut value = vec![0_u8; value_size(map)?];
    let key = [0_u8; 4];
    let mut attr = abi::MapElement {
        map_fd: number(map),
        key: address(&key),
        value: address_mut(&mut value),
        ..abi::MapElement::default()
    };
    // SAFETY: `MapElement` is what `BPF_MAP_LOOKUP_ELEM` takes; the kernel reads a key of 4 bytes and
    // writes `value_size` bytes, as was checked.
    unsafe { bpf(Command::MapLookupElem, &mut attr) }?;
    let state = value.get(4..8).and_then(|bytes| bytes.try_into().ok()).ok_or(Errno::INVAL)?;
    match u32::from_ne_bytes(state) {
        0 => Ok(OperationsState::Empty),
        1 => Ok(OperationsState::Registered),
        2 => Ok(OperationsState::Ending),
        3 => Ok(OperationsState::Ready),
        _ => Err(Errno::INVAL),
    }
}

/// Writes the value of a map of struct ops; `EINVAL` for any other map, or a value of another size.
pub(in crate::kernel::linux) fn set_operations(map: BorrowedFd<'_>, value: &[u8]) -> Answer<()> {
    if value_size(map)? != value.len() {
        return Err(Errno::INVAL);
    }
    let key = [0_u8; 4];
    let mut attr = abi::MapElement {
        map_fd: number(map),
        key: address(&key),
        value: address(value),
        ..abi::MapElement::default()
    };
    // SAFETY: `MapElement` is what `BPF_MAP_UPDATE_ELEM` takes; the kernel reads a key of 4 bytes and
    // `value_size` bytes of the value, as was checked.
    unsafe { bpf(Command::MapUpdateElem, &mut attr) }.map(drop)
}

/// Unregisters a map of struct ops that has no link.
pub(in crate::kernel::linux) fn delete_operations(map: BorrowedFd<'_>) -> Answer<()> {
    value_size(map)?;
    let key = [0_u8; 4];
    let mut attr =
        abi::MapElement { map_fd: number(map), key: address(&key), ..abi::MapElement::default() };
    // SAFETY: `MapElement` is what `BPF_MAP_DELETE_ELEM` takes; the kernel reads a key of 4 bytes, as was
    // checked.
    unsafe { bpf(Command::MapDeleteElem, &mut attr) }.map(drop)
}

fn value_size(map: BorrowedFd<'_>) -> Answer<usize> {
    let shape = map_info(map)?.shape;
    if shape.map_type != MapType::STRUCT_OPS || shape.key_size != 4 {
        return Err(Errno::INVAL);
    }
    usize::try_from(shape.value_size).map_err(|_beyond| Errno::TOOBIG)
}
