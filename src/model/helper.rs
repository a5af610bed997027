//! The kernel's helpers: their names, since when each is there, and which are for GPL-compatible
//! programs only.
//!
//! Helpers are numbered in the order in which they came (`___BPF_FUNC_MAPPER` in
//! `include/uapi/linux/bpf.h`), and none came after 6.2: what is new since is a kernel function.
//! Which are for GPL-compatible programs is the member `gpl_only` of each `struct bpf_func_proto`;
//! `tests/kernel/layer/helpers.rs` asks the verifier.

use super::kinds::ProgramType;
use super::release::Release;

/// A helper by its number, as in the instruction that calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Helper(pub u32);

/// Their names, the first of which has the number 1.
const NAMES: &str = "map_lookup_elem map_update_elem map_delete_elem probe_read ktime_get_ns trace_printk \
    get_prandom_u32 get_smp_processor_id skb_store_bytes l3_csum_replace l4_csum_replace \
    tail_call clone_redirect get_current_pid_tgid get_current_uid_gid get_current_comm \
    get_cgroup_classid skb_vlan_push skb_vlan_pop skb_get_tunnel_key skb_set_tunnel_key \
    perf_event_read redirect get_route_realm perf_event_output skb_load_bytes \
    get_stackid csum_diff skb_get_tunnel_opt skb_set_tunnel_opt skb_change_proto \
    skb_change_type skb_under_cgroup get_hash_recalc get_current_task probe_write_user \
    current_task_under_cgroup skb_change_tail skb_pull_data csum_update set_hash_invalid \
    get_numa_node_id skb_change_head xdp_adjust_head probe_read_str get_socket_cookie \
    get_socket_uid set_hash setsockopt skb_adjust_room redirect_map sk_redirect_map \
    sock_map_update xdp_adjust_meta perf_event_read_value perf_prog_read_value \
    getsockopt override_return sock_ops_cb_flags_set msg_redirect_map msg_apply_bytes \
    msg_cork_bytes msg_pull_data bind xdp_adjust_tail skb_get_xfrm_state get_stack \
    skb_load_bytes_relative fib_lookup sock_hash_update msg_redirect_hash \
    sk_redirect_hash lwt_push_encap lwt_seg6_store_bytes lwt_seg6_adjust_srh \
    lwt_seg6_action rc_repeat rc_keydown skb_cgroup_id get_current_cgroup_id \
    get_local_storage sk_select_reuseport skb_ancestor_cgroup_id sk_lookup_tcp \
    sk_lookup_udp sk_release map_push_elem map_pop_elem map_peek_elem msg_push_data \
    msg_pop_data rc_pointer_rel spin_lock spin_unlock sk_fullsock tcp_sock \
    skb_ecn_set_ce get_listener_sock skc_lookup_tcp tcp_check_syncookie sysctl_get_name \
    sysctl_get_current_value sysctl_get_new_value sysctl_set_new_value strtol strtoul \
    sk_storage_get sk_storage_delete send_signal tcp_gen_syncookie skb_output \
    probe_read_user probe_read_kernel probe_read_user_str probe_read_kernel_str \
    tcp_send_ack send_signal_thread jiffies64 read_branch_records \
    get_ns_current_pid_tgid xdp_output get_netns_cookie get_current_ancestor_cgroup_id \
    sk_assign ktime_get_boot_ns seq_printf seq_write sk_cgroup_id sk_ancestor_cgroup_id \
    ringbuf_output ringbuf_reserve ringbuf_submit ringbuf_discard ringbuf_query \
    csum_level skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock \
    skc_to_tcp_request_sock skc_to_udp6_sock get_task_stack load_hdr_opt store_hdr_opt \
    reserve_hdr_opt inode_storage_get inode_storage_delete d_path copy_from_user \
    snprintf_btf seq_printf_btf skb_cgroup_classid redirect_neigh per_cpu_ptr \
    this_cpu_ptr redirect_peer task_storage_get task_storage_delete get_current_task_btf \
    bprm_opts_set ktime_get_coarse_ns ima_inode_hash sock_from_file check_mtu \
    for_each_map_elem snprintf sys_bpf btf_find_by_name_kind sys_close timer_init \
    timer_set_callback timer_start timer_cancel get_func_ip get_attach_cookie \
    task_pt_regs get_branch_snapshot trace_vprintk skc_to_unix_sock kallsyms_lookup_name \
    find_vma loop strncmp get_func_arg get_func_ret get_func_arg_cnt get_retval \
    set_retval xdp_get_buff_len xdp_load_bytes xdp_store_bytes copy_from_user_task \
    skb_set_tstamp ima_file_hash kptr_xchg map_lookup_percpu_elem skc_to_mptcp_sock \
    dynptr_from_mem ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr \
    dynptr_read dynptr_write dynptr_data tcp_raw_gen_syncookie_ipv4 \
    tcp_raw_gen_syncookie_ipv6 tcp_raw_check_syncookie_ipv4 tcp_raw_check_syncookie_ipv6 \
    ktime_get_tai_ns user_ringbuf_drain cgrp_storage_get cgrp_storage_delete";

/// Major and minor number of a release, and the last helper that it has.
const LAST: &[(u16, u16, u32)] = &[
    (3, 19, 3),
    (4, 1, 11),
    (4, 2, 16),
    (4, 3, 22),
    (4, 4, 25),
    (4, 5, 26),
    (4, 6, 30),
    (4, 8, 36),
    (4, 9, 41),
    (4, 10, 44),
    (4, 11, 45),
    (4, 12, 47),
    (4, 13, 50),
    (4, 14, 53),
    (4, 15, 57),
    (4, 16, 59),
    (4, 17, 64),
    (4, 18, 80),
    (4, 19, 83),
    (4, 20, 90),
    (5, 0, 92),
    (5, 1, 98),
    (5, 2, 108),
    (5, 3, 110),
    (5, 5, 115),
    (5, 6, 118),
    (5, 7, 124),
    (5, 8, 135),
    (5, 9, 141),
    (5, 10, 155),
    (5, 11, 162),
    (5, 12, 163),
    (5, 13, 165),
    (5, 14, 168),
    (5, 15, 175),
    (5, 16, 179),
    (5, 17, 185),
    (5, 18, 193),
    (5, 19, 203),
    (6, 0, 207),
    (6, 1, 209),
    (6, 2, 211),
];

/// Those for GPL-compatible programs only.
const GPL_ONLY: &[u32] = &[
    4, 6, 22, 25, 27, 35, 36, 45, 55, 56, 58, 67, 69, 77, 78, 92, 100, 110, 111, 112, 113, 114,
    115, 119, 121, 126, 127, 150, 158, 163, 165, 169, 170, 171, 172, 173, 175, 176, 177, 191, 204,
    205, 206, 207,
];

impl Helper {
    /// The largest number there is.
    pub const LAST: Self = Self(211);

    /// Its name in C: `bpf_map_lookup_elem`.
    #[must_use]
    pub fn name(self) -> Option<String> {
        let index = usize::try_from(self.0.checked_sub(1)?).ok()?;
        NAMES.split(' ').nth(index).map(|name| format!("bpf_{name}"))
    }

    /// The release that brought it; `None` for a number that no kernel knows.
    #[must_use]
    pub fn since(self) -> Option<Release> {
        let (major, minor, _) = LAST.iter().find(|(.., last)| self.0 <= *last)?;
        (self.0 > 0).then_some(Release::new(*major, *minor))
    }

    /// Whether programs of that type may call it only if they are GPL-compatible.
    #[must_use]
    pub fn is_gpl_only(self, program_type: ProgramType) -> bool {
        // `bpf_get_stackid_proto_pe` of `kernel/bpf/stackmap.c` is the one exception for a type.
        let excepted = (self, program_type) == (Self(27), ProgramType::PERF_EVENT);
        GPL_ONLY.contains(&self.0) && !excepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_names_and_releases_belong_together() {
        assert_eq!(NAMES.split(' ').count(), 211);
        for (number, name, since) in [
            (1, "bpf_map_lookup_elem", (3, 19)),
            (6, "bpf_trace_printk", (4, 1)),
            (113, "bpf_probe_read_kernel", (5, 5)),
            (118, "bpf_jiffies64", (5, 6)),
            (131, "bpf_ringbuf_reserve", (5, 8)),
            (174, "bpf_get_attach_cookie", (5, 15)),
            (181, "bpf_loop", (5, 17)),
            (211, "bpf_cgrp_storage_delete", (6, 2)),
        ] {
            assert_eq!(Helper(number).name().as_deref(), Some(name));
            assert_eq!(Helper(number).since(), Some(Release::new(since.0, since.1)), "{name}");
        }
        for unknown in [0, 212, u32::MAX] {
            assert_eq!((Helper(unknown).name(), Helper(unknown).since()), (None, None));
        }
        assert!(LAST.is_sorted() && LAST.is_sorted_by_key(|(.., last)| last));
        assert!(GPL_ONLY.is_sorted());
    }
}
