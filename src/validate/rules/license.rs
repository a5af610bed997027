//! What the kernel keeps for GPL-compatible programs: helpers, kernel functions, types of programs.

use crate::manifest::listed;
use crate::model::code;
use crate::model::helper::Helper;
use crate::model::license::{GPL_COMPATIBLE, Reserved, is_gpl_compatible, reserved};
use crate::model::problem::Problem;
use crate::model::program::ProgramSpec;
use crate::validate::desired::DesiredProgram;
use crate::validate::findings::Findings;
use crate::validate::subject::Subject;

/// Looks at the programs that are loaded. That one follows pointers to the kernel's own types, which is
/// for GPL-compatible programs too, only the verifier knows (`check_ptr_to_btf_access`).
pub(in crate::validate) fn check(
    subject: &Subject<'_>,
    programs: &[DesiredProgram],
    findings: &mut Findings<'_>,
) {
    let license = subject.spec().license.as_deref();
    if license.is_some_and(is_gpl_compatible) {
        return;
    }
    let has = match license {
        None => "its object has no `license` section".to_owned(),
        Some(license) => format!("the license of its object is {license:?}"),
    };
    let licenses: Vec<String> = GPL_COMPATIBLE.iter().map(|l| format!("{l:?}")).collect();
    let help = format!(
        "if it may be so licensed, add `char LICENSE[] SEC(\"license\") = \"GPL\";` in C; the \
         kernel takes {}, word by word",
        licenses.join(", ")
    );
    for program in programs {
        // Of several reasons the first: the mend is one.
        let problem = by_itself(&program.spec, &has).or_else(|| by_helpers(&program.spec, &has));
        if let Some(problem) = problem {
            findings.at(&subject.program_spot(&program.spec.name), problem.help(help.clone()));
        }
    }
}

fn by_itself(program: &ProgramSpec, has: &str) -> Option<Problem> {
    let (name, section) = (&program.name, &program.section);
    Some(match reserved(program)? {
        Reserved::Type => {
            let message = format!(
                "program `{name}` of section `{section}` is of a type for GPL-compatible programs \
                 only, and {has}"
            );
            Problem::error(code::GPL_ONLY_PROGRAM, None, message)
        }
        Reserved::Functions => {
            let message = format!(
                "program `{name}` calls kernel functions, which are for GPL-compatible programs \
                 only, and {has}"
            );
            Problem::error(code::GPL_ONLY_PROGRAM, None, message)
        }
        // With a helper too, no kernel takes it.
        Reserved::WeakFunctions if gpl_only_helpers(program).is_empty() => {
            let message = format!(
                "program `{name}` calls kernel functions if there are such, and kernels that have \
                 them refuse it: they are for GPL-compatible programs only, and {has}"
            );
            Problem::warning(code::GPL_ONLY_PROGRAM, None, message)
        }
        Reserved::WeakFunctions => return None,
    })
}

fn by_helpers(program: &ProgramSpec, has: &str) -> Option<Problem> {
    let names = gpl_only_helpers(program);
    let message = format!(
        "program `{}` calls {}, for GPL-compatible programs only, and {has}",
        program.name,
        listed(names.iter().map(String::as_str))
    );
    (!names.is_empty()).then(|| Problem::error(code::GPL_ONLY_HELPER, None, message))
}

fn gpl_only_helpers(program: &ProgramSpec) -> Vec<String> {
    let Some(kind) = &program.kind else { return Vec::new() };
    let helpers = program.uses.helpers.iter().copied();
    let helpers = helpers.filter(|helper| helper.is_gpl_only(kind.program_type));
    helpers.filter_map(Helper::name).collect()
}
