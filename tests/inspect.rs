//! What `inspect` says about real objects: those of `bpf/inspect_*.bpf.c`, each of which holds one
//! side of the subject, and those that xdp-tools installs.

mod support;

use std::fs;
use std::path::Path;

use ebpf_apply::model::ctype::{CType, CTypeKind};
use ebpf_apply::model::kinds::{MapType, ProgramType};
use ebpf_apply::model::map::{DataSection, MapOrigin};
use ebpf_apply::model::object::{ExternKind, ObjectSpec, Part};
use ebpf_apply::object::{Image, inspect};
use object::{Object as _, ObjectSection as _};

fn bytes(name: &str) -> Vec<u8> {
    fs::read(support::object(name)).expect("what was built can be read")
}

fn spec(name: &str) -> ObjectSpec {
    inspect(&bytes(name)).expect("it is an object")
}

/// The object as if compiled without one of its sections.
fn without_section(mut bytes: Vec<u8>, name: &str) -> Vec<u8> {
    let file = object::File::parse(&*bytes).expect("it is an object");
    let index = file.section_by_name(name).expect("it has the section").index().0;
    let table = u64::from_le_bytes(bytes[40..48].try_into().expect("8 bytes"));
    let entry = usize::try_from(table).expect("it is in the file") + 64 * index;
    // Offset 0 of the names is the empty name.
    bytes[entry..entry + 4].fill(0);
    bytes
}

fn defects(spec: &ObjectSpec) -> Vec<String> {
    spec.defects.iter().map(ToString::to_string).collect()
}

/// What compilers are free to choose, made the same.
fn normalised(mut spec: ObjectSpec) -> ObjectSpec {
    for map in &mut spec.maps {
        map.key_type_id = map.key_type_id.min(1);
        map.value_type_id = map.value_type_id.min(1);
        if let Some(inner) = &mut map.inner {
            inner.key_type_id = inner.key_type_id.min(1);
            inner.value_type_id = inner.value_type_id.min(1);
        }
    }
    for program in &mut spec.programs {
        program.instructions = program.instructions.min(1);
    }
    spec.maps.sort_by(|a, b| a.name.cmp(&b.name));
    spec
}

#[test]
fn everything_of_a_rich_object() {
    let spec = normalised(spec("inspect_rich"));
    assert_eq!(defects(&spec), [""; 0]);
    let json = serde_json::to_string_pretty(&spec).expect("it can be serialised");
    insta::assert_snapshot!(json);
}

#[test]
fn sections_libbpf_would_map_have_its_flags() {
    let spec = spec("inspect_rich");
    let flags = |name| spec.map(name).expect(name).shape.map_flags;
    assert_eq!(flags(".rodata"), 0x480, "read-only, and a global to be seen");
    assert_eq!(flags(".data"), 0x400);
    assert_eq!(flags(".bss"), 0x400);
    assert_eq!(flags(".bss.scratch"), 0x400);
    assert_eq!(flags(".data.private"), 0, "nothing but a static");
    assert_eq!(flags(".data.hidden"), 0, "nothing but a hidden variable");
}

#[test]
fn contents_of_sections_are_taken() {
    let spec = spec("inspect_rich");
    let contents = |name: &str| match &spec.map(name).expect(name).origin {
        MapOrigin::Section { kind, contents } => (*kind, contents.clone()),
        other => panic!("{name} is {other:?}"),
    };
    assert_eq!(contents(".rodata.network"), (DataSection::Rodata, vec![0x7f, 0, 0, 1]));
    assert_eq!(contents(".data.private"), (DataSection::Data, vec![9, 0, 0, 0]));
    assert_eq!(contents(".bss.scratch"), (DataSection::Bss, vec![0; 64]));
    let (_, rodata) = contents(".rodata");
    let level = spec.global("log_level").expect("it is in .rodata");
    let at = level.offset as usize;
    assert_eq!(rodata.get(at..at + 4), Some([2, 0, 0, 0].as_slice()));
}

#[test]
fn types_are_named_as_in_c() {
    fn names(ctype: &CType) -> Vec<(&str, &str)> {
        let CTypeKind::Struct { members, .. } = &ctype.kind else { panic!("{ctype} is no struct") };
        members.iter().map(|member| (member.name.as_str(), member.ctype.name.as_str())).collect()
    }
    let spec = spec("inspect_rich");
    let flows = spec.map("flows").expect("it is declared");
    let (key, value) = (flows.key.as_ref().expect("typed"), flows.value.as_ref().expect("typed"));
    assert_eq!((key.name.as_str(), key.size), ("struct flow_key", 16));
    assert_eq!(
        names(key),
        [
            ("source", "address_t"),
            ("target", "address_t"),
            ("ports", "__u16[2]"),
            ("protocol", "unsigned char"),
            ("", "union {…}"),
            ("padding", "__u16"),
        ]
    );
    assert_eq!(
        names(value),
        [
            ("packets", "__u64"),
            ("balance", "__s64"),
            ("seen", "_Bool"),
            ("label", "char[16]"),
            ("verdict", "enum verdict"),
            ("next", "struct flow_state *"),
            ("callback", "void (*)(…)"),
        ]
    );
}

#[test]
fn each_mistake_is_named_and_the_rest_described() {
    let spec = spec("inspect_defects");
    insta::assert_snapshot!(defects(&spec).join("\n"));

    let conflicting = spec.map("conflicting").expect("it is listed").shape;
    assert_eq!(conflicting.max_entries, 7);
    let oddly = spec.map("pinned_oddly").expect("it is listed");
    assert_eq!(oddly.pinning, Some(2), "for the validator to judge");
    assert!(spec.map("number").is_some(), "even what is no map");
    assert_eq!(spec.license, None);
    let names: Vec<_> = spec.programs.iter().map(|program| program.name.as_str()).collect();
    assert_eq!(names, ["entry"], "neither the subprogram nor the static function");
}

#[test]
fn legacy_maps_are_read() {
    let spec = spec("inspect_legacy");
    assert_eq!(defects(&spec), [""; 0]);
    let old = spec.map("old").expect("it is there");
    assert_eq!((&old.origin, old.pinning), (&MapOrigin::Legacy, None));
    let shape = old.shape;
    assert_eq!((shape.map_type, shape.key_size, shape.value_size), (MapType::ARRAY, 4, 4));
    assert_eq!((shape.max_entries, shape.map_flags), (1, 0));
}

#[test]
fn variables_in_an_arena_are_its_contents() {
    let spec = spec("arena_globals");
    assert_eq!(defects(&spec), [""; 0]);
    let arena = spec.map("arena").expect("it is there");
    let MapOrigin::Arena { contents } = &arena.origin else { panic!("{:?}", arena.origin) };
    assert_eq!(contents.len(), 602 * 8);
    assert_eq!(contents.first_chunk(), Some(&40_u64.to_le_bytes()));
}

#[test]
fn what_the_kernel_must_supply() {
    let spec = spec("inspect_kernel");
    assert_eq!(defects(&spec), [""; 0]);
    let found = |name| {
        let found = spec.externs.iter().find(|external| external.name == name).expect(name);
        (found.kind, found.weak)
    };
    assert_eq!(spec.externs.len(), 5);
    assert_eq!(found("LINUX_KERNEL_VERSION"), (ExternKind::Kconfig, false));
    assert_eq!(found("CONFIG_NET"), (ExternKind::Kconfig, true));
    assert_eq!(found("jiffies"), (ExternKind::Ksym, false));
    assert_eq!(found("bpf_prog_active"), (ExternKind::Ksym, true));
    assert_eq!(found("bpf_task_release"), (ExternKind::Kfunc, false));
    assert!(spec.needs_kernel_btf);
}

#[test]
fn struct_ops_are_maps_of_programs() {
    let spec = spec("inspect_kernel");
    let calm = spec.map("calm").expect("it is in .struct_ops.link");
    let origin = |name: Option<&str>, link, autocreate| MapOrigin::StructOps {
        ops: "tcp_congestion_ops".to_owned(),
        name: name.map(str::to_owned),
        link,
        autocreate,
    };
    assert_eq!(calm.origin, origin(Some("calm"), true, true));
    assert_eq!(calm.shape.map_type, MapType::STRUCT_OPS);
    assert_eq!((calm.shape.value_size, calm.shape.map_flags), (32, 1 << 13));
    assert_eq!(calm.value.as_ref().expect("typed").name, "struct tcp_congestion_ops");
    assert_eq!(calm.slots, [(1, "slow_start".to_owned())]);
    let spare = spec.map("spare").expect("it is in ?.struct_ops");
    assert_eq!(spare.origin, origin(Some("spare"), false, false));
    assert!(spare.slots.is_empty());
    let kind = spec.program("slow_start").and_then(|program| program.kind.as_ref());
    assert_eq!(kind.expect("known").program_type, ProgramType::STRUCT_OPS);
}

#[test]
fn without_btf_maps_have_names_only() {
    let stripped = without_section(bytes("inspect_rich"), ".BTF");
    let spec = inspect(&stripped).expect("it is still an object");
    assert!(!spec.has_btf);
    let flows = spec.map("flows").expect("its symbol is there");
    assert_eq!(flows.shape.map_type, MapType::UNSPEC);
    let advice =
        "map `flows`: its definition is BTF, which this object lacks; compile with `clang -g`";
    assert!(defects(&spec).iter().any(|defect| defect == advice));

    let rodata = spec.map(".rodata").expect("sections need no BTF");
    assert_eq!((rodata.shape.map_flags, rodata.value_type_id), (0x80, 0));
    let level = spec.global("log_level").expect("its symbol is there");
    assert_eq!((level.size, &level.ctype), (4, &None));
    assert_eq!(spec.programs.len(), 5);
}

#[test]
fn an_extern_without_btf_comes_from_nowhere() {
    let spec = inspect(&without_section(bytes("inspect_kernel"), ".BTF")).expect("an object");
    assert!(spec.externs.iter().all(|external| external.kind == ExternKind::Undefined));
    assert_eq!(spec.defects.iter().filter(|defect| defect.part == Part::Object).count(), 5);
}

#[test]
fn without_symbols_nothing_can_be_found() {
    let spec = inspect(&without_symbols(bytes("inspect_legacy"))).expect("an object");
    assert!(spec.programs.is_empty());
    assert!(defects(&spec).iter().any(|defect| defect.contains("no symbol table")));
}

/// The object as `strip` would leave it.
fn without_symbols(mut bytes: Vec<u8>) -> Vec<u8> {
    let file = object::File::parse(&*bytes).expect("it is an object");
    let index = file.section_by_name(".symtab").expect("it has the section").index().0;
    let table = u64::from_le_bytes(bytes[40..48].try_into().expect("8 bytes"));
    let entry = usize::try_from(table).expect("it is in the file") + 64 * index;
    bytes[entry + 4..entry + 8].fill(0);
    bytes
}

#[test]
fn maps_whose_symbols_have_no_type_are_told() {
    let spec = inspect(&with_untyped_symbols(bytes("inspect_legacy"))).expect("an object");
    assert!(spec.programs.is_empty() && spec.maps.is_empty());
    let told = defects(&spec);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("symbols have no type, as clang before 8 wrote them"), "{told:?}");
}

/// The object with the symbols that clang before 8 gave it: neither functions nor variables.
fn with_untyped_symbols(mut bytes: Vec<u8>) -> Vec<u8> {
    let file = object::File::parse(&*bytes).expect("it is an object");
    let symbols = file.section_by_name(".symtab").and_then(|section| section.file_range());
    let (first, size) = symbols.expect("it has the section");
    let symbols = usize::try_from(first).expect("it is in the file")..;
    let size = usize::try_from(size).expect("it is in the file");
    // `st_info`: binding above, type below.
    for symbol in bytes[symbols][..size].chunks_exact_mut(24).filter(|symbol| symbol[4] >> 4 != 0) {
        symbol[4] &= 0xf0;
    }
    bytes
}

#[test]
fn an_image_holds_what_was_hashed() {
    let bytes = bytes("inspect_legacy");
    let image = Image::new("some/path.o", bytes.clone()).expect("it is an object");
    assert_eq!(image.digest, ebpf_apply::model::digest::Digest::of(&bytes));
    assert_eq!(image.path, Path::new("some/path.o"));
    assert_eq!(image.spec, spec("inspect_legacy"));
}

/// Where Debian and Fedora put the objects of xdp-tools.
const XDP_TOOLS: [&str; 2] = ["/usr/lib/x86_64-linux-gnu/bpf", "/usr/lib64/bpf"];

#[test]
fn objects_of_xdp_tools_have_no_defect() {
    for directory in XDP_TOOLS.into_iter().filter(|directory| Path::new(directory).is_dir()) {
        for entry in fs::read_dir(directory).expect("it can be listed") {
            let path = entry.expect("it can be listed").path();
            let spec = inspect(&fs::read(&path).expect("it can be read")).expect("an object");
            assert_eq!(defects(&spec), [""; 0], "{}", path.display());
            assert!(!spec.programs.is_empty(), "{}", path.display());
        }
        let filter = Path::new(directory).join("xdpfilt_alw_all.o");
        if let Ok(bytes) = fs::read(filter) {
            let spec = inspect(&bytes).expect("an object");
            let maps: Vec<_> = spec
                .maps
                .iter()
                .map(|map| {
                    let shape = map.shape;
                    (map.name.as_str(), shape.key_size, shape.value_size, shape.max_entries)
                })
                .collect();
            assert_eq!(
                maps,
                [
                    ("xdp_stats_map", 4, 16, 5),
                    ("filter_ports", 4, 8, 65536),
                    ("filter_ipv4", 4, 8, 10000),
                    ("filter_ipv6", 16, 8, 10000),
                    ("filter_ethernet", 6, 8, 10000),
                ]
            );
        }
    }
}
