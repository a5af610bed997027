//! Pins of several maps and programs: what lies at one path must be one thing.

use std::collections::BTreeMap;

use crate::model::code;
use crate::model::host::HostFacts;
use crate::model::layout::layout_difference;
use crate::model::map::MapSpec;
use crate::model::pin::PinPath;
use crate::model::problem::Problem;
use crate::model::shape::has_numbers_for_keys;
use crate::validate::desired::{DesiredMap, DesiredObject};
use crate::validate::findings::{Findings, Spot};
use crate::validate::subject::Subject;

/// Something that is pinned.
struct Pin<'d> {
    /// Where the manifest speaks of it, or of the object that declares it.
    at: Spot,
    object: &'d str,
    name: &'d str,
    /// `None` for a program.
    map: Option<&'d DesiredMap>,
}

/// Looks for two pins of one path, and for a path that is another's directory.
pub(in crate::validate) fn check(
    subjects: &[Subject<'_>],
    objects: &[DesiredObject],
    findings: &mut Findings<'_>,
) {
    let mut pins = BTreeMap::<&PinPath, Pin<'_>>::new();
    for (subject, object) in subjects.iter().zip(objects) {
        if findings.is_marked(&subject.key("subpath")) {
            continue;
        }
        for (path, pin) in pins_of(subject, object) {
            if findings.is_marked(&subject.map(pin.name).key("subpath")) {
                continue;
            }
            match pins.get(path) {
                Some(first) => same_path(path, first, &pin, findings),
                None => drop(pins.insert(path, pin)),
            }
        }
    }
    for (path, pin) in &pins {
        for above in path.ancestors() {
            if let Some(file) = pins.get(&above) {
                nested(&above, file, path, pin, findings);
            }
        }
    }
}

fn pins_of<'d>(
    subject: &Subject<'_>,
    object: &'d DesiredObject,
) -> impl Iterator<Item = (&'d PinPath, Pin<'d>)> {
    let maps = object.maps.iter().filter_map(|map| {
        let at = subject.map_spot(&map.spec.name);
        let (object, name) = (object.name.as_str(), map.spec.name.as_str());
        Some((map.pin.as_ref()?, Pin { at, object, name, map: Some(map) }))
    });
    let programs = object.programs.iter().filter_map(|program| {
        let at = subject.program_spot(&program.spec.name);
        let (object, name) = (object.name.as_str(), program.spec.name.as_str());
        Some((program.pin.as_ref()?, Pin { at, object, name, map: None }))
    });
    maps.chain(programs).collect::<Vec<_>>().into_iter()
}

fn same_path(path: &PinPath, first: &Pin<'_>, second: &Pin<'_>, findings: &mut Findings<'_>) {
    let (Some(one), Some(other)) = (first.map, second.map) else {
        let message = format!(
            "{} and {} would both be pinned at `{path}`",
            described(first),
            described(second)
        );
        report(code::PIN_PATH_CLASH, message, first, second, findings);
        return;
    };
    let differences = differences(one, other);
    if differences.is_empty() {
        unknown_layout(path, first, second, (one, other), findings);
        return;
    }
    let message = format!(
        "{} and {} share the path `{path}` and differ in {}",
        described(first),
        described(second),
        differences.join(", ")
    );
    report(code::SHARED_MAP_DIFFERS, message, first, second, findings);
}

/// Sizes agree, and only one of the objects says what lies in them.
fn unknown_layout(
    path: &PinPath,
    first: &Pin<'_>,
    second: &Pin<'_>,
    (one, other): (&DesiredMap, &DesiredMap),
    findings: &mut Findings<'_>,
) {
    let parts =
        [("key", &one.spec.key, &other.spec.key), ("value", &one.spec.value, &other.spec.value)];
    for (part, a, b) in parts {
        if part == "key" && has_numbers_for_keys(one.spec.shape.map_type) {
            continue;
        }
        let silent = match (a, b) {
            (Some(_), None) => second,
            (None, Some(_)) => first,
            _ => continue,
        };
        let message = format!(
            "{} and {} share the path `{path}`, and {} does not say of which type its {part} is",
            described(first),
            described(second),
            described(silent)
        );
        let problem = Problem::warning(code::LAYOUT_UNKNOWN, None, message)
            .label(described(second))
            .related(findings.place(&first.at), described(first))
            .help(format!(
                "with `__type({part}, …)` instead of `__uint({part}_size, …)` in C the two are compared \
                 member by member"
            ));
        findings.at(&second.at, problem);
    }
}

/// In what two maps of one path do not agree, with both values.
fn differences(one: &DesiredMap, other: &DesiredMap) -> Vec<String> {
    let mut found = shape_differences("", &one.spec, &other.spec);
    let mut compare = |what: &str, a: String, b: String| {
        if a != b {
            found.push(format!("{what} ({a} and {b})"));
        }
    };
    compare("pin policy", one.policy.to_string(), other.policy.to_string());
    compare("`external`", one.external.to_string(), other.external.to_string());
    compare("`on-mismatch`", format!("{:?}", one.on_mismatch), format!("{:?}", other.on_mismatch));
    let layouts =
        [("key", &one.spec.key, &other.spec.key), ("value", &one.spec.value, &other.spec.value)];
    for (part, a, b) in layouts {
        let (Some(a), Some(b)) = (a, b) else { continue };
        if part == "key" && has_numbers_for_keys(one.spec.shape.map_type) {
            continue;
        }
        if a.size == b.size
            && let Some(difference) = layout_difference(a, b)
        {
            found.push(format!("layout of the {part} ({difference})"));
        }
    }
    found
}

/// Fields that differ, those of inner maps too; `of` says whose.
fn shape_differences(of: &str, one: &MapSpec, other: &MapSpec) -> Vec<String> {
    // The size of a ring buffer is rounded up, on pages of 4096 bytes and on larger ones; how many CPUs
    // there are is the host's.
    let host = HostFacts { possible_cpus: 0, page_size: 4096 };
    let (a, b) = (one.shape.normalised(&host), other.shape.normalised(&host));
    let mut found = Vec::new();
    let mut compare = |what: &str, a: String, b: String| {
        if a != b {
            found.push(format!("{of}{what} ({a} and {b})"));
        }
    };
    compare("type", a.map_type.to_string(), b.map_type.to_string());
    compare("key size", a.key_size.to_string(), b.key_size.to_string());
    compare("value size", a.value_size.to_string(), b.value_size.to_string());
    compare("entries", a.max_entries.to_string(), b.max_entries.to_string());
    compare("flags", format!("{:#x}", a.map_flags), format!("{:#x}", b.map_flags));
    compare("map_extra", format!("{:#x}", a.map_extra), format!("{:#x}", b.map_extra));
    if let (Some(a), Some(b)) = (&one.inner, &other.inner) {
        found.extend(shape_differences("inner ", a, b));
    }
    found
}

fn nested(
    above: &PinPath,
    file: &Pin<'_>,
    path: &PinPath,
    inside: &Pin<'_>,
    findings: &mut Findings<'_>,
) {
    let message = format!(
        "{} would be pinned at `{path}`, but `{above}` is the pin of {}",
        described(inside),
        described(file)
    );
    report(code::PIN_PATH_NESTED, message, file, inside, findings);
}

fn report(
    code: &'static str,
    message: String,
    first: &Pin<'_>,
    second: &Pin<'_>,
    findings: &mut Findings<'_>,
) {
    let kind = |pin: &Pin<'_>| if pin.map.is_some() { "maps" } else { "programs" };
    let help = if second.map.is_some() {
        format!(
            "give one of them a directory of its own: `subpath = \"{}\"` under \
             `[objects.{}.{}.{}]`",
            second.object,
            second.object,
            kind(second),
            second.name
        )
    } else {
        format!(
            "give one of the objects a directory of its own: `subpath = \"{}\"` under \
             `[objects.{}]`",
            second.object, second.object
        )
    };
    let problem = Problem::error(code, None, message)
        .label(described(second))
        .related(findings.place(&first.at), described(first))
        .help(help);
    findings.at(&second.at, problem);
}

fn described(pin: &Pin<'_>) -> String {
    let what = if pin.map.is_some() { "map" } else { "program" };
    format!("{what} `{}` of `{}`", pin.name, pin.object)
}
