//! Attachments to functions, events and iterators: what the manifest says, and what a section says.
//!
//! Source of what sections say: `attach_kprobe`, `attach_uprobe`, `attach_uprobe_multi`, `attach_usdt`
//! and `attach_ksyscall` of libbpf's `src/libbpf.c`.

use std::collections::BTreeSet;

use super::attachments::Place;
use crate::manifest::{self, Names, listed, suggest};
use crate::model::attach::Attachment;
use crate::model::code;
use crate::model::kinds::{AttachType, ProgramType};
use crate::model::probe::{
    Event, HARDWARE, Iter, KernelFunction, KernelProbe, Only, PerfEvent, SOFTWARE, Sample,
    USDT_SPECS, Usdt, UserProbe, is_pattern,
};
use crate::model::problem::Problem;
use crate::object::sections;

/// Other names of perf(1) for events, with those that a manifest has.
const ALIASES: &[(&str, &str)] = &[
    ("cycles", "cpu-cycles"),
    ("branches", "branch-instructions"),
    ("idle-cycles-frontend", "stalled-cycles-frontend"),
    ("idle-cycles-backend", "stalled-cycles-backend"),
    ("faults", "page-faults"),
    ("cs", "context-switches"),
    ("migrations", "cpu-migrations"),
];

impl Place<'_, '_, '_> {
    /// A function of the kernel that the program is loaded for.
    pub(super) fn function(&mut self, hook: &manifest::Function) -> KernelFunction {
        self.same_target("function", &hook.function);
        KernelFunction { function: hook.function.clone(), cookie: hook.cookie }
    }

    pub(super) fn lsm_cgroup(&mut self, hook: &manifest::LsmCgroup) -> Option<Attachment> {
        self.same_target("function", &hook.function);
        let path = self.cgroup_path(&hook.path)?;
        Some(Attachment::LsmCgroup { function: hook.function.clone(), path })
    }

    pub(super) fn kprobe(&mut self, hook: &manifest::Probe, returns: bool) -> Option<KernelProbe> {
        let functions = self.names("function", &hook.function, hook.offset, returns)?;
        if let [function] = functions.as_slice()
            && let (name, offset @ 1..) = spot(function)
        {
            let message = format!("no function of the kernel is called `{function}`");
            let problem = Problem::error(code::BAD_TARGET, None, message)
                .help(format!("write `function = \"{name}\", offset = {offset}`"));
            self.report("function", problem);
            return None;
        }
        if self.kind.sleepable {
            let message =
                format!("program `{}` may sleep, which kprobes cannot", self.program.name);
            let problem = Problem::error(code::HOOK_MISMATCH, None, message)
                .help("only uprobes can: `SEC(\"uprobe.s\")`");
            self.report("hook", problem);
            return None;
        }
        Some(KernelProbe { functions, offset: hook.offset, cookie: hook.cookie })
    }

    pub(super) fn uprobe(
        &mut self,
        hook: &manifest::UserProbe,
        returns: bool,
    ) -> Option<UserProbe> {
        let symbols = self.names("symbol", &hook.symbol, hook.offset, returns);
        let target = self.file(&hook.target);
        Some(UserProbe {
            target: target?,
            symbols: symbols?,
            offset: hook.offset,
            pid: hook.pid,
            cookie: hook.cookie,
            inode: None,
        })
    }

    pub(super) fn usdt(&mut self, hook: &manifest::Usdt) -> Option<Usdt> {
        let target = self.file(&hook.target);
        for (option, text) in [("provider", &hook.provider), ("name", &hook.name)] {
            if text.is_empty() {
                let message = format!("the {option} of a probe is not empty");
                self.report(option, Problem::error(code::BAD_TARGET, None, message));
                return None;
            }
        }
        self.usdt_maps()?;
        Some(Usdt {
            target: target?,
            provider: hook.provider.clone(),
            name: hook.name.clone(),
            pid: hook.pid,
            cookie: hook.cookie,
            inode: None,
            site: None,
            addresses: Vec::new(),
        })
    }

    /// Whether the object can be told where the arguments of its probes are.
    fn usdt_maps(&mut self) -> Option<()> {
        if self.subject.spec().map(USDT_SPECS).is_some() {
            return Some(());
        }
        let message = format!(
            "program `{}` cannot find a probe's arguments: its object has no map `{USDT_SPECS}`",
            self.program.name
        );
        let problem = Problem::error(code::HOOK_MISMATCH, None, message)
            .help("`#include <bpf/usdt.bpf.h>` in C brings it");
        self.report("hook", problem);
        None
    }

    pub(super) fn perf_event(&mut self, hook: &manifest::PerfEvent) -> Option<PerfEvent> {
        let event = match (&hook.hardware, &hook.software, hook.raw) {
            (Some(name), None, None) => {
                self.event_name("hardware", name, HARDWARE).map(Event::Hardware)
            }
            (None, Some(name), None) => {
                self.event_name("software", name, SOFTWARE).map(Event::Software)
            }
            (None, None, Some(number)) => Some(Event::Raw(number)),
            (None, None, None) => {
                self.one_of("hook", code::MISSING_KEY, "hardware`, `software` and `raw");
                None
            }
            (Some(_), ..) => {
                self.one_of("hardware", code::BAD_TARGET, "hardware`, `software` and `raw");
                None
            }
            (_, Some(_), _) => {
                self.one_of("software", code::BAD_TARGET, "hardware`, `software` and `raw");
                None
            }
        };
        let sample = match (hook.period, hook.frequency) {
            (Some(period), None) => self.positive("period", period).map(Sample::Period),
            (None, Some(times)) => self.positive("frequency", times).map(Sample::Frequency),
            (None, None) => {
                self.one_of("hook", code::MISSING_KEY, "period` and `frequency");
                None
            }
            (Some(_), Some(_)) => {
                self.one_of("frequency", code::BAD_TARGET, "period` and `frequency");
                None
            }
        };
        let (cpu, pid, cookie) = (hook.cpu, hook.pid, hook.cookie);
        Some(PerfEvent { event: event?, sample: sample?, cpu, pid, cookie })
    }

    fn one_of(&mut self, option: &str, code: &'static str, options: &str) {
        let message = format!("a performance counter needs one of `{options}`");
        self.report(option, Problem::error(code, None, message));
    }

    fn positive(&mut self, option: &str, number: u64) -> Option<u64> {
        if number > 0 {
            return Some(number);
        }
        let message = format!("a {option} of 0 runs nothing");
        self.report(option, Problem::error(code::BAD_TARGET, None, message));
        None
    }

    fn event_name(&mut self, option: &str, name: &str, known: &[(&str, u64)]) -> Option<String> {
        let names = || known.iter().map(|(name, _)| *name);
        if names().any(|known| known == name) {
            return Some(name.to_owned());
        }
        let problem =
            Problem::error(code::BAD_TARGET, None, format!("there is no {option} event `{name}`"));
        let also = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, name)| *name);
        let also = also.filter(|also| names().any(|known| known == *also));
        let problem = match also.or_else(|| suggest(name, names())) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("there are {}", listed(names()))),
        };
        self.report(option, problem);
        None
    }

    /// What an iterator goes over says which options it takes.
    pub(super) fn iterator(&mut self, hook: &manifest::Iter) -> Option<Iter> {
        let over = self.kind.target.clone()?;
        let given = [
            ("map", hook.map.is_some()),
            ("cgroup", hook.cgroup.is_some()),
            ("task", hook.task.is_some()),
        ];
        let taken = taken(&over);
        let wrong = given.iter().find(|(option, given)| *given && taken != Some(*option));
        if let Some((option, _)) = wrong {
            let message = format!("an iterator over `{over}` does not take `{option}`");
            let problem = Problem::error(code::BAD_TARGET, None, message);
            let problem = match taken {
                Some(taken) => problem.help(format!("it takes `{taken}`")),
                None => problem.help("it goes over all there are"),
            };
            self.report(option, problem);
            return None;
        }
        let only = if let Some(map) = &hook.map {
            let Some((object, map)) = map.split_once('.') else {
                let message = format!("{map:?} is no map of a manifest");
                let problem =
                    Problem::error(code::BAD_TARGET, None, message).help("write `<object>.<map>`");
                self.report("map", problem);
                return None;
            };
            Some(Only::Map { object: object.to_owned(), map: map.to_owned() })
        } else if let Some(path) = &hook.cgroup {
            Some(Only::Cgroup(self.absolute("cgroup", path)?))
        } else {
            hook.task.map(Only::Task)
        };
        if taken == Some("map") && only.is_none() {
            let message = format!("an iterator over `{over}` needs the option `map`");
            let problem =
                Problem::error(code::MISSING_KEY, None, message).help("`map = \"<object>.<map>\"`");
            self.report("hook", problem);
            return None;
        }
        Some(Iter { over, only })
    }

    fn names(
        &mut self,
        option: &str,
        names: &Names,
        offset: u64,
        returns: bool,
    ) -> Option<Vec<String>> {
        let Names(names) = names;
        let patterns = names.iter().any(|name| is_pattern(name));
        let wrong = if names.iter().any(String::is_empty) {
            Some((option, "the name of a function is not empty"))
        } else if names.iter().any(|name| name.contains('\0')) {
            Some((option, "the name of a function has no NUL"))
        } else if patterns && names.len() > 1 {
            Some((option, "a pattern stands alone, not in a list"))
        } else if offset > 0 && (patterns || names.len() > 1) {
            Some(("offset", "several functions are probed at their beginning, without `offset`"))
        } else if offset > 0 && returns {
            Some(("offset", "a probe of a function's return has no `offset`"))
        } else {
            None
        };
        if let Some((option, message)) = wrong {
            self.report(option, Problem::error(code::BAD_TARGET, None, message));
            return None;
        }
        let mut seen = BTreeSet::new();
        if let Some(again) = names.iter().find(|name| !seen.insert(name.as_str())) {
            let message = format!("`{again}` is listed twice");
            let problem = Problem::error(code::DUPLICATE_ATTACHMENT, None, message)
                .help("drop one; a program runs once at a place");
            self.report(option, problem);
            return None;
        }
        Some(names.clone())
    }

    /// A program or library, as libbpf's `resolve_full_path` takes it.
    fn file(&mut self, target: &str) -> Option<String> {
        let (message, help) = match target {
            "" => ("the program or library is not named", "such as `libc.so.6`"),
            _ if target.contains('\0') => ("a path has no NUL", "such as `/usr/bin/bash`"),
            _ if target.contains('/') && !target.starts_with('/') => {
                ("the path of a program or library is absolute", "or a name without any slash")
            }
            _ => return Some(target.to_owned()),
        };
        let problem = Problem::error(code::BAD_TARGET, None, message).help(help);
        self.report("target", problem);
        None
    }

    /// Where the section says, with the cookie that the manifest gives.
    pub(super) fn traced_section(&mut self, cookie: Option<u64>) -> Option<Attachment> {
        let target = self.kind.target.clone()?;
        let function = || KernelFunction { function: target.clone(), cookie };
        Some(match (self.kind.program_type, self.kind.attach_type) {
            (ProgramType::TRACING, Some(AttachType::TRACE_FENTRY)) => {
                Attachment::Fentry(function())
            }
            (ProgramType::TRACING, Some(AttachType::TRACE_FEXIT)) => Attachment::Fexit(function()),
            (ProgramType::TRACING, Some(AttachType::TRACE_FSESSION)) => {
                Attachment::Fsession(function())
            }
            (ProgramType::TRACING, Some(AttachType::MODIFY_RETURN)) => {
                Attachment::FmodRet(function())
            }
            (ProgramType::LSM, Some(AttachType::LSM_MAC)) => Attachment::Lsm(function()),
            (ProgramType::TRACING, Some(AttachType::TRACE_ITER))
                if taken(&target) != Some("map") =>
            {
                if cookie.is_some() {
                    let message = "the program of an iterator has no cookie";
                    self.report("cookie", Problem::error(code::BAD_TARGET, None, message));
                }
                Attachment::Iter(Iter { over: target, only: None })
            }
            (ProgramType::KPROBE, _) => return self.probe_section(&target, cookie),
            _ => return None,
        })
    }

    fn probe_section(&mut self, target: &str, cookie: Option<u64>) -> Option<Attachment> {
        let pattern = sections::pattern(&self.program.section)?.trim_end_matches('+');
        let returns = pattern.contains("ret");
        match pattern.split('.').next()? {
            "kprobe" | "kretprobe" => {
                let (name, offset) = spot(target);
                let probe = KernelProbe { functions: vec![name], offset, cookie };
                let with_offset = offset == 0 || !returns;
                let probe = Some(probe)
                    .filter(|probe| with_offset && !(probe.is_several() && offset > 0))?;
                Some(if returns { Attachment::Kretprobe(probe) } else { Attachment::Kprobe(probe) })
            }
            "ksyscall" | "kretsyscall" => {
                let functions = vec![format!("{}{target}", syscall_prefix()?)];
                let probe = KernelProbe { functions, offset: 0, cookie };
                Some(if returns { Attachment::Kretprobe(probe) } else { Attachment::Kprobe(probe) })
            }
            "uprobe" | "uretprobe" => {
                let (file, symbol) = target.split_once(':')?;
                let (name, offset) = spot(symbol);
                let target = self.file(file)?;
                let probe = UserProbe {
                    target,
                    symbols: vec![name],
                    offset,
                    pid: None,
                    cookie,
                    inode: None,
                };
                let with_offset = offset == 0 || !returns;
                let probe = Some(probe)
                    .filter(|probe| with_offset && !(probe.is_several() && offset > 0))?;
                Some(if returns { Attachment::Uretprobe(probe) } else { Attachment::Uprobe(probe) })
            }
            "usdt" => {
                let (file, probe) = target.split_once(':')?;
                let (provider, name) = probe.split_once(':')?;
                self.usdt_maps()?;
                Some(Attachment::Usdt(Usdt {
                    target: self.file(file)?,
                    provider: provider.to_owned(),
                    name: name.to_owned(),
                    pid: None,
                    cookie,
                    inode: None,
                    site: None,
                    addresses: Vec::new(),
                }))
            }
            _ => None,
        }
    }
}

/// The option that says which of what an iterator goes over (`bpf_iter_reg.attach_target` of each in
/// the kernel).
pub(super) fn taken(over: &str) -> Option<&'static str> {
    match over {
        "bpf_map_elem" | "bpf_sk_storage_map" | "sockmap" => Some("map"),
        "task" | "task_file" | "task_vma" => Some("task"),
        "cgroup" => Some("cgroup"),
        _ => None,
    }
}

/// `name`, or `name+0x10`; the names of C++ have signs in them, those of kernel functions have not.
fn spot(text: &str) -> (String, u64) {
    let Some((name, offset)) = text.rsplit_once('+') else { return (text.to_owned(), 0) };
    let offset = match offset.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => offset.parse(),
    };
    match offset {
        Ok(offset) if !name.is_empty() => (name.to_owned(), offset),
        _ => (text.to_owned(), 0),
    }
}

/// What the kernel puts before the names of system calls, on kernels since 4.17 (libbpf
/// `arch_specific_syscall_pfx`).
fn syscall_prefix() -> Option<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Some("__x64_sys_"),
        "x86" => Some("__ia32_sys_"),
        "s390x" => Some("__s390x_sys_"),
        "arm" => Some("__arm_sys_"),
        "aarch64" => Some("__arm64_sys_"),
        "mips" | "mips64" => Some("__mips_sys_"),
        "riscv32" | "riscv64" => Some("__riscv_sys_"),
        "powerpc" => Some("__powerpc_sys_"),
        "powerpc64" => Some("__powerpc64_sys_"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_an_offset() {
        assert_eq!(spot("do_x+0x10"), ("do_x".to_owned(), 16));
        assert_eq!(spot("do_x+8"), ("do_x".to_owned(), 8));
        assert_eq!(spot("do_x"), ("do_x".to_owned(), 0));
        assert_eq!(spot("a::operator++"), ("a::operator++".to_owned(), 0));
    }
}
