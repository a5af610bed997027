//! Carrying entries over, where only the real kernel can show it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ebpf_apply::kernel::linux::{Handle, Linux};
use ebpf_apply::kernel::{Carried, Kernel as _};
use ebpf_apply::model::entries::{EntryKind, Transfer};
use ebpf_apply::model::map::{MapShape, MapSpec};

use super::contract::on_linux;
use super::running::{delete, entries, freeze, update};
use crate::contract::{self, image};
use crate::sandbox::Sandbox;

const PLAIN: Transfer = Transfer { kind: EntryKind::Hash, kept: 8, locked: false };

/// A map like one of `tables.bpf.c`, of another shape.
fn map(name: &str, change: impl FnOnce(&mut MapShape)) -> Handle {
    let kernel = Linux::new();
    let image = image("tables");
    let btf = kernel.load_btf(&image).expect("load BTF");
    let mut spec: MapSpec = image.spec.map(name).expect("the object has it").clone();
    change(&mut spec.shape);
    kernel.create_map(&image, &spec, btf.as_ref()).expect("create a map")
}

fn key(n: u32) -> [u8; 4] {
    n.to_ne_bytes()
}

/// What the contract asks of batches, it asks of single calls too.
mod one_by_one {
    use super::{Linux, contract, on_linux};

    macro_rules! one_by_one {
        ($($case:ident,)*) => {
            $(#[test]
            fn $case() {
                on_linux(|| Linux::new().without_batches(), stringify!($case), contract::$case);
            })*
        };
    }

    one_by_one!(
        entries_are_copied_between_maps_of_a_kind,
        values_keep_their_beginning_and_grow_with_zeros,
        late_writes_are_carried_over_and_conflicts_left,
        a_prefix_that_is_gone_is_not_taken_for_a_shorter_one,
        a_map_too_small_for_all_entries_is_refused,
    );
}

#[test]
fn values_with_a_lock_are_read_and_written_under_it() {
    Sandbox::run(|_| {
        let kinds = [("by_key_locked", EntryKind::Hash), ("by_index_locked", EntryKind::Array)];
        for ((name, kind), kernel) in kinds
            .into_iter()
            .flat_map(|kind| [(kind, Linux::new()), (kind, Linux::new().without_batches())])
        {
            let transfer = Transfer { kind, kept: 16, locked: true };
            let (from, to) = (map(name, |_| {}), map(name, |shape| shape.max_entries = 128));
            let value = |hits: u8| [[0; 4], [hits; 4], [1; 4], [2; 4]].concat();
            (0..3).for_each(|n| update(&from, &key(n), &value(1)));
            let mut copied = kernel.copy_entries(&from, &to, transfer, &mut |_| {}).expect("copy");
            update(&from, &key(0), &value(2));
            update(&from, &key(1), &value(2));
            update(&to, &key(1), &value(3));
            update(&from, &key(9), &value(9));
            let carried = kernel
                .carry_entries(&from, &to, transfer, &mut copied, &mut |_| {})
                .expect("carry");
            assert_eq!(carried, Carried { entries: 2, conflicts: 1, no_room: 0 }, "{name}");
            let seen = entries(&to);
            let hits = [0, 1, 2, 9].map(|n| seen[&key(n)[..]][4]);
            assert_eq!(hits, [2, 3, 1, 9], "{name}");
        }
    });
}

#[test]
fn a_map_with_lists_of_each_cpu_keeps_only_its_share() {
    Sandbox::run(|_| {
        const NO_COMMON_LRU: u32 = 1 << 1;
        let cpus = Linux::new().facts().expect("facts").possible_cpus;
        let from = map("by_key", |shape| shape.max_entries = 64 * cpus);
        let to = || {
            map("by_key_recent", |shape| {
                (shape.max_entries, shape.map_flags) = (16 * cpus, NO_COMMON_LRU);
            })
        };
        (0..16).for_each(|n| update(&from, &key(n), &[1; 8]));
        let copy = |to: &Handle| Linux::new().copy_entries(&from, to, PLAIN, &mut |_| {});
        let fits = to();
        assert_eq!(copy(&fits).expect("16 fit").evicted(), 0);
        assert_eq!(entries(&fits), entries(&from));
        update(&from, &key(16), &[1; 8]);
        let error = copy(&to()).expect_err("17 do not");
        assert!(error.to_string().contains("certain to keep only 16"), "{error}");
    });
}

#[test]
fn an_iteration_that_begins_anew_ends_and_leaves_nothing_out() {
    Sandbox::run(|_| {
        for kernel in [Linux::new(), Linux::new().without_batches()] {
            let from = map("by_key", |shape| shape.max_entries = 4096);
            let to = map("by_key", |shape| shape.max_entries = 8192);
            (0..1000).for_each(|n| update(&from, &key(n), &[1; 8]));
            let stop = AtomicBool::new(false);
            let copied = thread::scope(|scope| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        (1000..1100).for_each(|n| update(&from, &key(n), &[2; 8]));
                        (1000..1100).for_each(|n| delete(&from, &key(n)));
                    }
                });
                let copied = kernel.copy_entries(&from, &to, PLAIN, &mut |_| {});
                stop.store(true, Ordering::Relaxed);
                copied
            });
            match copied {
                Ok(_) => {
                    let seen = entries(&to);
                    assert!((0..1000).all(|n| seen.contains_key(&key(n)[..])));
                }
                // Without batches, each deletion may send the iteration back to its beginning.
                Err(error) => assert!(error.to_string().contains("faster than"), "{error}"),
            }
        }
    });
}

#[test]
fn a_frozen_map_can_be_read_but_not_filled() {
    Sandbox::run(|_| {
        let (from, to) = (map("by_key", |_| {}), map("by_key", |_| {}));
        update(&from, &key(1), &[1; 8]);
        freeze(&from);
        let copy = |from, to| Linux::new().copy_entries(from, to, PLAIN, &mut |_| {});
        copy(&from, &to).expect("only reading");
        assert_eq!(entries(&to), entries(&from));
        let error = copy(&to, &from).expect_err("not writing");
        assert!(error.advice.is_some_and(|advice| advice.contains("frozen")));
    });
}
