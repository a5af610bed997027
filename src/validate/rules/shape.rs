//! Maps whose definition is well-formed, and that the kernel does not take, or not as it is meant.

use crate::model::code;
use crate::model::host::HostFacts;
use crate::model::kinds::MapType as T;
use crate::model::map::MapSpec;
use crate::model::map_flags::NUMA_NODE;
use crate::model::problem::Problem;
use crate::model::shape::{is_local_storage, refused, refused_as_inner};
use crate::validate::findings::{Findings, Spot};
use crate::validate::subject::Subject;

/// Pages have at least so many bytes on every machine.
const PAGE: u32 = 4096;

/// Looks at a map with the manifest's overrides in it.
pub(in crate::validate) fn check(
    subject: &Subject<'_>,
    map: &MapSpec,
    findings: &mut Findings<'_>,
) {
    if !map.is_declared() || map.shape.map_type == T::UNSPEC {
        return;
    }
    let at = subject.map_spot(&map.name);
    let inner = map.inner.as_deref();
    for (what, spec) in [("map", Some(map)), ("the inner map of", inner)] {
        let Some(spec) = spec.filter(|spec| spec.shape.map_type != T::UNSPEC) else { continue };
        let mut reasons = refused(&spec.shape);
        if is_local_storage(spec.shape.map_type) && spec.key_type_id.min(spec.value_type_id) == 0 {
            reasons.push("needs `__type(key, …)` and `__type(value, …)`".to_owned());
        }
        if what == "map" && holds_maps(spec.shape.map_type) && inner.is_none() {
            reasons.push("needs an inner map: `__array(values, struct { … })`".to_owned());
        }
        if what != "map" {
            reasons.extend(refused_as_inner(spec.shape.map_type).map(str::to_owned));
        }
        if reasons.is_empty() {
            continue;
        }
        let message = format!(
            "{what} `{}` cannot be created: a map of type `{}` {}",
            map.name,
            spec.shape.map_type,
            reasons.join(", and ")
        );
        let problem = Problem::error(code::MAP_SHAPE_REFUSED, None, message)
            .help("no kernel takes the definition as it is; mend it in C");
        findings.at(&at, problem);
    }
    meaning(subject, map, findings);
    if map.numa_node.is_some() && map.shape.map_flags & NUMA_NODE == 0 {
        let message = format!(
            "`numa_node` of map `{}` has no effect: its flags lack `BPF_F_NUMA_NODE`",
            map.name
        );
        let problem = Problem::warning(code::NO_EFFECT, None, message)
            .help("add `__uint(map_flags, BPF_F_NUMA_NODE);` to its definition in C");
        findings.at(&at, problem);
    }
}

fn holds_maps(map_type: T) -> bool {
    matches!(map_type, T::ARRAY_OF_MAPS | T::HASH_OF_MAPS)
}

/// Entries that are not entries: bytes of a ring buffer, CPUs of a perf event array.
fn meaning(subject: &Subject<'_>, map: &MapSpec, findings: &mut Findings<'_>) {
    let entry = subject.entry.maps.get(&map.name);
    let from_manifest = entry.is_some_and(|entry| entry.max_entries.is_some());
    let at = if from_manifest {
        Spot::Value(subject.map(&map.name).key("max-entries"))
    } else {
        subject.map_spot(&map.name)
    };
    let most = map.shape.max_entries;
    let (message, help) = match map.shape.map_type {
        T::RINGBUF | T::USER_RINGBUF if most > 0 => {
            let host = HostFacts { possible_cpus: 1, page_size: PAGE };
            let rounded = map.shape.normalised(&host).max_entries;
            if rounded == most {
                return;
            }
            let message =
                format!("ring buffer `{}` gets {rounded} bytes or more, not {most}", map.name);
            let help = format!(
                "its entries are bytes, rounded up to a power of two of whole pages; {rounded} says \
                 so where pages have {PAGE} bytes"
            );
            (message, help)
        }
        T::PERF_EVENT_ARRAY if from_manifest => {
            let message = format!(
                "perf event array `{}` has room for CPUs 0 to {}",
                map.name,
                most.saturating_sub(1)
            );
            let help = "its entries are CPUs, and what runs on others cannot send; drop \
                        `max-entries`, and `max_entries` in C, to have one for each";
            (message, help.to_owned())
        }
        _ => return,
    };
    findings.at(&at, Problem::warning(code::MAX_ENTRIES_MEANING, None, message).help(help));
}
