//! The rules on tables in memory, which programs write whenever the test says.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// A program that writes: called with the entries before each scan and after each portion.
type Writer = Box<dyn FnMut(&mut Entries)>;

struct Memory {
    entries: RefCell<Entries>,
    max_entries: u32,
    indexed: bool,
    /// As an LRU map of the kernel: how many it keeps in fact.
    keeps: Option<usize>,
    /// Entries of a portion.
    portion: usize,
    writer: RefCell<Writer>,
}

impl Memory {
    fn new(max_entries: u32) -> Self {
        Self {
            entries: RefCell::default(),
            max_entries,
            indexed: false,
            keeps: None,
            portion: 2,
            writer: RefCell::new(Box::new(|_| {})),
        }
    }

    fn with(self, entries: &[(u32, u8)]) -> Self {
        for (key, value) in entries {
            self.set(*key, *value);
        }
        self
    }

    fn written_by(self, writer: impl FnMut(&mut Entries) + 'static) -> Self {
        *self.writer.borrow_mut() = Box::new(writer);
        self
    }

    fn set(&self, key: u32, value: u8) {
        self.entries.borrow_mut().insert(key.to_ne_bytes().to_vec(), vec![value]);
    }

    fn remove(&self, key: u32) {
        self.entries.borrow_mut().remove(&key.to_ne_bytes()[..]);
    }

    fn all(&self) -> Vec<(u32, u8)> {
        let number = |key: &[u8]| u32::from_ne_bytes(key.try_into().expect("four bytes"));
        let entries = self.entries.borrow();
        let mut all: Vec<_> = entries.iter().map(|(key, value)| (number(key), value[0])).collect();
        all.sort_unstable();
        all
    }

    fn has_room(&self, key: &[u8]) -> bool {
        let entries = self.entries.borrow();
        if self.indexed {
            return key.try_into().is_ok_and(|key| u32::from_ne_bytes(key) < self.max_entries);
        }
        entries.contains_key(key) || entries.len() < self.max_entries as usize
    }
}

impl Table for Memory {
    fn name(&self) -> String {
        "a table".to_owned()
    }

    fn key_size(&self) -> usize {
        4
    }

    fn lanes(&self) -> Lanes {
        Lanes::one(1)
    }

    fn is_indexed(&self) -> bool {
        self.indexed
    }

    fn max_entries(&self) -> u32 {
        self.max_entries
    }

    fn evicts_beyond(&self) -> Option<u32> {
        self.keeps.map(|_| self.max_entries)
    }

    fn scan(&self, each: &mut dyn FnMut(&Portion) -> Result<()>) -> Result<()> {
        let entries = self.entries.borrow().clone();
        let keys: Vec<_> = entries.into_keys().collect();
        for keys in keys.chunks(self.portion) {
            let mut portion = Portion::new(4, 1);
            for key in keys {
                if let Some(value) = self.entries.borrow().get(key) {
                    portion.push(key, value);
                }
            }
            each(&portion)?;
            (self.writer.borrow_mut())(&mut self.entries.borrow_mut());
        }
        Ok(())
    }

    fn get(&self, key: &[u8], value: &mut [u8]) -> Result<bool> {
        match self.entries.borrow().get(key) {
            Some(found) => value.copy_from_slice(found),
            None if self.indexed && self.has_room(key) => value.fill(0),
            None => return Ok(false),
        }
        Ok(true)
    }

    fn put_all(&self, entries: &Portion) -> Result<usize> {
        for (index, (key, value)) in entries.iter().enumerate() {
            if self.keeps.is_none() && !self.has_room(key) {
                return Ok(index);
            }
            let mut entries = self.entries.borrow_mut();
            entries.insert(key.to_vec(), value.to_vec());
            if self.keeps.is_some_and(|keeps| entries.len() > keeps) {
                entries.pop_first();
            }
        }
        Ok(entries.len())
    }

    fn put(&self, key: &[u8], value: &[u8], condition: Condition) -> Result<Put> {
        let there = self.indexed || self.entries.borrow().contains_key(key);
        if there != (condition == Condition::Present) {
            return Ok(Put::Refused);
        }
        if !self.has_room(key) {
            return Ok(Put::Full);
        }
        self.entries.borrow_mut().insert(key.to_vec(), value.to_vec());
        Ok(Put::Done)
    }

    fn delete(&self, key: &[u8]) -> Result<bool> {
        Ok(self.entries.borrow_mut().remove(key).is_some())
    }
}

fn copy_all(from: &Memory, to: &Memory) -> Result<Copied> {
    copy(from, to, 1, &mut |_| {})
}

#[track_caller]
fn carried(from: &Memory, to: &Memory, mut copied: Copied, expected: (u64, u64, u64)) {
    let Carried { entries, conflicts, no_room } =
        carry(from, to, 1, &mut copied, &mut |_| {}).expect("tables in memory do not fail");
    assert_eq!((entries, conflicts, no_room), expected);
}

#[test]
fn everything_is_copied() {
    let from = Memory::new(8).with(&[(1, 1), (2, 2), (3, 3), (4, 0), (5, 5)]);
    let to = Memory::new(16);
    let mut heard = Vec::new();
    let copied = copy(&from, &to, 1, &mut |pass| heard.push((pass.again, pass.entries, pass.most)))
        .expect("there is room");
    assert_eq!(to.all(), from.all());
    assert_eq!(copied.len(), 5);
    let again = [false, false, false, true, true, true];
    let seen = [2, 4, 5, 2, 4, 5];
    assert_eq!(
        heard,
        again.into_iter().zip(seen).map(|(again, seen)| (again, seen, 8)).collect::<Vec<_>>()
    );
}

#[test]
fn what_is_written_while_copying_is_copied() {
    let mut writes = [(1, Some(9)), (7, Some(7)), (5, None)].into_iter();
    let from =
        Memory::new(8).with(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]).written_by(move |entries| {
            match writes.next() {
                Some((key, Some(value))) => {
                    entries.insert(u32::to_ne_bytes(key).to_vec(), vec![value]);
                }
                Some((key, None)) => drop(entries.remove(&u32::to_ne_bytes(key)[..])),
                None => {}
            }
        });
    let to = Memory::new(8);
    let copied = copy_all(&from, &to).expect("there is room");
    assert_eq!(to.all(), [(1, 9), (2, 2), (3, 3), (4, 4), (7, 7)]);
    assert_eq!(copied.len(), 5);
}

#[test]
fn a_map_that_never_rests_is_copied_all_the_same() {
    let mut value = 0;
    let from = Memory::new(4).with(&[(1, 0), (2, 2), (3, 3)]).written_by(move |entries| {
        value += 1;
        entries.insert(1_u32.to_ne_bytes().to_vec(), vec![value]);
    });
    let to = Memory::new(4);
    let copied = copy_all(&from, &to).expect("there is room");
    assert_ne!(to.all(), from.all(), "it has been written again since");
    carried(&from, &to, copied, (1, 0, 0));
    assert_eq!(to.all()[1..], from.all()[1..]);
}

#[test]
fn keys_that_come_and_go_need_no_more_room_than_there_is() {
    let mut key = 10_u32;
    let from = Memory::new(3).with(&[(1, 1), (2, 2), (3, 3)]).written_by(move |entries| {
        entries.pop_first();
        entries.insert(key.to_be_bytes().to_vec(), vec![1]);
        key += 1;
    });
    let to = Memory::new(3);
    copy_all(&from, &to).expect("it never has more than three");
    assert_eq!(to.all().len(), 3);
}

#[test]
fn a_map_without_room_for_all_is_refused() {
    let from = Memory::new(8).with(&[(1, 1), (2, 2), (3, 3)]);
    let error = copy_all(&from, &Memory::new(2)).expect_err("three do not fit");
    assert!(error.to_string().contains("more entries than the new map has room for (2)"));
    copy_all(&from, &Memory::new(3)).expect("three fit");

    let array = |max_entries| Memory { indexed: true, ..Memory::new(max_entries) };
    let from = array(8).with(&[(0, 1), (5, 0), (3, 3)]);
    let error = copy_all(&from, &array(3)).expect_err("index 3 is past the end");
    assert!(error.to_string().contains("entry 3 is not zero, and the new map has only 3"));
    copy_all(&from, &array(4)).expect("index 5 is zero");
}

#[test]
fn what_a_map_evicts_is_counted() {
    let lru = |max_entries, keeps| Memory { keeps: Some(keeps), ..Memory::new(max_entries) };
    let from = lru(8, 8).with(&[(1, 1), (2, 2), (3, 3)]);
    let error = copy_all(&from, &lru(2, 2)).expect_err("three do not fit");
    assert!(error.to_string().contains("certain to keep only 2"), "{error}");

    let to = lru(8, 2);
    let copied = copy_all(&from, &to).expect("it says that it has room");
    assert_eq!((copied.len(), copied.evicted()), (2, 1));
    assert_eq!(to.all(), [(2, 2), (3, 3)]);
    // One that was evicted and is written again is as good as new.
    from.set(1, 10);
    from.set(2, 20);
    carried(&from, &to, copied, (2, 0, 0));
    assert_eq!(to.all(), [(1, 10), (2, 20), (3, 3)]);
}

#[test]
fn late_writes_are_carried_over() {
    let from = Memory::new(8).with(&[(1, 1), (2, 2), (3, 3)]);
    let to = Memory::new(8);
    let copied = copy_all(&from, &to).expect("there is room");
    from.set(1, 10);
    from.remove(2);
    from.set(4, 4);
    to.set(5, 5);
    carried(&from, &to, copied, (3, 0, 0));
    assert_eq!(to.all(), [(1, 10), (3, 3), (4, 4), (5, 5)]);
}

#[test]
fn what_both_have_written_stays_as_the_new_one_has_it() {
    let from = Memory::new(8).with(&[(1, 1), (2, 2), (3, 3), (6, 6), (7, 7)]);
    let to = Memory::new(8);
    let copied = copy_all(&from, &to).expect("there is room");
    from.set(1, 10);
    to.set(1, 11);
    from.remove(2);
    to.set(2, 22);
    from.set(3, 30);
    to.remove(3);
    from.set(4, 40);
    to.set(4, 44);
    // No conflicts: only the new one changed, both agree, both deleted.
    to.set(6, 60);
    from.set(5, 5);
    to.set(5, 5);
    from.remove(7);
    to.remove(7);
    let before = to.all();
    carried(&from, &to, copied, (0, 4, 0));
    assert_eq!(to.all(), before);
}

#[test]
fn a_full_map_takes_no_late_ones() {
    let from = Memory::new(4).with(&[(1, 1), (2, 2)]);
    let to = Memory::new(3);
    let copied = copy_all(&from, &to).expect("there is room");
    from.set(3, 3);
    from.set(1, 10);
    to.set(9, 9);
    carried(&from, &to, copied, (1, 0, 1));
    assert_eq!(to.all(), [(1, 10), (2, 2), (9, 9)]);
}

#[test]
fn late_writes_into_arrays_are_carried_over() {
    let array = |max_entries| Memory { indexed: true, ..Memory::new(max_entries) };
    let from = array(8).with(&[(0, 1), (1, 1), (2, 2)]);
    let to = array(4);
    let copied = copy_all(&from, &to).expect("there is room");
    from.set(0, 0);
    from.set(3, 3);
    from.set(1, 10);
    to.set(1, 11);
    from.set(7, 7);
    carried(&from, &to, copied, (2, 1, 1));
    assert_eq!(to.all(), [(0, 0), (1, 11), (2, 2), (3, 3)]);
}
