//! What was copied: of each entry the key and a digest of the value.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

/// The entries that a new map was filled with, to tell later which of two maps has changed since.
///
/// Values are compared by a keyed digest of 64 bits, so that a map of a million entries takes some
/// ten megabytes here, whatever the size of a value.
#[derive(Debug)]
pub struct Copied {
    key_size: usize,
    keys: Vec<u8>,
    marks: Vec<Mark>,
    index: HashTable<usize>,
    hasher: RandomState,
    pass: u32,
    len: u64,
    pub(super) evicted: u64,
}

/// State of one key.
#[derive(Clone, Copy, Debug)]
struct Mark {
    digest: u64,
    /// The pass in which it was seen last.
    seen: u32,
    /// Whether the new map has it no more.
    gone: bool,
}

/// What became of the writes that came after the copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Entries that were brought over: new ones, changed ones, deletions.
    pub entries: u64,
    /// Entries written in both maps; those of the new one stand.
    pub conflicts: u64,
    /// Entries for which the new map had no room.
    pub no_room: u64,
}

impl Copied {
    pub(super) fn new(key_size: usize) -> Self {
        Self {
            key_size: key_size.max(1),
            keys: Vec::new(),
            marks: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::new(),
            pass: 0,
            len: 0,
            evicted: 0,
        }
    }

    /// How many entries the new map was given and has kept. Those of an array that are zero do not
    /// count.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many entries the new map, an LRU map, evicted to make room for others.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(super) fn digest(&self, value: &[u8]) -> u64 {
        self.hasher.hash_one(value)
    }

    /// Begins to note anew which keys are seen.
    pub(super) fn begin_pass(&mut self) {
        self.pass += 1;
    }

    /// Notes that a key is there; returns the digest of what the new map was given for it.
    pub(super) fn see(&mut self, key: &[u8]) -> Option<u64> {
        let at = self.find(key)?;
        let mark = &mut self.marks[at];
        mark.seen = self.pass;
        (!mark.gone).then_some(mark.digest)
    }

    /// The digest of what the new map was given for a key.
    pub(super) fn digest_of(&self, key: &[u8]) -> Option<u64> {
        let mark = self.marks[self.find(key)?];
        (!mark.gone).then_some(mark.digest)
    }

    /// Records what the new map was given.
    pub(super) fn record(&mut self, key: &[u8], value: &[u8]) {
        let mark = Mark { digest: self.digest(value), seen: self.pass, gone: false };
        if let Some(at) = self.find(key) {
            self.len += u64::from(self.marks[at].gone);
            self.marks[at] = mark;
            return;
        }
        let Self { key_size, keys, hasher, .. } = self;
        keys.extend_from_slice(key);
        let hash = hasher.hash_one(key);
        let rehash = |at: &usize| hasher.hash_one(&keys[at * *key_size..(at + 1) * *key_size]);
        self.index.insert_unique(hash, self.marks.len(), rehash);
        self.marks.push(mark);
        self.len += 1;
    }

    /// Records that the new map has an entry no more.
    pub(super) fn forget(&mut self, key: &[u8]) {
        if let Some(at) = self.find(key)
            && !self.marks[at].gone
        {
            self.marks[at].gone = true;
            self.len -= 1;
        }
    }

    /// The keys that were given to the new map and not seen in this pass.
    pub(super) fn unseen(&self) -> Vec<Vec<u8>> {
        let keys = self.keys.chunks_exact(self.key_size).zip(&self.marks);
        let unseen = keys.filter(|(_, mark)| !mark.gone && mark.seen != self.pass);
        unseen.map(|(key, _)| key.to_vec()).collect()
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        let hash = self.hasher.hash_one(key);
        self.index.find(hash, |at| self.key(*at) == key).copied()
    }

    fn key(&self, at: usize) -> &[u8] {
        &self.keys[at * self.key_size..(at + 1) * self.key_size]
    }
}
