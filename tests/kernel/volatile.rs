//! Maps whose contents the kernel drops with their last user: they outlive the process all the same.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use aya::maps::{Array, Map, MapData};
use rustix::process::{Pid, Signal, getpid};

use crate::features::{TIMERS, lacks};
use crate::host::{self, attached, map_id, send_udp, tree};
use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::object;

const ROOT: &str = "/sys/fs/bpf/edge";
const PACKETS: u32 = 0;
const TICKS: u32 = 1;

fn seen(kind: u32) -> u64 {
    let map = MapData::from_pin(Path::new(ROOT).join("seen")).expect("a pinned map");
    let map = Map::from_map_data(map).expect("a map of a known type");
    Array::<_, u64>::try_from(map).expect("an array").get(&kind, 0).expect("a number")
}

/// Whether a socket is in the sockmap: the kernel tells its cookie then.
fn has_peer() -> bool {
    let place = format!("{ROOT}/~maps/edge/it:peers");
    let key = ["key", "0", "0", "0", "0"];
    let mut look = Command::new("bpftool");
    let look = look.args(["map", "lookup", "pinned", &place]).args(key);
    look.output().expect("bpftool is installed").status.success()
}

/// Everything goes on: packets take the jump, the timer fires, the socket is where it was.
fn is_at_work() {
    let before = seen(PACKETS);
    send_udp(3);
    assert_eq!(seen(PACKETS), before + 3, "the prog array is as it was");
    let before = seen(TICKS);
    // It fires each millisecond; a test that waits for nothing is ended by its runner.
    while seen(TICKS) == before {
        std::thread::yield_now();
    }
    assert!(has_peer(), "the socket is still in the sockmap");
}

#[test]
fn what_only_the_process_could_hold_outlives_it() {
    if lacks(&[TIMERS]) {
        return;
    }
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let cgroup = sandbox.cgroup();
        let program = Program::new();
        let manifest = program.manifest(
            "edge.toml",
            &format!(
                "version = 1\nname = \"edge\"\npin-root = \"{ROOT}\"\n\n[objects.it]\npath = \
                 \"{}\"\n\n[objects.it.programs.entry]\nattach = [{{ hook = \"xdp\", interface = \
                 \"veth0\" }}]\n\n[objects.it.programs.collect]\nattach = [{{ hook = \"cgroup\", \
                 path = \"{}\" }}]\n",
                object("volatile_maps").display(),
                cgroup.display()
            ),
        );
        let held = program.hold(&manifest);
        let own: Pid = getpid();
        fs::write(cgroup.join("cgroup.procs"), own.as_raw_nonzero().to_string()).expect("enter");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut peer = TcpStream::connect(listener.local_addr().expect("it")).expect("a listener");
        peer.write_all(b"x").expect("an open connection");
        fs::write(
            cgroup.parent().expect("it is below").join("cgroup.procs"),
            own.as_raw_nonzero().to_string(),
        )
        .expect("leave");
        is_at_work();

        assert_eq!(held.end(Signal::KILL).0, None, "killed");
        is_at_work();
        let kept =
            ["it:jumps", "it:clocks", "it:peers"].map(|map| format!("{ROOT}/~maps/edge/{map}"));
        let ids = || kept.clone().map(map_id);
        let before = (ids(), attached("veth0"), tree());
        let again = program.run(&["apply", &manifest, "--detach"]).status(0);
        assert!(again.out.contains("unchanged"), "{}", again.out);
        assert_eq!((ids(), attached("veth0"), tree()), before);
        is_at_work();

        // Without a record nobody can tell what was loaded, so the object is loaded again.
        fs::remove_dir_all(program.state()).expect("the records");
        is_at_work();
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let packets = seen(PACKETS);
        send_udp(3);
        assert_eq!(seen(PACKETS), packets + 3);
        assert_eq!(tree(), before.2);
        program.run(&["destroy", &manifest, "--purge"]).status(0);
        assert!(attached("veth0").is_empty());
        let left = [ROOT.into(), Path::new(ROOT).join("seen")];
        assert_eq!(tree(), left, "a public pin is not provably ours without a record");
    });
}
