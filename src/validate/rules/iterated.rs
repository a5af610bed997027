//! Iterators over a map: whether the map is there, and of a type that can be gone over.

use crate::manifest::{Hook, KeyPath, listed};
use crate::model::attach::Attachment;
use crate::model::code;
use crate::model::kinds::MapType;
use crate::model::probe::{Iter, Only};
use crate::model::problem::Problem;
use crate::validate::desired::{DesiredObject, DesiredProgram};
use crate::validate::findings::Findings;
use crate::validate::subject::Subject;

/// Looks at every iterator of all objects. `resolved` are what the `subjects` come to.
pub(in crate::validate) fn check(
    subjects: &[Subject<'_>],
    resolved: &[DesiredObject],
    findings: &mut Findings<'_>,
) {
    for (subject, object) in subjects.iter().zip(resolved) {
        for program in &object.programs {
            for attachment in &program.attachments {
                let Attachment::Iter(iter) = attachment else { continue };
                let Iter { over, only: Some(Only::Map { object, map }) } = iter else { continue };
                let Some(problem) = mistake(over, object, map, resolved) else { continue };
                if let Some(at) = place(subject, program, &format!("{object}.{map}")) {
                    findings.at_value(&at, problem);
                }
            }
            several(subject, program, findings);
        }
    }
}

/// The element of `attach` that names the map.
fn place(subject: &Subject<'_>, program: &DesiredProgram, named: &str) -> Option<KeyPath> {
    let name = &program.spec.name;
    let hooks = &subject.entry.programs.get(name)?.attach;
    let index = hooks
        .iter()
        .position(|hook| matches!(hook, Hook::Iter(iter) if iter.map.as_deref() == Some(named)))?;
    Some(subject.program(name).key("attach").index(index).key("map"))
}

fn mistake(over: &str, object: &str, map: &str, resolved: &[DesiredObject]) -> Option<Problem> {
    let name = format!("{object}.{map}");
    let Some(holder) = resolved.iter().find(|holder| holder.name.as_str() == object) else {
        let known = listed(resolved.iter().map(|holder| holder.name.as_str()));
        let message = format!("`{name}` is no map: the manifest has no object `{object}`");
        let problem = Problem::error(code::UNKNOWN_MAP, None, message);
        return Some(problem.help(format!("it has {known}")));
    };
    let Some(found) = holder.maps.iter().find(|known| known.spec.name == map) else {
        let message = format!("object `{object}` has no map `{map}`");
        let names = holder.maps.iter().map(|map| map.spec.name.as_str());
        let problem = Problem::error(code::UNKNOWN_MAP, None, message);
        return Some(problem.help(format!("it has {}", listed(names))));
    };
    let map_type = found.spec.shape.map_type;
    if types(over).contains(&map_type) {
        return None;
    }
    let message =
        format!("an iterator over `{over}` cannot go over `{name}`, a map of type {map_type}");
    let names = listed(types(over).iter().filter_map(|known| known.name()));
    Some(Problem::error(code::HOOK_MISMATCH, None, message).help(format!("it takes {names}")))
}

/// The types of maps that an iterator takes (`bpf_iter_attach_map` in `kernel/bpf/map_iter.c`,
/// `net/core/bpf_sk_storage.c` and `net/core/sock_map.c`).
fn types(over: &str) -> &'static [MapType] {
    match over {
        "bpf_sk_storage_map" => &[MapType::SK_STORAGE],
        "sockmap" => &[MapType::SOCKMAP, MapType::SOCKHASH],
        _ => &[
            MapType::HASH,
            MapType::LRU_HASH,
            MapType::PERCPU_HASH,
            MapType::LRU_PERCPU_HASH,
            MapType::ARRAY,
            MapType::PERCPU_ARRAY,
        ],
    }
}

/// The pin of a program is what can be read: the iterator, and so it can be only one.
fn several(subject: &Subject<'_>, program: &DesiredProgram, findings: &mut Findings<'_>) {
    let iterators =
        program.attachments.iter().filter(|attachment| matches!(attachment, Attachment::Iter(_)));
    if program.policy.is_pinned() && iterators.count() > 1 {
        let message = format!(
            "the pin of program `{}` shows what its iterator tells, and it is attached as several",
            program.spec.name
        );
        let problem = Problem::error(code::BAD_TARGET, None, message)
            .help("attach it once, or leave out `pin` and read the pins below `~links`");
        findings.at(&subject.program_spot(&program.spec.name), problem);
    }
}
