//! Programs that replace functions of others: whether the other program is there, and has the function.
//! Of one that someone else pinned only the kernel knows that.

use std::path::{Component, Path};

use crate::manifest::{Hook, listed, suggest};
use crate::model::attach::Attachment;
use crate::model::code;
use crate::model::dispatch;
use crate::model::kinds::ProgramType;
use crate::model::pin::PinRoot;
use crate::model::problem::Problem;
use crate::validate::desired::{DesiredObject, DesiredProgram};
use crate::validate::findings::Findings;
use crate::validate::subject::Subject;

/// Looks at every replacement of all objects. `resolved` are what the `subjects` come to, with their
/// pins below `root`.
pub(in crate::validate) fn check(
    subjects: &[Subject<'_>],
    resolved: &[DesiredObject],
    root: &PinRoot,
    findings: &mut Findings<'_>,
) {
    for (subject, object) in subjects.iter().zip(resolved) {
        for program in &object.programs {
            let Some(target) = program.replaces() else { continue };
            let replaces = |hook: &Hook| matches!(hook, Hook::Freplace(_));
            let Some(at) = subject.hook(&program.spec.name, replaces) else { continue };
            let mistake = match target.holder {
                Holder::Program { object, program } => {
                    mistake((object, program, target.function), resolved)
                }
                Holder::Pinned(pin) => own_pin(pin, resolved, root),
                Holder::Dispatcher => None,
            };
            if let Some((key, problem)) = mistake {
                findings.at_value(&at.key(key), problem);
            }
        }
    }
}

/// Whose function `text` says is replaced; whether there is such a program is another question.
pub(super) fn holder(text: &str) -> Result<Holder<'_>, Box<Problem>> {
    const HELP: &str = "write `<object>.<program>`, or the absolute path of a program's pin";
    let wrong =
        |message: String| Box::new(Problem::error(code::BAD_TARGET, None, message).help(HELP));
    if !text.starts_with('/') {
        let parts = text.split_once('.').filter(|_| !text.contains('/'));
        let Some((object, program)) = parts else {
            return Err(wrong(format!(
                "{text:?} is no program of a manifest, and no absolute path"
            )));
        };
        return Ok(Holder::Program { object, program });
    }
    let helped = |problem: Box<Problem>| Box::new(problem.help(HELP));
    pinned(text).map(Holder::Pinned).map_err(helped)
}

/// The absolute path of a pin.
pub(super) fn pinned(text: &str) -> Result<&Path, Box<Problem>> {
    let wrong = |message: String| Box::new(Problem::error(code::BAD_TARGET, None, message));
    let pin = Path::new(text);
    let plain = text.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."))
        && pin.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    if !plain || text.contains('\0') {
        let message = format!("{text:?} is no plain absolute path: it has empty parts or dots");
        return Err(wrong(message));
    }
    // `bpf_lookup` in `kernel/bpf/inode.c`.
    match pin.file_name().and_then(|name| name.to_str()) {
        Some(name) if !name.contains('.') => Ok(pin),
        _ => Err(wrong(format!("no pin is named as {text:?} ends: bpffs takes no `.` in a name"))),
    }
}

/// A pin of the manifest itself: its program may be another one after the next load.
fn own_pin(
    pin: &Path,
    resolved: &[DesiredObject],
    root: &PinRoot,
) -> Option<(&'static str, Problem)> {
    let programs = resolved
        .iter()
        .flat_map(|object| object.programs.iter().map(move |program| (&object.name, program)));
    let mut pinned = programs.filter_map(|(object, program)| {
        let own = root.join(program.pin.as_ref()?);
        (own == pin).then(|| format!("{object}.{}", program.spec.name))
    });
    let name = pinned.next()?;
    let message = format!("{} is where this manifest pins `{name}`", pin.display());
    let problem = Problem::error(code::BAD_TARGET, None, message)
        .help(format!("write `program = \"{name}\"`: both are then loaded together"));
    Some(("program", problem))
}

/// What is wrong, and which key of the element says it.
fn mistake(
    (object, program, function): (&str, &str, &str),
    resolved: &[DesiredObject],
) -> Option<(&'static str, Problem)> {
    let wrong = |key, code, message: String| (key, Problem::error(code, None, message));
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

/// A function of another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced<'d> {
    /// Whose function.
    pub holder: Holder<'d>,
    /// The function.
    pub function: &'d str,
}

/// A program whose function is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'d> {
    /// One of the same manifest.
    Program {
        /// Its object.
        object: &'d str,
        /// The program.
        program: &'d str,
    },
    /// One that someone else keeps pinned at that absolute path.
    Pinned(&'d Path),
    /// A dispatcher of libxdp.
    Dispatcher,
}

impl DesiredProgram {
    /// The function that it replaces, of a program that must be loaded before it.
    #[must_use]
    pub fn replaces(&self) -> Option<Replaced<'_>> {
        self.attachments.iter().find_map(|attachment| match attachment {
            Attachment::Freplace { object, program, function } => {
                Some(Replaced { holder: Holder::Program { object, program }, function })
            }
            Attachment::FreplacePinned { pin, function } => {
                Some(Replaced { holder: Holder::Pinned(pin), function })
            }
            Attachment::XdpShared { .. } => {
                Some(Replaced { holder: Holder::Dispatcher, function: dispatch::FUNCTION })
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_of_the_manifest_or_a_plain_path() {
        let named = |object, program| Some(Holder::Program { object, program });
        assert_eq!(holder("main.dispatch").ok(), named("main", "dispatch"));
        let path = "/sys/fs/bpf/theirs/xdp_main";
        assert_eq!(holder(path).ok(), Some(Holder::Pinned(Path::new(path))));
        let dotted = "/run/v1.2/bpf/main";
        assert_eq!(holder(dotted).ok(), Some(Holder::Pinned(Path::new(dotted))));
        for wrong in [
            "",
            "main",
            "bpf/theirs",
            "./theirs.x",
            "/",
            "/sys/fs/bpf/",
            "/sys//bpf",
            "/sys/./x",
            "/sys/../x",
            "/sys/fs/bpf/main.o",
            "/sys/fs/bpf/a\0b",
        ] {
            assert!(holder(wrong).is_err(), "{wrong:?}");
        }
    }
}
