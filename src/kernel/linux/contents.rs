//! The entries of the kernel's maps: read and written in batches where the kernel has them (hashes
//! and arrays since 5.6, other types later), otherwise one by one.

use std::cell::Cell;
use std::os::fd::AsFd as _;

use rustix::io::Errno;

use super::super::entries::{self, Carried, Condition, Copied, Lanes, Pass, Portion, Put, Table};
use super::super::error::ENOTSUPP;
use super::super::{KernelError, Result};
use super::Linux;
use super::handle::Handle;
use super::sys::{self, Batch, Elements, MapInfo, flags};
use crate::model::entries::{EntryKind, Transfer};
use crate::model::kinds::MapType;

/// About how many bytes go into one batch.
const BATCH_BYTES: usize = 1 << 20;

/// Most entries of one batch.
const BATCH_ENTRIES: usize = 1 << 13;

/// What a map that is written all the time may give out before it is given up, as a multiple of the
/// entries it can hold: where a key is deleted, an iteration begins anew.
const REPEATS: u64 = 8;

/// The maps between which entries go.
pub(super) fn open<'a>(
    linux: &Linux,
    [from, to]: [&'a Handle; 2],
    transfer: Transfer,
) -> Result<[Contents<'a>; 2]> {
    let batches = !linux.one_by_one;
    Ok([Contents::open(from, transfer, batches)?, Contents::open(to, transfer, batches)?])
}

pub(super) fn copy(
    [from, to]: &[Contents<'_>; 2],
    transfer: Transfer,
    progress: &mut dyn FnMut(Pass),
) -> Result<Copied> {
    entries::copy(from, to, transfer.kept, progress)
}

pub(super) fn carry(
    [from, to]: &[Contents<'_>; 2],
    transfer: Transfer,
    copied: &mut Copied,
    progress: &mut dyn FnMut(Pass),
) -> Result<Carried> {
    // A link runs its new program from now on, but another CPU may still be in the old one. One that
    // sleeps is not waited for.
    if let Err(errno) = sys::wait_for_programs() {
        tracing::debug!(%errno, "cannot wait for programs that still run");
    }
    entries::carry(from, to, transfer.kept, copied, progress)
}

/// One map.
pub(super) struct Contents<'a> {
    elements: Elements<'a>,
    info: MapInfo,
    kind: EntryKind,
    lanes: Lanes,
    /// [`flags::LOCK`] or 0.
    lock: u64,
    /// Whether the kernel reads and writes this type in batches, as far as that is known.
    batches: Cell<bool>,
}

impl<'a> Contents<'a> {
    fn open(map: &'a Handle, transfer: Transfer, batches: bool) -> Result<Self> {
        let operation = || format!("read the entries of {}", map.identity());
        let (elements, info) =
            Elements::of(map.as_fd()).map_err(|errno| KernelError::errno(operation(), errno))?;
        if EntryKind::of(info.shape.map_type) != Ok(transfer.kind) {
            let reason = format!("it is of another type, {}", info.shape.map_type);
            return Err(KernelError::reason(operation(), reason));
        }
        let size = usize::try_from(info.shape.value_size).unwrap_or(usize::MAX);
        let lanes = match elements.cpus() {
            Some(cpus) => Lanes::per_cpu(size, cpus),
            None => Lanes::one(size),
        };
        let lock = if transfer.locked { flags::LOCK } else { 0 };
        let kind = transfer.kind;
        Ok(Self { elements, info, kind, lanes, lock, batches: Cell::new(batches) })
    }

    fn error(&self, what: &str, errno: Errno) -> KernelError {
        let error = KernelError::errno(format!("{what} {}", self.name()), errno);
        match errno {
            Errno::PERM => error.advice(
                "it may be frozen, or its flags forbid it to user space; `on-mismatch = \"replace\"` \
                 starts empty",
            ),
            Errno::NOMEM => error.advice("the kernel has no memory for its entries"),
            _ => error,
        }
    }

    /// How many entries a batch begins with.
    fn portion(&self) -> usize {
        let entry = self.key_size() + self.lanes.bytes();
        let most = usize::try_from(self.info.shape.max_entries).unwrap_or(usize::MAX);
        (BATCH_BYTES / entry.max(1)).clamp(1, BATCH_ENTRIES).min(most.max(1))
    }

    fn scan_in_batches(&self, each: &mut dyn FnMut(&Portion) -> Result<()>) -> Result<Scanned> {
        let most = usize::try_from(self.info.shape.max_entries).unwrap_or(usize::MAX);
        let mut budget = Budget::new(self);
        let mut portion = Portion::new(self.key_size(), self.lanes.bytes());
        let mut room = self.portion();
        let mut place: Option<Vec<u8>> = None;
        let mut next = vec![0; self.elements.place_len()];
        loop {
            portion.resize(room);
            let (keys, values) = portion.parts_mut();
            let from = place.as_deref();
            let Batch { answer, count } =
                self.elements.lookup_batch((from, &mut next), keys, values, self.lock);
            match answer {
                // Nothing was read.
                Err(errno) if from.is_none() && is_unknown(errno) => return Ok(Scanned::Unable),
                // A bucket has more entries.
                Err(Errno::NOSPC) if room <= most => {
                    room *= 2;
                    continue;
                }
                // Before 6.15, for a key that was deleted while it was read.
                Ok(()) | Err(Errno::NOENT | Errno::INTR) => {}
                Err(errno) => return Err(self.error("read the entries of", errno)),
            }
            portion.resize(count.min(room));
            budget.spend(count)?;
            each(&portion)?;
            if answer == Err(Errno::NOENT) {
                return Ok(Scanned::Whole);
            }
            if count > 0 {
                place = Some(next.clone());
            }
        }
    }

    fn scan_one_by_one(&self, each: &mut dyn FnMut(&Portion) -> Result<()>) -> Result<()> {
        let mut budget = Budget::new(self);
        let mut portion = Portion::new(self.key_size(), self.lanes.bytes());
        let mut value = vec![0; self.lanes.bytes()];
        let mut key: Option<Vec<u8>> = None;
        let mut next = vec![0; self.key_size()];
        loop {
            match self.elements.next_key(key.as_deref(), &mut next) {
                Ok(()) => {}
                Err(Errno::NOENT) => return each(&portion),
                Err(errno) => return Err(self.error("list the entries of", errno)),
            }
            budget.spend(1)?;
            match self.elements.lookup(&next, &mut value, self.lock) {
                Ok(()) => portion.push(&next, &value),
                // Deleted a moment ago.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(self.error("read an entry of", errno)),
            }
            if portion.len() >= BATCH_ENTRIES {
                each(&portion)?;
                portion.clear();
            }
            key = Some(next.clone());
        }
    }

    fn put_one_by_one(&self, entries: &Portion) -> Result<usize> {
        for (index, (key, value)) in entries.iter().enumerate() {
            match self.elements.update(key, value, self.lock) {
                Ok(()) => {}
                Err(errno) if is_full(errno) => return Ok(index),
                Err(errno) => return Err(self.error("write an entry of", errno)),
            }
        }
        Ok(entries.len())
    }

    /// Whether a prefix is in a trie by itself. The key after one that is not there is the first of
    /// all (`trie_get_next_key` in `kernel/bpf/lpm_trie.c`), and the first comes after none.
    fn has_prefix(&self, key: &[u8]) -> Result<bool> {
        let mut first = vec![0; key.len()];
        let mut after = vec![0; key.len()];
        let (first_is, after_is) = (
            self.elements.next_key(None, &mut first),
            self.elements.next_key(Some(key), &mut after),
        );
        match (first_is, after_is) {
            (Err(Errno::NOENT), _) => Ok(false),
            (Ok(()), Err(Errno::NOENT)) => Ok(true),
            (Ok(()), Ok(())) => Ok(first != after),
            (Err(errno), _) | (_, Err(errno)) => Err(self.error("list the entries of", errno)),
        }
    }
}

impl Table for Contents<'_> {
    fn name(&self) -> String {
        format!("map `{}` (id {})", self.info.name, self.info.id)
    }

    fn key_size(&self) -> usize {
        usize::try_from(self.info.shape.key_size).unwrap_or(usize::MAX)
    }

    fn lanes(&self) -> Lanes {
        self.lanes
    }

    fn is_indexed(&self) -> bool {
        self.kind.is_indexed()
    }

    fn max_entries(&self) -> u32 {
        self.info.shape.max_entries
    }

    fn evicts_beyond(&self) -> Option<u32> {
        let shape = &self.info.shape;
        if !matches!(shape.map_type, MapType::LRU_HASH | MapType::LRU_PERCPU_HASH) {
            return None;
        }
        // With lists of its own, a CPU evicts once its share is used up (`bpf_percpu_lru_pop_free`
        // in `kernel/bpf/bpf_lru_list.c`).
        let own_lists = shape.map_flags & flags::NO_COMMON_LRU != 0;
        let cpus = if own_lists { aya::util::nr_cpus().unwrap_or(1) } else { 1 };
        Some(shape.max_entries / u32::try_from(cpus.max(1)).unwrap_or(u32::MAX))
    }

    fn scan(&self, each: &mut dyn FnMut(&Portion) -> Result<()>) -> Result<()> {
        if self.batches.get() && self.scan_in_batches(each)? == Scanned::Whole {
            return Ok(());
        }
        self.scan_one_by_one(each)
    }

    fn get(&self, key: &[u8], value: &mut [u8]) -> Result<bool> {
        if self.kind == EntryKind::Prefixes && !self.has_prefix(key)? {
            return Ok(false);
        }
        match self.elements.lookup(key, value, self.lock) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.error("read an entry of", errno)),
        }
    }

    fn put_all(&self, entries: &Portion) -> Result<usize> {
        if !self.batches.get() {
            return self.put_one_by_one(entries);
        }
        let (keys, values) = entries.parts();
        let Batch { answer, count } = self.elements.update_batch(keys, values, self.lock);
        match answer {
            Ok(()) => Ok(entries.len()),
            Err(errno) if is_full(errno) => Ok(count.min(entries.len())),
            Err(errno) if is_unknown(errno) => {
                self.batches.set(false);
                self.put_one_by_one(entries)
            }
            Err(errno) => Err(self.error("write the entries of", errno)),
        }
    }

    fn put(&self, key: &[u8], value: &[u8], condition: Condition) -> Result<Put> {
        // Tries ignore the condition before 6.13.
        if self.kind == EntryKind::Prefixes
            && self.has_prefix(key)? != (condition == Condition::Present)
        {
            return Ok(Put::Refused);
        }
        let condition = match condition {
            Condition::Absent => flags::NOEXIST,
            Condition::Present => flags::EXIST,
        };
        match self.elements.update(key, value, condition | self.lock) {
            Ok(()) => Ok(Put::Done),
            Err(Errno::EXIST | Errno::NOENT) => Ok(Put::Refused),
            Err(errno) if is_full(errno) => Ok(Put::Full),
            Err(errno) => Err(self.error("write an entry of", errno)),
        }
    }

    fn delete(&self, key: &[u8]) -> Result<bool> {
        match self.elements.delete(key) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.error("delete an entry of", errno)),
        }
    }
}

/// Whether a scan in batches was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scanned {
    /// It came to the end.
    Whole,
    /// The kernel reads this type one by one.
    Unable,
}

/// Bounds how long a map that never comes to rest is read.
struct Budget<'c, 'a> {
    contents: &'c Contents<'a>,
    left: u64,
}

impl<'c, 'a> Budget<'c, 'a> {
    fn new(contents: &'c Contents<'a>) -> Self {
        let left = u64::from(contents.info.shape.max_entries) * REPEATS + 1000;
        Self { contents, left }
    }

    /// A step without an entry costs one too.
    fn spend(&mut self, entries: usize) -> Result<()> {
        let cost = u64::try_from(entries).unwrap_or(u64::MAX).max(1);
        let Some(left) = self.left.checked_sub(cost) else {
            let operation = format!("read the entries of {}", self.contents.name());
            return Err(KernelError::reason(
                operation,
                "its keys are deleted faster than they can be listed",
            )
            .advice("try again when fewer are"));
        };
        self.left = left;
        Ok(())
    }
}

/// `E2BIG` of hashes and arrays, `ENOSPC` of tries.
fn is_full(errno: Errno) -> bool {
    matches!(errno, Errno::TOOBIG | Errno::NOSPC)
}

/// What the kernel answers to a command, or to a command for a type, that it does not know.
fn is_unknown(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::OPNOTSUPP) || errno.raw_os_error() == ENOTSUPP
}
