//! What the running release means for something that the kernel refuses.

use super::super::KernelError;
use crate::model::release::Release;

/// Tags of arguments that are a program's context (`arg:ctx`, 94e1c70a3452).
pub(super) const TAGGED_CONTEXTS: Release = Release::new(6, 8);

/// The release that brought a struct of operations, and the option it is built with: the first tags
/// with `net/ipv4/bpf_tcp_ca.c`, `net/bpf/bpf_dummy_struct_ops.c`, `hid_bpf_struct_ops.c`,
/// `kernel/sched/ext.c` and `net/sched/bpf_qdisc.c`.
fn of_operations(ops: &str) -> Option<(Release, &'static str)> {
    Some(match ops {
        "tcp_congestion_ops" => (Release::new(5, 6), "CONFIG_BPF_JIT"),
        "bpf_dummy_ops" => (Release::new(5, 16), "CONFIG_NET"),
        "hid_bpf_ops" => (Release::new(6, 11), "CONFIG_HID_BPF"),
        "sched_ext_ops" => (Release::new(6, 12), "CONFIG_SCHED_CLASS_EXT"),
        "Qdisc_ops" => (Release::new(6, 16), "CONFIG_NET_SCH_BPF"),
        _ => return None,
    })
}

/// Says since when the kernel has a struct of operations that it lacks.
pub(super) fn explain_operations(error: KernelError, ops: &str) -> KernelError {
    match of_operations(ops) {
        Some((since, option)) => error.advice(format!("{} ({option})", compare(since, running()))),
        None => error,
    }
}

/// The release that runs; `None` if the kernel does not tell.
#[must_use]
pub fn running() -> Option<Release> {
    let code = aya::util::KernelVersion::current().ok()?.code();
    let [_, major, minor, _] = code.to_be_bytes();
    Some(Release::new(major.into(), minor.into()))
}

/// "which Linux has since 6.4, and this is 5.15"; that it was built without, if it is new enough.
pub(super) fn compare(since: Release, running: Option<Release>) -> String {
    match running {
        Some(running) if running < since => {
            format!("Linux has them since {since}, and this is {running}")
        }
        Some(running) => {
            format!("Linux has them since {since}, so this one ({running}) was built without")
        }
        None => format!("Linux has them since {since}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(major: u16, minor: u16) -> Release {
        Release::new(major, minor)
    }

    #[test]
    fn too_old_is_told_from_built_without() {
        assert_eq!(
            compare(at(6, 4), Some(at(5, 15))),
            "Linux has them since 6.4, and this is 5.15"
        );
        assert!(compare(at(6, 4), Some(at(6, 18))).ends_with("this one (6.18) was built without"));
        assert!(compare(at(5, 8), Some(at(5, 8))).contains("built without"));
    }

    #[test]
    fn the_running_release_is_known() {
        assert!(running().is_some_and(|release| release > at(4, 0)));
    }
}
