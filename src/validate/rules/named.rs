//! Attachments that name another thing of the manifest: the map of a sockmap, or the program that one
//! shall be beside. Whether it is there, and is what it must be.

use std::collections::BTreeSet;

use crate::manifest::{Hook, KeyPath, listed, suggest};
use crate::model::attach::Attachment;
use crate::model::code;
use crate::model::kinds::MapType;
use crate::model::net_hook::Neighbour;
use crate::model::problem::Problem;
use crate::validate::desired::{DesiredObject, DesiredProgram};
use crate::validate::findings::Findings;
use crate::validate::subject::Subject;

/// Looks at every attachment of all objects. `resolved` are what the `subjects` come to.
pub(in crate::validate) fn check(
    subjects: &[Subject<'_>],
    resolved: &[DesiredObject],
    findings: &mut Findings<'_>,
) {
    for (subject, object) in subjects.iter().zip(resolved) {
        for program in &object.programs {
            for attachment in &program.attachments {
                let wrong = sockmap(attachment, resolved)
                    .map(|problem| ("map", problem))
                    .or_else(|| neighbour((object, program, attachment), resolved));
                if let Some((key, problem)) = wrong
                    && let Some(at) = element(subject, program, key)
                {
                    findings.at_value(&at.key(key), problem);
                }
            }
        }
    }
}

/// The element of `attach` that has the option.
fn element(subject: &Subject<'_>, program: &DesiredProgram, key: &str) -> Option<KeyPath> {
    let name = &program.spec.name;
    let hooks = &subject.entry.programs.get(name)?.attach;
    let index = hooks.iter().position(|hook| match hook {
        Hook::Sockmap(_) => key == "map",
        Hook::Tcx(hook) => [("before", &hook.before), ("after", &hook.after)]
            .iter()
            .any(|(option, value)| *option == key && value.is_some()),
        Hook::Netkit(hook) => [("before", &hook.before), ("after", &hook.after)]
            .iter()
            .any(|(option, value)| *option == key && value.is_some()),
        _ => false,
    })?;
    Some(subject.program(name).key("attach").index(index))
}

fn sockmap(attachment: &Attachment, resolved: &[DesiredObject]) -> Option<Problem> {
    let Attachment::Sockmap { object, map } = attachment else { return None };
    let unknown = |message: String| Problem::error(code::UNKNOWN_MAP, None, message);
    let Some(holder) = resolved.iter().find(|holder| holder.name.as_str() == object) else {
        let known = listed(resolved.iter().map(|holder| holder.name.as_str()));
        let message = format!("`{object}.{map}` is no map: the manifest has no object `{object}`");
        return Some(unknown(message).help(format!("it has {known}")));
    };
    let is_sockmap = |of: MapType| matches!(of, MapType::SOCKMAP | MapType::SOCKHASH);
    let Some(found) = holder.maps.iter().find(|known| known.spec.name == *map) else {
        let fit = holder.maps.iter().filter(|known| is_sockmap(known.spec.shape.map_type));
        let fit: Vec<&str> = fit.map(|known| known.spec.name.as_str()).collect();
        let problem = unknown(format!("object `{object}` has no map `{map}`"));
        return Some(match suggest(map, fit.iter().copied()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None if fit.is_empty() => problem.help("it has neither sockmap nor sockhash"),
            None => problem.help(format!("it has {}", listed(fit.iter().copied()))),
        });
    };
    let of = found.spec.shape.map_type;
    (!is_sockmap(of)).then(|| {
        let message = format!("map `{object}.{map}` is of type {of}, and holds no sockets");
        Problem::error(code::HOOK_MISMATCH, None, message)
            .help("a program attaches to a map of type sockmap or sockhash")
    })
}

/// One attachment with whose it is.
type Of<'d> = (&'d DesiredObject, &'d DesiredProgram, &'d Attachment);

fn neighbour(of: Of<'_>, resolved: &[DesiredObject]) -> Option<(&'static str, Problem)> {
    let (object, program, attachment) = of;
    let position = attachment.position()?;
    let Some(Neighbour::Own { object: wanted, program: beside }) = position.neighbour() else {
        return None;
    };
    let key = if matches!(position, crate::model::net_hook::Position::Before(_)) {
        "before"
    } else {
        "after"
    };
    let name = format!("{wanted}.{beside}");
    let Some(found) = find(resolved, wanted, beside) else {
        let message = format!("`{name}` is no program that this manifest loads");
        let problem = Problem::error(code::UNKNOWN_PROGRAM, None, message).help(
            "a program of someone else is named as the kernel keeps its name, without an object",
        );
        return Some((key, problem));
    };
    let there = |other: &&Attachment| other.to_string() == attachment.to_string();
    if !found.attachments.iter().any(|other| there(&other)) {
        let message = format!("`{name}` is not attached to `{attachment}`");
        let problem = Problem::error(code::TARGET_MISMATCH, None, message)
            .help("a program is put beside another one at the same hook of the same interface");
        return Some((key, problem));
    }
    // Whoever follows the neighbours must come to an end.
    let mut seen = BTreeSet::new();
    let mut at = (object.name.as_str(), program.spec.name.as_str());
    while seen.insert(at) {
        let here = find(resolved, at.0, at.1)?;
        let next = here.attachments.iter().find(there)?.position()?.neighbour()?;
        let Neighbour::Own { object, program } = next else { return None };
        at = (object, program);
    }
    let message =
        format!("`{name}` is itself to be put beside this program, by way of others or not");
    let problem = Problem::error(code::ATTACHMENT_CONFLICT, None, message)
        .help("one of them needs a place of its own: `position`, or beside another program");
    Some((key, problem))
}

fn find<'d>(
    resolved: &'d [DesiredObject],
    object: &str,
    program: &str,
) -> Option<&'d DesiredProgram> {
    resolved.iter().find(|known| known.name.as_str() == object)?.program(program)
}
