//! The places a manifest attaches a program to: whether the hook takes it, and what it comes to.

use std::path::{Path, PathBuf};

use crate::manifest::{Cgroup, Freplace, Hook, KeyPath, Names, listed};
use crate::model::attach::Attachment;
use crate::model::code;
use crate::model::kinds::{AttachType, ProgramType};
use crate::model::pattern;
use crate::model::probe::USDT_SPECS;
use crate::model::problem::Problem;
use crate::model::program::{ProgramKind, ProgramSpec};
use crate::validate::desired::Terms;
use crate::validate::findings::Findings;
use crate::validate::hooks;
use crate::validate::rules::operations;
use crate::validate::rules::places::Places;
use crate::validate::rules::probes;
use crate::validate::rules::replaced::{self, Holder};
use crate::validate::subject::Subject;

/// The program's attachments, as far as they can be settled.
pub(in crate::validate) fn resolve(
    subject: &Subject<'_>,
    program: &ProgramSpec,
    places: &mut Places,
    findings: &mut Findings<'_>,
) -> (Vec<Attachment>, Terms) {
    let entry = subject.entry.programs.get(&program.name);
    let (mut attachments, mut terms) = (Vec::new(), Terms::default());
    let (Some(entry), Some(kind)) = (entry, &program.kind) else { return (attachments, terms) };
    for (index, hook) in entry.attach.iter().enumerate() {
        let at = subject.program(&program.name).key("attach").index(index);
        if findings.is_marked(&at) {
            continue;
        }
        if matches!(hook, Hook::StructOps(_)) {
            findings.at_value(&at.key("hook"), operations::names_a_program(subject, &program.name));
            continue;
        }
        if !hooks::takes(hook.name(), kind) {
            findings.at_value(&at.key("hook"), misfit(hook, program, kind));
            continue;
        }
        let finds_arguments = subject.spec().map(USDT_SPECS).is_some();
        if let Some(problem) = probes::misplaced(program, kind, hook.name(), finds_arguments) {
            findings.at_value(&at.key("hook"), problem);
        }
        let mut place = Place { subject, program, kind, at, findings, told: false };
        place.options(hook);
        for (at, attachment) in place.attachments(hook) {
            places.take(subject.name, program, &attachment, at, findings);
            if hook.wait() {
                terms.waits.insert(attachment.clone());
            }
            attachments.push(attachment);
        }
    }
    (attachments, terms)
}

/// That no hook takes programs of a section, and why.
fn nowhere(section: &str, kind: &ProgramKind) -> String {
    let why = match kind.attach_type {
        Some(
            AttachType::TRACE_FENTRY_MULTI
            | AttachType::TRACE_FEXIT_MULTI
            | AttachType::TRACE_FSESSION_MULTI,
        ) => {
            "this version can load them, and not attach them yet; `SEC(\"kprobe.multi\")` is for many functions, too"
        }
        _ => "they are run another way",
    };
    format!("no hook takes programs of section `{section}`: {why}")
}

fn misfit(hook: &Hook, program: &ProgramSpec, kind: &ProgramKind) -> Problem {
    let name = hook.name();
    let message = format!(
        "`{name}` does not take program `{}` of section `{}`",
        program.name, program.section
    );
    let fitting = listed(hooks::fitting(&program.section, kind));
    let help = if fitting.is_empty() {
        nowhere(&program.section, kind)
    } else {
        format!("a program of that section attaches to {fitting}; or give it another `SEC()` in C")
    };
    Problem::error(code::HOOK_MISMATCH, None, message).help(help)
}

/// One element of `attach`.
pub(super) struct Place<'p, 'f, 'd> {
    pub(super) subject: &'p Subject<'p>,
    pub(super) program: &'p ProgramSpec,
    pub(super) kind: &'p ProgramKind,
    pub(super) at: KeyPath,
    pub(super) findings: &'f mut Findings<'d>,
    /// Whether something is wrong with it.
    told: bool,
}

impl Place<'_, '_, '_> {
    fn options(&mut self, hook: &Hook) {
        if hook.wait() && matches!(hook, Hook::Sockmap(_) | Hook::Netfilter(_)) {
            self.report("wait", needless_wait(hook));
        }
    }

    /// What the element comes to, each with its place in the manifest.
    fn attachments(&mut self, hook: &Hook) -> Vec<(KeyPath, Attachment)> {
        let order = hook.order();
        let single = match hook {
            Hook::Xdp(hook) => {
                let (mode, shared) = (hook.mode, self.shared(hook));
                return self.each(&hook.interface, |interface| match shared.clone() {
                    Some(run) => Attachment::XdpShared { interface, mode, run },
                    None => Attachment::Xdp { interface, mode },
                });
            }
            Hook::Tcx(hook) => {
                self.direction(hook.direction);
                let position = order.and_then(|order| self.position(order));
                return self.each(&hook.interface, |interface| Attachment::Tcx {
                    interface,
                    direction: hook.direction,
                    position: position.clone(),
                });
            }
            Hook::Netkit(hook) => {
                self.side(hook.side);
                let position = order.and_then(|order| self.position(order));
                return self.each(&hook.interface, |interface| Attachment::Netkit {
                    interface,
                    side: hook.side,
                    position: position.clone(),
                });
            }
            Hook::Tc(hook) => {
                self.direction(hook.direction);
                return self.each(&hook.interface, |interface| Attachment::Tc {
                    interface,
                    direction: hook.direction,
                    priority: hook.priority.map(Into::into),
                    handle: hook.handle.map(Into::into),
                });
            }
            Hook::Cgroup(hook) => self.cgroup(hook),
            Hook::SkLookup(hook) => self.sk_lookup(hook),
            Hook::FlowDissector(hook) => self.flow_dissector(hook),
            Hook::Sockmap(hook) => self.sockmap(hook),
            Hook::Netfilter(hook) => self.netfilter(hook),
            Hook::Tracepoint(hook) => self.tracepoint(&hook.name, hook.cookie),
            Hook::RawTracepoint(hook) => {
                self.event(&hook.name);
                Some(Attachment::RawTracepoint { name: hook.name.clone(), cookie: hook.cookie })
            }
            Hook::TpBtf(hook) => {
                self.event(&hook.name);
                self.same_target("name", &hook.name);
                Some(Attachment::TpBtf { name: hook.name.clone(), cookie: hook.cookie })
            }
            Hook::Fentry(hook) => Some(Attachment::Fentry(self.function(hook))),
            Hook::Fexit(hook) => Some(Attachment::Fexit(self.function(hook))),
            Hook::Fsession(hook) => Some(Attachment::Fsession(self.function(hook))),
            Hook::FmodRet(hook) => Some(Attachment::FmodRet(self.function(hook))),
            Hook::Lsm(hook) => Some(Attachment::Lsm(self.function(hook))),
            Hook::LsmCgroup(hook) => self.lsm_cgroup(hook),
            Hook::Kprobe(hook) => self.kprobe(hook, false).map(Attachment::Kprobe),
            Hook::Kretprobe(hook) => self.kprobe(hook, true).map(Attachment::Kretprobe),
            Hook::Uprobe(hook) => self.uprobe(hook, false).map(Attachment::Uprobe),
            Hook::Uretprobe(hook) => self.uprobe(hook, true).map(Attachment::Uretprobe),
            Hook::Usdt(hook) => self.usdt(hook).map(Attachment::Usdt),
            Hook::PerfEvent(hook) => self.perf_event(hook).map(Attachment::PerfEvent),
            Hook::Iter(hook) => self.iterator(hook).map(Attachment::Iter),
            Hook::Freplace(hook) => self.freplace(hook),
            Hook::Section(hook) => self.section(hook.cookie),
            // [`resolve`] has sent it to the map that it names.
            Hook::StructOps(_) => None,
        };
        single.map(|attachment| (self.at.clone(), attachment)).into_iter().collect()
    }

    /// One attachment for every interface.
    fn each(
        &mut self,
        interfaces: &Names,
        attachment: impl Fn(String) -> Attachment,
    ) -> Vec<(KeyPath, Attachment)> {
        let Names(names) = interfaces;
        let mut attachments = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let option = self.at.key("interface");
            let at = if names.len() > 1 { option.index(index) } else { option };
            if let Some(problem) = bad_interface(name) {
                self.findings.at_value(&at, problem);
            } else {
                attachments.push((at, attachment(name.clone())));
            }
        }
        attachments
    }

    fn cgroup(&mut self, hook: &Cgroup) -> Option<Attachment> {
        if self.kind.attach_type.is_none() {
            let message = format!(
                "section `{}` of program `{}` does not say which of a cgroup's hooks",
                self.program.section, self.program.name
            );
            let problem = Problem::error(code::SECTION_INCOMPLETE, None, message)
                .help("write `SEC(\"cgroup_skb/ingress\")` or `SEC(\"cgroup_skb/egress\")` in C");
            self.report("hook", problem);
        }
        match (&hook.path, &hook.unit) {
            (Some(path), None) => {
                return self.cgroup_path(path).map(|path| Attachment::Cgroup { path });
            }
            (Some(_), Some(_)) => {
                let message = "a cgroup is given by `path` or by `unit`, not by both";
                self.report("unit", Problem::error(code::BAD_TARGET, None, message));
            }
            (None, None) => {
                let message = "`cgroup` needs one of the options `path` and `unit`";
                self.report("hook", Problem::error(code::MISSING_KEY, None, message));
            }
            (None, Some(unit)) => return self.unit(unit),
        }
        None
    }

    pub(super) fn cgroup_path(&mut self, path: &Path) -> Option<PathBuf> {
        self.absolute("path", path)
    }

    /// The path of a cgroup: `/x`, `/x/` and `/x/./` are one.
    pub(super) fn absolute(&mut self, option: &str, path: &Path) -> Option<PathBuf> {
        if path.is_absolute() {
            return Some(path.components().collect());
        }
        let message = "the path of a cgroup is absolute";
        let problem = Problem::error(code::BAD_TARGET, None, message)
            .help("such as `/sys/fs/cgroup/system.slice`");
        self.report(option, problem);
        None
    }

    fn tracepoint(&mut self, name: &str, cookie: Option<u64>) -> Option<Attachment> {
        let parts =
            name.split_once('/').filter(|(category, name)| is_event(category) && is_event(name));
        if let Some((category, name)) = parts {
            return Some(Attachment::Tracepoint {
                category: category.to_owned(),
                name: name.to_owned(),
                cookie,
            });
        }
        let message = format!("{name:?} is no tracepoint");
        let problem = Problem::error(code::BAD_TARGET, None, message)
            .help("write subsystem and event, as in `syscalls/sys_enter_execve`");
        self.report("name", problem);
        None
    }

    fn event(&mut self, name: &str) {
        if is_event(name) {
            return;
        }
        let problem = no_event(name);
        self.report("name", problem);
    }

    /// What a program with BTF-typed arguments is for must be said when it is loaded.
    pub(super) fn same_target(&mut self, option: &str, name: &str) {
        let Some(declared) = self.kind.target.as_deref().filter(|declared| *declared != name)
        else {
            return;
        };
        let message = format!(
            "program `{}` of section `{}` is for `{declared}`, not for `{name}`",
            self.program.name, self.program.section
        );
        let problem = Problem::error(code::TARGET_MISMATCH, None, message)
            .help("a program with BTF-typed arguments is loaded for one tracepoint or function");
        self.report(option, problem);
    }

    /// Whose function it replaces; whether that is there, [`replaced`] looks.
    fn freplace(&mut self, hook: &Freplace) -> Option<Attachment> {
        let function = hook.function.clone().or_else(|| self.kind.target.clone());
        if function.is_none() {
            let message = format!(
                "neither section `{}` of program `{}` nor the manifest says which function it \
                 replaces",
                self.program.section, self.program.name
            );
            let problem = Problem::error(code::MISSING_KEY, None, message)
                .help("write `function = \"…\"`, or `SEC(\"freplace/…\")` in C");
            self.report("hook", problem);
        }
        match replaced::holder(&hook.program) {
            Ok(Holder::Pinned(pin)) => {
                Some(Attachment::FreplacePinned { pin: pin.to_owned(), function: function? })
            }
            // It is no place that a manifest names.
            Ok(Holder::Dispatcher) => None,
            Ok(Holder::Program { object, program }) => {
                let (object, program) = (object.to_owned(), program.to_owned());
                Some(Attachment::Freplace { object, program, function: function? })
            }
            Err(problem) => {
                self.report("program", *problem);
                None
            }
        }
    }

    /// Where the section says.
    fn section(&mut self, cookie: Option<u64>) -> Option<Attachment> {
        let target = self.kind.target.as_deref();
        let found = match (self.kind.program_type, self.kind.attach_type) {
            (ProgramType::TRACEPOINT, _) => {
                target.and_then(|target| target.split_once('/')).map(|(category, name)| {
                    let (category, name) = (category.to_owned(), name.to_owned());
                    Attachment::Tracepoint { category, name, cookie }
                })
            }
            (ProgramType::RAW_TRACEPOINT | ProgramType::RAW_TRACEPOINT_WRITABLE, _) => {
                if let Some(target) = target.filter(|target| !is_event(target)) {
                    let problem = no_event(target);
                    self.report("hook", problem);
                    return None;
                }
                target.map(|name| Attachment::RawTracepoint { name: name.to_owned(), cookie })
            }
            (ProgramType::SK_LOOKUP, _) => Some(Attachment::SkLookup { netns: None }),
            (ProgramType::FLOW_DISSECTOR, _) => Some(Attachment::FlowDissector { netns: None }),
            (ProgramType::TRACING, Some(AttachType::TRACE_RAW_TP)) => {
                target.map(|name| Attachment::TpBtf { name: name.to_owned(), cookie })
            }
            _ => self.traced_section(cookie),
        };
        if found.is_none() && !self.told {
            let problem = self.unsaid();
            self.report("hook", problem);
        }
        found
    }

    /// The section says too little.
    fn unsaid(&self) -> Problem {
        let section = &self.program.section;
        let problem = |message| Problem::error(code::SECTION_INCOMPLETE, None, message);
        hooks::fitting(section, self.kind).next().map_or_else(
            || problem(nowhere(section, self.kind)),
            |hook| {
                problem(format!("section `{section}` does not say where its program is attached"))
                    .help(format!("write `{{ hook = \"{hook}\", … }}` with the place"))
            },
        )
    }

    pub(super) fn report(&mut self, option: &str, problem: Problem) {
        self.told = true;
        self.findings.at_value(&self.at.key(option), problem);
    }
}

/// That there is nothing to wait for.
pub(super) fn needless_wait(hook: &Hook) -> Problem {
    Problem::warning(code::NO_EFFECT, None, format!("`wait` changes nothing for `{}`", hook.name()))
        .help("what it attaches to is there when it is attached, or never")
}

/// What is wrong with an interface's name (kernel: `dev_valid_name` in `net/core/dev.c`).
fn bad_interface(name: &str) -> Option<Problem> {
    let reason = match name {
        pattern::PHYSICAL => return None,
        _ if name.starts_with(':') => {
            let message = format!("{name:?} stands for no interfaces");
            let problem = Problem::error(code::BAD_TARGET, None, message);
            return Some(
                problem.help(format!("`{}` stands for all physical ones", pattern::PHYSICAL)),
            );
        }
        // A pattern has more characters than the names that it stands for.
        _ if pattern::is_pattern(name) && !name.contains(['/', ':', '\0']) => {
            if !name.is_ascii() || pattern::overlap(name, "*") {
                return None;
            }
            let message = format!("{name:?} stands for no interface");
            let help = "no name has more than 15 bytes, and a range goes upwards, as in `eth[0-9]`";
            return Some(Problem::error(code::BAD_TARGET, None, message).help(help));
        }
        "" => "it is empty",
        "." | ".." => "it stands for a directory",
        _ if name.len() > 15 => "it has more than 15 bytes",
        _ if name.contains(['/', ':', '\0']) || name.contains(char::is_whitespace) => {
            "it contains a slash, a colon or a space"
        }
        _ => return None,
    };
    let message = format!("{name:?} cannot be the name of an interface: {reason}");
    Some(Problem::error(code::BAD_TARGET, None, message))
}

fn is_event(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn no_event(name: &str) -> Problem {
    let problem = Problem::error(code::BAD_TARGET, None, format!("{name:?} is no tracepoint"));
    match name.rsplit_once('/') {
        Some((_, event)) => problem.help(format!("write it without its subsystem: `{event}`")),
        None => problem.help("write the event, as in `sched_switch`"),
    }
}
