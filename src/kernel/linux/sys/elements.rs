//! The entries of a map: reading, writing and deleting them, one by one or in batches (5.6).

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::abi::{self, Command};
use super::{Answer, MapInfo, address, address_mut, bpf, bpf_once, map_info, number};
use crate::model::entries::EntryKind;

/// A map with entries, and how many bytes the kernel reads and writes for one.
#[derive(Clone, Debug)]
pub(in crate::kernel::linux) struct Elements<'a> {
    map: BorrowedFd<'a>,
    key_size: usize,
    value_size: usize,
    /// Possible CPUs, if a value is one for each of them.
    cpus: Option<usize>,
}

/// What a batch operation did.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::linux) struct Batch {
    /// How the kernel ended it; `ENOENT` at the end of a map.
    pub(in crate::kernel::linux) answer: Answer<()>,
    /// How many entries it took or gave before that. Means something only for an answer that a batch
    /// operation gives while it runs.
    pub(in crate::kernel::linux) count: usize,
}

impl<'a> Elements<'a> {
    /// `EINVAL` for anything but a map with entries as [`EntryKind`] knows them.
    pub(in crate::kernel::linux) fn of(map: BorrowedFd<'a>) -> Answer<(Self, MapInfo)> {
        let info = map_info(map)?;
        let kind = EntryKind::of(info.shape.map_type).map_err(|_reason| Errno::INVAL)?;
        let size = |bytes| usize::try_from(bytes).map_err(|_beyond| Errno::TOOBIG);
        let (key_size, one) = (size(info.shape.key_size)?, size(info.shape.value_size)?);
        let cpus = if kind.is_per_cpu() { Some(possible_cpus()?) } else { None };
        // `bpf_map_value_size` in `kernel/bpf/syscall.c`.
        let value_size = match cpus {
            Some(cpus) => one.next_multiple_of(8).checked_mul(cpus).ok_or(Errno::TOOBIG)?,
            None => one,
        };
        Ok((Self { map, key_size, value_size, cpus }, info))
    }

    /// Possible CPUs, if a value is one for each of them.
    pub(in crate::kernel::linux) fn cpus(&self) -> Option<usize> {
        self.cpus
    }

    /// Reads an entry.
    pub(in crate::kernel::linux) fn lookup(
        &self,
        key: &[u8],
        value: &mut [u8],
        flags: u64,
    ) -> Answer<()> {
        let mut attr = self.element(key, address_mut(value), value.len(), flags)?;
        // SAFETY: `MapElement` is what `BPF_MAP_LOOKUP_ELEM` takes; the kernel reads `key_size` bytes
        // and writes `value_size`, which are the lengths of these slices.
        unsafe { bpf(Command::MapLookupElem, &mut attr) }.map(drop)
    }

    /// Writes an entry.
    pub(in crate::kernel::linux) fn update(
        &self,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Answer<()> {
        let mut attr = self.element(key, address(value), value.len(), flags)?;
        // SAFETY: `MapElement` is what `BPF_MAP_UPDATE_ELEM` takes; the kernel reads `key_size` and
        // `value_size` bytes, which are the lengths of these slices.
        unsafe { bpf(Command::MapUpdateElem, &mut attr) }.map(drop)
    }

    /// Deletes an entry.
    pub(in crate::kernel::linux) fn delete(&self, key: &[u8]) -> Answer<()> {
        let mut attr = self.element(key, 0, self.value_size, 0)?;
        // SAFETY: `MapElement` is what `BPF_MAP_DELETE_ELEM` takes; the kernel reads `key_size` bytes,
        // which is the length of `key`, and no value.
        unsafe { bpf(Command::MapDeleteElem, &mut attr) }.map(drop)
    }

    /// Finds the key after `key`; the first one for `None`, and for a key that is not there.
    pub(in crate::kernel::linux) fn next_key(
        &self,
        key: Option<&[u8]>,
        next: &mut [u8],
    ) -> Answer<()> {
        if key.is_some_and(|key| key.len() != self.key_size) || next.len() != self.key_size {
            return Err(Errno::INVAL);
        }
        let mut attr = abi::MapElement {
            map_fd: number(self.map),
            key: key.map_or(0, address),
            value: address_mut(next),
            ..abi::MapElement::default()
        };
        // SAFETY: `MapElement` is what `BPF_MAP_GET_NEXT_KEY` takes, with the next key in the place
        // of the value; the kernel reads and writes `key_size` bytes, which is the length of each.
        unsafe { bpf(Command::MapGetNextKey, &mut attr) }.map(drop)
    }

    /// Reads as many entries as `keys` and `values` have room for. `from` is where the batch before
    /// ended, which it wrote into its `to`; both have the [length of a place](Self::place_len).
    pub(in crate::kernel::linux) fn lookup_batch(
        &self,
        (from, to): (Option<&[u8]>, &mut [u8]),
        keys: &mut [u8],
        values: &mut [u8],
        flags: u64,
    ) -> Batch {
        let place = self.place_len();
        if from.is_some_and(|from| from.len() != place) || to.len() != place {
            return Batch { answer: Err(Errno::INVAL), count: 0 };
        }
        let places = (from.map_or(0, address), address_mut(to));
        let (keys, values) = ((address_mut(keys), keys.len()), (address_mut(values), values.len()));
        match self.batch(places, keys, values, flags) {
            // SAFETY: as `batch` says; the places have what the kernel reads and writes.
            Ok(attr) => unsafe { run_batch(Command::MapLookupBatch, attr) },
            Err(errno) => Batch { answer: Err(errno), count: 0 },
        }
    }

    /// Writes entries.
    pub(in crate::kernel::linux) fn update_batch(
        &self,
        keys: &[u8],
        values: &[u8],
        flags: u64,
    ) -> Batch {
        let (keys, values) = ((address(keys), keys.len()), (address(values), values.len()));
        match self.batch((0, 0), keys, values, flags) {
            // SAFETY: as `batch` says; the kernel only reads.
            Ok(attr) => unsafe { run_batch(Command::MapUpdateBatch, attr) },
            Err(errno) => Batch { answer: Err(errno), count: 0 },
        }
    }

    /// Bytes of a place in the order of batches: a key, or for hashes the number of a bucket.
    pub(in crate::kernel::linux) fn place_len(&self) -> usize {
        self.key_size.max(size_of::<u32>())
    }

    /// What a command for one element takes, with lengths checked.
    fn element(
        &self,
        key: &[u8],
        value: u64,
        value_len: usize,
        flags: u64,
    ) -> Answer<abi::MapElement> {
        if key.len() != self.key_size || value_len != self.value_size {
            return Err(Errno::INVAL);
        }
        let map_fd = number(self.map);
        Ok(abi::MapElement { map_fd, pad: 0, key: address(key), value, flags })
    }

    /// What a batch command takes: `count` is how many entries both buffers have room for, exactly.
    fn batch(
        &self,
        (in_batch, out_batch): (u64, u64),
        (keys, keys_len): (u64, usize),
        (values, values_len): (u64, usize),
        elem_flags: u64,
    ) -> Answer<abi::MapBatch> {
        let count = keys_len.checked_div(self.key_size).ok_or(Errno::INVAL)?;
        if count * self.key_size != keys_len || count * self.value_size != values_len {
            return Err(Errno::INVAL);
        }
        let count = u32::try_from(count).map_err(|_beyond| Errno::TOOBIG)?;
        let map_fd = number(self.map);
        Ok(abi::MapBatch { in_batch, out_batch, keys, values, count, map_fd, elem_flags, flags: 0 })
    }
}

/// Runs a batch command once: an interrupted one has told how far it came.
///
/// # Safety
/// `attr` is what `command` takes, and every address in it is valid for `count` entries of the map.
unsafe fn run_batch(command: Command, mut attr: abi::MapBatch) -> Batch {
    // SAFETY: the caller's promise.
    let answer = unsafe { bpf_once(command, &mut attr) }.map(drop);
    Batch { answer, count: usize::try_from(attr.count).unwrap_or_default() }
}

/// `num_possible_cpus()` of the kernel, which decides how much it writes for a value of each CPU.
fn possible_cpus() -> Answer<usize> {
    aya::util::nr_cpus().map_err(|(_path, error)| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
