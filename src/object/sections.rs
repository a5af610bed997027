//! What a section name says about the programs in it: libbpf's table, row by row.
//!
//! Knows names only; it reads no object and asks no kernel.
//!
//! Source: `section_defs` and `sec_def_matches` in libbpf's `src/libbpf.c`.

use crate::model::kinds::{AttachType as A, ProgramType as P};
use crate::model::program::ProgramKind;

/// One line of libbpf's `section_defs`.
struct Row {
    /// `name` matches only itself; `name+` also matches `name/` with anything behind it.
    pattern: &'static str,
    program_type: P,
    attach_type: Option<A>,
    flags: u8,
}

/// No flag. libbpf's `SEC_ATTACHABLE` is here too: libbpf itself does nothing with it.
const PLAIN: u8 = 0;
/// `SEC_EXP_ATTACH_OPT`: old kernels load the program without its attach type.
const ATTACH_TYPE_OPTIONAL: u8 = 1;
/// `SEC_ATTACH_BTF`: the target is found by BTF id when the program is loaded.
const ATTACH_BTF: u8 = 2;
/// `SEC_SLEEPABLE`.
const SLEEPABLE: u8 = 4;
/// `SEC_XDP_FRAGS`.
const FRAGS: u8 = 8;

const fn row(pattern: &'static str, program_type: P, attach_type: Option<A>, flags: u8) -> Row {
    Row { pattern, program_type, attach_type, flags }
}

/// In libbpf's order. `usdt` has no attach type here: libbpf chooses it by what the kernel can do.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    row("socket", P::SOCKET_FILTER, None, PLAIN),
    row("sk_reuseport/migrate", P::SK_REUSEPORT, Some(A::SK_REUSEPORT_SELECT_OR_MIGRATE), PLAIN),
    row("sk_reuseport", P::SK_REUSEPORT, Some(A::SK_REUSEPORT_SELECT), PLAIN),
    row("kprobe+", P::KPROBE, None, PLAIN),
    row("uprobe+", P::KPROBE, None, PLAIN),
    row("uprobe.s+", P::KPROBE, None, SLEEPABLE),
    row("kretprobe+", P::KPROBE, None, PLAIN),
    row("uretprobe+", P::KPROBE, None, PLAIN),
    row("uretprobe.s+", P::KPROBE, None, SLEEPABLE),
    row("kprobe.multi+", P::KPROBE, Some(A::TRACE_KPROBE_MULTI), PLAIN),
    row("kretprobe.multi+", P::KPROBE, Some(A::TRACE_KPROBE_MULTI), PLAIN),
    row("kprobe.session+", P::KPROBE, Some(A::TRACE_KPROBE_SESSION), PLAIN),
    row("uprobe.multi+", P::KPROBE, Some(A::TRACE_UPROBE_MULTI), PLAIN),
    row("uretprobe.multi+", P::KPROBE, Some(A::TRACE_UPROBE_MULTI), PLAIN),
    row("uprobe.session+", P::KPROBE, Some(A::TRACE_UPROBE_SESSION), PLAIN),
    row("uprobe.multi.s+", P::KPROBE, Some(A::TRACE_UPROBE_MULTI), SLEEPABLE),
    row("uretprobe.multi.s+", P::KPROBE, Some(A::TRACE_UPROBE_MULTI), SLEEPABLE),
    row("uprobe.session.s+", P::KPROBE, Some(A::TRACE_UPROBE_SESSION), SLEEPABLE),
    row("ksyscall+", P::KPROBE, None, PLAIN),
    row("kretsyscall+", P::KPROBE, None, PLAIN),
    row("usdt+", P::KPROBE, None, PLAIN),
    row("usdt.s+", P::KPROBE, None, SLEEPABLE),
    row("tc/ingress", P::SCHED_CLS, Some(A::TCX_INGRESS), PLAIN),
    row("tc/egress", P::SCHED_CLS, Some(A::TCX_EGRESS), PLAIN),
    row("tcx/ingress", P::SCHED_CLS, Some(A::TCX_INGRESS), PLAIN),
    row("tcx/egress", P::SCHED_CLS, Some(A::TCX_EGRESS), PLAIN),
    row("tc", P::SCHED_CLS, None, PLAIN),
    row("classifier", P::SCHED_CLS, None, PLAIN),
    row("action", P::SCHED_ACT, None, PLAIN),
    row("netkit/primary", P::SCHED_CLS, Some(A::NETKIT_PRIMARY), PLAIN),
    row("netkit/peer", P::SCHED_CLS, Some(A::NETKIT_PEER), PLAIN),
    row("tracepoint+", P::TRACEPOINT, None, PLAIN),
    row("tp+", P::TRACEPOINT, None, PLAIN),
    row("tracepoint.s+", P::TRACEPOINT, None, SLEEPABLE),
    row("tp.s+", P::TRACEPOINT, None, SLEEPABLE),
    row("raw_tracepoint+", P::RAW_TRACEPOINT, None, PLAIN),
    row("raw_tp+", P::RAW_TRACEPOINT, None, PLAIN),
    row("raw_tracepoint.s+", P::RAW_TRACEPOINT, None, SLEEPABLE),
    row("raw_tp.s+", P::RAW_TRACEPOINT, None, SLEEPABLE),
    row("raw_tracepoint.w+", P::RAW_TRACEPOINT_WRITABLE, None, PLAIN),
    row("raw_tp.w+", P::RAW_TRACEPOINT_WRITABLE, None, PLAIN),
    row("tp_btf+", P::TRACING, Some(A::TRACE_RAW_TP), ATTACH_BTF),
    row("tp_btf.s+", P::TRACING, Some(A::TRACE_RAW_TP), ATTACH_BTF | SLEEPABLE),
    row("fentry+", P::TRACING, Some(A::TRACE_FENTRY), ATTACH_BTF),
    row("fmod_ret+", P::TRACING, Some(A::MODIFY_RETURN), ATTACH_BTF),
    row("fexit+", P::TRACING, Some(A::TRACE_FEXIT), ATTACH_BTF),
    row("fentry.s+", P::TRACING, Some(A::TRACE_FENTRY), ATTACH_BTF | SLEEPABLE),
    row("fmod_ret.s+", P::TRACING, Some(A::MODIFY_RETURN), ATTACH_BTF | SLEEPABLE),
    row("fexit.s+", P::TRACING, Some(A::TRACE_FEXIT), ATTACH_BTF | SLEEPABLE),
    row("fsession+", P::TRACING, Some(A::TRACE_FSESSION), ATTACH_BTF),
    row("fsession.s+", P::TRACING, Some(A::TRACE_FSESSION), ATTACH_BTF | SLEEPABLE),
    row("fsession.multi+", P::TRACING, Some(A::TRACE_FSESSION_MULTI), PLAIN),
    row("fsession.multi.s+", P::TRACING, Some(A::TRACE_FSESSION_MULTI), SLEEPABLE),
    row("fentry.multi+", P::TRACING, Some(A::TRACE_FENTRY_MULTI), PLAIN),
    row("fexit.multi+", P::TRACING, Some(A::TRACE_FEXIT_MULTI), PLAIN),
    row("fentry.multi.s+", P::TRACING, Some(A::TRACE_FENTRY_MULTI), SLEEPABLE),
    row("fexit.multi.s+", P::TRACING, Some(A::TRACE_FEXIT_MULTI), SLEEPABLE),
    row("freplace+", P::EXT, None, ATTACH_BTF),
    row("lsm+", P::LSM, Some(A::LSM_MAC), ATTACH_BTF),
    row("lsm.s+", P::LSM, Some(A::LSM_MAC), ATTACH_BTF | SLEEPABLE),
    row("lsm_cgroup+", P::LSM, Some(A::LSM_CGROUP), ATTACH_BTF),
    row("iter+", P::TRACING, Some(A::TRACE_ITER), ATTACH_BTF),
    row("iter.s+", P::TRACING, Some(A::TRACE_ITER), ATTACH_BTF | SLEEPABLE),
    row("syscall", P::SYSCALL, None, SLEEPABLE),
    row("xdp.frags/devmap", P::XDP, Some(A::XDP_DEVMAP), FRAGS),
    row("xdp/devmap", P::XDP, Some(A::XDP_DEVMAP), PLAIN),
    row("xdp.frags/cpumap", P::XDP, Some(A::XDP_CPUMAP), FRAGS),
    row("xdp/cpumap", P::XDP, Some(A::XDP_CPUMAP), PLAIN),
    row("xdp.frags", P::XDP, Some(A::XDP), FRAGS),
    row("xdp", P::XDP, Some(A::XDP), ATTACH_TYPE_OPTIONAL),
    row("perf_event", P::PERF_EVENT, None, PLAIN),
    row("lwt_in", P::LWT_IN, None, PLAIN),
    row("lwt_out", P::LWT_OUT, None, PLAIN),
    row("lwt_xmit", P::LWT_XMIT, None, PLAIN),
    row("lwt_seg6local", P::LWT_SEG6LOCAL, None, PLAIN),
    row("sockops", P::SOCK_OPS, Some(A::CGROUP_SOCK_OPS), ATTACH_TYPE_OPTIONAL),
    row("sk_skb/stream_parser", P::SK_SKB, Some(A::SK_SKB_STREAM_PARSER), ATTACH_TYPE_OPTIONAL),
    row("sk_skb/stream_verdict", P::SK_SKB, Some(A::SK_SKB_STREAM_VERDICT), ATTACH_TYPE_OPTIONAL),
    row("sk_skb/verdict", P::SK_SKB, Some(A::SK_SKB_VERDICT), ATTACH_TYPE_OPTIONAL),
    row("sk_skb", P::SK_SKB, None, PLAIN),
    row("sk_msg", P::SK_MSG, Some(A::SK_MSG_VERDICT), ATTACH_TYPE_OPTIONAL),
    row("lirc_mode2", P::LIRC_MODE2, Some(A::LIRC_MODE2), ATTACH_TYPE_OPTIONAL),
    row("flow_dissector", P::FLOW_DISSECTOR, Some(A::FLOW_DISSECTOR), ATTACH_TYPE_OPTIONAL),
    row("cgroup_skb/ingress", P::CGROUP_SKB, Some(A::CGROUP_INET_INGRESS), ATTACH_TYPE_OPTIONAL),
    row("cgroup_skb/egress", P::CGROUP_SKB, Some(A::CGROUP_INET_EGRESS), ATTACH_TYPE_OPTIONAL),
    row("cgroup/skb", P::CGROUP_SKB, None, PLAIN),
    row("cgroup/sock_create", P::CGROUP_SOCK, Some(A::CGROUP_INET_SOCK_CREATE), PLAIN),
    row("cgroup/sock_release", P::CGROUP_SOCK, Some(A::CGROUP_INET_SOCK_RELEASE), PLAIN),
    row("cgroup/sock", P::CGROUP_SOCK, Some(A::CGROUP_INET_SOCK_CREATE), ATTACH_TYPE_OPTIONAL),
    row("cgroup/post_bind4", P::CGROUP_SOCK, Some(A::CGROUP_INET4_POST_BIND), PLAIN),
    row("cgroup/post_bind6", P::CGROUP_SOCK, Some(A::CGROUP_INET6_POST_BIND), PLAIN),
    row("cgroup/bind4", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET4_BIND), PLAIN),
    row("cgroup/bind6", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET6_BIND), PLAIN),
    row("cgroup/connect4", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET4_CONNECT), PLAIN),
    row("cgroup/connect6", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET6_CONNECT), PLAIN),
    row("cgroup/connect_unix", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UNIX_CONNECT), PLAIN),
    row("cgroup/sendmsg4", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UDP4_SENDMSG), PLAIN),
    row("cgroup/sendmsg6", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UDP6_SENDMSG), PLAIN),
    row("cgroup/sendmsg_unix", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UNIX_SENDMSG), PLAIN),
    row("cgroup/recvmsg4", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UDP4_RECVMSG), PLAIN),
    row("cgroup/recvmsg6", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UDP6_RECVMSG), PLAIN),
    row("cgroup/recvmsg_unix", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UNIX_RECVMSG), PLAIN),
    row("cgroup/getpeername4", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET4_GETPEERNAME), PLAIN),
    row("cgroup/getpeername6", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET6_GETPEERNAME), PLAIN),
    row("cgroup/getpeername_unix", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UNIX_GETPEERNAME), PLAIN),
    row("cgroup/getsockname4", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET4_GETSOCKNAME), PLAIN),
    row("cgroup/getsockname6", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET6_GETSOCKNAME), PLAIN),
    row("cgroup/getsockname_unix", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UNIX_GETSOCKNAME), PLAIN),
    row("cgroup/sysctl", P::CGROUP_SYSCTL, Some(A::CGROUP_SYSCTL), PLAIN),
    row("cgroup/getsockopt", P::CGROUP_SOCKOPT, Some(A::CGROUP_GETSOCKOPT), PLAIN),
    row("cgroup/setsockopt", P::CGROUP_SOCKOPT, Some(A::CGROUP_SETSOCKOPT), PLAIN),
    row("cgroup/dev", P::CGROUP_DEVICE, Some(A::CGROUP_DEVICE), ATTACH_TYPE_OPTIONAL),
    row("struct_ops+", P::STRUCT_OPS, None, PLAIN),
    row("struct_ops.s+", P::STRUCT_OPS, None, SLEEPABLE),
    row("sk_lookup", P::SK_LOOKUP, Some(A::SK_LOOKUP), PLAIN),
    row("netfilter", P::NETFILTER, Some(A::NETFILTER), PLAIN),
];

impl Row {
    /// The part of `section` behind this row's prefix, if the row is for it.
    fn rest<'a>(&self, section: &'a str) -> Option<&'a str> {
        match self.pattern.strip_suffix('+') {
            None => (section == self.pattern).then_some(""),
            Some(prefix) => match section.strip_prefix(prefix)? {
                "" => Some(""),
                rest => rest.strip_prefix('/'),
            },
        }
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Splits the `?` off a section name: what remains, and whether programs of that section are
/// loaded without being asked for.
#[must_use]
pub fn autoload(section: &str) -> (&str, bool) {
    match section.strip_prefix('?') {
        Some(name) => (name, false),
        None => (section, true),
    }
}

/// What a section (with or without a `?` in front) says about its programs; `None` for one that
/// libbpf does not know.
#[must_use]
pub fn program_kind(section: &str) -> Option<ProgramKind> {
    let (section, _) = autoload(section);
    let (row, rest) = TABLE.iter().find_map(|row| Some((row, row.rest(section)?)))?;
    Some(ProgramKind {
        program_type: row.program_type,
        attach_type: row.attach_type,
        attach_type_optional: row.has(ATTACH_TYPE_OPTIONAL),
        target: (!rest.is_empty()).then(|| rest.to_owned()),
        sleepable: row.has(SLEEPABLE),
        xdp_frags: row.has(FRAGS),
        needs_attach_btf: row.has(ATTACH_BTF),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(section: &str) -> ProgramKind {
        program_kind(section).expect(section)
    }

    #[test]
    fn an_exact_row_matches_only_itself() {
        assert_eq!(kind("xdp").program_type, P::XDP);
        for stranger in ["xdp/eth0", "xdp_prog", "xd", "tc/other", "socket1", "syscall/x", ""] {
            assert_eq!(program_kind(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn a_prefix_row_matches_itself_and_what_follows_a_slash() {
        assert_eq!(kind("kprobe").target, None);
        assert_eq!(kind("kprobe/").target, None);
        assert_eq!(kind("kprobe/do_unlinkat").target.as_deref(), Some("do_unlinkat"));
        let target = kind("tp/syscalls/sys_enter_execve").target;
        assert_eq!(target.as_deref(), Some("syscalls/sys_enter_execve"));
        for stranger in ["kprobes/x", "kprobe.x/y", "kprobe_multi/x", "fentryx"] {
            assert_eq!(program_kind(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn a_longer_prefix_is_not_taken_for_a_shorter_one() {
        assert_eq!(kind("kprobe.multi/tcp_*").attach_type, Some(A::TRACE_KPROBE_MULTI));
        assert_eq!(kind("kprobe.session/tcp_*").attach_type, Some(A::TRACE_KPROBE_SESSION));
        assert_eq!(kind("lsm_cgroup/socket_bind").attach_type, Some(A::LSM_CGROUP));
        assert_eq!(kind("lsm/file_open").attach_type, Some(A::LSM_MAC));
        assert_eq!(kind("sk_reuseport").attach_type, Some(A::SK_REUSEPORT_SELECT));
        let migrating = kind("sk_reuseport/migrate");
        assert_eq!(migrating.attach_type, Some(A::SK_REUSEPORT_SELECT_OR_MIGRATE));
        assert_eq!(migrating.target, None);
    }

    #[test]
    fn the_question_mark_says_nothing_about_the_kind() {
        assert_eq!(program_kind("?xdp"), program_kind("xdp"));
        assert_eq!(program_kind("??xdp"), None);
        assert_eq!(autoload("?tp_btf/sched_switch"), ("tp_btf/sched_switch", false));
        assert_eq!(autoload("tc"), ("tc", true));
    }

    #[test]
    fn flags_come_from_the_row() {
        assert!(kind("uprobe.s//bin/true:main").sleepable);
        assert_eq!(kind("uprobe//bin/true:main").target.as_deref(), Some("/bin/true:main"));
        assert!(kind("syscall").sleepable);
        assert!(kind("iter.s/task").sleepable && kind("iter.s/task").needs_attach_btf);
        assert!(kind("xdp.frags/devmap").xdp_frags && !kind("xdp/devmap").xdp_frags);
        assert!(kind("xdp").attach_type_optional && !kind("xdp/cpumap").attach_type_optional);
        assert!(kind("freplace/main").needs_attach_btf);
        assert_eq!(kind("freplace/main").attach_type, None);
        assert!(!kind("raw_tp.w/x").needs_attach_btf);
        assert_eq!(kind("raw_tp.w/x").program_type, P::RAW_TRACEPOINT_WRITABLE);
    }

    #[test]
    fn an_attach_type_of_zero_is_an_attach_type() {
        assert_eq!(kind("cgroup_skb/ingress").attach_type, Some(A::CGROUP_INET_INGRESS));
        assert_eq!(kind("cgroup/skb").attach_type, None);
    }

    #[test]
    fn every_row_can_be_reached() {
        for row in TABLE {
            let name = row.pattern.trim_end_matches('+');
            let first = TABLE.iter().find(|other| other.rest(name).is_some());
            assert_eq!(first.map(|row| row.pattern), Some(row.pattern));
            assert!(row.program_type.name().is_some(), "{name}");
            assert!(row.attach_type.is_none_or(|attach| attach.name().is_some()), "{name}");
        }
    }
}
