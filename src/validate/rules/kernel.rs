//! What a manifest and its objects need, held against the release of a kernel that need not run.
//!
//! Knows releases only: what a kernel was built without, and what a distribution brought back to an
//! older one, shows on the host.

use crate::manifest::{Hook, KeyPath, listed};
use crate::model::code;
use crate::model::kinds::{AttachType, ProgramType};
use crate::model::net_hook::Neighbour;
use crate::model::probe::{USDT_ADDRESSES, is_library};
use crate::model::problem::{Problem, Severity};
use crate::model::program::{Instruction, ProgramKind, ProgramSpec};
use crate::model::release::Release;
use crate::model::since;
use crate::validate::desired::{DesiredObject, DesiredProgram};
use crate::validate::findings::Findings;
use crate::validate::hooks;
use crate::validate::subject::Subject;

/// Looks at all that is created, loaded and attached. `resolved` are what the `subjects` come to.
pub(in crate::validate) fn check(
    subjects: &[Subject<'_>],
    resolved: &[DesiredObject],
    kernel: Release,
    findings: &mut Findings<'_>,
) {
    for (subject, object) in subjects.iter().zip(resolved) {
        let mut reach = Reach { subject, kernel, findings };
        for map in object.maps.iter().filter(|map| !map.external) {
            let newest = since::of_spec(&map.spec).filter(|(since, _)| *since > kernel);
            if let Some((since, cause)) = newest {
                let (name, kind) = (&map.spec.name, map.spec.shape.map_type);
                let what = match cause {
                    None => format!("map `{name}` (`{kind}`) needs"),
                    Some(cause) => format!("map `{name}` (`{kind}`) has {cause}, which needs"),
                };
                let problem = reach.too_old(&what, since);
                reach.findings.at(&subject.map_spot(name), problem);
            }
        }
        for program in &object.programs {
            reach.program(program);
        }
    }
}

/// One object's view of a kernel.
struct Reach<'r, 'm, 'f, 'd> {
    subject: &'r Subject<'m>,
    kernel: Release,
    findings: &'f mut Findings<'d>,
}

impl Reach<'_, '_, '_, '_> {
    fn too_old(&self, what: &str, since: Release) -> Problem {
        let message = format!("{what} Linux {since}, and `--kernel` says {}", self.kernel);
        Problem::error(code::KERNEL_TOO_OLD, None, message).label(format!("since {since}"))
    }

    fn program(&mut self, program: &DesiredProgram) {
        let spec = &program.spec;
        let Some(kind) = &spec.kind else { return };
        let at = self.subject.program_spot(&spec.name);
        // What a classifier is made for, no kernel looks at when it loads one (`bpf_prog_load_check_attach`
        // in `kernel/bpf/syscall.c`); the hook tells.
        let is_checked = !kind.attach_type_optional && kind.program_type != ProgramType::SCHED_CLS;
        let attach_type = kind.attach_type.filter(|_| is_checked);
        let since = since::of_kind(kind).max(attach_type.and_then(since::of_attach_type));
        let over = kind.target.as_deref().filter(|_| attach_type == Some(AttachType::TRACE_ITER));
        let since = since.max(over.and_then(since::of_iterator));
        if let Some(since) = since.filter(|since| *since > self.kernel) {
            let what = format!("program `{}` of section `{}` needs", spec.name, spec.section);
            let problem = self.too_old(&what, since);
            self.findings.at(&at, problem);
            return;
        }
        self.hooks(spec);
        self.instructions(spec);
        self.helpers(spec);
    }

    fn hooks(&mut self, spec: &ProgramSpec) {
        let subject = self.subject;
        let Some(entry) = subject.entry.programs.get(&spec.name) else { return };
        for (index, hook) in entry.attach.iter().enumerate() {
            let at = subject.program(&spec.name).key("attach").index(index);
            if self.findings.is_marked(&at) {
                continue;
            }
            // Where the section says, the hook is the only one that such a program has.
            let kind = spec.kind.as_ref();
            let name = match hook.name() {
                "section" => kind
                    .and_then(|kind| hooks::fitting(&spec.section, kind).next())
                    .unwrap_or_default(),
                name => name,
            };
            let newer = since::of_hook(name).filter(|since| *since > self.kernel);
            let stand_in = match name {
                "usdt" => self.probe_by_address(hook, kind),
                _ => stand_in(hook, name).map(Ok),
            };
            match (newer, stand_in) {
                (Some(since), Some(stand_in)) => {
                    let problem = self.too_old(&format!("hook `{name}` needs"), since);
                    let problem = match stand_in {
                        Ok(help) => Problem { severity: Severity::Warning, ..problem }.help(help),
                        Err(help) => problem.help(help),
                    };
                    self.findings.at_value(&at.key("hook"), problem);
                }
                (since, _) => {
                    self.since(&at.key("hook"), &format!("hook `{name}` needs"), since, name);
                }
            }
            if let Some((option, what, since)) = needed_by_option(hook, kind) {
                self.since(&at.key(option), &format!("{what} needs"), Some(since), "");
            }
            if hook.cookie().is_some() {
                let what = format!("a cookie at `{name}` needs");
                self.since(&at.key("cookie"), &what, since::of_cookie(name), "");
            }
        }
    }

    /// What stands in for the cookie by which a program finds a probe's arguments, or what that takes.
    fn probe_by_address(
        &self,
        hook: &Hook,
        kind: Option<&ProgramKind>,
    ) -> Option<Result<&'static str, &'static str>> {
        let (target, pid) = match hook {
            Hook::Usdt(hook) => (hook.target.as_str(), hook.pid),
            _ => (kind.and_then(|kind| kind.target.as_deref())?.split(':').next()?, None),
        };
        Some(if self.subject.spec().map(USDT_ADDRESSES).is_none() {
            Err(
                "before, a program finds the arguments by a map `__bpf_usdt_ip_to_spec_id`, which its \
                 object lacks: `#include <bpf/usdt.bpf.h>` in C brings it",
            )
        } else if pid.is_none() && is_library(target) {
            Err(
                "before, a program finds the arguments by the address of the probe's instruction, which \
                 a library has at another place in each process: say which by `pid`",
            )
        } else if pid.is_none() {
            Ok(
                "before, a program finds the arguments by the address of the probe's instruction, which is \
                known of one process (`pid`), or if the probed program is linked with `-no-pie`; the \
                process that applies holds the attachment, and `--detach` is refused",
            )
        } else {
            Ok(
                "before, a program finds the arguments by the address of the probe's instruction in that \
                process; the process that applies holds the attachment, and `--detach` is refused",
            )
        })
    }

    fn since(&mut self, at: &KeyPath, what: &str, since: Option<Release>, hook: &str) {
        let Some(since) = since.filter(|since| *since > self.kernel) else { return };
        let problem = self.too_old(what, since);
        let problem = match older(hook) {
            Some(help) => problem.help(help),
            None => problem,
        };
        self.findings.at_value(at, problem);
    }

    /// The verifier looks at every instruction once, also at those that are never reached; at kernel
    /// functions only where it gets to.
    fn instructions(&mut self, spec: &ProgramSpec) {
        for instruction in &spec.uses.instructions {
            let since = since::of_instruction(*instruction);
            if since <= self.kernel {
                continue;
            }
            let what = format!("program `{}` has {instruction}, which need", spec.name);
            let problem = self.too_old(&what, since);
            let problem = match instruction {
                Instruction::Version4 => problem.help("compile with `-mcpu=v3`"),
                Instruction::Jump32 | Instruction::AtomicFetch => problem
                    .help("compile with `-mcpu=v2`, without atomic operations that yield a value"),
                Instruction::KernelFunction => {
                    Problem::warning(code::KERNEL_TOO_OLD, None, problem.message)
                        .help("no harm if it is `__weak` and only called after `bpf_ksym_exists`")
                }
                _ => problem,
            };
            self.findings.at(&self.subject.program_spot(&spec.name), problem);
        }
    }

    /// A warning, because a branch that the verifier knows is never taken may call what it likes.
    fn helpers(&mut self, spec: &ProgramSpec) {
        let newer = spec.uses.helpers.iter().filter_map(|helper| {
            let since = helper.since().filter(|since| *since > self.kernel)?;
            Some(format!("{} (since {since})", helper.name()?))
        });
        let newer: Vec<String> = newer.collect();
        if newer.is_empty() {
            return;
        }
        let message = format!(
            "program `{}` calls helpers that Linux {} does not have: {}",
            spec.name,
            self.kernel,
            listed(newer.iter().map(String::as_str))
        );
        let problem = Problem::warning(code::KERNEL_TOO_OLD, None, message).help(
            "no harm where the call is guarded by `bpf_core_enum_value_exists(enum bpf_func_id, …)` or \
             a constant of `.rodata`; else the verifier refuses the program",
        );
        self.findings.at(&self.subject.program_spot(&spec.name), problem);
    }
}

/// An option that needs a newer kernel than its hook: its key, what it is, and since when that is there.
fn needed_by_option(
    hook: &Hook,
    kind: Option<&ProgramKind>,
) -> Option<(&'static str, String, Release)> {
    let over = kind.and_then(|kind| kind.target.as_deref()).unwrap_or_default();
    let attach_type = kind.and_then(|kind| kind.attach_type);
    match hook {
        Hook::Netfilter(hook) if hook.defrag => {
            Some(("defrag", "`defrag` at `netfilter`".to_owned(), since::NETFILTER_DEFRAG))
        }
        Hook::Xdp(hook) if hook.dispatcher => {
            let what = "a program that a dispatcher calls".to_owned();
            Some(("dispatcher", what, since::FREPLACE_BY_LINK))
        }
        Hook::Freplace(hook) if hook.program.starts_with('/') => {
            let what = "to replace a function of a program that is pinned".to_owned();
            Some(("program", what, since::FREPLACE_BY_LINK))
        }
        Hook::Sockmap(_) if attach_type == Some(AttachType::SK_SKB_VERDICT) => {
            let what = "`sk_skb/verdict` at `sockmap`".to_owned();
            Some(("hook", what, since::of_attach_type(AttachType::SK_SKB_VERDICT)?))
        }
        Hook::Iter(hook) if hook.task.is_some() || hook.cgroup.is_some() => {
            let option = if hook.task.is_some() { "task" } else { "cgroup" };
            let what = format!("`{option}` of an iterator over `{over}`");
            Some((option, what, since::LIMITED_ITERATORS))
        }
        _ => None,
    }
}

/// What does it on an older kernel without a change of the manifest (`plan/expand.rs`, `plan/held.rs`,
/// `plan/sockets.rs`).
fn stand_in(hook: &Hook, name: &str) -> Option<&'static str> {
    match name {
        "tcx" if !is_beside_others(hook) => Some(
            "before, a filter of `clsact` stands for it: it is not pinned, and anyone who removes the \
             qdisc removes it",
        ),
        "kprobe" | "kretprobe" | "uprobe" | "uretprobe" | "tracepoint" | "perf-event" => Some(
            "before, the process that applies holds the attachment: it is not pinned, ends with the \
             process, and `--detach` is refused",
        ),
        "sockmap" => Some(
            "before, the map keeps the program: it has no pin of its own, and before Linux 5.18 only the \
             deployment's own maps are attached to",
        ),
        _ => None,
    }
}

/// Whether it is before or after a program of someone else, which a filter cannot be.
fn is_beside_others(hook: &Hook) -> bool {
    let beside = hook.order().and_then(|order| order.before.or(order.after));
    beside.is_some_and(|name| !matches!(Neighbour::named(name), Neighbour::Own { .. }))
}

/// What did the same before a hook.
fn older(hook: &str) -> Option<&'static str> {
    match hook {
        "tcx" => Some(
            "a filter of `clsact` cannot be put beside a program of someone else: hook `tc` attaches to \
             the same place since 4.5, by a priority",
        ),
        "lsm-cgroup" => Some("hook `lsm` sees the whole host since 5.7"),
        "tp-btf" => Some("hook `raw-tracepoint` sees tracepoints since 4.17"),
        _ => None,
    }
}
