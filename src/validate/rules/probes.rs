//! Programs of probes at another hook than the one that their section names.
//!
//! The kernel has one type for all of them, and takes each at the entry and the return of any function,
//! its own and those of programs and libraries (`kprobe` and `uprobe` in `kernel/events/core.c`); libbpf
//! chooses by the function that attaches. What differs is what the program finds in its registers.

use crate::model::code;
use crate::model::kinds::ProgramType;
use crate::model::problem::Problem;
use crate::model::program::{ProgramKind, ProgramSpec};
use crate::object::sections;

/// Where a probe is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Kernel,
    User,
    Usdt,
}

/// What a section or a hook says of a probe.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Said {
    place: Where,
    returns: bool,
}

impl Said {
    /// The hook by its name, and a section by what it is called after.
    fn by(name: &str) -> Option<Self> {
        let (place, returns) = match name {
            "kprobe" | "ksyscall" => (Where::Kernel, false),
            "kretprobe" | "kretsyscall" => (Where::Kernel, true),
            "uprobe" => (Where::User, false),
            "uretprobe" => (Where::User, true),
            "usdt" => (Where::Usdt, false),
            _ => return None,
        };
        Some(Self { place, returns })
    }

    fn hook(self) -> &'static str {
        match (self.place, self.returns) {
            (Where::Kernel, false) => "kprobe",
            (Where::Kernel, true) => "kretprobe",
            (Where::User, false) => "uprobe",
            (Where::User, true) => "uretprobe",
            (Where::Usdt, _) => "usdt",
        }
    }

    /// What sets it apart from the other.
    fn described(self, other: Self) -> String {
        let function = match self.place {
            _ if self.place == other.place => "functions",
            Where::Kernel => "functions of the kernel",
            Where::User => "functions of programs and libraries",
            Where::Usdt => return "statically defined probes".to_owned(),
        };
        match self.returns {
            _ if self.returns == other.returns => function.to_owned(),
            true => format!("the return of {function}"),
            false => format!("the entry of {function}"),
        }
    }
}

/// Whether a program is put at another kind of probe than its section says. `finds_arguments` says that
/// its object has what it takes to find those of statically defined probes.
pub(super) fn misplaced(
    program: &ProgramSpec,
    kind: &ProgramKind,
    hook: &str,
    finds_arguments: bool,
) -> Option<Problem> {
    if kind.program_type != ProgramType::KPROBE {
        return None;
    }
    let name = sections::pattern(&program.section)?.trim_end_matches('+').split('.').next()?;
    let (made, put) = (Said::by(name)?, Said::by(hook)?);
    // Both are errors of their own.
    let is_told = match put.place {
        Where::Usdt => !finds_arguments,
        Where::Kernel => kind.sleepable,
        Where::User => false,
    };
    // The type of program is called after kprobes, so what names no function may be meant for any.
    let is_for_any = matches!(name, "kprobe" | "kretprobe") && kind.target.is_none();
    if is_told || made.returns == put.returns && (made.place == put.place || is_for_any) {
        return None;
    }
    let message = format!(
        "program `{}` of section `{}` is for {}, not for {}",
        program.name,
        program.section,
        made.described(put),
        put.described(made)
    );
    let help = match (made.place, put.place) {
        (Where::Usdt, _) if finds_arguments => {
            let help = "`bpf_usdt_arg` finds the arguments by what only hook `usdt` sets: use that, \
                        or `SEC(\"uprobe\")` and `PT_REGS_PARM1` in C";
            return Some(Problem::error(code::TARGET_MISMATCH, None, message).help(help));
        }
        (_, Where::Usdt) => "a statically defined probe is in the midst of a function, and its \
                             arguments are where `bpf_usdt_arg` says: write `SEC(\"usdt\")` in C"
            .to_owned(),
        (one, other) if one == other => format!(
            "arguments are there at the entry only, and what is returned at the return only; use hook \
             `{}`, or write `SEC(\"{}\")` in C if it reads neither",
            made.hook(),
            put.hook()
        ),
        _ => format!(
            "its context has the registers of another place, and pointers are read by other helpers \
             (`bpf_probe_read_kernel`, `bpf_probe_read_user`); use hook `{}`, or write `SEC(\"{}\")` \
             in C if it reads none",
            made.hook(),
            put.hook()
        ),
    };
    Some(Problem::warning(code::TARGET_MISMATCH, None, message).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problem::Severity;
    use crate::model::program::Uses;
    use crate::object::sections::program_kind;

    fn severity(section: &str, hook: &str, finds_arguments: bool) -> Option<Severity> {
        let kind = program_kind(section).expect(section);
        let program = ProgramSpec {
            name: "probe".to_owned(),
            section: section.to_owned(),
            kind: Some(kind.clone()),
            autoload: true,
            instructions: 2,
            uses: Uses::default(),
            xdp_run: None,
        };
        misplaced(&program, &kind, hook, finds_arguments).map(|problem| problem.severity)
    }

    #[test]
    fn what_a_section_says_is_held_against_the_hook() {
        let (warning, error) = (Some(Severity::Warning), Some(Severity::Error));
        for (section, silent, otherwise) in [
            ("kprobe", &["kprobe", "uprobe", "usdt"][..], warning),
            ("kretprobe", &["kretprobe", "uretprobe"], warning),
            ("?kprobe/do_exit", &["kprobe"], warning),
            ("kprobe.multi/tcp_*", &["kprobe"], warning),
            ("kprobe.session/tcp_*", &["kprobe"], warning),
            ("ksyscall/execve", &["kprobe"], warning),
            ("kretsyscall/execve", &["kretprobe"], warning),
            ("uprobe", &["uprobe"], warning),
            ("uprobe.s/libc.so.6:malloc", &["uprobe", "kprobe", "kretprobe"], warning),
            ("uretprobe.multi", &["uretprobe"], warning),
            ("usdt", &["usdt"], error),
        ] {
            for hook in ["kprobe", "kretprobe", "uprobe", "uretprobe", "usdt"] {
                let expected = if silent.contains(&hook) { None } else { otherwise };
                assert_eq!(severity(section, hook, true), expected, "{section} at {hook}");
            }
        }
        assert_eq!(severity("usdt", "uprobe", false), warning, "it reads no arguments");
        assert_eq!(severity("uprobe", "usdt", false), None, "that no arguments are found is said");
    }

    #[test]
    fn other_hooks_are_none_of_its_business() {
        assert_eq!(severity("kprobe/do_exit", "section", false), None);
        assert_eq!(severity("xdp", "xdp", false), None);
    }
}
