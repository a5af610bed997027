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

const fn define(pattern: &'static str, program_type: P, attach_type: Option<A>, flags: u8) -> Row {
    Row { pattern, program_type, attach_type, flags }
}

/// In libbpf's order. `usdt` has no attach type here: libbpf chooses it by what the kernel can do.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    define("socket", P::SOCKET_FILTER, None, PLAIN),
    define("sk_reuseport/migrate", P::SK_REUSEPORT, Some(A::SK_REUSEPORT_SELECT_OR_MIGRATE), PLAIN),
    define("sk_reuseport", P::SK_REUSEPORT, Some(A::SK_REUSEPORT_SELECT), PLAIN),
    define("kprobe+", P::KPROBE, None, PLAIN),
    define("uprobe+", P::KPROBE, None, PLAIN),
    define("uprobe.s+", P::KPROBE, None, SLEEPABLE),
    define("kretprobe+", P::KPROBE, None, PLAIN),
    define("uretprobe+", P::KPROBE, None, PLAIN),
    define("uretprobe.s+", P::KPROBE, None, SLEEPABLE),
    define("kprobe.multi+", P::KPROBE, Some(A::TRACE_KPROBE_MULTI), PLAIN),
    define("kretprobe.multi+", P::KPROBE, Some(A::TRACE_KPROBE_MULTI), PLAIN),
    define("kprobe.session+", P::KPROBE, Some(A::TRACE_KPROBE_SESSION), PLAIN),
    define("uprobe.multi+", P::KPROBE, Some(A::TRACE_UPROBE_MULTI), PLAIN),
    define("uretprobe.multi+", P::KPROBE, Some(A::TRACE_UPROBE_MULTI), PLAIN),
    define("uprobe.session+", P::KPROBE, Some(A::TRACE_UPROBE_SESSION), PLAIN),
    define("uprobe.multi.s+", P::KPROBE, Some(A::TRACE_UPROBE_MULTI), SLEEPABLE),
    define("uretprobe.multi.s+", P::KPROBE, Some(A::TRACE_UPROBE_MULTI), SLEEPABLE),
    define("uprobe.session.s+", P::KPROBE, Some(A::TRACE_UPROBE_SESSION), SLEEPABLE),
    define("ksyscall+", P::KPROBE, None, PLAIN),
    define("kretsyscall+", P::KPROBE, None, PLAIN),
    define("usdt+", P::KPROBE, None, PLAIN),
    define("usdt.s+", P::KPROBE, None, SLEEPABLE),
    define("tc/ingress", P::SCHED_CLS, Some(A::TCX_INGRESS), PLAIN),
    define("tc/egress", P::SCHED_CLS, Some(A::TCX_EGRESS), PLAIN),
    define("tcx/ingress", P::SCHED_CLS, Some(A::TCX_INGRESS), PLAIN),
    define("tcx/egress", P::SCHED_CLS, Some(A::TCX_EGRESS), PLAIN),
    define("tc", P::SCHED_CLS, None, PLAIN),
    define("classifier", P::SCHED_CLS, None, PLAIN),
    define("action", P::SCHED_ACT, None, PLAIN),
    define("netkit/primary", P::SCHED_CLS, Some(A::NETKIT_PRIMARY), PLAIN),
    define("netkit/peer", P::SCHED_CLS, Some(A::NETKIT_PEER), PLAIN),
    define("tracepoint+", P::TRACEPOINT, None, PLAIN),
    define("tp+", P::TRACEPOINT, None, PLAIN),
    define("tracepoint.s+", P::TRACEPOINT, None, SLEEPABLE),
    define("tp.s+", P::TRACEPOINT, None, SLEEPABLE),
    define("raw_tracepoint+", P::RAW_TRACEPOINT, None, PLAIN),
    define("raw_tp+", P::RAW_TRACEPOINT, None, PLAIN),
    define("raw_tracepoint.s+", P::RAW_TRACEPOINT, None, SLEEPABLE),
    define("raw_tp.s+", P::RAW_TRACEPOINT, None, SLEEPABLE),
    define("raw_tracepoint.w+", P::RAW_TRACEPOINT_WRITABLE, None, PLAIN),
    define("raw_tp.w+", P::RAW_TRACEPOINT_WRITABLE, None, PLAIN),
    define("tp_btf+", P::TRACING, Some(A::TRACE_RAW_TP), ATTACH_BTF),
    define("tp_btf.s+", P::TRACING, Some(A::TRACE_RAW_TP), ATTACH_BTF | SLEEPABLE),
    define("fentry+", P::TRACING, Some(A::TRACE_FENTRY), ATTACH_BTF),
    define("fmod_ret+", P::TRACING, Some(A::MODIFY_RETURN), ATTACH_BTF),
    define("fexit+", P::TRACING, Some(A::TRACE_FEXIT), ATTACH_BTF),
    define("fentry.s+", P::TRACING, Some(A::TRACE_FENTRY), ATTACH_BTF | SLEEPABLE),
    define("fmod_ret.s+", P::TRACING, Some(A::MODIFY_RETURN), ATTACH_BTF | SLEEPABLE),
    define("fexit.s+", P::TRACING, Some(A::TRACE_FEXIT), ATTACH_BTF | SLEEPABLE),
    define("fsession+", P::TRACING, Some(A::TRACE_FSESSION), ATTACH_BTF),
    define("fsession.s+", P::TRACING, Some(A::TRACE_FSESSION), ATTACH_BTF | SLEEPABLE),
    define("fsession.multi+", P::TRACING, Some(A::TRACE_FSESSION_MULTI), PLAIN),
    define("fsession.multi.s+", P::TRACING, Some(A::TRACE_FSESSION_MULTI), SLEEPABLE),
    define("fentry.multi+", P::TRACING, Some(A::TRACE_FENTRY_MULTI), PLAIN),
    define("fexit.multi+", P::TRACING, Some(A::TRACE_FEXIT_MULTI), PLAIN),
    define("fentry.multi.s+", P::TRACING, Some(A::TRACE_FENTRY_MULTI), SLEEPABLE),
    define("fexit.multi.s+", P::TRACING, Some(A::TRACE_FEXIT_MULTI), SLEEPABLE),
    define("freplace+", P::EXT, None, ATTACH_BTF),
    define("lsm+", P::LSM, Some(A::LSM_MAC), ATTACH_BTF),
    define("lsm.s+", P::LSM, Some(A::LSM_MAC), ATTACH_BTF | SLEEPABLE),
    define("lsm_cgroup+", P::LSM, Some(A::LSM_CGROUP), ATTACH_BTF),
    define("iter+", P::TRACING, Some(A::TRACE_ITER), ATTACH_BTF),
    define("iter.s+", P::TRACING, Some(A::TRACE_ITER), ATTACH_BTF | SLEEPABLE),
    define("syscall", P::SYSCALL, None, SLEEPABLE),
    define("xdp.frags/devmap", P::XDP, Some(A::XDP_DEVMAP), FRAGS),
    define("xdp/devmap", P::XDP, Some(A::XDP_DEVMAP), PLAIN),
    define("xdp.frags/cpumap", P::XDP, Some(A::XDP_CPUMAP), FRAGS),
    define("xdp/cpumap", P::XDP, Some(A::XDP_CPUMAP), PLAIN),
    define("xdp.frags", P::XDP, Some(A::XDP), FRAGS),
    define("xdp", P::XDP, Some(A::XDP), ATTACH_TYPE_OPTIONAL),
    define("perf_event", P::PERF_EVENT, None, PLAIN),
    define("lwt_in", P::LWT_IN, None, PLAIN),
    define("lwt_out", P::LWT_OUT, None, PLAIN),
    define("lwt_xmit", P::LWT_XMIT, None, PLAIN),
    define("lwt_seg6local", P::LWT_SEG6LOCAL, None, PLAIN),
    define("sockops", P::SOCK_OPS, Some(A::CGROUP_SOCK_OPS), ATTACH_TYPE_OPTIONAL),
    define("sk_skb/stream_parser", P::SK_SKB, Some(A::SK_SKB_STREAM_PARSER), ATTACH_TYPE_OPTIONAL),
    define("sk_skb/stream_verdict", P::SK_SKB, Some(A::SK_SKB_STREAM_VERDICT), ATTACH_TYPE_OPTIONAL),
    define("sk_skb/verdict", P::SK_SKB, Some(A::SK_SKB_VERDICT), ATTACH_TYPE_OPTIONAL),
    define("sk_skb", P::SK_SKB, None, PLAIN),
    define("sk_msg", P::SK_MSG, Some(A::SK_MSG_VERDICT), ATTACH_TYPE_OPTIONAL),
    define("lirc_mode2", P::LIRC_MODE2, Some(A::LIRC_MODE2), ATTACH_TYPE_OPTIONAL),
    define("flow_dissector", P::FLOW_DISSECTOR, Some(A::FLOW_DISSECTOR), ATTACH_TYPE_OPTIONAL),
    define("cgroup_skb/ingress", P::CGROUP_SKB, Some(A::CGROUP_INET_INGRESS), ATTACH_TYPE_OPTIONAL),
    define("cgroup_skb/egress", P::CGROUP_SKB, Some(A::CGROUP_INET_EGRESS), ATTACH_TYPE_OPTIONAL),
    define("cgroup/skb", P::CGROUP_SKB, None, PLAIN),
    define("cgroup/sock_create", P::CGROUP_SOCK, Some(A::CGROUP_INET_SOCK_CREATE), PLAIN),
    define("cgroup/sock_release", P::CGROUP_SOCK, Some(A::CGROUP_INET_SOCK_RELEASE), PLAIN),
    define("cgroup/sock", P::CGROUP_SOCK, Some(A::CGROUP_INET_SOCK_CREATE), ATTACH_TYPE_OPTIONAL),
    define("cgroup/post_bind4", P::CGROUP_SOCK, Some(A::CGROUP_INET4_POST_BIND), PLAIN),
    define("cgroup/post_bind6", P::CGROUP_SOCK, Some(A::CGROUP_INET6_POST_BIND), PLAIN),
    define("cgroup/bind4", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET4_BIND), PLAIN),
    define("cgroup/bind6", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET6_BIND), PLAIN),
    define("cgroup/connect4", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET4_CONNECT), PLAIN),
    define("cgroup/connect6", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET6_CONNECT), PLAIN),
    define("cgroup/connect_unix", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UNIX_CONNECT), PLAIN),
    define("cgroup/sendmsg4", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UDP4_SENDMSG), PLAIN),
    define("cgroup/sendmsg6", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UDP6_SENDMSG), PLAIN),
    define("cgroup/sendmsg_unix", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UNIX_SENDMSG), PLAIN),
    define("cgroup/recvmsg4", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UDP4_RECVMSG), PLAIN),
    define("cgroup/recvmsg6", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UDP6_RECVMSG), PLAIN),
    define("cgroup/recvmsg_unix", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UNIX_RECVMSG), PLAIN),
    define("cgroup/getpeername4", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET4_GETPEERNAME), PLAIN),
    define("cgroup/getpeername6", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET6_GETPEERNAME), PLAIN),
    define("cgroup/getpeername_unix", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UNIX_GETPEERNAME), PLAIN),
    define("cgroup/getsockname4", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET4_GETSOCKNAME), PLAIN),
    define("cgroup/getsockname6", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_INET6_GETSOCKNAME), PLAIN),
    define("cgroup/getsockname_unix", P::CGROUP_SOCK_ADDR, Some(A::CGROUP_UNIX_GETSOCKNAME), PLAIN),
    define("cgroup/sysctl", P::CGROUP_SYSCTL, Some(A::CGROUP_SYSCTL), PLAIN),
    define("cgroup/getsockopt", P::CGROUP_SOCKOPT, Some(A::CGROUP_GETSOCKOPT), PLAIN),
    define("cgroup/setsockopt", P::CGROUP_SOCKOPT, Some(A::CGROUP_SETSOCKOPT), PLAIN),
    define("cgroup/dev", P::CGROUP_DEVICE, Some(A::CGROUP_DEVICE), ATTACH_TYPE_OPTIONAL),
    define("struct_ops+", P::STRUCT_OPS, None, PLAIN),
    define("struct_ops.s+", P::STRUCT_OPS, None, SLEEPABLE),
    define("sk_lookup", P::SK_LOOKUP, Some(A::SK_LOOKUP), PLAIN),
    define("netfilter", P::NETFILTER, Some(A::NETFILTER), PLAIN),
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
    let (row, rest) = row(section)?;
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

/// The first row for a section, and the target behind its prefix.
fn row(section: &str) -> Option<(&'static Row, &str)> {
    let (section, _) = autoload(section);
    TABLE.iter().find_map(|row| Some((row, row.rest(section)?)))
}

/// The sections libbpf knows, in its order. One that ends in `+` also takes `/` and a target behind it.
pub fn patterns() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.pattern)
}

/// The one of [`patterns`] that a section (with or without a `?` in front) is of.
#[must_use]
pub fn pattern(section: &str) -> Option<&'static str> {
    row(section).map(|(row, _)| row.pattern)
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
