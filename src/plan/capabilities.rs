//! The capabilities that it takes to apply a deployment, to hold it, to apply it again, and to end it.
//!
//! What only the host can tell, such as whether a symbol is one of a module, is not guessed at: such a
//! capability is *perhaps* needed, and not given up.

use std::collections::BTreeMap;

use crate::model::attach::Attachment;
use crate::model::capability::{self, Capability};
use crate::model::helper::Helper;
use crate::model::kinds::ProgramType;
use crate::model::object::ExternKind;
use crate::model::probe::Usdt;
use crate::model::program::ProgramSpec;
use crate::validate::{Desired, DesiredObject, DesiredProgram};

use super::Step;

/// `bpf_probe_write_user`, which asks for `CAP_SYS_ADMIN` (`bpf_tracing_func_proto`).
const PROBE_WRITE_USER: Helper = Helper(36);

/// Capabilities, each with the first that needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Nothing goes without them.
    pub needed: BTreeMap<Capability, String>,
    /// Some kernels or hosts ask for them.
    pub perhaps: BTreeMap<Capability, String>,
}

impl Capabilities {
    fn needs(&mut self, capability: Capability, why: impl FnOnce() -> String) {
        self.needed.entry(capability).or_insert_with(why);
    }

    fn may_need(&mut self, capability: Capability, why: impl FnOnce() -> String) {
        self.perhaps.entry(capability).or_insert_with(why);
    }

    /// Whether one is needed, for sure or perhaps.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.needed.contains_key(&capability) || self.perhaps.contains_key(&capability)
    }
}

/// What a deployment takes, and the steps of a plan for it beyond that.
#[must_use]
pub fn capabilities(desired: &Desired, steps: &[Step]) -> Capabilities {
    let mut all = Capabilities::default();
    for object in &desired.objects {
        of_object(object, &mut all);
    }
    for step in steps {
        of_step(step, &mut all);
    }
    all.perhaps.retain(|capability, _| !all.needed.contains_key(capability));
    all
}

fn of_object(object: &DesiredObject, all: &mut Capabilities) {
    let name = &object.name;
    for map in object.maps.iter().filter(|map| !map.external) {
        for capability in capability::of_map(map.spec.shape.map_type) {
            let map_type = map.spec.shape.map_type;
            all.needs(*capability, || {
                format!("map `{}` of object `{name}` is of type {map_type}", map.spec.name)
            });
        }
    }
    for program in &object.programs {
        of_program(object, program, all);
    }
    for wanted in &object.image.spec.externs {
        let symbol = &wanted.name;
        match wanted.kind {
            ExternKind::Kfunc => all.may_need(Capability::SysAdmin, || {
                format!("`{symbol}` of object `{name}`, if a module of the kernel has it")
            }),
            ExternKind::Ksym => {
                all.may_need(Capability::SysAdmin, || {
                    format!("`{symbol}` of object `{name}`, if a module of the kernel has it")
                });
                all.may_need(Capability::Syslog, || {
                    format!("the address of `{symbol}` of object `{name}`, if it has no type")
                });
            }
            ExternKind::Kconfig | ExternKind::Undefined => {}
        }
    }
}

fn of_program(object: &DesiredObject, program: &DesiredProgram, all: &mut Capabilities) {
    let (name, spec) = (&object.name, &program.spec);
    let of = |what: &str| format!("program `{}` of object `{name}` {what}", spec.name);
    let program_type = type_of(spec);
    for capability in capability::of_program(program_type) {
        all.needs(*capability, || of(&format!("is of type {program_type}")));
    }
    // `bpf_allow_ptr_leaks` and its like in `include/linux/bpf.h`.
    all.needs(Capability::Perfmon, || of("may do arithmetic with pointers"));
    if spec.uses.helpers.contains(&PROBE_WRITE_USER) {
        all.needs(Capability::SysAdmin, || of("calls `bpf_probe_write_user`"));
    }
    for attachment in &program.attachments {
        let why = of(&format!("is attached to {attachment}"));
        of_attachment(attachment, &why, all);
        // `PTRACE_MODE_READ` in `fs/proc/task_mmu.c`.
        if let Attachment::Usdt(Usdt { pid: Some(_), .. }) = attachment {
            all.may_need(Capability::SysPtrace, || {
                format!("{why}: before Linux 5.15, by the addresses of that process")
            });
        }
    }
}

fn of_attachment(attachment: &Attachment, why: &str, all: &mut Capabilities) {
    let why = || why.to_owned();
    match attachment {
        Attachment::Tc { .. } | Attachment::Cgroup { .. } | Attachment::CgroupUnit { .. } => {
            all.needs(Capability::NetAdmin, why);
        }
        Attachment::XdpShared { .. } => {
            all.needs(Capability::NetAdmin, why);
            // `bpf_prog_get_fd_by_id` and its like in `kernel/bpf/syscall.c`.
            all.needs(Capability::SysAdmin, || format!("{}, where a dispatcher calls it", why()));
        }
        Attachment::Uprobe(_) | Attachment::Uretprobe(_) | Attachment::Usdt(_) => {
            all.may_need(Capability::SysAdmin, || format!("{}: Linux 6.18 asks for it", why()));
            all.may_need(Capability::DacReadSearch, || format!("{}, in a file of anyone's", why()));
        }
        Attachment::Kprobe(_)
        | Attachment::Kretprobe(_)
        | Attachment::Tracepoint { .. }
        | Attachment::PerfEvent(_) => {
            all.may_need(Capability::SysAdmin, || {
                format!("{}: where `kernel.perf_event_paranoid` is above 2", why())
            });
            all.may_need(Capability::Syslog, || format!("{}: addresses of functions", why()));
        }
        Attachment::SkLookup { netns: Some(_) } | Attachment::FlowDissector { netns: Some(_) } => {
            all.may_need(Capability::SysAdmin, || format!("{}, another namespace", why()));
        }
        Attachment::Fentry(at)
        | Attachment::Fexit(at)
        | Attachment::Fsession(at)
        | Attachment::FmodRet(at)
        | Attachment::Lsm(at) => {
            // `btf_get_fd_by_id` in `kernel/bpf/syscall.c`.
            if at.function.contains(':') {
                all.needs(Capability::SysAdmin, || format!("{}, of a module", why()));
            } else {
                all.may_need(Capability::SysAdmin, || format!("{}, if of a module", why()));
            }
        }
        _ => {}
    }
}

fn of_step(step: &Step, all: &mut Capabilities) {
    let said = || format!("to {step}");
    match step {
        // `bpf_map_get_fd_by_id` and its like in `kernel/bpf/syscall.c`.
        Step::OpenMap { .. } | Step::TakeLink { .. } | Step::OpenForeign { .. } => {
            all.needs(Capability::SysAdmin, said);
        }
        Step::Dispatch(_) => {
            all.needs(Capability::NetAdmin, said);
            all.needs(Capability::SysAdmin, said);
        }
        Step::AttachFilter { .. }
        | Step::ReplaceFilter { .. }
        | Step::RemoveFilter { .. }
        | Step::Sockets(_) => {
            all.needs(Capability::NetAdmin, said);
        }
        _ => {}
    }
}

fn type_of(spec: &ProgramSpec) -> ProgramType {
    spec.kind.as_ref().map_or(ProgramType::UNSPEC, |kind| kind.program_type)
}
