//! Values of global variables, written into the contents of their data sections.

use crate::manifest::listed;
use crate::model::code;
use crate::model::map::{MapOrigin, MapSpec};
use crate::model::object::GlobalSpec;
use crate::model::problem::Problem;
use crate::validate::encode::{Misfit, encode};
use crate::validate::findings::Findings;
use crate::validate::subject::Subject;

/// The object's maps with the manifest's values in the contents of the data sections.
pub(in crate::validate) fn resolve(
    subject: &Subject<'_>,
    findings: &mut Findings<'_>,
) -> Vec<MapSpec> {
    let mut maps = subject.spec().maps.clone();
    for (name, value) in &subject.entry.globals {
        let Some(global) = subject.spec().global(name) else { continue };
        let at = subject.global(name);
        let others = subject.spec().globals.iter().filter(|other| other.name == *name);
        if others.clone().count() > 1 {
            let sections = listed(others.map(|other| other.section.as_str()));
            let message = format!("the object has several variables `{name}`, in {sections}");
            let problem = Problem::error(code::GLOBAL_UNSUPPORTED, None, message)
                .help("variables that are `static` may share a name; rename those to be set in C");
            findings.at_key(&at, problem);
            continue;
        }
        let Some(ctype) = &global.ctype else {
            let message =
                format!("the type of `{name}` is not known: the object has no BTF for it");
            let problem = Problem::error(code::GLOBAL_UNSUPPORTED, None, message)
                .help("compile with `clang -g`; a variable that is `static` must be used");
            findings.at_key(&at, problem);
            continue;
        };
        let place = contents(&mut maps, global)
            .filter(|out| usize::try_from(ctype.size).is_ok_and(|size| size == out.len()));
        let Some(out) = place else {
            let message = format!("`{name}` does not lie in a data section of its object");
            findings.at_key(&at, Problem::error(code::GLOBAL_UNSUPPORTED, None, message));
            continue;
        };
        for Misfit { at, flaw } in encode(ctype, value, out, &at) {
            let message = format!("`{name}`: {}", flaw.message);
            let problem = Problem::error(flaw.code, None, message);
            findings.at_value(&at, Problem { help: flaw.help, ..problem });
        }
    }
    maps
}

/// A variable's bytes in its section.
fn contents<'m>(maps: &'m mut [MapSpec], global: &GlobalSpec) -> Option<&'m mut [u8]> {
    let section = maps.iter_mut().find(|map| map.name == global.section)?;
    let MapOrigin::Section { contents, .. } = &mut section.origin else { return None };
    let start = usize::try_from(global.offset).ok()?;
    contents.get_mut(start..start.checked_add(usize::try_from(global.size).ok()?)?)
}
