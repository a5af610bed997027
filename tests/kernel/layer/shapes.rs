//! What the validator says no kernel takes, this one does not take.

use ebpf_apply::kernel::Kernel;
use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::model::kinds::MapType;
use ebpf_apply::model::map::{MapShape, MapSpec};
use ebpf_apply::model::map_flags::{self, EXCLUSIVE, MapFlags, unknown};
use ebpf_apply::model::release::Release;
use ebpf_apply::model::shape::{is_local_storage, refused, refused_as_inner};
use ebpf_apply::object::Image;

use crate::contract::image;
use crate::features::{RESIZABLE_HASHES, lacks};
use crate::sandbox::Sandbox;

const KEYS: [u32; 7] = [0, 1, 4, 5, 8, 16, 300];
const VALUES: [u32; 6] = [0, 1, 4, 8, 12, 32];
const ENTRIES: [u32; 2] = [0, 64];
/// None, `BPF_F_NO_PREALLOC`, `BPF_F_NO_COMMON_LRU`, `BPF_F_MMAPABLE`.
const FLAGS: [u32; 4] = [0, 1, 1 << 1, 1 << 10];

/// A map of that shape, with inner maps where the type wants them.
fn spec(image: &Image, shape: MapShape) -> MapSpec {
    let outer = matches!(shape.map_type, MapType::ARRAY_OF_MAPS | MapType::HASH_OF_MAPS);
    let plain = image.spec.map("packets").expect("the object has it");
    MapSpec {
        shape,
        key: None,
        value: None,
        key_type_id: 0,
        value_type_id: 0,
        inner: outer.then(|| Box::new(plain.clone())),
        ..plain.clone()
    }
}

fn grid() -> impl Iterator<Item = MapShape> {
    let types = MapType::KNOWN.iter().map(|(map_type, _)| *map_type);
    // Maps of struct ops are made of the kernel's types, and jump tables of code.
    let types = types.filter(|map_type| {
        ![MapType::UNSPEC, MapType::STRUCT_OPS, MapType::INSN_ARRAY].contains(map_type)
    });
    types.flat_map(|map_type| {
        KEYS.iter().flat_map(move |key| {
            VALUES.iter().flat_map(move |value| {
                ENTRIES.iter().flat_map(move |entries| {
                    FLAGS.iter().flat_map(move |flags| {
                        [0, 1, 16].map(|map_extra| MapShape {
                            map_type,
                            key_size: *key,
                            value_size: *value,
                            max_entries: *entries,
                            map_flags: *flags,
                            map_extra,
                        })
                    })
                })
            })
        })
    })
}

#[test]
fn what_is_called_refused_is_refused() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("bench_small");
        for shape in grid().filter(|shape| !refused(shape).is_empty()) {
            let created = kernel.create_map(&image, &spec(&image, shape), None);
            assert!(created.is_err(), "{shape:?} is created, though {:?}", refused(&shape));
        }
    });
}

#[test]
fn what_is_left_is_taken() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("bench_small");
        for (map_type, name) in MapType::KNOWN {
            let mut left = grid().filter(|shape| shape.map_type == *map_type);
            let newest = ebpf_apply::model::since::of_map(*map_type);
            let old_enough = newest.is_some_and(|since| since.major < 5);
            // Local storage needs the types of its keys and values.
            if !old_enough || is_local_storage(*map_type) || *map_type == MapType::CPUMAP {
                continue;
            }
            let taken = left.any(|shape| {
                refused(&shape).is_empty()
                    && kernel.create_map(&image, &spec(&image, shape), None).is_ok()
            });
            assert!(taken, "no shape of {name} is left that the kernel takes");
        }
    });
}

/// The first shape of a type that the kernel takes without a flag more than it must have.
fn plainest(kernel: &Linux, image: &Image, map_type: MapType) -> Option<MapShape> {
    let of_type = grid().filter(|shape| shape.map_type == map_type);
    let mut taken = of_type.filter(|shape| {
        refused(shape).is_empty() && kernel.create_map(image, &spec(image, *shape), None).is_ok()
    });
    taken.next()
}

#[test]
fn each_flag_is_taken_by_the_types_it_is_for_since_its_release() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("bench_small");
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let running: Release = release.parse().expect("a release");
        let mut judged = 0;
        for (map_type, name) in MapType::KNOWN {
            // Local storage needs the types of its keys and values.
            if is_local_storage(*map_type) || *map_type == MapType::CGROUP_STORAGE {
                continue;
            }
            let Some(plain) = plainest(&kernel, &image, *map_type) else { continue };
            let bits = (0..32).map(|bit| 1 << bit);
            let pairs = EXCLUSIVE.into_iter();
            for flags in bits.chain(pairs).map(|flags| plain.map_flags | flags) {
                let shape = MapShape { map_flags: flags, ..plain };
                let has_all = map_flags::since(flags).is_none_or(|since| since <= running);
                let expected = refused(&shape).is_empty() && unknown(flags) == 0 && has_all;
                let created = kernel.create_map(&image, &spec(&image, shape), None);
                let shown = MapFlags(flags);
                assert_eq!(created.is_ok(), expected, "{name} with {shown}: {:?}", created.err());
                judged += 1;
            }
        }
        // Linux 5.10 has 25 of these types.
        assert!(judged > 22 * 32, "{judged} answers");
    });
}

#[test]
fn sizes_that_overflow_are_refused() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("bench_small");
        let shape = |map_type, key_size, value_size, max_entries| MapShape {
            map_type,
            key_size,
            value_size,
            max_entries,
            map_flags: 0,
            map_extra: 0,
        };
        let large = [
            shape(MapType::PERCPU_ARRAY, 4, (32 << 10) + 8, 1),
            shape(MapType::PERCPU_HASH, 4, (32 << 10) + 8, 1),
            shape(MapType::HASH, 4, 4, (1 << 31) + 1),
            shape(MapType::STACK_TRACE, 4, 8, (1 << 31) + 1),
            shape(MapType::DEVMAP_HASH, 4, 4, (1 << 31) + 1),
            shape(MapType::RINGBUF, 0, 0, u32::MAX),
        ];
        for shape in large {
            assert!(!refused(&shape).is_empty(), "{shape:?}");
            assert!(kernel.create_map(&image, &spec(&image, shape), None).is_err(), "{shape:?}");
        }
        let fits = shape(MapType::PERCPU_ARRAY, 4, 32 << 10, 1);
        assert!(refused(&fits).is_empty());
        kernel.create_map(&image, &spec(&image, fits), None).expect("32 KiB are taken");
    });
}

#[test]
fn a_table_that_resizes_has_the_limits_that_are_said() {
    if lacks(&[RESIZABLE_HASHES]) {
        return;
    }
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("bench_small");
        for (key_size, max_entries, map_extra, is_taken) in [
            (4, 64, 64, true),
            (4, 64, 65, false),
            (4, 1 << 20, 65535, true),
            (4, 1 << 20, 65536, false),
            (65536, 64, 0, false),
            (4, 1 << 31, 0, true),
            (4, (1 << 31) + 1, 0, false),
        ] {
            let shape = MapShape {
                map_type: MapType::RHASH,
                key_size,
                value_size: 4,
                max_entries,
                map_flags: map_flags::NO_PREALLOC,
                map_extra,
            };
            assert_eq!(refused(&shape).is_empty(), is_taken, "{shape:?}");
            let created = kernel.create_map(&image, &spec(&image, shape), None);
            assert_eq!(created.is_ok(), is_taken, "{shape:?}: {:?}", created.err());
        }
    });
}

#[test]
fn inner_maps_are_of_the_types_that_are_said() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("bench_small");
        let outer = MapShape {
            map_type: MapType::ARRAY_OF_MAPS,
            key_size: 4,
            value_size: 4,
            max_entries: 1,
            map_flags: 0,
            map_extra: 0,
        };
        let judge = |inside: MapSpec| {
            let map_type = inside.shape.map_type;
            let outside = MapSpec { inner: Some(Box::new(inside)), ..spec(&image, outer) };
            let created = kernel.create_map(&image, &outside, None);
            let expected = refused_as_inner(map_type).is_none();
            assert_eq!(created.is_ok(), expected, "{map_type}: {:?}", created.err());
        };
        let known = MapType::KNOWN.iter().map(|(map_type, _)| *map_type);
        let plain: Vec<_> =
            known.filter_map(|map_type| plainest(&kernel, &image, map_type)).collect();
        // Linux 5.10 has 25 of these types.
        assert!(plain.len() > 22, "{plain:?}");
        for shape in plain {
            judge(spec(&image, shape));
        }
        let innermost =
            Some(Box::new(spec(&image, MapShape { map_type: MapType::ARRAY, ..outer })));
        judge(MapSpec { inner: innermost, ..spec(&image, outer) });
    });
}
