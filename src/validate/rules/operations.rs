//! Structs of operations: entries under `programs` that name a map, and what they come to.

use super::attachments;
use super::places::Places;
use crate::manifest::Hook;
use crate::model::attach::Attachment;
use crate::model::code;
use crate::model::problem::Problem;
use crate::validate::desired::{DesiredMap, DesiredOperations};
use crate::validate::findings::Findings;
use crate::validate::subject::{Subject, is_ops};

/// The structs of operations to register, in the object's order. `maps` are those that are created.
pub(in crate::validate) fn resolve(
    subject: &Subject<'_>,
    maps: &[DesiredMap],
    places: &mut Places,
    findings: &mut Findings<'_>,
) -> Vec<DesiredOperations> {
    let mut operations = Vec::new();
    for map in maps.iter().map(|map| &map.spec).filter(|map| is_ops(map)) {
        let Some(attachment) = Attachment::of_operations(map) else { continue };
        let Some(entry) = subject.entry.programs.get(&map.name) else { continue };
        let at = subject.program(&map.name);
        if entry.pin.is_some() {
            let message = format!("`{}` is a `struct_ops` map, and no program to pin", map.name);
            let problem = Problem::error(code::MAP_UNPINNABLE, None, message);
            findings.at_value(&at.key("pin"), problem);
        }
        for (index, hook) in entry.attach.iter().enumerate() {
            let at = at.key("attach").index(index);
            if findings.is_marked(&at) {
                continue;
            }
            let Hook::StructOps(options) = hook else {
                let message =
                    format!("`{}` does not take the `struct_ops` map `{}`", hook.name(), map.name);
                let problem = Problem::error(code::HOOK_MISMATCH, None, message)
                    .help("`{ hook = \"struct-ops\" }` registers it");
                findings.at_value(&at.key("hook"), problem);
                continue;
            };
            if options.wait {
                findings.at_value(&at.key("wait"), attachments::needless_wait(hook));
            }
            if places.take_named((subject.name, &map.name), &attachment, at, findings) {
                operations.push(DesiredOperations {
                    map: map.name.clone(),
                    attachment: attachment.clone(),
                });
            }
        }
    }
    operations
}

/// Why the hook does not take a program: its map is what the entry has to name.
pub(super) fn names_a_program(subject: &Subject<'_>, program: &str) -> Problem {
    let message = format!("`struct-ops` registers a map, and `{program}` is a program");
    let problem = Problem::error(code::HOOK_MISMATCH, None, message);
    let maps = subject.spec().maps.iter().filter(|map| is_ops(map));
    let holds =
        |name: &str| maps.clone().find(|map| map.slots.iter().any(|(_, held)| held == name));
    let named = holds(program).or_else(|| maps.clone().next());
    problem.help(match named {
        Some(map) => format!("write it as `[objects.{}.programs.{}]`", subject.name, map.name),
        None => "the object has no variable in `SEC(\".struct_ops.link\")`".to_owned(),
    })
}
