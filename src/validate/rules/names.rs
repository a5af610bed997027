//! Names the manifest uses and the object lacks.

use crate::manifest::{listed, suggest};
use crate::model::code;
use crate::model::object::ExternKind;
use crate::model::problem::Problem;
use crate::validate::findings::Findings;
use crate::validate::subject::{Subject, is_ops};

/// Looks every map, program and global of the manifest up in the object.
pub(in crate::validate) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let spec = subject.spec();
    let maps: Vec<&str> = spec.maps.iter().map(|map| map.name.as_str()).collect();
    let programs: Vec<&str> = spec.programs.iter().map(|program| program.name.as_str()).collect();
    let globals: Vec<&str> = spec.globals.iter().map(|global| global.name.as_str()).collect();

    for name in subject.entry.maps.keys().filter(|name| !maps.contains(&name.as_str())) {
        findings.at_key(&subject.map(name), unknown(code::UNKNOWN_MAP, "map", name, &maps));
    }
    for name in subject.entry.programs.keys() {
        // Structs of operations are registered by an entry that names their map.
        if programs.contains(&name.as_str()) || subject.spec().map(name).is_some_and(is_ops) {
            continue;
        }
        let problem = unknown(code::UNKNOWN_PROGRAM, "program", name, &programs);
        findings.at_key(&subject.program(name), problem);
    }
    for name in subject.entry.globals.keys().filter(|name| !globals.contains(&name.as_str())) {
        let mut problem = unknown(code::UNKNOWN_GLOBAL, "global variable", name, &globals);
        if let Some(symbol) = spec.externs.iter().find(|symbol| symbol.name == *name) {
            problem = problem.help(match symbol.kind {
                ExternKind::Kconfig => "it is `__kconfig`: the kernel's configuration decides it",
                _ => "it is extern: the kernel supplies it",
            });
        } else if let [only] = statics(name, &globals).as_slice() {
            problem = problem.help(format!(
                "static variables of functions have the function in their name: write `\"{only}\"`"
            ));
        } else if globals.is_empty() {
            problem =
                problem.help("it has none; a constant that a manifest sets is `const volatile`");
        }
        findings.at_key(&subject.global(name), problem);
    }
}

/// The variables that C calls so within a function, as clang names them.
fn statics<'g>(name: &str, globals: &[&'g str]) -> Vec<&'g str> {
    let is_so = |known: &&&str| known.rsplit_once('.').is_some_and(|(_, last)| last == name);
    globals.iter().filter(is_so).copied().collect()
}

fn unknown(code: &'static str, what: &str, name: &str, known: &[&str]) -> Problem {
    let problem = Problem::error(code, None, format!("the object has no {what} `{name}`"));
    let all = listed(known.iter().copied());
    match suggest(name, known.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => problem.help(format!("it has no {what} at all")),
        None => problem.help(format!("it has {all}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statics_are_found_by_what_c_calls_them() {
        let globals = ["count", "handle.cnt", "x.____fmt", "y.____fmt"];
        assert_eq!(statics("cnt", &globals), ["handle.cnt"]);
        assert_eq!(statics("count", &globals), [] as [&str; 0]);
        assert_eq!(statics("____fmt", &globals).len(), 2);
    }
}
