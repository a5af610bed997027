//! Carrying the entries of one map over into another, while programs go on writing.
//!
//! [`copy`] fills a map that nobody else sees yet, so it may overwrite. It goes over the old map
//! until it finds nothing new, or a few times. What programs write after that, [`carry`] brings over
//! once they write into the new map instead. Then both have writers' traces, and it compares three
//! values of each entry: what was copied, what the old map has, what the new map has.
//!
//! - Only the old map changed: its value (or its deletion) goes into the new map.
//! - Only the new map changed: it stays.
//! - Both changed: the new map's value stays, and the entry is counted.
//!
//! The old map is only ever read. What the kernel does not allow: bpf(2) has no compare-and-swap, so
//! a write into the new map between the comparison and the update is overwritten; it only affects
//! entries that were written late in the old map and not yet in the new. The values that a per-CPU
//! entry has for each CPU can only be written together, so they are compared together. Entries of an
//! LRU map come in another order of use, and the kernel may evict some before the map is full.

mod convert;
mod copied;
mod portion;
#[cfg(test)]
mod tests;

use super::{KernelError, Result};

pub(super) use convert::Lanes;
pub use copied::{Carried, Copied};
pub(super) use portion::Portion;

use convert::Conversion;

/// How often [`copy`] goes over a map that does not come to rest.
const PASSES: u32 = 3;

/// The entries of a map, as far as copying them needs it.
pub(super) trait Table {
    /// What to call it in messages.
    fn name(&self) -> String;

    /// Bytes of a key.
    fn key_size(&self) -> usize;

    /// How a value lies in memory.
    fn lanes(&self) -> Lanes;

    /// Whether every entry is there from the beginning, with zeros.
    fn is_indexed(&self) -> bool;

    /// Most entries it holds.
    fn max_entries(&self) -> u32;

    /// For a map that evicts entries rather than refuse new ones: how many it holds for certain, if
    /// one CPU puts them in. `None` for any other map.
    fn evicts_beyond(&self) -> Option<u32>;

    /// Hands out all entries, in portions. One that comes or goes meanwhile may be left out, one may
    /// come twice.
    fn scan(&self, each: &mut dyn FnMut(&Portion) -> Result<()>) -> Result<()>;

    /// Reads the very entry of that key; says whether there is one.
    fn get(&self, key: &[u8], value: &mut [u8]) -> Result<bool>;

    /// Writes entries, and says how many found room, counted from the first.
    fn put_all(&self, entries: &Portion) -> Result<usize>;

    /// Writes an entry if it is not there, or if it is.
    fn put(&self, key: &[u8], value: &[u8], condition: Condition) -> Result<Put>;

    /// Deletes an entry; says whether there was one.
    fn delete(&self, key: &[u8]) -> Result<bool>;
}

/// When an entry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// If the map has none of that key (`BPF_NOEXIST`).
    Absent,
    /// If it has one (`BPF_EXIST`).
    Present,
}

/// What came of writing an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It is written.
    Done,
    /// The condition did not hold.
    Refused,
    /// The map has no room for it.
    Full,
}

/// How far a map has been gone over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Whether it is gone over for what was written since it was copied.
    pub again: bool,
    /// The entries that were looked at.
    pub entries: u64,
    /// Most entries that it can have.
    pub most: u64,
}

/// Copies all entries of `from` into `to`, which nobody else sees. `kept` bytes of each value are
/// taken over. `progress` hears how many entries were looked at so far.
pub(super) fn copy(
    from: &dyn Table,
    to: &dyn Table,
    kept: u32,
    progress: &mut dyn FnMut(Pass),
) -> Result<Copied> {
    let conversion = Conversion::new(from.lanes(), to.lanes(), kept);
    let mut copied = Copied::new(from.key_size());
    // At first nothing can make room, so entries are written as they come. What finds none comes
    // again in the next pass.
    copied.begin_pass();
    let first = &mut |entries| progress(pass(from, false, entries));
    changes([from, to], &conversion, &mut copied, first, &mut |copied, changed| {
        write(to, copied, changed).map(drop)
    })?;
    let mut waiting = Portion::new(from.key_size(), to.lanes().bytes());
    for _ in 1..PASSES {
        copied.begin_pass();
        let again = &mut |entries| progress(pass(from, true, entries));
        changes([from, to], &conversion, &mut copied, again, &mut |_, changed| {
            waiting.append(changed);
            Ok(())
        })?;
        // What went first, so that there is room for what came.
        let mut settled = waiting.is_empty();
        for key in copied.unseen() {
            to.delete(&key)?;
            copied.forget(&key);
            settled = false;
        }
        let written = write(to, &mut copied, &waiting)?;
        if let Some((key, _)) = waiting.get(written) {
            return Err(too_small(from, to, key));
        }
        waiting.clear();
        if settled {
            break;
        }
    }
    evictions(from, to, &mut copied)?;
    Ok(copied)
}

/// Brings over what was written into `from` since `copied` was made, now that `to` is written too.
pub(super) fn carry(
    from: &dyn Table,
    to: &dyn Table,
    kept: u32,
    copied: &mut Copied,
    progress: &mut dyn FnMut(Pass),
) -> Result<Carried> {
    let conversion = Conversion::new(from.lanes(), to.lanes(), kept);
    let mut late = Portion::new(from.key_size(), to.lanes().bytes());
    copied.begin_pass();
    let again = &mut |entries| progress(pass(from, true, entries));
    changes([from, to], &conversion, copied, again, &mut |_, changed| {
        late.append(changed);
        Ok(())
    })?;
    let mut carried = Carried::default();
    for key in copied.unseen() {
        match current(to, copied, &key)? {
            None => {}
            Some(found) if Some(found) == copied.digest_of(&key) => {
                carried.entries += u64::from(to.delete(&key)?);
            }
            Some(_) => carried.conflicts += 1,
        }
    }
    let zeros = vec![0; to.lanes().bytes()];
    let initial = to.is_indexed().then(|| copied.digest(&zeros));
    for (key, value) in late.iter() {
        let before = copied.digest_of(key).or(initial);
        let wanted = copied.digest(value);
        let put = match (before, current(to, copied, key)?) {
            (None, None) => to.put(key, value, Condition::Absent)?,
            // An index past the end.
            (Some(_), None) if to.is_indexed() => Put::Full,
            (_, Some(found)) if found == wanted => continue,
            (Some(before), Some(found)) if found == before => {
                to.put(key, value, Condition::Present)?
            }
            _ => Put::Refused,
        };
        match put {
            Put::Done => carried.entries += 1,
            Put::Refused => carried.conflicts += 1,
            Put::Full => carried.no_room += 1,
        }
    }
    Ok(carried)
}

fn pass(from: &dyn Table, again: bool, entries: u64) -> Pass {
    Pass { again, entries, most: u64::from(from.max_entries()) }
}

/// Goes over `from` and hands out, as `to` has it, what is not as recorded. `progress` hears how many
/// entries were looked at.
fn changes(
    [from, to]: [&dyn Table; 2],
    conversion: &Conversion,
    copied: &mut Copied,
    progress: &mut dyn FnMut(u64),
    each: &mut dyn FnMut(&mut Copied, &Portion) -> Result<()>,
) -> Result<()> {
    let mut value = vec![0; to.lanes().bytes()];
    let mut changed = Portion::new(from.key_size(), value.len());
    let mut seen = 0;
    from.scan(&mut |found| {
        changed.clear();
        for (key, old) in found.iter() {
            conversion.convert(old, &mut value);
            let digest = copied.digest(&value);
            let same = match copied.see(key) {
                Some(recorded) => recorded == digest,
                // A new array has them already, and one that is shorter does not miss them.
                None => from.is_indexed() && value.iter().all(|byte| *byte == 0),
            };
            if !same {
                changed.push(key, &value);
            }
        }
        each(copied, &changed)?;
        seen += found.len() as u64;
        progress(seen);
        Ok(())
    })
}

/// Writes entries and records them; returns how many found room.
fn write(to: &dyn Table, copied: &mut Copied, entries: &Portion) -> Result<usize> {
    let written = if entries.is_empty() { 0 } else { to.put_all(entries)? };
    for (key, value) in entries.iter().take(written) {
        copied.record(key, value);
    }
    Ok(written)
}

/// The digest of an entry.
fn current(table: &dyn Table, copied: &Copied, key: &[u8]) -> Result<Option<u64>> {
    let lanes = table.lanes();
    let mut value = vec![0; lanes.bytes()];
    Ok(table.get(key, &mut value)?.then(|| {
        lanes.clear_padding(&mut value);
        copied.digest(&value)
    }))
}

/// A map that evicts says nothing of it, so what arrived is counted.
fn evictions(from: &dyn Table, to: &dyn Table, copied: &mut Copied) -> Result<()> {
    let Some(room) = to.evicts_beyond() else { return Ok(()) };
    // Of one that is no smaller, the old one's own evictions are the measure.
    let smaller = room < to.max_entries() || to.max_entries() < from.max_entries();
    if smaller && copied.len() > u64::from(room) {
        let reason = format!(
            "it has {} entries, and the new map is certain to keep only {room} of them",
            copied.len()
        );
        return Err(refused(from, reason));
    }
    copied.begin_pass();
    to.scan(&mut |found| {
        for (key, _) in found.iter() {
            let _digest = copied.see(key);
        }
        Ok(())
    })?;
    for key in copied.unseen() {
        copied.forget(&key);
        copied.evicted += 1;
    }
    Ok(())
}

fn too_small(from: &dyn Table, to: &dyn Table, key: &[u8]) -> KernelError {
    let most = to.max_entries();
    let reason = match <[u8; 4]>::try_from(key) {
        Ok(index) if to.is_indexed() => {
            let index = u32::from_ne_bytes(index);
            format!("its entry {index} is not zero, and the new map has only {most}")
        }
        _ => format!("it has more entries than the new map has room for ({most})"),
    };
    refused(from, reason)
}

fn refused(from: &dyn Table, reason: String) -> KernelError {
    KernelError::reason(format!("copy the entries of {}", from.name()), reason)
        .advice("raise `max-entries`, or start empty with `on-mismatch = \"replace\"`")
}
