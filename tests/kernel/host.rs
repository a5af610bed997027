//! What is pinned, as the kernel sees it.

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;

use aya::Pod;
use aya::maps::{HashMap, Map, MapData, MapInfo};
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use crate::sandbox::{Sandbox, ip_batch};

/// What bpftool(8) prints; it must succeed.
pub(crate) fn bpftool(words: &[&str]) -> String {
    let done = Command::new("bpftool").args(words).output().expect("bpftool is installed");
    let log = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "bpftool {}: {log}", words.join(" "));
    String::from_utf8(done.stdout).expect("UTF-8")
}

/// Kernel id of the map pinned at `path`.
#[track_caller]
pub(crate) fn map_id(path: impl AsRef<Path>) -> u32 {
    let path = path.as_ref();
    let info =
        MapInfo::from_pin(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    info.id()
}

/// The hash map pinned at `path`.
#[track_caller]
pub(crate) fn hash_map<K: Pod, V: Pod>(path: impl AsRef<Path>) -> HashMap<MapData, K, V> {
    let map = MapData::from_pin(path).expect("a pinned map");
    let map = Map::from_map_data(map).expect("a map of a known type");
    HashMap::try_from(map).expect("a hash map of these sizes")
}

/// Everything on the sandbox's bpffs that a test or the program put there.
pub(crate) fn tree() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(Path::new("/sys/fs/bpf"), &mut found);
    found.sort();
    found
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a readable bpffs") {
        let path = entry.expect("a readable entry").path();
        // The kernel preloads `maps.debug` and `progs.debug`.
        if path.extension().is_some() {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        }
        found.push(path);
    }
}

/// What is attached to an interface, as bpftool sees it: kind (`xdp`, `tcx/ingress`, `clsact/egress`…)
/// and program ids.
pub(crate) fn attached(interface: &str) -> BTreeMap<String, Vec<u64>> {
    let out = Command::new("bpftool").args(["--json", "net", "list", "dev", interface]).output();
    let out = out.expect("bpftool is installed").stdout;
    let shown: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    let mut all: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut add = |kind: &str, id: Option<u64>| {
        all.entry(kind.to_owned()).or_default().extend(id);
    };
    // bpftool 7.1 knows no tcx, so links are asked for theirs.
    for host in shown.as_array().into_iter().flatten() {
        for xdp in host["xdp"].as_array().into_iter().flatten() {
            add("xdp", xdp["id"].as_u64().or_else(|| xdp_id(interface)));
        }
        for filter in host["tc"].as_array().into_iter().flatten() {
            let kind = filter["kind"].as_str().unwrap_or_default();
            if kind.starts_with("clsact") {
                add(kind, filter["id"].as_u64());
            }
        }
    }
    for (direction, program) in tcx(interface) {
        add(direction, Some(program));
    }
    all
}

fn xdp_id(interface: &str) -> Option<u64> {
    let out = Command::new("ip").args(["-json", "-details", "link", "show", interface]).output();
    let links: serde_json::Value =
        serde_json::from_slice(&out.expect("iproute2 is installed").stdout).expect("JSON");
    links[0]["xdp"]["prog"]["id"].as_u64()
}

/// Programs attached by tcx, by the kernel's own list.
fn tcx(interface: &str) -> Vec<(&'static str, u64)> {
    use aya::programs::{SchedClassifier, TcAttachType};
    let mut all = Vec::new();
    let sides = [("tcx/ingress", TcAttachType::Ingress), ("tcx/egress", TcAttachType::Egress)];
    for (name, side) in sides {
        if let Ok((_, programs)) = SchedClassifier::query_tcx(interface, side) {
            all.extend(programs.iter().map(|program| (name, u64::from(program.id()))));
        }
    }
    all
}

/// Interfaces `veth0` and `veth1` joined by a wire, such that what [`send_udp`] sends comes in at
/// `veth0`.
pub(crate) fn wire(sandbox: &Sandbox) {
    sandbox.wire("veth0", "veth1");
    ip_batch(
        "link set veth0 address 02:00:00:00:00:01\n\
         address add 192.0.2.2/24 dev veth1\n\
         neighbour add 192.0.2.1 lladdr 02:00:00:00:00:01 dev veth1 nud permanent\n",
    );
}

/// How many packets an interface could not hand over.
pub(crate) fn dropped(interface: &str) -> usize {
    let out = Command::new("ip").args(["-json", "-stats", "link", "show", interface]).output();
    let out = out.expect("iproute2 is installed").stdout;
    let link: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    let dropped = link[0]["stats64"]["tx"]["dropped"].as_u64().expect("a count");
    usize::try_from(dropped).expect("not that many")
}

/// Sends datagrams out of `veth1`. They have passed what is attached to `veth0` when this returns: the
/// CPU that sends takes them up in a softirq, at once or, if it has been at that for too long, later
/// (`__do_softirq`); and it takes up what comes over `lo` after them.
pub(crate) fn send_udp(count: usize) {
    /// What a softirq takes from one interface before it turns to the next (`NAPI_POLL_WEIGHT`).
    const TURN: usize = 64;
    let socket = UdpSocket::bind("192.0.2.2:0").expect("an address of veth1");
    let own = UdpSocket::bind("127.0.0.1:0").expect("an address of lo");
    own.connect(own.local_addr().expect("bound")).expect("a route");
    let anywhere = sched_getaffinity(None).expect("the CPUs of this thread");
    let mut here = CpuSet::new();
    here.set(sched_getcpu());
    sched_setaffinity(None, &here).expect("one of them");
    let mut left = count;
    while left > 0 {
        let turn = left.min(TURN);
        for _ in 0..turn {
            socket.send_to(b"packet", "192.0.2.1:9").expect("a route");
        }
        own.send(b"after them").expect("room");
        own.recv(&mut [0; 16]).expect("what was sent");
        left -= turn;
    }
    sched_setaffinity(None, &anywhere).expect("as before");
}
