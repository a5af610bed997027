//! Whether what a probe names is there.

use std::fs;

use super::super::target::{self, missing};
use super::{functions, places, pmu};
use crate::kernel::Result;
use crate::model::attach::Attachment;
use crate::model::live::TargetState;
use crate::model::probe::{Iter, Only, PerfEvent, Usdt, UserProbe};

/// Security modules that the kernel runs, in their order; `bpf` is one.
const MODULES: &str = "/sys/kernel/security/lsm";

/// Whether what `attachment` names is there; only for hooks of this module.
pub(in crate::kernel::linux) fn state(attachment: &Attachment) -> Result<TargetState> {
    let found = match attachment {
        Attachment::Uprobe(probe) | Attachment::Uretprobe(probe) => user_probe(probe),
        Attachment::Usdt(probe) => static_probe(probe),
        Attachment::Kprobe(probe) | Attachment::Kretprobe(probe) if probe.is_several() => {
            functions::look_up(&probe.functions).map(drop)
        }
        Attachment::Kprobe(_) | Attachment::Kretprobe(_) => pmu::probe_type("kprobe").map(drop),
        Attachment::PerfEvent(event) => counter(event),
        Attachment::Lsm(_) => security_module(),
        Attachment::LsmCgroup { path, .. } => match security_module() {
            Ok(()) => return target::cgroup_state(path, attachment),
            Err(reason) => Err(reason),
        },
        Attachment::Iter(Iter { only: Some(Only::Cgroup(path)), .. }) => {
            return target::cgroup_state(path, attachment);
        }
        Attachment::Iter(Iter { only: Some(Only::Task(task)), .. }) => process(Some(*task)),
        // The kernel's types tell when the program is loaded.
        _ => Ok(()),
    };
    Ok(match found {
        Ok(()) => TargetState::Present(0),
        Err(reason) => missing(reason),
    })
}

fn user_probe(probe: &UserProbe) -> std::result::Result<(), String> {
    places::offsets(probe)?;
    pmu::probe_type("uprobe")?;
    process(probe.pid)
}

fn static_probe(probe: &Usdt) -> std::result::Result<(), String> {
    places::sites(probe)?;
    process(probe.pid)?;
    if places::are_by_address() {
        places::addresses(probe)?;
    }
    Ok(())
}

fn counter(event: &PerfEvent) -> std::result::Result<(), String> {
    if let Some(cpu) = event.cpu {
        let online = pmu::online()?;
        if !online.contains(&cpu) {
            return Err(format!("CPU {cpu} is not online"));
        }
    }
    process(event.pid)
}

fn process(pid: Option<u32>) -> std::result::Result<(), String> {
    match pid {
        Some(pid) if !pmu::is_running(pid) => Err(format!("there is no process {pid}")),
        _ => Ok(()),
    }
}

/// Programs of security hooks are taken, and never run, where `bpf` is not among the modules.
fn security_module() -> std::result::Result<(), String> {
    // Where it cannot be read, nothing is known.
    let Ok(modules) = fs::read_to_string(MODULES) else { return Ok(()) };
    if modules.trim().split(',').any(|module| module == "bpf") {
        return Ok(());
    }
    Err(format!(
        "the kernel runs no BPF programs at security hooks: `bpf` is not among its security modules \
         ({}); add it with `lsm={},bpf` on the kernel's command line",
        modules.trim(),
        modules.trim()
    ))
}
