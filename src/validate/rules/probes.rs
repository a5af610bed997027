//! Programs of probes at another hook than the one that their section names.
//!
//! The kernel has one type for all of them, and takes each at the entry and the return of any function,
//! its own and those of programs and libraries (`kprobe` and `uprobe` in `kernel/events/core.c`); libbpf
//! chooses by the function that attaches. What differs is what the program finds in its registers.

use crate::model::code;
use crate::model::helper::Helper;
use crate::model::kinds::ProgramType;
use crate::model::problem::{Problem, Severity};
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

/// Where the memory is that a program reads through pointers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Kernel,
    User,
}

impl Reads {
    /// By the helpers that it calls; `None` where these leave it open, as those do that read either, and
    /// reads of the task, which is the same wherever the probe is.
    fn of(program: &ProgramSpec) -> Option<Self> {
        let calls = |names: &[&str]| {
            let names = |helper: &Helper| {
                helper.name().is_some_and(|name| names.contains(&name.trim_start_matches("bpf_")))
            };
            program.uses.helpers.iter().any(names)
        };
        let kernel = calls(&["probe_read_kernel", "probe_read_kernel_str"]);
        let user = calls(&[
            "probe_read_user",
            "probe_read_user_str",
            "copy_from_user",
            "copy_from_user_task",
        ]);
        let open = calls(&[
            "probe_read",
            "probe_read_str",
            "get_current_task",
            "get_current_task_btf",
            "task_pt_regs",
        ]);
        match (kernel, user) {
            (true, false) if !open => Some(Self::Kernel),
            (false, true) if !open => Some(Self::User),
            _ => None,
        }
    }

    /// Of what is called in a place.
    fn fitting(place: Where) -> Self {
        match place {
            Where::Kernel => Self::Kernel,
            Where::User | Where::Usdt => Self::User,
        }
    }

    fn described(self) -> (&'static str, &'static str) {
        match self {
            Self::Kernel => ("bpf_probe_read_kernel", "of the kernel"),
            Self::User => ("bpf_probe_read_user", "of a process"),
        }
    }
}

/// Whether a program is put at another kind of probe than its section says, where that makes a
/// difference to it: functions of another place are told apart by what it reads. `finds_arguments` says
/// that its object has what it takes to find those of statically defined probes.
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
    if is_told || made == put {
        return None;
    }
    let problem = |help: String| {
        let message = format!(
            "program `{}` of section `{}` is for {}, not for {}",
            program.name,
            program.section,
            made.described(put),
            put.described(made)
        );
        Problem::warning(code::TARGET_MISMATCH, None, message).help(help)
    };
    // The type of program is called after kprobes, so what names no function may be meant for any.
    let is_for_any = matches!(name, "kprobe" | "kretprobe") && kind.target.is_none();
    match (made.place, put.place) {
        (Where::Usdt, _) if finds_arguments => {
            let help = "`bpf_usdt_arg` finds the arguments by what only hook `usdt` sets: use that, \
                        or `SEC(\"uprobe\")` and `PT_REGS_PARM1` in C";
            return Some(Problem { severity: Severity::Error, ..problem(help.to_owned()) });
        }
        (_, Where::Usdt) if !is_for_any || made.returns => {
            let help = "a statically defined probe is in the midst of a function, and its arguments \
                        are where `bpf_usdt_arg` says: write `SEC(\"usdt\")` in C";
            return Some(problem(help.to_owned()));
        }
        (Where::Usdt, _) => {}
        _ if made.returns != put.returns => {
            return Some(problem(format!(
                "arguments are there at the entry only, and what is returned at the return only; use \
                 hook `{}`, or write `SEC(\"{}\")` in C if it reads neither",
                Said { place: put.place, ..made }.hook(),
                put.hook()
            )));
        }
        _ => {}
    }
    let reads = Reads::of(program)?;
    let there = Reads::fitting(put.place);
    if is_for_any || reads != Reads::fitting(made.place) || reads == there {
        return None;
    }
    let ((helper, whose), (other, _)) = (reads.described(), there.described());
    Some(problem(format!(
        "it reads memory {whose} with `{helper}`, which finds nothing elsewhere; use hook `{}`, or \
         `SEC(\"{}\")` and `{other}` in C",
        Said { returns: put.returns, ..made }.hook(),
        put.hook(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::program::Uses;
    use crate::object::sections::program_kind;

    fn answer(
        (section, helpers): (&str, &[u32]),
        hook: &str,
        finds_arguments: bool,
    ) -> Option<Problem> {
        let kind = program_kind(section).expect(section);
        let helpers = helpers.iter().copied().map(Helper).collect();
        let program = ProgramSpec {
            name: "probe".to_owned(),
            section: section.to_owned(),
            kind: Some(kind.clone()),
            autoload: true,
            instructions: 2,
            uses: Uses { helpers, ..Uses::default() },
            xdp_run: None,
        };
        misplaced(&program, &kind, hook, finds_arguments)
    }

    fn severity(section: &str, hook: &str, finds_arguments: bool) -> Option<Severity> {
        answer((section, &[]), hook, finds_arguments).map(|problem| problem.severity)
    }

    #[test]
    fn what_a_section_says_is_held_against_the_hook() {
        let (warning, error) = (Some(Severity::Warning), Some(Severity::Error));
        let (entry, returns) = (&["kprobe", "uprobe"][..], &["kretprobe", "uretprobe"][..]);
        for (section, silent, otherwise) in [
            ("kprobe", &["kprobe", "uprobe", "usdt"][..], warning),
            ("kretprobe", returns, warning),
            ("?kprobe/do_exit", entry, warning),
            ("kprobe.multi/tcp_*", entry, warning),
            ("kprobe.session/tcp_*", entry, warning),
            ("ksyscall/execve", entry, warning),
            ("kretsyscall/execve", returns, warning),
            ("uprobe", entry, warning),
            ("uprobe.s/libc.so.6:malloc", &["uprobe", "kprobe", "kretprobe"], warning),
            ("uretprobe.multi", returns, warning),
            ("usdt", &["usdt"], error),
        ] {
            for hook in ["kprobe", "kretprobe", "uprobe", "uretprobe", "usdt"] {
                let expected = if silent.contains(&hook) { None } else { otherwise };
                assert_eq!(severity(section, hook, true), expected, "{section} at {hook}");
            }
        }
        assert_eq!(severity("usdt", "uretprobe", false), None, "it reads no arguments");
        assert_eq!(severity("uprobe", "usdt", false), None, "that no arguments are found is said");
    }

    #[test]
    fn functions_of_another_place_are_told_apart_by_what_is_read() {
        const READ: u32 = 4;
        const TASK: u32 = 35;
        const READ_USER: u32 = 112;
        const READ_KERNEL: u32 = 113;
        for (section, helpers, hook, warns) in [
            ("kprobe/do_exit", &[READ_KERNEL][..], "uprobe", true),
            ("kretprobe/do_exit", &[READ_KERNEL], "uretprobe", true),
            ("kprobe/handle_entry", &[READ_USER], "uprobe", false),
            ("kprobe/handle_entry", &[READ_USER, READ_KERNEL], "uprobe", false),
            ("kprobe/handle_entry", &[READ_KERNEL, TASK], "uprobe", false),
            ("kprobe/handle_entry", &[READ], "uprobe", false),
            ("kprobe", &[READ_KERNEL], "uprobe", false),
            ("uprobe", &[READ_USER], "kprobe", true),
            ("uprobe", &[READ_KERNEL], "kprobe", false),
            ("usdt", &[READ_USER], "kprobe", true),
            ("usdt", &[READ_USER], "uprobe", false),
        ] {
            let told = answer((section, helpers), hook, false);
            let severity = told.as_ref().map(|problem| problem.severity);
            let expected = warns.then_some(Severity::Warning);
            assert_eq!(severity, expected, "{section} with {helpers:?} at {hook}");
        }
        let told = answer(("kprobe/do_exit", &[READ_KERNEL]), "uprobe", false).expect("a warning");
        let help = told.help.expect("advice");
        assert!(help.contains("bpf_probe_read_user") && help.contains("`kprobe`"), "{help}");
        let told = answer(("kprobe/do_exit", &[]), "uretprobe", false).expect("a warning");
        let help = told.help.expect("advice");
        assert!(help.contains("use hook `uprobe`"), "{help}");
    }

    #[test]
    fn other_hooks_are_none_of_its_business() {
        assert_eq!(severity("kprobe/do_exit", "section", false), None);
        assert_eq!(severity("xdp", "xdp", false), None);
    }
}
