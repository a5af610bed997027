//! Programs that replace functions of others: whether the other program is there, and has the function.

use crate::manifest::{Hook, KeyPath, listed, suggest};
use crate::model::attach::Attachment;
use crate::model::code;
use crate::model::kinds::ProgramType;
use crate::model::problem::Problem;
use crate::validate::desired::{DesiredObject, DesiredProgram};
use crate::validate::findings::Findings;
use crate::validate::subject::Subject;

/// Looks at every replacement of all objects. `resolved` are what the `subjects` come to.
pub(in crate::validate) fn check(
    subjects: &[Subject<'_>],
    resolved: &[DesiredObject],
    findings: &mut Findings<'_>,
) {
    for (subject, object) in subjects.iter().zip(resolved) {
        for program in &object.programs {
            let Some(target) = program.replaces() else { continue };
            let Some(at) = place(subject, program) else { continue };
            if let Some((key, problem)) = mistake(&target, resolved) {
                findings.at_value(&at.key(key), problem);
            }
        }
    }
}

/// The element of `attach` that says it.
fn place(subject: &Subject<'_>, program: &DesiredProgram) -> Option<KeyPath> {
    let name = &program.spec.name;
    let hooks = &subject.entry.programs.get(name)?.attach;
    let index = hooks.iter().position(|hook| matches!(hook, Hook::Freplace(_)))?;
    Some(subject.program(name).key("attach").index(index))
}

/// What is wrong, and which key of the element says it.
fn mistake(target: &Replaced<'_>, resolved: &[DesiredObject]) -> Option<(&'static str, Problem)> {
    let wrong = |key, code, message: String| (key, Problem::error(code, None, message));
    let Replaced { object, program, function } = *target;
    let name = format!("{object}.{program}");
    let Some(holder) = resolved.iter().find(|holder| holder.name.as_str() == object) else {
        let known = listed(resolved.iter().map(|holder| holder.name.as_str()));
        let message = format!("`{name}` is no program: the manifest has no object `{object}`");
        let (key, problem) = wrong("program", code::UNKNOWN_PROGRAM, message);
        return Some((key, problem.help(format!("it has {known}"))));
    };
    let Some(replaced) = holder.program(program) else {
        let message = format!("`{name}` is no program that is loaded");
        let (key, problem) = wrong("program", code::UNKNOWN_PROGRAM, message);
        let names = holder.programs.iter().map(|program| program.spec.name.as_str());
        return Some((key, problem.help(format!("object `{object}` loads {}", listed(names)))));
    };
    let is_replacement =
        replaced.spec.kind.as_ref().is_some_and(|kind| kind.program_type == ProgramType::EXT);
    if is_replacement {
        // `bpf_check_attach_target` in `kernel/bpf/verifier.c`: "Cannot recursively attach".
        let message = format!("`{name}` replaces a function itself, and the kernel nests none");
        return Some(wrong("program", code::HOOK_MISMATCH, message));
    }
    if function == program {
        return None;
    }
    let functions = &holder.image.spec.functions;
    match functions.iter().find(|known| known.name == function) {
        Some(known) if known.global => None,
        Some(_) => {
            let message = format!("function `{function}` of `{name}` is static or hidden");
            let (key, problem) = wrong("function", code::UNKNOWN_FUNCTION, message);
            let help = "only global functions are verified by themselves, and can be replaced: \
                        `__noinline`, without `static` and `__hidden`";
            Some((key, problem.help(help)))
        }
        None => {
            let message = format!("object `{object}` has no function `{function}`");
            let (key, problem) = wrong("function", code::UNKNOWN_FUNCTION, message);
            let global = functions.iter().filter(|known| known.global);
            let global: Vec<_> = global.map(|known| known.name.as_str()).collect();
            Some((
                key,
                match suggest(function, global.iter().copied()) {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None if global.is_empty() => problem.help("it has no global functions"),
                    None => problem.help(format!("it has {}", listed(global.iter().copied()))),
                },
            ))
        }
    }
}

/// A function of a program of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced<'d> {
    /// The program's object.
    pub object: &'d str,
    /// The program.
    pub program: &'d str,
    /// The function.
    pub function: &'d str,
}

impl DesiredProgram {
    /// The function that it replaces, of a program that must be loaded before it.
    #[must_use]
    pub fn replaces(&self) -> Option<Replaced<'_>> {
        self.attachments.iter().find_map(|attachment| match attachment {
            Attachment::Freplace { object, program, function } => {
                Some(Replaced { object, program, function })
            }
            _ => None,
        })
    }
}
