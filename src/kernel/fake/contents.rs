//! The entries of the fake's maps, as copying sees them.

use std::sync::Mutex;

use rustix::io::Errno;

use super::super::entries::{Condition, Lanes, Portion, Put, Table};
use super::super::{KernelError, Result};
use super::lock;
use super::objects::{Map, Object};
use super::state::{FACTS, State};
use crate::model::entries::{EntryKind, Transfer};
use crate::model::identity::Identity;
use crate::model::kinds::MapType;
use crate::model::map::MapShape;

/// One map.
pub(super) struct Contents<'a> {
    state: &'a Mutex<State>,
    id: Identity,
    shape: MapShape,
    kind: EntryKind,
    lanes: Lanes,
}

impl<'a> Contents<'a> {
    /// `EINVAL` unless it is a map with entries of that kind.
    pub(super) fn open(state: &'a Mutex<State>, id: Identity, transfer: Transfer) -> Result<Self> {
        let refused = || KernelError::errno(format!("read the entries of {id}"), Errno::INVAL);
        let shape = lock(state).map(id).ok_or_else(refused)?.shape;
        let kind = EntryKind::of(shape.map_type).map_err(|_reason| refused())?;
        if kind != transfer.kind {
            return Err(refused());
        }
        let size = usize::try_from(shape.value_size).unwrap_or(usize::MAX);
        let cpus = usize::try_from(FACTS.possible_cpus).unwrap_or(usize::MAX);
        let lanes = if kind.is_per_cpu() { Lanes::per_cpu(size, cpus) } else { Lanes::one(size) };
        Ok(Self { state, id, shape, kind, lanes })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Map) -> T) -> Result<T> {
        let mut state = lock(self.state);
        match state.objects.get_mut(&self.id).map(|counted| &mut counted.object) {
            Some(Object::Map(map)) => Ok(act(map)),
            _ => Err(KernelError::errno(format!("use {}", self.id), Errno::BADF)),
        }
    }

    /// Whether an index is inside.
    fn has_index(&self, key: &[u8]) -> bool {
        key.try_into().is_ok_and(|index| u32::from_ne_bytes(index) < self.shape.max_entries)
    }

    fn has_room(&self, map: &Map, key: &[u8]) -> bool {
        if self.kind.is_indexed() {
            return self.has_index(key);
        }
        let most = usize::try_from(self.shape.max_entries).unwrap_or(usize::MAX);
        map.entries.contains_key(key) || map.entries.len() < most
    }
}

impl Table for Contents<'_> {
    fn name(&self) -> String {
        self.id.to_string()
    }

    fn key_size(&self) -> usize {
        usize::try_from(self.shape.key_size).unwrap_or(usize::MAX)
    }

    fn lanes(&self) -> Lanes {
        self.lanes
    }

    fn is_indexed(&self) -> bool {
        self.kind.is_indexed()
    }

    fn max_entries(&self) -> u32 {
        self.shape.max_entries
    }

    fn evicts_beyond(&self) -> Option<u32> {
        let lru = matches!(self.shape.map_type, MapType::LRU_HASH | MapType::LRU_PERCPU_HASH);
        lru.then_some(self.shape.max_entries)
    }

    /// Entries of an array that nobody wrote are zero, and left out.
    fn scan(&self, each: &mut dyn FnMut(&Portion) -> Result<()>) -> Result<()> {
        let entries = self.with(|map| map.entries.clone())?;
        let mut portion = Portion::new(self.key_size(), self.lanes.bytes());
        for (key, value) in &entries {
            portion.push(key, value);
        }
        each(&portion)
    }

    fn get(&self, key: &[u8], value: &mut [u8]) -> Result<bool> {
        let found = self.with(|map| map.entries.get(key).cloned())?;
        match found {
            Some(found) => value.copy_from_slice(&found),
            None if self.is_indexed() && self.has_index(key) => value.fill(0),
            None => return Ok(false),
        }
        Ok(true)
    }

    fn put_all(&self, entries: &Portion) -> Result<usize> {
        self.with(|map| {
            let written = entries.iter().take_while(|(key, value)| {
                let room = self.has_room(map, key);
                if room {
                    map.entries.insert(key.to_vec(), value.to_vec());
                }
                room
            });
            written.count()
        })
    }

    fn put(&self, key: &[u8], value: &[u8], condition: Condition) -> Result<Put> {
        self.with(|map| {
            let there = self.is_indexed() || map.entries.contains_key(key);
            if there != (condition == Condition::Present) {
                return Put::Refused;
            }
            if !self.has_room(map, key) {
                return Put::Full;
            }
            map.entries.insert(key.to_vec(), value.to_vec());
            Put::Done
        })
    }

    fn delete(&self, key: &[u8]) -> Result<bool> {
        self.with(|map| map.entries.remove(key).is_some())
    }
}
