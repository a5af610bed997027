//! Capabilities of this process: which it lacks for an operation, and how it gives them up.

use std::collections::BTreeSet;

use rustix::io::Errno;
use rustix::thread::{
    self, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_no_new_privs,
};

use super::super::{KernelError, Result};
use crate::model::capability::{self, Capability};
use crate::model::kinds::{MapType, ProgramType};

/// Gives up every capability but these, for good: from the effective, permitted, inheritable and ambient
/// sets of the calling thread, from the bounding set as far as that may be, and with `no_new_privs`. Returns
/// those of [`Capability::ALL`] that it had.
///
/// # Errors
/// Those of capset(2) and prctl(2).
pub fn keep_only(kept: &BTreeSet<Capability>) -> Result<BTreeSet<Capability>> {
    let failed = |errno| KernelError::errno("give capabilities up", errno);
    let before = thread::capabilities(None).map_err(failed)?;
    let kept = kept.iter().fold(CapabilitySet::empty(), |all, one| all | bit(*one));
    let permitted = before.permitted.intersection(kept);
    for other in CapabilitySet::all().difference(kept).iter() {
        match remove_capability_from_bounding_set(other) {
            // Not ours to lower, or newer than the running kernel.
            Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    set_no_new_privs(true).map_err(failed)?;
    clear_ambient_capability_set().map_err(failed)?;
    let after = CapabilitySets {
        effective: before.effective.intersection(kept),
        permitted,
        inheritable: CapabilitySet::empty(),
    };
    thread::set_capabilities(None, after).map_err(failed)?;
    let gone = before.permitted.difference(permitted);
    Ok(Capability::ALL.into_iter().filter(|one| gone.contains(bit(*one))).collect())
}

fn bit(capability: Capability) -> CapabilitySet {
    match capability {
        Capability::Bpf => CapabilitySet::BPF,
        Capability::NetAdmin => CapabilitySet::NET_ADMIN,
        Capability::Perfmon => CapabilitySet::PERFMON,
        Capability::SysAdmin => CapabilitySet::SYS_ADMIN,
        Capability::SysResource => CapabilitySet::SYS_RESOURCE,
        Capability::Syslog => CapabilitySet::SYSLOG,
        Capability::DacReadSearch => CapabilitySet::DAC_READ_SEARCH,
        Capability::DacOverride => CapabilitySet::DAC_OVERRIDE,
        Capability::SysPtrace => CapabilitySet::SYS_PTRACE,
    }
}

/// Advice for `EPERM`: names what is missing, or where else the refusal may come from.
pub(super) fn advice(needed: CapabilitySet) -> String {
    let held = rustix::thread::capabilities(None).map(|sets| sets.effective);
    let names = match held {
        Ok(held) => names(missing(needed, held)),
        Err(_) => names(needed),
    };
    if names.is_empty() {
        "the capabilities are there, so something else denies it: a user namespace (bpf(2) asks \
         the initial one), a security module, kernel lockdown, or before Linux 5.11 \
         RLIMIT_MEMLOCK, which only CAP_SYS_RESOURCE raises"
            .to_owned()
    } else {
        format!("the process lacks {}", names.join(" and "))
    }
}

/// `CAP_SYS_ADMIN` stands for all of them (`bpf_capable`, `perfmon_capable`).
fn missing(needed: CapabilitySet, held: CapabilitySet) -> CapabilitySet {
    if held.contains(CapabilitySet::SYS_ADMIN) {
        CapabilitySet::empty()
    } else {
        needed.difference(held)
    }
}

fn names(set: CapabilitySet) -> Vec<&'static str> {
    let all = [Capability::Bpf, Capability::Perfmon, Capability::NetAdmin, Capability::SysAdmin];
    all.into_iter().filter(|one| set.contains(bit(*one))).map(Capability::as_str).collect()
}

/// What loading a program of that type needs.
pub(super) fn for_program(program_type: ProgramType) -> CapabilitySet {
    set(capability::of_program(program_type))
}

/// What creating a map of that type needs.
pub(super) fn for_map(map_type: MapType) -> CapabilitySet {
    set(capability::of_map(map_type))
}

fn set(capabilities: &[Capability]) -> CapabilitySet {
    capabilities.iter().fold(CapabilitySet::empty(), |set, one| set | bit(*one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_administrators_lack_nothing() {
        let needed = for_program(ProgramType::XDP);
        assert_eq!(missing(needed, CapabilitySet::SYS_ADMIN), CapabilitySet::empty());
        assert_eq!(names(missing(needed, CapabilitySet::BPF)), ["CAP_NET_ADMIN"]);
        assert_eq!(
            names(missing(for_program(ProgramType::TRACING), CapabilitySet::NET_ADMIN)),
            ["CAP_BPF", "CAP_PERFMON"]
        );
    }
}
