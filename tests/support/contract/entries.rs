//! Entries carried from one map over into another.

use ebpf_apply::kernel::{Carried, Copied, Kernel, Result};
use ebpf_apply::model::entries::{EntryKind, Transfer};
use ebpf_apply::model::kinds::MapType;
use ebpf_apply::model::map::{MapShape, MapSpec};

use super::{Entries, Host, image};

/// `BPF_F_NO_PREALLOC`, which tries must have.
const NO_PREALLOC: u32 = 1;

/// One map, and how its entries are seen from outside.
struct Table<'h, K: Kernel> {
    host: &'h Host<'h, K>,
    map: K::Handle,
    kind: EntryKind,
    lanes: usize,
    value: usize,
}

impl<'h, K: Kernel> Table<'h, K> {
    fn new(host: &'h Host<'h, K>, map_type: MapType, max_entries: u32, value_size: u32) -> Self {
        let kernel = host.kernel;
        let image = image("exec_trace");
        let spec = image.spec.map("exec_counts").expect("an array");
        let kind = EntryKind::of(map_type).expect("a type with entries");
        let prefixes = kind == EntryKind::Prefixes;
        let shape = MapShape {
            map_type,
            key_size: if prefixes { 8 } else { 4 },
            value_size,
            max_entries,
            map_flags: if prefixes { NO_PREALLOC } else { 0 },
            map_extra: 0,
        };
        let spec = MapSpec { shape, key: None, value: None, ..spec.clone() };
        let map = kernel
            .create_map(&image, &spec, None)
            .unwrap_or_else(|error| panic!("{error} ({:?})", error.advice));
        let cpus = kernel.facts().expect("facts").possible_cpus;
        let lanes = if kind.is_per_cpu() { usize::try_from(cpus).expect("few") } else { 1 };
        let value = usize::try_from(value_size).expect("small");
        Self { host, map, kind, lanes, value }
    }

    /// Key and value of entry `n`: a prefix in which the next longer one lies, or a number.
    fn key(&self, n: u32) -> Vec<u8> {
        if self.kind == EntryKind::Prefixes {
            let prefix = 8 + n % 24;
            let address = (n / 24 + 1) << 24;
            return [prefix.to_ne_bytes(), address.to_be_bytes()].concat();
        }
        n.to_ne_bytes().to_vec()
    }

    /// A value for each CPU, none like another.
    fn value(&self, content: u8) -> Vec<u8> {
        let per_cpu = self.kind.is_per_cpu();
        let stride = if per_cpu { self.value.next_multiple_of(8) } else { self.value };
        let mut value = vec![0; stride * self.lanes];
        for (cpu, lane) in value.chunks_exact_mut(stride).enumerate() {
            lane[..self.value].fill(content);
            lane[0] = u8::try_from(cpu).expect("few");
        }
        value
    }

    fn set(&self, n: u32, content: u8) {
        (self.host.write)(&self.map, &self.key(n), Some(&self.value(content)));
    }

    fn remove(&self, n: u32) {
        (self.host.write)(&self.map, &self.key(n), None);
    }

    /// All entries; of an array, those that are not zero.
    fn all(&self) -> Entries {
        let mut all = (self.host.read)(&self.map);
        if self.kind.is_indexed() {
            all.retain(|_, value| value.iter().any(|byte| *byte != 0));
        }
        all
    }

    fn expected(&self, entries: &[(u32, u8)]) -> Entries {
        entries.iter().map(|(n, content)| (self.key(*n), self.value(*content))).collect()
    }

    fn transfer(&self, to: &Self) -> Transfer {
        let kept = u32::try_from(self.value.min(to.value)).expect("small");
        Transfer { kind: self.kind, kept, locked: false }
    }

    fn copy_to(&self, to: &Self) -> Result<Copied> {
        self.host.kernel.copy_entries(&self.map, &to.map, self.transfer(to), &mut |_| {})
    }

    fn carry_to(&self, to: &Self, copied: &mut Copied) -> Carried {
        let (maps, transfer) = ([&self.map, &to.map], self.transfer(to));
        let kernel = &self.host.kernel;
        let carried = kernel.carry_entries(maps[0], maps[1], transfer, copied, &mut |_| {});
        carried.unwrap_or_else(|error| panic!("{error} ({:?})", error.advice))
    }
}

/// From each type to itself, and to the others of its kind.
const PAIRS: [(MapType, MapType); 9] = [
    (MapType::HASH, MapType::HASH),
    (MapType::HASH, MapType::LRU_HASH),
    (MapType::LRU_HASH, MapType::HASH),
    (MapType::LRU_HASH, MapType::LRU_HASH),
    (MapType::PERCPU_HASH, MapType::LRU_PERCPU_HASH),
    (MapType::LRU_PERCPU_HASH, MapType::PERCPU_HASH),
    (MapType::ARRAY, MapType::ARRAY),
    (MapType::PERCPU_ARRAY, MapType::PERCPU_ARRAY),
    (MapType::LPM_TRIE, MapType::LPM_TRIE),
];

pub(crate) fn entries_are_copied_between_maps_of_a_kind<K: Kernel>(host: &Host<'_, K>) {
    for (old, new) in PAIRS {
        let from = Table::new(host, old, 64, 12);
        let to = Table::new(host, new, 1024, 12);
        for n in 0..40 {
            from.set(n, u8::try_from(n).expect("small") + 1);
        }
        let before = from.all();
        assert_eq!(before.len(), 40, "{old}");
        let copied = from.copy_to(&to).unwrap_or_else(|error| panic!("{old} to {new}: {error}"));
        assert_eq!((copied.len(), copied.evicted()), (40, 0), "{old} to {new}");
        assert_eq!(to.all(), before, "{old} to {new}");
        assert_eq!(from.all(), before, "the old map is only read");
    }
}

pub(crate) fn values_keep_their_beginning_and_grow_with_zeros<K: Kernel>(host: &Host<'_, K>) {
    for (map_type, _) in PAIRS {
        let from = Table::new(host, map_type, 8, 12);
        let to = Table::new(host, map_type, 512, 20);
        from.set(1, 7);
        from.copy_to(&to).expect("copy");
        let mut expected = to.value(7);
        let stride = expected.len() / to.lanes;
        expected.chunks_exact_mut(stride).for_each(|lane| lane[12..].fill(0));
        assert_eq!(to.all(), [(to.key(1), expected)].into(), "{map_type}");
    }
}

pub(crate) fn late_writes_are_carried_over_and_conflicts_left<K: Kernel>(host: &Host<'_, K>) {
    for (old, new) in PAIRS {
        let from = Table::new(host, old, 64, 8);
        let to = Table::new(host, new, 1024, 8);
        (0..6).for_each(|n| from.set(n, 1));
        let mut copied = from.copy_to(&to).expect("copy");
        from.set(1, 2);
        from.set(2, 2);
        to.set(2, 3);
        to.set(3, 3);
        from.set(7, 2);
        from.set(8, 2);
        to.set(8, 3);
        let mut expected = vec![(0, 1), (1, 2), (2, 3), (3, 3), (4, 1), (5, 1), (7, 2), (8, 3)];
        let mut changes = 2;
        if !from.kind.is_indexed() {
            from.remove(4);
            from.remove(5);
            to.set(5, 3);
            expected[5] = (5, 3);
            expected.remove(4);
            changes += 1;
        }
        let conflicts = if from.kind.is_indexed() { 2 } else { 3 };
        let carried = from.carry_to(&to, &mut copied);
        let wanted = Carried { entries: changes, conflicts, no_room: 0 };
        assert_eq!((carried, to.all()), (wanted, to.expected(&expected)), "{old} to {new}");
    }
}

pub(crate) fn a_prefix_that_is_gone_is_not_taken_for_a_shorter_one<K: Kernel>(host: &Host<'_, K>) {
    let from = Table::new(host, MapType::LPM_TRIE, 64, 8);
    let to = Table::new(host, MapType::LPM_TRIE, 64, 8);
    // Entry 1 lies in entry 0, and has the same value.
    from.set(0, 1);
    from.set(1, 1);
    let mut copied = from.copy_to(&to).expect("copy");
    to.remove(1);
    from.set(1, 2);
    from.set(2, 2);
    let carried = from.carry_to(&to, &mut copied);
    assert_eq!(carried, Carried { entries: 1, conflicts: 1, no_room: 0 });
    assert_eq!(to.all(), to.expected(&[(0, 1), (2, 2)]));
}

pub(crate) fn a_map_too_small_for_all_entries_is_refused<K: Kernel>(host: &Host<'_, K>) {
    for (map_type, _) in PAIRS {
        let from = Table::new(host, map_type, 64, 8);
        let small = Table::new(host, map_type, 16, 8);
        (0..17).for_each(|n| from.set(n, 1));
        let error = from.copy_to(&small).expect_err("17 do not fit into 16");
        assert!(error.to_string().contains("16"), "{map_type}: {error}");
        assert!(error.advice.is_some(), "{map_type}: {error}");
        if from.kind.is_indexed() {
            from.set(16, 0);
        } else {
            from.remove(16);
        }
        let zero = vec![0; from.value(0).len()];
        (host.write)(&from.map, &from.key(16), from.kind.is_indexed().then_some(&zero));
        let fits = Table::new(host, map_type, 16, 8);
        from.copy_to(&fits).unwrap_or_else(|error| panic!("{map_type}: {error}"));
    }
}

pub(crate) fn maps_of_another_kind_take_no_entries<K: Kernel>(host: &Host<'_, K>) {
    let from = Table::new(host, MapType::HASH, 8, 8);
    let to = Table::new(host, MapType::ARRAY, 8, 8);
    assert!(from.copy_to(&to).is_err());
}
