//! Maps and programs.

use ebpf_apply::kernel::{Kernel, LoadRequest};
use ebpf_apply::model::ctype::CTypeKind;
use ebpf_apply::model::identity::{Identity, ObjectKind};
use ebpf_apply::model::kinds::{MapType, ProgramType};
use ebpf_apply::model::map::MapOrigin;
use ebpf_apply::object::Image;

use rustix::io::Errno;

use super::{Host, image, pin, xdp};

pub(crate) fn objects_live_with_their_last_reference<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let loaded = host.load("bench_small");
    let map = kernel.id(&loaded.maps["packets"]);
    kernel.pin(loaded.program("count_packets"), &root, &pin("p")).expect("pin");
    drop(loaded);
    // The pin keeps the program, and the program the map.
    assert_eq!(host.program(&root, &pin("p")).map_ids, [map]);
    kernel.unpin(&root, &pin("p")).expect("unpin");
    assert!(kernel.open(&root, &pin("p")).expect("open").is_none());
}

pub(crate) fn a_handle_tells_what_it_holds<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let loaded = host.load("shape_a");
    let link = host.attach(&loaded, "count_a", &xdp());
    let handles = [
        (&loaded.maps["state"], ObjectKind::Map),
        (loaded.program("count_a"), ObjectKind::Program),
        (&link, ObjectKind::Link),
    ];
    for (handle, kind) in handles {
        let identity = kernel.identity_of(handle);
        assert_eq!(identity, Identity { kind, id: kernel.id(handle) });
        kernel.pin(handle, &root, &pin("it")).expect("pin");
        assert_eq!(host.look(&root, &pin("it")).identity(), Some(identity));
        kernel.unpin(&root, &pin("it")).expect("unpin");
    }
    let btf = kernel.load_btf(&loaded.image).expect("load BTF").expect("the object has it");
    assert_eq!(kernel.identity_of(&btf).kind, ObjectKind::Btf);
}

pub(crate) fn a_map_without_a_pin_is_found_by_its_id<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let loaded = host.load("bench_small");
    let id = kernel.id(&loaded.maps["packets"]);
    kernel.pin(loaded.program("count_packets"), &root, &pin("p")).expect("pin");
    drop(loaded);
    let found = kernel.open_map(id).expect("look").expect("the program keeps it");
    let map = found.handle.expect("it is open");
    assert_eq!(found.object.identity(), Some(Identity::map(id)));
    assert_eq!(kernel.identity_of(&map), Identity::map(id));
    kernel.pin(&map, &root, &pin("m")).expect("pin");
    assert_eq!(host.map(&root, &pin("m")).id, id);
    drop(map);
    assert!(kernel.open_map(u32::MAX).expect("look").is_none());
}

pub(crate) fn data_sections_are_maps_of_one_value<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let loaded = host.load("globals");
    let sections = loaded.image.spec.maps.iter().filter(|map| !map.is_declared());
    let mut seen = 0;
    for (n, spec) in sections.enumerate() {
        let path = pin(&format!("section{n}"));
        kernel.pin(&loaded.maps[&spec.name], &root, &path).expect("pin");
        let live = host.map(&root, &path);
        assert_eq!(live.shape, spec.shape, "{}", spec.name);
        assert_eq!((live.shape.map_type, live.shape.max_entries), (MapType::ARRAY, 1));
        seen += 1;
    }
    assert!(seen >= 5, "the object has .rodata, .data, .bss and two of its own");

    let rodata = loaded.image.spec.map(".rodata").expect("the object has one");
    let mut short = rodata.clone();
    if let MapOrigin::Section { contents, .. } = &mut short.origin {
        contents.push(1);
    }
    assert!(kernel.create_map(&loaded.image, &short, None).is_err(), "the contents do not fit");
}

pub(crate) fn shapes_are_normalised<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let facts = kernel.facts().expect("the host's facts");
    assert!(facts.possible_cpus >= 1 && facts.page_size >= 4096);
    let image = image("exec_trace");
    let mut spec = image.spec.map("execs").expect("a ring buffer").clone();
    spec.shape.max_entries = facts.page_size + 1;
    let map = kernel.create_map(&image, &spec, None).expect("create a ring buffer");
    kernel.pin(&map, &root, &pin("ring")).expect("pin");
    assert_eq!(host.map(&root, &pin("ring")).shape.max_entries, 2 * facts.page_size);

    let mut spec = image.spec.map("exec_counts").expect("an array").clone();
    spec.shape.map_type = MapType::PERF_EVENT_ARRAY;
    spec.shape.value_size = 4;
    spec.shape.max_entries = 0;
    let map = kernel.create_map(&image, &spec, None).expect("create a perf event array");
    kernel.pin(&map, &root, &pin("perf")).expect("pin");
    assert_eq!(host.map(&root, &pin("perf")).shape.max_entries, facts.possible_cpus);
}

pub(crate) fn programs_use_their_maps<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let loaded = host.load("firewall");
    kernel.pin(loaded.program("xdp_firewall"), &root, &pin("p")).expect("pin");
    let live = host.program(&root, &pin("p"));
    assert_eq!(live.program_type, ProgramType::XDP);
    assert_eq!(live.name, "xdp_firewall");
    assert_ne!(live.tag, [0; 8]);
    let mut ids: Vec<u32> = loaded.maps.values().map(|map| kernel.id(map)).collect();
    let mut used = live.map_ids;
    ids.sort_unstable();
    used.sort_unstable();
    assert_eq!(used, ids);

    kernel.pin(&loaded.maps["flows"], &root, &pin("flows")).expect("pin");
    let flows = host.map(&root, &pin("flows"));
    assert_eq!(flows.name, "flows");
    assert_eq!(Some(flows.shape), loaded.image.spec.map("flows").map(|map| map.shape));
    let key = flows.key.expect("the map has BTF");
    assert_eq!((key.name.as_str(), key.size), ("struct flow_key", 16));
    let Some(CTypeKind::Struct { members, .. }) = flows.value.map(|value| value.kind) else {
        panic!("the value is a struct")
    };
    assert_eq!(members[0].name, "packets");
}

pub(crate) fn slots_hold_what_they_are_filled_with<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let loaded = host.load("initial_slots");
    let jumps = &loaded.maps["jumps"];
    assert_eq!((host.slot)(jumps, 0), None, "they are not filled by creating the map");
    let (first, third) = (loaded.program("first"), loaded.program("third"));
    kernel.fill_slots(jumps, &[(0, first), (2, third)].into()).expect("fill");
    let slots: Vec<_> = (0..4).map(|index| (host.slot)(jumps, index)).collect();
    assert_eq!(slots, [Some(kernel.id(first)), None, Some(kernel.id(third)), None]);

    let (outer, left) = (&loaded.maps["by_index"], &loaded.maps["left"]);
    kernel.fill_slots(outer, &[(1, left)].into()).expect("fill");
    assert_eq!((host.slot)(outer, 1), Some(kernel.id(left)));
    kernel.fill_slots(&loaded.maps["by_key"], &[(2, left)].into()).expect("fill");

    for (map, index, content) in [(jumps, 4, first), (outer, 4, left)] {
        let error = kernel.fill_slots(map, &[(index, content)].into()).expect_err("past the end");
        assert_eq!(error.raw(), Some(Errno::TOOBIG), "{error}");
    }
    for (map, content) in [(jumps, left), (outer, first), (left, left)] {
        assert!(kernel.fill_slots(map, &[(0, content)].into()).is_err(), "of another kind");
    }
}

pub(crate) fn a_prog_array_lets_go_when_nobody_holds_it<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let root = host.root();
    let mut loaded = host.load("initial_slots");
    let (jumps, outer) = (loaded.maps.remove("jumps"), loaded.maps.remove("by_index"));
    let (jumps, outer) = (jumps.expect("it has it"), outer.expect("it has it"));
    kernel.fill_slots(&jumps, &[(0, loaded.program("third"))].into()).expect("fill");
    kernel.fill_slots(&outer, &[(1, &loaded.maps["left"])].into()).expect("fill");
    // The program `third` uses `by_index`, and `entry` uses `jumps`.
    kernel.pin(loaded.program("entry"), &root, &pin("entry")).expect("pin");
    kernel.pin(&jumps, &root, &pin("jumps")).expect("pin");
    let (third, left) = (kernel.id(loaded.program("third")), kernel.id(&loaded.maps["left"]));
    let array = kernel.id(&jumps);
    drop((loaded, jumps));
    let found = kernel.open(&root, &pin("jumps")).expect("open").expect("it is pinned");
    assert_eq!((host.slot)(&found.handle.expect("a handle"), 0), Some(third), "the pin keeps it");
    assert_eq!((host.slot)(&outer, 1), Some(left), "an inner map lives as long as its outer one");

    kernel.unpin(&root, &pin("jumps")).expect("unpin");
    let program = host.program(&root, &pin("entry"));
    assert!(program.map_ids.contains(&array), "the program still uses the array");
}

pub(crate) fn loading_is_all_or_nothing<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let image = image("dialect");
    let mut unknown = image.spec.program("on_xdp").expect("it has one").clone();
    "nonesuch".clone_into(&mut unknown.section);
    unknown.kind = None;
    let known = image.spec.program("on_tc").expect("it has one");
    let request = LoadRequest {
        image: &image,
        programs: vec![known, &unknown],
        maps: std::collections::BTreeMap::new(),
        btf: None,
    };
    let sound = |name: &str| {
        let program = image.spec.program(name).expect("it has one");
        LoadRequest { image: &image, programs: vec![program], maps: [].into(), btf: None }
    };
    let error = kernel.load_programs(&[sound("on_tc"), request]).err().expect("one has no type");
    assert!(error.to_string().contains("`on_xdp`"), "{error}");
    assert!(error.to_string().contains("`nonesuch`"), "{error}");
}

pub(crate) fn programs_of_several_objects_load_together<K: Kernel>(host: &Host<'_, K>) {
    let (kernel, root) = (host.kernel, host.root());
    let (first, second) = (image("dialect"), image("bench_heavy"));
    let one = |image, program: &'static str| {
        let image: &Image = image;
        let program = image.spec.program(program).expect("the object has it");
        LoadRequest { image, programs: vec![program], maps: [].into(), btf: None }
    };
    let requests = [one(&first, "on_xdp"), one(&second, "heavy_10"), one(&first, "on_tc")];
    let mut heard = Vec::new();
    let loaded = kernel.load_programs_with(&requests, &mut |loaded| heard.push(loaded));
    let loaded = loaded.expect("all are sound");
    // Who loads hears of what it loads itself, and of the others' with that.
    assert!(heard.starts_with(&[0]) && heard.len() > 1, "{heard:?}");
    assert!(heard.is_sorted_by(|before, after| before < after && *after <= 3), "{heard:?}");
    let names: Vec<Vec<&str>> =
        loaded.iter().map(|programs| programs.keys().map(String::as_str).collect()).collect();
    assert_eq!(names, [["on_xdp"], ["heavy_10"], ["on_tc"]], "as they were asked for");
    kernel.pin(&loaded[1]["heavy_10"], &root, &pin("heavy")).expect("pin");
    assert_eq!(host.program(&root, &pin("heavy")).name, "heavy_10");
}
