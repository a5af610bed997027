//! Maps of every kind are created as their definitions say.

use ebpf_apply::kernel::Kernel;
use ebpf_apply::kernel::linux::{Handle, Linux};
use ebpf_apply::model::kinds::MapType;
use ebpf_apply::model::live::{LiveMap, LiveObject};
use ebpf_apply::model::map::{MapShape, MapSpec};
use ebpf_apply::model::pin::PinRoot;
use rustix::io::Errno;

use super::running::{element, eventually, run};
use crate::contract::{image, load, pin};
use crate::features::{ARENAS, BLOOM_FILTERS, goes_without, lacks};
use crate::sandbox::Sandbox;

/// `BPF_F_NO_PREALLOC`
const NO_PREALLOC: u32 = 1;

/// What the kernel says of a map, by way of a pin.
fn describe(kernel: &Linux, map: &Handle) -> LiveMap {
    let root = PinRoot::new("/sys/fs/bpf/maps".as_ref()).expect("a legal root");
    kernel.make_root(&root).expect("make the root");
    kernel.pin(map, &root, &pin("m")).expect("pin");
    let found = kernel.open(&root, &pin("m")).expect("open").expect("it is pinned");
    kernel.unpin(&root, &pin("m")).expect("unpin");
    match found.object {
        LiveObject::Map(map) => map,
        other => panic!("a map is {}", other.kind()),
    }
}

fn packets() -> MapSpec {
    image("bench_small").spec.map("packets").expect("the object has it").clone()
}

#[test]
fn of_every_type() {
    let types = [
        (MapType::HASH, 4, 8, 0),
        (MapType::ARRAY, 4, 8, 0),
        (MapType::PROG_ARRAY, 4, 4, 0),
        (MapType::PERF_EVENT_ARRAY, 4, 4, 0),
        (MapType::PERCPU_HASH, 4, 8, 0),
        (MapType::PERCPU_ARRAY, 4, 8, 0),
        (MapType::STACK_TRACE, 4, 8 * 16, 0),
        (MapType::CGROUP_ARRAY, 4, 4, 0),
        (MapType::LRU_HASH, 4, 8, 0),
        (MapType::LRU_PERCPU_HASH, 4, 8, 0),
        (MapType::LPM_TRIE, 8, 8, NO_PREALLOC),
        (MapType::DEVMAP, 4, 4, 0),
        (MapType::DEVMAP_HASH, 4, 8, 0),
        (MapType::SOCKMAP, 4, 4, 0),
        (MapType::SOCKHASH, 4, 8, 0),
        (MapType::CPUMAP, 4, 4, 0),
        (MapType::QUEUE, 0, 8, 0),
        (MapType::STACK, 0, 8, 0),
    ];
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("bench_small");
        for (map_type, key_size, value_size, map_flags) in types {
            let max_entries = 2;
            let map_extra = 0;
            let shape =
                MapShape { map_type, key_size, value_size, max_entries, map_flags, map_extra };
            let spec = MapSpec {
                shape,
                key: None,
                value: None,
                key_type_id: 0,
                value_type_id: 0,
                ..packets()
            };
            let map =
                kernel.create_map(&image, &spec, None).unwrap_or_else(|error| panic!("{error}"));
            let mut found = describe(&kernel, &map).shape;
            if matches!(map_type, MapType::DEVMAP | MapType::DEVMAP_HASH) {
                found.map_flags &= !(1 << 7); // The kernel adds `BPF_F_RDONLY_PROG` itself.
            }
            assert_eq!(found, shape, "{map_type}");
        }
    });
}

#[test]
fn of_every_definition() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("inspect_rich");
        let btf = kernel.load_btf(&image).expect("load BTF");
        let facts = kernel.facts().expect("the host's facts");
        let without_filters = goes_without(BLOOM_FILTERS);
        for spec in &image.spec.maps {
            if without_filters && spec.shape.map_type == MapType::BLOOM_FILTER {
                continue;
            }
            // The machine may have one node only.
            let spec = MapSpec { numa_node: spec.numa_node.map(|_| 0), ..spec.clone() };
            let map = kernel
                .create_map(&image, &spec, btf.as_ref())
                .unwrap_or_else(|error| panic!("{error} ({:?})", error.advice));
            assert_eq!(
                describe(&kernel, &map).shape,
                spec.shape.normalised(&facts),
                "{}",
                spec.name
            );
        }
        assert!(image.spec.maps.len() >= 12, "the object has maps of many kinds");
    });
}

#[test]
fn that_need_more_than_sizes() {
    if lacks(&[ARENAS]) {
        return;
    }
    Sandbox::run(|_| {
        let loaded = load(&Linux::new(), "map_types");
        run(loaded.program("touch"), &[0; 64]);
        assert_eq!(run(loaded.program("allocate"), &[]), 0);
        let seen = |index| element::<u64>(&loaded.maps["seen"], index);
        assert_eq!(seen(0), 1, "counted under a spin lock");
        assert_eq!(seen(1), 1, "a timer was started");
        eventually("the timer fired", || element::<[u64; 3]>(&loaded.maps["timers"], 0)[2] > 0);
        assert_eq!(seen(2), 5, "the last element of an array of arrays");
        assert_eq!(seen(3), 1, "a bloom filter knows what was put in");
        assert_eq!(seen(4), 1, "a page of the arena");
        let extra = describe(&Linux::new(), &loaded.maps["seldom"]).shape.map_extra;
        assert_eq!(extra, 5, "the number of hashes");
    });
}

#[test]
fn variables_in_an_arena_have_their_values() {
    if lacks(&[ARENAS]) {
        return;
    }
    Sandbox::run(|_| {
        let loaded = load(&Linux::new(), "arena_globals");
        let sum = || {
            assert_eq!(run(loaded.program("add"), &[]), 0);
            element::<u64>(&loaded.maps[".bss"], 0)
        };
        assert_eq!([sum(), sum()], [42, 43], "on two pages, one of them written to");
    });
}

#[test]
fn an_arena_too_small_for_its_variables_is_refused() {
    if lacks(&[ARENAS]) {
        return;
    }
    Sandbox::run(|_| {
        let image = image("arena_globals");
        let mut spec = image.spec.map("arena").expect("the object has it").clone();
        spec.shape.max_entries = 1;
        let error = Linux::new().create_map(&image, &spec, None).expect_err("two are needed");
        assert!(error.to_string().contains("do not hold the 4816 bytes"), "{error}");
    });
}

#[test]
fn on_the_node_that_is_named() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("inspect_rich");
        let flows = image.spec.map("flows").expect("the object has it").clone();
        let nowhere = MapSpec { numa_node: Some(1 << 20), ..flows };
        let error = kernel.create_map(&image, &nowhere, None).expect_err("there is no such node");
        assert_eq!(error.raw(), Some(Errno::INVAL));
    });
}

#[test]
fn without_types_where_the_kernel_refuses_them() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("bench_small");
        let btf = kernel.load_btf(&image).expect("load BTF");
        let spec = packets();
        let typed = kernel.create_map(&image, &spec, btf.as_ref()).expect("create a map");
        assert_eq!(describe(&kernel, &typed).key.map(|key| key.name), Some("__u32".to_owned()));
        // 16 bytes are no `__u64`.
        let shape = MapShape { value_size: 16, ..spec.shape };
        let untyped = kernel.create_map(&image, &MapSpec { shape, ..spec }, btf.as_ref());
        let found = describe(&kernel, &untyped.expect("create a map"));
        assert_eq!((found.shape.value_size, found.key), (16, None));
    });
}
