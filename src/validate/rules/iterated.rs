//! Iterators over a map: whether the map is there, and of a type that can be gone over.

use crate::manifest::{Hook, listed};
use crate::model::attach::Attachment;
use crate::model::code;
use crate::model::kinds::MapType;
use crate::model::probe::{Iter, Only};
use crate::model::problem::Problem;
use crate::validate::desired::{DesiredObject, DesiredProgram};
use crate::validate::findings::Findings;
use crate::validate::rules::named::map_of;
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
                let named = format!("{object}.{map}");
                let names_it = |hook: &Hook| matches!(hook, Hook::Iter(iter) if iter.map.as_ref() == Some(&named));
                if let Some(at) = subject.hook(&program.spec.name, names_it) {
                    findings.at_value(&at.key("map"), problem);
                }
            }
            several(subject, program, findings);
        }
    }
}

fn mistake(over: &str, object: &str, map: &str, resolved: &[DesiredObject]) -> Option<Problem> {
    let name = format!("{object}.{map}");
    let names = |holder: &DesiredObject| {
        format!("it has {}", listed(holder.maps.iter().map(|map| map.spec.name.as_str())))
    };
    let found = match map_of((object, map), resolved, names) {
        Ok(found) => found,
        Err(problem) => return Some(*problem),
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
            MapType::RHASH,
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
