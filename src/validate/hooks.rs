//! Which programs fit which hook.
//!
//! Source: `section_defs` of libbpf's `src/libbpf.c` and `attach_type_to_prog_type` of the kernel's
//! `kernel/bpf/syscall.c`.

use crate::model::kinds::{AttachType as A, ProgramType as P};
use crate::model::program::ProgramKind;
use crate::object::sections;

/// One kind of program that a hook takes.
struct Fit {
    hook: &'static str,
    program_type: P,
    /// Attach types; none means any. A program without an attach type fits too.
    attach_types: &'static [A],
}

const fn fit(hook: &'static str, program_type: P, attach_types: &'static [A]) -> Fit {
    Fit { hook, program_type, attach_types }
}

#[rustfmt::skip]
const FITS: &[Fit] = &[
    fit("xdp", P::XDP, &[A::XDP]),
    fit("tcx", P::SCHED_CLS, &[A::TCX_INGRESS, A::TCX_EGRESS]),
    fit("tc", P::SCHED_CLS, &[A::TCX_INGRESS, A::TCX_EGRESS]),
    fit("netkit", P::SCHED_CLS, &[A::NETKIT_PRIMARY, A::NETKIT_PEER]),
    fit("cgroup", P::CGROUP_SKB, &[]),
    fit("cgroup", P::CGROUP_SOCK, &[]),
    fit("cgroup", P::CGROUP_SOCK_ADDR, &[]),
    fit("cgroup", P::CGROUP_SOCKOPT, &[]),
    fit("cgroup", P::CGROUP_SYSCTL, &[]),
    fit("cgroup", P::CGROUP_DEVICE, &[]),
    fit("cgroup", P::SOCK_OPS, &[]),
    fit("sockmap", P::SK_SKB, &[]),
    fit("sockmap", P::SK_MSG, &[]),
    fit("sk-lookup", P::SK_LOOKUP, &[]),
    fit("flow-dissector", P::FLOW_DISSECTOR, &[]),
    fit("netfilter", P::NETFILTER, &[]),
    fit("tracepoint", P::TRACEPOINT, &[]),
    fit("raw-tracepoint", P::RAW_TRACEPOINT, &[]),
    fit("raw-tracepoint", P::RAW_TRACEPOINT_WRITABLE, &[]),
    fit("tp-btf", P::TRACING, &[A::TRACE_RAW_TP]),
    fit("fentry", P::TRACING, &[A::TRACE_FENTRY]),
    fit("fexit", P::TRACING, &[A::TRACE_FEXIT]),
    fit("fsession", P::TRACING, &[A::TRACE_FSESSION]),
    fit("fmod-ret", P::TRACING, &[A::MODIFY_RETURN]),
    fit("lsm", P::LSM, &[A::LSM_MAC]),
    fit("lsm-cgroup", P::LSM, &[A::LSM_CGROUP]),
    fit("kprobe", P::KPROBE, &[A::TRACE_KPROBE_MULTI, A::TRACE_KPROBE_SESSION]),
    fit("kretprobe", P::KPROBE, &[A::TRACE_KPROBE_MULTI]),
    fit("uprobe", P::KPROBE, &[A::TRACE_UPROBE_MULTI, A::TRACE_UPROBE_SESSION]),
    fit("uretprobe", P::KPROBE, &[A::TRACE_UPROBE_MULTI]),
    // A session is at a return, too, and the probe is in the midst of a function.
    fit("usdt", P::KPROBE, &[A::TRACE_UPROBE_MULTI]),
    fit("perf-event", P::PERF_EVENT, &[]),
    fit("iter", P::TRACING, &[A::TRACE_ITER]),
    fit("freplace", P::EXT, &[]),
];

impl Fit {
    fn takes(&self, kind: &ProgramKind) -> bool {
        self.program_type == kind.program_type
            && (self.attach_types.is_empty()
                || kind.attach_type.is_none_or(|attach| self.attach_types.contains(&attach)))
    }
}

/// Whether a hook takes a program; `section` takes any. Programs of `tc` run at each of their hooks,
/// whichever their section says.
pub(super) fn takes(hook: &str, kind: &ProgramKind) -> bool {
    let takes = |fit: &Fit| fit.takes(kind) || kind.program_type == P::SCHED_CLS;
    let of_type = |fit: &&Fit| fit.hook == hook && fit.program_type == kind.program_type;
    hook == "section" || FITS.iter().filter(of_type).any(takes)
}

/// The hooks that take a program of a section, the one that the section names first.
pub(super) fn fitting(
    section: &str,
    kind: &ProgramKind,
) -> impl Iterator<Item = &'static str> + use<> {
    let named = probe(section, kind);
    let kind = kind.clone();
    let others = FITS.iter().filter(move |fit| fit.takes(&kind)).map(|fit| fit.hook);
    named.into_iter().chain(others.filter(move |hook| Some(*hook) != named))
}

/// The hook that the section of a probe names: all probes are of one program type.
fn probe(section: &str, kind: &ProgramKind) -> Option<&'static str> {
    if kind.program_type != P::KPROBE {
        return None;
    }
    let pattern = sections::pattern(section)?.trim_end_matches('+');
    let name = match pattern.split('.').next()? {
        "ksyscall" => "kprobe",
        "kretsyscall" => "kretprobe",
        name => name,
    };
    FITS.iter().filter(|fit| fit.takes(kind)).map(|fit| fit.hook).find(|hook| *hook == name)
}

/// The hooks that take a program of a section, the one that the section names first. `section`, which
/// stands for one of them, is not listed.
#[must_use]
pub fn fitting_hooks(section: &str, kind: &ProgramKind) -> Vec<&'static str> {
    fitting(section, kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::sections::program_kind;

    #[test]
    fn sections_fit_their_hooks() {
        for (section, hooks) in [
            ("xdp", &["xdp"][..]),
            ("xdp.frags", &["xdp"]),
            ("xdp/devmap", &[]),
            ("tc", &["tcx", "tc", "netkit"]),
            ("tcx/egress", &["tcx", "tc"]),
            ("netkit/peer", &["netkit"]),
            ("action", &[]),
            ("cgroup/connect4", &["cgroup"]),
            ("sockops", &["cgroup"]),
            ("tp/a/b", &["tracepoint"]),
            ("raw_tp.w/a", &["raw-tracepoint"]),
            ("tp_btf/a", &["tp-btf"]),
            ("fexit/a", &["fexit"]),
            ("fsession.s/a", &["fsession"]),
            ("fentry.multi/a", &[]),
            ("lsm_cgroup/a", &["lsm-cgroup"]),
            ("uprobe.multi/a", &["uprobe", "uretprobe", "usdt"]),
            ("uprobe.session/a", &["uprobe"]),
            ("kprobe.multi/a", &["kprobe", "kretprobe"]),
        ] {
            let kind = program_kind(section).expect(section);
            let found: Vec<_> = fitting(section, &kind).collect();
            assert_eq!(found, hooks, "{section}");
            assert!(found.iter().all(|hook| takes(hook, &kind)), "{section}");
        }
    }

    #[test]
    fn the_section_of_a_probe_names_its_hook() {
        for (section, hook) in [
            ("kprobe", "kprobe"),
            ("kprobe.multi/a*", "kprobe"),
            ("kprobe.session/a*", "kprobe"),
            ("ksyscall/a", "kprobe"),
            ("kretprobe", "kretprobe"),
            ("kretprobe.multi/a*", "kretprobe"),
            ("kretsyscall/a", "kretprobe"),
            ("uprobe", "uprobe"),
            ("?uprobe.s", "uprobe"),
            ("uprobe.multi", "uprobe"),
            ("uretprobe", "uretprobe"),
            ("uretprobe.s", "uretprobe"),
            ("usdt", "usdt"),
            ("usdt.s", "usdt"),
        ] {
            let kind = program_kind(section).expect(section);
            let hooks = fitting_hooks(section, &kind);
            assert_eq!(hooks.first(), Some(&hook), "{section}");
            assert_eq!(hooks.iter().filter(|other| **other == hook).count(), 1, "{section}");
        }
    }
}
