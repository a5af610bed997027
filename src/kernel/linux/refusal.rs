//! Why the kernel refuses programs, and what to do.

use rustix::io::Errno;

use super::super::KernelError;
use super::verifier::Refusal;
use super::{capability, cause, since};
use crate::model;
use crate::model::kinds::ProgramType;
use crate::model::program::ProgramKind;
use crate::relocate::{SourceLine, Unresolved, poisoned_instruction};

/// The verifier's words for what is for GPL-compatible programs only, and what each is about
/// (`check_helper_call`, `add_kfunc_call`, `bpf_lsm_verify_prog`, `check_struct_ops_btf_id` and
/// `check_ptr_to_btf_access`).
const GPL_ONLY: &[(&str, &str)] = &[
    (
        "cannot call GPL-restricted function from non-GPL compatible program",
        "it calls a helper that is for GPL-compatible programs only",
    ),
    (
        "cannot call kernel function from non-GPL compatible program",
        "it calls a kernel function, and those are for GPL-compatible programs only",
    ),
    ("programs must have a GPL compatible license", "its type is for GPL-compatible programs only"),
    (
        "from non-GPL compatible program",
        "it reads a struct of the kernel by its type, which only GPL-compatible programs may",
    ),
];

/// The error for a refused program: where, if the verifier named an instruction, and for the usual
/// causes advice.
pub(super) fn explain(
    operation: String,
    refusal: &Refusal,
    line: Option<&SourceLine>,
    kind: &ProgramKind,
    license: Option<&str>,
    unresolved: &[Unresolved],
) -> KernelError {
    // With words of the verifier, EACCES or EINVAL would only mislead.
    let mut error = if refusal.log.is_empty() {
        KernelError::errno(operation, refusal.errno)
    } else {
        KernelError::reason(operation, rejected(line))
    };
    error.advice = advice(refusal, kind, license, unresolved);
    error
}

/// The instruction that a refusal is about, as far as the log tells.
pub(super) fn instruction(refusal: &Refusal) -> Option<usize> {
    cause::last_instruction(&refusal.log)
}

fn rejected(line: Option<&SourceLine>) -> String {
    match line {
        None => "the verifier rejects it".to_owned(),
        Some(SourceLine { file, line, text }) if text.is_empty() => {
            format!("the verifier rejects {file}:{line}")
        }
        Some(SourceLine { file, line, text }) => {
            format!("the verifier rejects {file}:{line}: `{text}`")
        }
    }
}

fn advice(
    refusal: &Refusal,
    kind: &ProgramKind,
    license: Option<&str>,
    unresolved: &[Unresolved],
) -> Option<String> {
    let log = refusal.log.as_str();
    if let Some(instruction) = poisoned_instruction(log) {
        return Some(core(instruction, unresolved));
    }
    if let Some((_, what)) = GPL_ONLY.iter().find(|(words, _)| log.contains(words)) {
        let has = license.map_or_else(
            || "has no `license` section, which counts as not GPL-compatible".to_owned(),
            |license| format!("has the license `{license}`"),
        );
        return Some(format!(
            "{what}, and its object {has}; if it may be so licensed: `char LICENSE[] \
             SEC(\"license\") = \"GPL\";`"
        ));
    }
    if let Some(helper) = helper(log) {
        return Some(format!(
            "the running kernel has no helper `{helper}` for programs of type {}: it is newer than \
             this kernel, or not for this type",
            kind.program_type
        ));
    }
    if let Some(cause) = cause::explain(log) {
        return Some(cause);
    }
    match refusal.errno {
        Errno::PERM => Some(capability::advice(capability::for_program(kind.program_type))),
        Errno::NOMEM => Some(
            "the kernel has no memory for it; before Linux 5.11 BPF memory counts against \
             RLIMIT_MEMLOCK"
                .to_owned(),
        ),
        Errno::TOOBIG if log.is_empty() => {
            Some("it has more instructions than the running kernel takes".to_owned())
        }
        Errno::INVAL if log.is_empty() => Some(unknown(kind)),
        _ => None,
    }
}

/// The access that had no match in the kernel's types and was reached all the same.
fn core(instruction: usize, unresolved: &[Unresolved]) -> String {
    match unresolved.iter().find(|access| access.instruction == instruction) {
        Some(Unresolved { access, .. }) => format!(
            "the running kernel has no match for `{access}`; guard the access with \
             `bpf_core_field_exists` (or its sisters for types and enums)"
        ),
        None => "it uses a type or field that the running kernel does not have".to_owned(),
    }
}

/// The name of a helper the verifier does not know, by its words before and since Linux 6.14.
fn helper(log: &str) -> Option<&str> {
    let rest = ["unknown func ", "program of this type cannot use helper "]
        .iter()
        .find_map(|words| log.split_once(words).map(|(_, rest)| rest))?;
    rest.split(['\n', ' ', '#']).next().filter(|name| !name.is_empty())
}

fn unknown(kind: &ProgramKind) -> String {
    let at = kind.attach_type.map(|at| format!(" for {at}")).unwrap_or_default();
    let sleepable = match (kind.program_type, kind.sleepable) {
        (ProgramType::TRACING | ProgramType::LSM | ProgramType::KPROBE, true) => {
            ", or cannot let it sleep"
        }
        _ => "",
    };
    let fragments = if kind.xdp_frags { " with fragments" } else { "" };
    let since = model::since::of_kind(kind)
        .map(|release| format!("; {}", since::compare(release, since::running())))
        .unwrap_or_default();
    format!(
        "the running kernel does not know programs of type {}{at}{fragments}{sleepable}{since}",
        kind.program_type
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kinds::AttachType;

    const KIND: ProgramKind = ProgramKind {
        program_type: ProgramType::XDP,
        attach_type: Some(AttachType::XDP),
        attach_type_optional: true,
        target: None,
        sleepable: false,
        xdp_frags: false,
        needs_attach_btf: false,
    };

    fn advised(errno: Errno, log: &str, license: Option<&str>) -> String {
        let unresolved =
            [Unresolved { instruction: 12, access: "struct task_struct.nonesuch".to_owned() }];
        let refusal = Refusal { errno, log: log.to_owned() };
        let error =
            explain("load program `p`".to_owned(), &refusal, None, &KIND, license, &unresolved);
        error.advice.unwrap_or_default()
    }

    #[test]
    fn a_missing_license_is_named() {
        for (words, what) in [
            ("cannot call GPL-restricted function from non-GPL compatible program", "a helper"),
            ("cannot call kernel function from non-GPL compatible program", "a kernel function"),
            ("LSM programs must have a GPL compatible license", "its type"),
            ("struct ops programs must have a GPL compatible license", "its type"),
            ("Cannot access kernel 'struct sock' from non-GPL compatible program", "a struct"),
        ] {
            let log = format!("0: (85) call bpf_ktime_get_ns#5\n{words}\n");
            let advice = advised(Errno::INVAL, &log, None);
            assert!(advice.contains(what) && advice.contains("no `license` section"), "{advice}");
            assert!(advised(Errno::INVAL, &log, Some("MIT")).contains("license `MIT`"));
        }
    }

    #[test]
    fn an_unresolved_access_is_named() {
        let log = "12: (85) call unknown#195896080\ninvalid func unknown#195896080\n";
        assert!(advised(Errno::INVAL, log, None).contains("`struct task_struct.nonesuch`"));
    }

    #[test]
    fn an_unknown_helper_is_named() {
        for log in [
            "4: (85) call bpf_get_current_task#35\nunknown func bpf_get_current_task#35\n",
            "program of this type cannot use helper bpf_get_current_task#35\n",
        ] {
            assert!(advised(Errno::INVAL, log, None).contains("`bpf_get_current_task`"), "{log}");
        }
    }

    #[test]
    fn silence_means_an_unknown_type() {
        assert!(advised(Errno::INVAL, "", None).contains("type xdp for xdp"));
        assert_eq!(advised(Errno::INVAL, "R0 of a new kind\n", None), "");
    }
}
