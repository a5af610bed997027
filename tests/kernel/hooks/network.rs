//! Hooks of interfaces, sockets, namespaces and cgroups.

use std::cell::RefCell;
use std::process::Command;

use super::Case;
use crate::features::{NETFILTER, NETKIT, PROGRAMS_AT_FUNCTIONS, SOCKMAP_LINKS, TCX, lacks};
use crate::host::{send_udp, wire};
use crate::net_hooks::chain::{netkit_pair, send_by_netkit};
use crate::net_hooks::netfilter;
use crate::net_hooks::netns::{connect, send_raw};
use crate::net_hooks::sockmap::{connection_in, pass, sockets};
use crate::sandbox::Sandbox;

fn send_one() {
    send_udp(1);
}

#[test]
fn xdp() {
    Sandbox::run(|sandbox| {
        wire(sandbox);
        let case = Case::new("xdp", "generation", "count_xdp").options("interface = \"veth0\"");
        case.act(send_one).counts("counted", 0).round();
    });
}

#[test]
fn xdp_beside_others() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    Sandbox::run(|sandbox| {
        wire(sandbox);
        let case = Case::new("xdp", "generation", "count_xdp").label("xdp` with `dispatcher");
        let case = case.options("interface = \"veth0\", dispatcher = true");
        case.act(send_one).counts("counted", 0).round();
    });
}

#[test]
fn tcx() {
    if lacks(&[TCX]) {
        return;
    }
    Sandbox::run(|sandbox| {
        wire(sandbox);
        let case = Case::new("tcx", "generation", "count_tcx")
            .options("interface = \"veth1\", direction = \"egress\"");
        case.act(send_one).counts("counted", 0).round();
    });
}

#[test]
fn tc() {
    Sandbox::run(|sandbox| {
        wire(sandbox);
        let case = Case::new("tc", "generation", "count_tcx")
            .options("interface = \"veth1\", direction = \"egress\"");
        case.act(send_one).counts("counted", 0).round();
    });
}

#[test]
fn netkit() {
    if lacks(&[NETKIT]) {
        return;
    }
    Sandbox::run(|_| {
        netkit_pair();
        let case = Case::new("netkit", "net_hooks", "on_netkit")
            .options("interface = \"net0\", side = \"primary\"");
        case.act(send_by_netkit).counts("hits", 6).round();
    });
}

#[test]
fn cgroup() {
    Sandbox::run(|sandbox| {
        wire(sandbox);
        let cgroup = sandbox.cgroup().display();
        let send = format!(
            "echo $$ >{cgroup}/cgroup.procs && exec bash -c 'echo x >/dev/udp/192.0.2.1/9'"
        );
        let send = || {
            let status = Command::new("sh").args(["-ec", &send]).status();
            assert!(status.expect("a shell").success());
        };
        let case = Case::new("cgroup", "generation", "count_cgroup")
            .options(format!("path = \"{cgroup}\""));
        case.act(send).counts("counted", 0).round();
    });
}

#[test]
fn sockmap() {
    if lacks(&[SOCKMAP_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        // A socket has the program that its map had when it was put in.
        let opened = RefCell::new(None);
        let send = || {
            let mut opened = opened.borrow_mut();
            let (mut one, mut other) = connection_in(opened.get_or_insert_with(sockets));
            pass(&mut one, &mut other);
        };
        let case = Case::new("sockmap", "net_hooks", "on_msg").options("map = \"it.sockets\"");
        case.act(send).counts("hits", 2).round();
    });
}

#[test]
fn sk_lookup() {
    Sandbox::run(|_| {
        Case::new("sk-lookup", "net_hooks", "on_sk_lookup").act(connect).counts("hits", 0).round();
    });
}

#[test]
fn flow_dissector() {
    Sandbox::run(|sandbox| {
        wire(sandbox);
        let case = Case::new("flow-dissector", "net_hooks", "on_flow");
        case.act(|| send_raw("veth1")).counts("hits", 1).round();
    });
}

#[test]
fn netfilter() {
    if lacks(&[NETFILTER]) {
        return;
    }
    Sandbox::run(|_| {
        let case = Case::new("netfilter", "net_hooks", "on_netfilter")
            .options("family = \"ipv4\", at = \"local-out\", priority = 7");
        case.act(netfilter::send).counts("hits", 5).round();
    });
}
