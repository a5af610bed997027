//! What people meet when they pin: scenarios from the tests of libbpf and cilium/ebpf and from issues
//! of theirs, as far as they can be known without a kernel, each with the answer that it gets.

use std::path::Path;

use ebpf_apply::validate::{Validation, validate};

use crate::fixtures;
use crate::support;

/// One situation.
struct Scenario {
    /// Where it is from.
    source: &'static str,
    /// What is given.
    given: &'static str,
    /// Objects of `bpf/`, each under its own name.
    objects: &'static [&'static str],
    /// The rest of the manifest, with `demo` for the only object.
    manifest: &'static str,
    /// `code` or `code: words of the message`, in the order of the text.
    raises: &'static [&'static str],
    /// `object.map: path`, of what is pinned.
    pins: &'static [&'static str],
}

const NONE: Scenario =
    Scenario { source: "", given: "", objects: &[], manifest: "", raises: &[], pins: &[] };

#[rustfmt::skip]
const SCENARIOS: &[Scenario] = &[
    Scenario {
        source: "cilium/ebpf TestMapPinning",
        given: "a map of other sizes at the path: every field is named",
        objects: &["shape_a", "shape_b"],
        raises: &["shared-map-differs: value size (8 and 16), entries (1024 and 4096)"],
        pins: &["shape_a.state: state", "shape_b.state: state"],
        ..NONE
    },
    Scenario {
        source: "cilium/ebpf#237",
        given: "an inner map that asks for a pin",
        objects: &["invalid_inner"],
        raises: &["map-definition-invalid: inner def can't be pinned"],
        ..NONE
    },
    Scenario {
        source: "cilium/ebpf TestNestedMapPin",
        given: "an outer map with a pin",
        objects: &["initial_slots"],
        manifest: "maps.by_index = { pin = 'by-name', allow-undeclared = true }",
        pins: &["demo.by_index: by_index", "demo.jumps: jumps"],
        ..NONE
    },
    Scenario {
        source: "cilium/ebpf#271",
        given: "a pin that would go to a path where another is",
        objects: &["three_policies", "tables"],
        manifest: "[objects.tables.maps.totals]\nsubpath = 'x'",
        raises: &["unknown-map: no map `totals`"],
        pins: &["three_policies.sessions: sessions", "three_policies.totals: totals"],
    },
    Scenario {
        source: "cilium/ebpf TestCollectionSpecMapReplacements",
        given: "a map that the object does not have",
        objects: &["three_policies"],
        manifest: "maps.total.pin = 'by-name'",
        raises: &["unknown-map: no map `total`"],
        pins: &["demo.sessions: sessions", "demo.totals: totals"],
    },
    Scenario {
        source: "cilium/ebpf#1637",
        given: "a path, and no `pinning` in C",
        objects: &["undeclared"],
        manifest: "maps.flows = { pin = 'by-name', subpath = 'x' }",
        raises: &["pin-attribute-missing: its definition does not ask for a pin"],
        pins: &["demo.flows: x/flows"],
    },
    Scenario {
        source: "asavie/xdp#29",
        given: "`pinning` in C, and no path: below the deployment's own root",
        objects: &["three_policies"],
        pins: &["demo.sessions: sessions", "demo.totals: totals"],
        ..NONE
    },
    Scenario {
        source: "cilium/ebpf#854, #1878",
        given: "a path for one map of several",
        objects: &["three_policies"],
        manifest: "maps.totals.subpath = 'state'",
        pins: &["demo.sessions: sessions", "demo.totals: state/totals"],
        ..NONE
    },
    Scenario {
        source: "cilium/ebpf#47",
        given: "one name and one shape in two objects: one map",
        objects: &["shape_a"],
        manifest: "[objects.other]\npath = 'bpf/out/shape_a.bpf.o'",
        pins: &["demo.state: state", "other.state: state"],
        ..NONE
    },
    Scenario {
        source: "libbpf pinning.c",
        given: "a sub-path each keeps maps of one name apart",
        objects: &["shape_a", "shape_b"],
        manifest: "[objects.shape_b]\nsubpath = 'b'",
        pins: &["shape_a.state: state", "shape_b.state: b/state"],
        ..NONE
    },
    Scenario {
        source: "bpffs: bpf_lookup",
        given: "a dot in a sub-path, which the kernel would answer with EPERM",
        objects: &["three_policies"],
        manifest: "maps.totals.subpath = 'v1.2'",
        raises: &["bad-subpath: v1.2"],
        pins: &["demo.sessions: sessions"],
    },
    Scenario {
        source: "xdp-tutorial#86, cilium/ebpf#923",
        given: "a pin for constants",
        objects: &["globals"],
        manifest: "maps.'.rodata'.pin = 'by-name'",
        raises: &["map-unpinnable: stale constants"],
        pins: &["demo.seen: seen"],
    },
    Scenario {
        source: "l3afd#533, bpfman#794",
        given: "`.bss` beside maps that are pinned: it is left alone",
        objects: &["globals"],
        pins: &["demo.seen: seen"],
        ..NONE
    },
    Scenario {
        source: "libbpfgo#190, bpftime#595",
        given: "long names that the kernel cuts alike: distinct pins of full names",
        objects: &["invalid_names"],
        manifest: "maps.connection_table_v4 = { pin = 'by-name', allow-undeclared = true }\n\
                   maps.connection_table_v6 = { pin = 'by-name', allow-undeclared = true }",
        raises: &["kernel-name-clash: `connection_tabl`"],
        pins: &[
            "demo.connection_table_v4: connection_table_v4",
            "demo.connection_table_v6: connection_table_v6",
        ],
    },
    Scenario {
        source: "libbpf: map_is_reuse_compat",
        given: "sizes on one side and types on the other: compatible, and said",
        objects: &["shape_a", "shape_untyped"],
        raises: &["layout-unknown: of which type its key is", "layout-unknown: its value"],
        pins: &["shape_a.state: state", "shape_untyped.state: state"],
        ..NONE
    },
    Scenario {
        source: "libbpf: map_is_reuse_compat",
        given: "other names for the same bytes, explicit padding, ring buffers of one rounded size",
        objects: &["shape_signed", "shape_unsigned"],
        raises: &["max-entries-meaning: ring buffer `events` gets 8192 bytes or more, not 5000"],
        pins: &[
            "shape_signed.events: events",
            "shape_signed.flows: flows",
            "shape_signed.totals: totals",
            "shape_unsigned.events: events",
            "shape_unsigned.flows: flows",
            "shape_unsigned.totals: totals",
        ],
        manifest: "",
    },
    Scenario {
        source: "libbpf: map_is_reuse_compat",
        given: "the same sizes and another layout, which other loaders take",
        objects: &["stats_three", "stats_turned"],
        raises: &["shared-map-differs: layout of the value (`packets` is where the other has `drops`)"],
        pins: &["stats_three.stats: stats", "stats_turned.stats: stats"],
        ..NONE
    },
    Scenario {
        source: "cilium/ebpf: Compatible",
        given: "inner maps of another shape, which other loaders do not look at",
        objects: &["shape_inner_32", "shape_inner_64"],
        raises: &["shared-map-differs: inner value size (4 and 8)"],
        pins: &["shape_inner_32.by_tenant: by_tenant", "shape_inner_64.by_tenant: by_tenant"],
        ..NONE
    },
    Scenario {
        source: "libbpf: map_is_reuse_compat, selftest pinning_devmap_reuse",
        given: "another `map_extra`, and values of a devmap with and without a program",
        objects: &["shape_redirect_4", "shape_redirect_8"],
        raises: &[
            "shared-map-differs: `seen` and differ in map_extra (0x3 and 0x5)",
            "shared-map-differs: `ports` and differ in value size (4 and 8)",
        ],
        pins: &[],
        ..NONE
    },
    Scenario {
        source: "selftest pinning_devmap_reuse",
        given: "a devmap twice alike: one map, whatever flags the kernel adds",
        objects: &["shape_redirect_8"],
        manifest: "[objects.other]\npath = 'bpf/out/shape_redirect_8.bpf.o'",
        pins: &["demo.ports: ports", "demo.seen: seen", "other.ports: ports", "other.seen: seen"],
        ..NONE
    },
    Scenario {
        source: "kernel: bpf_map_attr_numa_node",
        given: "a NUMA node without its flag",
        objects: &["invalid_numa"],
        raises: &["no-effect: lack `BPF_F_NUMA_NODE`"],
        ..NONE
    },
    Scenario {
        source: "libbpf invalid_map_static",
        given: "a map that is static, among other mistakes",
        objects: &["inspect_defects"],
        manifest: "load = 'listed'\nmaps.internal.pin = 'none'",
        raises: &["map-definition-invalid: unsupported map linkage static"],
        ..NONE
    },
    Scenario {
        source: "iproute2",
        given: "PIN_GLOBAL_NS, which is 2",
        objects: &["invalid_pinning"],
        raises: &["pin-attribute-invalid: the pinning value 2"],
        ..NONE
    },
    Scenario {
        source: "libbpf 1.0",
        given: "maps of before BTF",
        objects: &["legacy_maps"],
        raises: &["legacy-map: without types and `pinning`"],
        ..NONE
    },
    Scenario {
        source: "aya: cannot load",
        given: "a prog array and maps of maps with contents",
        objects: &["initial_slots"],
        pins: &["demo.jumps: jumps"],
        ..NONE
    },
    Scenario {
        source: "ebpf-for-windows#4272",
        given: "a prog array without a pin: kept by one of our own, so nothing to say",
        objects: &["initial_slots"],
        manifest: "maps.jumps.pin = 'none'",
        ..NONE
    },
    Scenario {
        source: "cilium#28540",
        given: "a prog array that persists: a fresh one takes its place",
        objects: &["initial_slots"],
        manifest: "maps.jumps.pin = 'persist-on-exit'",
        raises: &["contents-not-kept: its contents do not stay"],
        pins: &["demo.jumps: jumps"],
    },
    Scenario {
        source: "aya: unsupported section",
        given: "sections of libbpf's dialect",
        objects: &["dialect"],
        ..NONE
    },
];

fn answered(scenario: &Scenario) -> (Validation, String) {
    let mut text = String::from("version = 1\nname = \"demo\"\n");
    let only = scenario.objects.len() == 1;
    for object in scenario.objects {
        support::object(object);
        let name = if only { "demo" } else { object };
        // A table that the scenario opens itself gets its path there.
        let header = format!("[objects.{name}]\n");
        let path = format!("path = \"bpf/out/{object}.bpf.o\"\n");
        if !scenario.manifest.contains(header.trim_end()) {
            text.extend([header, path]);
        }
    }
    let mut rest = scenario.manifest.to_owned();
    for object in scenario.objects {
        let header = format!("[objects.{object}]\n");
        rest = rest.replace(&header, &format!("{header}path = \"bpf/out/{object}.bpf.o\"\n"));
    }
    text.push_str(&rest);
    (validate(Path::new("demo.toml"), &text, &fixtures::read), text)
}

#[test]
fn scenarios_are_answered() {
    for scenario in SCENARIOS {
        let Scenario { source, given, .. } = scenario;
        let (found, text) = answered(scenario);
        let wanted = scenario.raises.len();
        // Of an object made of mistakes, only the one in question counts.
        let one_of_many = scenario.objects == ["inspect_defects"];
        if !one_of_many {
            assert_eq!(
                found.problems.len(),
                wanted,
                "{source}: {given}\n{text}\n{:#?}",
                found.problems
            );
        }
        for (index, raised) in scenario.raises.iter().enumerate() {
            let (code, words) = raised.split_once(": ").unwrap_or((raised, ""));
            let fits = |at: usize| {
                found
                    .problems
                    .get(at)
                    .is_some_and(|problem| problem.code == code && problem.message.contains(words))
            };
            let is_there =
                if one_of_many { (0..found.problems.len()).any(fits) } else { fits(index) };
            assert!(is_there, "{source}: {given}: {raised}\n{:#?}", found.problems);
        }
    }
}

#[test]
fn what_is_valid_is_pinned_where_it_is_said() {
    for scenario in SCENARIOS {
        let (found, text) = answered(scenario);
        let Some(desired) = found.desired else { continue };
        let pins: Vec<String> = desired
            .objects
            .iter()
            .flat_map(|object| object.maps.iter().map(move |map| (object, map)))
            .filter_map(|(object, map)| {
                Some(format!("{}.{}: {}", object.name, map.spec.name, map.pin.as_ref()?))
            })
            .collect();
        let mut pins: Vec<&str> = pins.iter().map(String::as_str).collect();
        pins.sort_unstable();
        assert_eq!(pins, scenario.pins, "{}: {}\n{text}", scenario.source, scenario.given);
    }
}
