//! Attachments that name another thing of the manifest: the map of a sockmap, or the program that one
//! shall be beside. Whether it is there, and is what it must be.

use std::collections::BTreeSet;

use crate::manifest::{Hook, listed, suggest};
use crate::model::attach::Attachment;
use crate::model::code;
use crate::model::kinds::MapType;
use crate::model::net_hook::{Neighbour, Position};
use crate::model::problem::Problem;
use crate::validate::desired::{DesiredMap, DesiredObject, DesiredProgram};
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
                    .or_else(|| neighbour((object, program, attachment), resolved));
                let Some(Wrong { key, value, problem }) = wrong else { continue };
                let says_it = |hook: &Hook| asked(hook, key) == Some(value.as_str());
                if let Some(at) = subject.hook(&program.spec.name, says_it) {
                    findings.at_value(&at.key(key), problem);
                }
            }
        }
    }
}

/// What is wrong, and which option of an element of `attach` says it.
struct Wrong {
    key: &'static str,
    value: String,
    problem: Problem,
}

/// What an element says by an option that names something.
fn asked<'m>(hook: &'m Hook, key: &str) -> Option<&'m str> {
    match (hook, key) {
        (Hook::Sockmap(hook), "map") => Some(&hook.map),
        (hook, "before") => hook.order()?.before,
        (hook, "after") => hook.order()?.after,
        _ => None,
    }
}

/// The map of an object of the same manifest; `help` says what else an object without it has.
pub(super) fn map_of<'d>(
    (object, map): (&str, &str),
    resolved: &'d [DesiredObject],
    help: impl FnOnce(&DesiredObject) -> String,
) -> Result<&'d DesiredMap, Box<Problem>> {
    let unknown =
        |message, help| Box::new(Problem::error(code::UNKNOWN_MAP, None, message).help(help));
    let Some(holder) = resolved.iter().find(|holder| holder.name.as_str() == object) else {
        let known = listed(resolved.iter().map(|holder| holder.name.as_str()));
        let message = format!("`{object}.{map}` is no map: the manifest has no object `{object}`");
        return Err(unknown(message, format!("it has {known}")));
    };
    let found = holder.maps.iter().find(|known| known.spec.name == map);
    found.ok_or_else(|| unknown(format!("object `{object}` has no map `{map}`"), help(holder)))
}

fn sockmap(attachment: &Attachment, resolved: &[DesiredObject]) -> Option<Wrong> {
    let Attachment::Sockmap { object, map } = attachment else { return None };
    let is_sockmap = |of: MapType| matches!(of, MapType::SOCKMAP | MapType::SOCKHASH);
    let help = |holder: &DesiredObject| {
        let fit = holder.maps.iter().filter(|known| is_sockmap(known.spec.shape.map_type));
        let fit: Vec<&str> = fit.map(|known| known.spec.name.as_str()).collect();
        match suggest(map, fit.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if fit.is_empty() => "it has neither sockmap nor sockhash".to_owned(),
            None => format!("it has {}", listed(fit.iter().copied())),
        }
    };
    let problem = match map_of((object, map), resolved, help) {
        Err(problem) => *problem,
        Ok(found) if is_sockmap(found.spec.shape.map_type) => return None,
        Ok(found) => {
            let of = found.spec.shape.map_type;
            let message = format!("map `{object}.{map}` is of type {of}, and holds no sockets");
            Problem::error(code::HOOK_MISMATCH, None, message)
                .help("a program attaches to a map of type sockmap or sockhash")
        }
    };
    Some(Wrong { key: "map", value: format!("{object}.{map}"), problem })
}

/// One attachment with whose it is.
type Of<'d> = (&'d DesiredObject, &'d DesiredProgram, &'d Attachment);

fn neighbour(of: Of<'_>, resolved: &[DesiredObject]) -> Option<Wrong> {
    let (.., attachment) = of;
    let position = attachment.position()?;
    let Some(Neighbour::Own { object, program }) = position.neighbour() else { return None };
    let key = if matches!(position, Position::Before(_)) { "before" } else { "after" };
    let value = format!("{object}.{program}");
    let problem = no_neighbour(of, (object, program), resolved)?;
    Some(Wrong { key, value, problem })
}

/// Why a program cannot be beside another one of the manifest.
fn no_neighbour(
    (object, program, attachment): Of<'_>,
    (wanted, beside): (&str, &str),
    resolved: &[DesiredObject],
) -> Option<Problem> {
    let name = format!("{wanted}.{beside}");
    if (wanted, beside) == (object.name.as_str(), program.spec.name.as_str()) {
        let message = format!("`{name}` cannot be put beside itself");
        return Some(Problem::error(code::ATTACHMENT_CONFLICT, None, message).help(
            "name another program, or write `position = \"first\"` or `position = \"last\"`",
        ));
    }
    let Some(found) = find(resolved, wanted, beside) else {
        let message = format!("`{name}` is no program that this manifest loads");
        return Some(Problem::error(code::UNKNOWN_PROGRAM, None, message).help(
            "a program of someone else is named as the kernel keeps its name, without an object",
        ));
    };
    let there = |other: &&Attachment| other.to_string() == attachment.to_string();
    if !found.attachments.iter().any(|other| there(&other)) {
        let message = format!("`{name}` is not attached to `{attachment}`");
        return Some(
            Problem::error(code::TARGET_MISMATCH, None, message)
                .help("a program is put beside another one at the same hook of the same interface"),
        );
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
    Some(
        Problem::error(code::ATTACHMENT_CONFLICT, None, message)
            .help("one of them needs a place of its own: `position`, or beside another program"),
    )
}

fn find<'d>(
    resolved: &'d [DesiredObject],
    object: &str,
    program: &str,
) -> Option<&'d DesiredProgram> {
    resolved.iter().find(|known| known.name.as_str() == object)?.program(program)
}
