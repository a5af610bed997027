//! Helpers that the kernel lends to GPL-compatible programs only.

use crate::manifest::listed;
use crate::model::code;
use crate::model::helper::{GPL_COMPATIBLE, Helper, is_gpl_compatible};
use crate::model::problem::Problem;
use crate::validate::desired::DesiredProgram;
use crate::validate::findings::Findings;
use crate::validate::subject::Subject;

/// Looks at the programs that are loaded. Which kernel functions are for GPL-compatible programs,
/// only a kernel knows.
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
    for program in programs {
        let Some(kind) = &program.spec.kind else { continue };
        let helpers = program.spec.uses.helpers.iter().copied();
        let helpers = helpers.filter(|helper| helper.is_gpl_only(kind.program_type));
        let names: Vec<String> = helpers.filter_map(Helper::name).collect();
        if names.is_empty() {
            continue;
        }
        let name = &program.spec.name;
        let message = format!(
            "program `{name}` calls {}, for GPL-compatible programs only, and {has}",
            listed(names.iter().map(String::as_str))
        );
        let licenses: Vec<String> = GPL_COMPATIBLE.iter().map(|l| format!("{l:?}")).collect();
        let problem = Problem::error(code::GPL_ONLY_HELPER, None, message).help(format!(
            "if it may be so licensed, add `char LICENSE[] SEC(\"license\") = \"GPL\";` in C; the \
             kernel takes {}, word by word",
            licenses.join(", ")
        ));
        findings.at(&subject.program_spot(name), problem);
    }
}
