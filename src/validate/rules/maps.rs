//! Maps: what the object declares with the manifest's overrides in it.

use std::collections::BTreeSet;

use super::{contents, expect, pins, shape};
use crate::manifest::listed;
use crate::model::code;
use crate::model::kinds::MapType;
use crate::model::map::{MapOrigin, MapSpec};
use crate::model::object::Part;
use crate::model::problem::Problem;
use crate::validate::desired::DesiredMap;
use crate::validate::findings::{Findings, Spot};
use crate::validate::subject::Subject;

/// Every map of the object that loading creates, in the object's order. `specs` are the object's
/// maps with the values of its globals in them.
pub(in crate::validate) fn resolve(
    subject: &Subject<'_>,
    specs: Vec<MapSpec>,
    findings: &mut Findings<'_>,
) -> Vec<DesiredMap> {
    defects(subject, findings);
    legacy(subject, findings);
    let broken: BTreeSet<&str> = subject
        .spec()
        .defects
        .iter()
        .filter_map(|defect| match &defect.part {
            Part::Map(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let mut maps = Vec::new();
    for mut spec in specs {
        if !subject.creates(&spec) {
            continue;
        }
        slots(subject, &spec, findings);
        if let Some(entry) = subject.entry.maps.get(&spec.name) {
            if let Some(wanted) = &entry.expect {
                let at = subject.map(&spec.name).key("expect");
                expect::check(&at, wanted, (subject.image, &spec), findings);
            }
            if let Some(most) = entry.max_entries {
                max_entries(subject, &mut spec, most.get(), findings);
            }
        }
        let pinned = pins::resolve(subject, &spec, findings);
        contents::check(subject, &spec, pinned.policy, findings);
        if !pinned.external && !broken.contains(spec.name.as_str()) {
            shape::check(subject, &spec, findings);
        }
        maps.push(DesiredMap {
            spec,
            policy: pinned.policy,
            pin: pinned.pin,
            on_mismatch: pinned.on_mismatch,
            external: pinned.external,
        });
    }
    maps
}

/// What is wrong with the object apart from its programs: all of it is needed to load any part.
fn defects(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for defect in &subject.spec().defects {
        let (at, code) = match &defect.part {
            Part::Map(name) => (subject.map_spot(name), code::MAP_DEFINITION_INVALID),
            Part::Section(_) | Part::Object => (Spot::Value(subject.path()), code::OBJECT_DEFECT),
            Part::Program(_) => continue,
        };
        findings.at(&at, Problem::error(code, None, defect.to_string()));
    }
}

/// Definitions of before BTF load, but say too little.
fn legacy(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let legacy = subject.spec().maps.iter().filter(|map| map.origin == MapOrigin::Legacy);
    let names = listed(legacy.map(|map| map.name.as_str()));
    if names.is_empty() {
        return;
    }
    let message = format!(
        "maps are defined as before BTF, in section `maps`, without types and `pinning`: {names}"
    );
    let problem = Problem::warning(code::LEGACY_MAP, None, message).help(
        "libbpf refuses the object since 1.0; define them as `struct { __uint(type, …); … } name \
         SEC(\".maps\");`",
    );
    findings.at_value(&subject.path(), problem);
}

/// Initial contents of a prog array name programs that must be loaded.
fn slots(subject: &Subject<'_>, map: &MapSpec, findings: &mut Findings<'_>) {
    if map.shape.map_type != MapType::PROG_ARRAY {
        return;
    }
    for (index, name) in &map.slots {
        let Some(program) = subject.spec().program(name) else { continue };
        if subject.loads(program) {
            continue;
        }
        let message = format!(
            "slot {index} of map `{}` holds program `{name}`, which is not loaded",
            map.name
        );
        let problem = Problem::error(code::SLOT_NOT_LOADED, None, message)
            .help(format!("name it: `[objects.{}.programs.{name}]`", subject.name));
        findings.at(&subject.map_spot(&map.name), problem);
    }
}

/// Overrides the number of entries where a map has one.
fn max_entries(subject: &Subject<'_>, map: &mut MapSpec, most: u32, findings: &mut Findings<'_>) {
    let Some(reason) = entries_fixed(map) else {
        map.shape.max_entries = most;
        return;
    };
    let message = format!("the number of entries of `{}` cannot be set: {reason}", map.name);
    let problem = Problem::error(code::MAX_ENTRIES_INAPPLICABLE, None, message);
    findings.at_key(&subject.map(&map.name).key("max-entries"), problem);
}

/// Why a map's number of entries is what it is (kernel: `bpf_local_storage_map_alloc_check`,
/// `cgroup_storage_map_alloc`, `bpf_struct_ops_map_alloc_check`).
fn entries_fixed(map: &MapSpec) -> Option<&'static str> {
    match map.origin {
        MapOrigin::Section { .. } => return Some("a data section is one entry"),
        MapOrigin::StructOps { .. } => return Some("a `struct_ops` map is one entry"),
        MapOrigin::Declared | MapOrigin::Arena { .. } | MapOrigin::Legacy => {}
    }
    let stores = [
        MapType::CGROUP_STORAGE,
        MapType::PERCPU_CGROUP_STORAGE,
        MapType::SK_STORAGE,
        MapType::INODE_STORAGE,
        MapType::TASK_STORAGE,
        MapType::CGRP_STORAGE,
    ];
    stores
        .contains(&map.shape.map_type)
        .then_some("local storage grows with what it is attached to, and the kernel wants 0")
}
