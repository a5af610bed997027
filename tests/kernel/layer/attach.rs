//! Each kind of attachment runs its program, and no longer once it is gone.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

use ebpf_apply::kernel::Kernel;
use ebpf_apply::kernel::linux::{Handle, Linux};
use ebpf_apply::model::attach::{Attachment, Direction, Position, XdpMode};

use super::running::{element, eventually, insert, output, sum};
use crate::contract::{Loaded, load};
use crate::features::{PERF_EVENT_LINKS, TCX, lacks};
use crate::sandbox::{Sandbox, ip, ip_batch};

fn attach(loaded: &Loaded<Handle>, program: &str, at: &Attachment) -> Handle {
    Linux::new()
        .attach(loaded.program(program), loaded.spec(program), at)
        .unwrap_or_else(|error| panic!("{error} ({:?})", error.advice))
}

/// Two interfaces, and an address that is reached from `net1` over the wire.
fn network(sandbox: &Sandbox) {
    sandbox.wire("net0", "net1");
    ip_batch(
        "address add 10.9.0.1/24 dev net1\n\
         neighbour add 10.9.0.2 lladdr 02:00:00:00:00:02 dev net1\n",
    );
}

/// Sends one packet out of `net1`, into `net0`.
fn send() {
    let socket = UdpSocket::bind("10.9.0.1:0").expect("bind a socket");
    socket.send_to(b"x", "10.9.0.2:9").expect("send a packet");
}

#[test]
fn xdp() {
    Sandbox::run(|sandbox| {
        network(sandbox);
        let loaded = load(&Linux::new(), "bench_small");
        let packets = || sum(&loaded.maps["packets"]);
        for (mode, shown) in
            [(XdpMode::Native, "xdp "), (XdpMode::Generic, "xdpgeneric "), (XdpMode::Auto, "xdp ")]
        {
            let at = Attachment::Xdp { interface: "net0".to_owned(), mode };
            let link = attach(&loaded, "count_packets", &at);
            assert!(output("ip", &["link", "show", "net0"]).contains(shown), "{mode:?}");
            let before = packets();
            send();
            eventually("a packet is counted", || packets() > before);
            drop(link);
            assert!(!output("ip", &["link", "show", "net0"]).contains("xdp"), "{mode:?}");
        }
    });
}

#[test]
fn tcx() {
    if lacks(&[TCX]) {
        return;
    }
    Sandbox::run(|sandbox| {
        network(sandbox);
        let loaded = load(&Linux::new(), "tc_counter");
        let packets = |hook| element::<[u64; 2]>(&loaded.maps["traffic"], hook)[0];
        let at = |interface: &str, direction| Attachment::Tcx {
            interface: interface.to_owned(),
            direction,
            position: None,
        };
        let egress = attach(&loaded, "tcx_egress", &at("net1", Direction::Egress));
        let ingress = attach(&loaded, "tcx_ingress", &at("net0", Direction::Ingress));
        send();
        eventually("sent", || packets(2) > 0);
        eventually("received", || packets(1) > 0);
        drop((egress, ingress));
        let counted = packets(2);
        send();
        assert_eq!(packets(2), counted, "nothing runs any more");
    });
}

#[test]
fn tcx_positions() {
    if lacks(&[TCX]) {
        return;
    }
    Sandbox::run(|sandbox| {
        network(sandbox);
        let loaded = load(&Linux::new(), "tc_counter");
        let packets = |hook| element::<[u64; 2]>(&loaded.maps["traffic"], hook)[0];
        let at = |position| Attachment::Tcx {
            interface: "net1".to_owned(),
            direction: Direction::Egress,
            position,
        };
        // `tc_count` ends the chain; `tcx_egress` lets the next one run.
        let _ends = attach(&loaded, "tc_count", &at(None));
        let last = attach(&loaded, "tcx_egress", &at(Some(Position::Last)));
        send();
        assert_eq!((packets(0) > 0, packets(2)), (true, 0), "the first one ends the chain");
        drop(last);
        let _first = attach(&loaded, "tcx_egress", &at(Some(Position::First)));
        send();
        assert!(packets(2) > 0, "it comes before the one that ends the chain");
    });
}

#[test]
fn tc() {
    Sandbox::run(|sandbox| {
        network(sandbox);
        let kernel = Linux::new();
        let loaded = load(&kernel, "tc_counter");
        let packets = |hook| element::<[u64; 2]>(&loaded.maps["traffic"], hook)[0];
        let at = Attachment::Tc {
            interface: "net1".to_owned(),
            direction: Direction::Egress,
            priority: None,
            handle: None,
        };
        let spec = loaded.spec("tc_count");
        let attached =
            kernel.attach_filter(loaded.program("tc_count"), spec, &at).expect("attach a filter");
        let shown = output("tc", &["filter", "show", "dev", "net1", "egress"]);
        assert!(shown.contains("direct-action"), "{shown}");
        assert!(shown.contains("tc_count:["), "{shown}");
        send();
        assert!(packets(0) > 0);
        kernel.replace_filter(loaded.program("classify"), &attached.key).expect("replace");
        send();
        assert!(packets(3) > 0);
        kernel.remove_filter(&attached.key, true).expect("remove");
        let counted = packets(3);
        send();
        assert_eq!(packets(3), counted, "nothing runs any more");
        assert!(!output("tc", &["qdisc", "show", "dev", "net1"]).contains("clsact"));
    });
}

#[test]
fn a_filter_leaves_anothers_qdisc_alone() {
    Sandbox::run(|sandbox| {
        network(sandbox);
        let kernel = Linux::new();
        let loaded = load(&kernel, "tc_counter");
        ip(&["link", "set", "net1", "up"]);
        output("tc", &["qdisc", "add", "dev", "net1", "clsact"]);
        let at = Attachment::Tc {
            interface: "net1".to_owned(),
            direction: Direction::Ingress,
            priority: None,
            handle: None,
        };
        let spec = loaded.spec("tc_count");
        let attached =
            kernel.attach_filter(loaded.program("tc_count"), spec, &at).expect("attach a filter");
        assert!(!attached.made_clsact);
        kernel.remove_filter(&attached.key, attached.made_clsact).expect("remove");
        assert!(output("tc", &["qdisc", "show", "dev", "net1"]).contains("clsact"));
    });
}

/// Connects to `port` from inside a cgroup; says whether that worked.
fn connect_within(cgroup: &Path, port: u16) -> bool {
    let script = "echo $$ > \"$0/cgroup.procs\" && exec 3<>\"/dev/tcp/127.0.0.1/$1\"";
    let status = Command::new("bash")
        .args(["-c", script])
        .arg(cgroup)
        .arg(port.to_string())
        .stderr(std::process::Stdio::null())
        .status();
    status.expect("bash is installed").success()
}

#[test]
fn cgroup() {
    Sandbox::run(|sandbox| {
        let loaded = load(&Linux::new(), "cgroup_guard");
        let counter = |index| element::<u64>(&loaded.maps["counters"], index);
        let at = Attachment::Cgroup { path: sandbox.cgroup().to_owned() };
        let links: Vec<Handle> =
            ["count_ingress", "count_egress", "guard_connect4", "count_established"]
                .iter()
                .map(|program| attach(&loaded, program, &at))
                .collect();
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let port = listener.local_addr().expect("an address").port();

        assert!(connect_within(sandbox.cgroup(), port));
        assert_eq!(counter(2), 1, "one connection");
        assert_eq!(counter(4), 1, "one established");
        assert!(counter(0) > 0 && counter(1) > 0, "bytes both ways");
        insert(&loaded.maps["denied"], [127_u8, 0, 0, 1], 1_u8);
        assert!(!connect_within(sandbox.cgroup(), port));
        assert_eq!(counter(3), 1, "one refused");
        drop(links);
        assert!(connect_within(sandbox.cgroup(), port));
        assert_eq!((counter(2), counter(3)), (1, 1), "nothing runs any more");
    });
}

#[test]
fn tracepoints() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let loaded = load(&Linux::new(), "exec_trace");
        let exec = || "sched_process_exec".to_owned();
        let places = [
            (
                "enter_execve",
                Attachment::Tracepoint {
                    category: "syscalls".to_owned(),
                    name: "sys_enter_execve".to_owned(),
                    cookie: None,
                },
            ),
            ("raw_exec", Attachment::RawTracepoint { name: exec(), cookie: None }),
            ("typed_exec", Attachment::TpBtf { name: exec(), cookie: None }),
        ];
        for (index, (program, at)) in (0..).zip(places) {
            let counted = || element::<u64>(&loaded.maps["exec_counts"], index);
            let link = attach(&loaded, program, &at);
            output("true", &[]);
            assert!(counted() > 0, "{at}");
            drop(link);
            let before = counted();
            output("true", &[]);
            assert_eq!(counted(), before, "{at}: nothing runs any more");
        }
    });
}
