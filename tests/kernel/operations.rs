//! Structs of operations, registered with and without a link.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::net::{AddressFamily, SocketType, sockopt};

use crate::features::{
    DETACH_OF_STRUCT_OPS, SCHED_EXT, STRUCT_OPS, STRUCT_OPS_LINKS, goes_without, lacks,
};
use crate::host;
use crate::layer::running::{element, eventually};
use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::object;
use ebpf_apply::kernel::Kernel as _;
use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::model::pin::{PinPath, PinRoot, SubPath};

/// Congestion controls under a name that no other test has.
pub(crate) struct Controls {
    program: Program,
    name: String,
}

impl Controls {
    pub(crate) fn new() -> Self {
        let number = RandomState::new().build_hasher().finish() % 10_000_000;
        let controls = Self { program: Program::new(), name: format!("ea{number:07}") };
        controls.bring("congestion");
        controls
    }

    /// Puts an object where the manifest names one.
    fn bring(&self, version: &str) {
        fs::write(self.program.directory().join("cc.bpf.o"), self.renamed(version))
            .expect("a writable directory");
    }

    /// An object with that name in the place of its own.
    pub(crate) fn renamed(&self, version: &str) -> Vec<u8> {
        let mut bytes = fs::read(object(version)).expect("an object");
        let stand_in = b"ea0000000";
        let places: Vec<usize> = bytes
            .windows(stand_in.len())
            .enumerate()
            .filter_map(|(at, window)| (window == stand_in).then_some(at))
            .collect();
        assert_eq!(places.len(), 2, "one name for each struct");
        for at in places {
            bytes[at..at + stand_in.len()].copy_from_slice(self.name.as_bytes());
        }
        bytes
    }

    fn manifest(&self, deployment: &str, map: &str) -> String {
        let text = format!(
            "version = 1\nname = \"{deployment}\"\npin-root = \"/sys/fs/bpf/{deployment}\"\n\n\
             [objects.cc]\npath = \"cc.bpf.o\"\n\n\
             [objects.cc.programs.{map}]\nattach = [{{ hook = \"struct-ops\" }}]\n"
        );
        self.program.manifest(&format!("{deployment}.toml"), &text)
    }

    pub(crate) fn is_registered(&self, suffix: &str) -> bool {
        let available = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control")
            .expect("the kernel has TCP");
        available.split_whitespace().any(|known| known == format!("{}_{suffix}", self.name))
    }

    /// Sends something over a TCP connection under that control.
    pub(crate) fn connect(&self, suffix: &str) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen on lo");
        let address = listener.local_addr().expect("an address");
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None);
        let socket: OwnedFd = socket.expect("a socket");
        let name = format!("{}_{suffix}", self.name);
        sockopt::set_tcp_congestion(&socket, &name).expect("the control is registered");
        let SocketAddr::V4(address) = address else { panic!("{address} is not of IPv4") };
        rustix::net::connect(&socket, &address).expect("connect");
        let mut stream = TcpStream::from(socket);
        stream.write_all(b"hello").expect("send");
        let (mut peer, _) = listener.accept().expect("accept");
        let mut received = [0; 5];
        peer.read_exact(&mut received).expect("receive");
        assert_eq!(&received, b"hello");
    }
}

/// How many connections each version was given.
fn connections(deployment: &str) -> [u64; 2] {
    counts(deployment, "connections")
}

/// The two counters of a pinned map.
fn counts(deployment: &str, map: &str) -> [u64; 2] {
    let root = PinRoot::new(Path::new(&format!("/sys/fs/bpf/{deployment}"))).expect("a legal root");
    let pin = PinPath::public(&SubPath::default(), map);
    let found = Linux::new().open(&root, &pin).expect("open").expect("it is pinned");
    let map = found.handle.expect("it can be opened");
    [0, 1].map(|index| element(&map, index))
}

/// The id of the one link of a deployment.
fn link_id(deployment: &str) -> (String, u64) {
    let links = fs::read_dir(format!("/sys/fs/bpf/{deployment}/~links/{deployment}"));
    let mut links = links.expect("a directory").map(|entry| entry.expect("an entry").path());
    let pin = links.next().expect("a link").display().to_string();
    assert_eq!(links.next(), None);
    let shown: serde_json::Value =
        serde_json::from_str(&host::bpftool(&["-j", "link", "show", "pinned", &pin]))
            .expect("JSON");
    (pin, shown["id"].as_u64().expect("an id"))
}

#[test]
fn operations_are_registered_by_a_link_and_swapped_under_it() {
    if lacks(&[STRUCT_OPS, STRUCT_OPS_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let controls = Controls::new();
        let program = &controls.program;
        let file = controls.manifest("edge", "linked");
        let plan = program.run(&["plan", &file]).status(0);
        let address = format!("link.cc.linked[struct-ops:tcp_congestion_ops:{}_l]", controls.name);
        assert!(plan.out.contains(&address), "{}", plan.out);
        assert!(!controls.is_registered("l"));

        program.run(&["apply", &file, "--detach"]).status(0);
        assert!(controls.is_registered("l"));
        assert!(!controls.is_registered("p"), "nobody asked for it");
        controls.connect("l");
        assert_eq!(connections("edge"), [1, 0]);
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);
        let (pin, link) = link_id("edge");

        controls.bring("congestion_other");
        let plan = program.run(&["plan", &file, "--detailed-exitcode"]).status(2);
        assert!(plan.out.contains("swapped atomically"), "{}", plan.out);
        program.run(&["apply", &file, "--detach"]).status(0);
        assert_eq!(link_id("edge"), (pin.clone(), link));
        controls.connect("l");
        assert_eq!(connections("edge"), [1, 1]);
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);

        // Another deployment cannot have the name, and leaves nothing behind.
        let other = controls.manifest("other", "linked");
        let said = program.run(&["apply", &other, "--detach"]).status(1);
        assert!(said.err.contains("registered already"), "{}", said.err);
        assert!(!Path::new("/sys/fs/bpf/other").exists());
        controls.connect("l");
        assert_eq!(connections("edge"), [1, 2]);

        if !goes_without(DETACH_OF_STRUCT_OPS) {
            host::bpftool(&["link", "detach", "pinned", &pin]);
            assert!(!controls.is_registered("l"));
            let said = program.run(&["status", &file]).status(0);
            assert!(said.out.contains("missing"), "{}", said.out);
            program.run(&["apply", &file, "--detach"]).status(0);
            controls.connect("l");
            assert_eq!(connections("edge"), [1, 3]);
        }

        // The records are lost: what is pinned is still ours.
        fs::remove_dir_all(program.state()).expect("a directory");
        program.run(&["apply", &file, "--detach"]).status(0);
        controls.connect("l");
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);

        program.run(&["destroy", &file, "--purge"]).status(0);
        eventually("it is unregistered", || !controls.is_registered("l"));
    });
}

#[test]
fn operations_without_a_link_stay_until_the_end() {
    if lacks(&[STRUCT_OPS]) {
        return;
    }
    Sandbox::run(|_| {
        let controls = Controls::new();
        let program = &controls.program;
        let file = controls.manifest("edge", "plain");
        let plan = program.run(&["plan", &file]).status(0);
        assert!(plan.out.contains("without a link"), "{}", plan.out);
        program.run(&["apply", &file, "--detach"]).status(0);
        assert!(controls.is_registered("p"));
        controls.connect("p");
        assert_eq!(connections("edge"), [1, 0]);
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);
        let said = program.run(&["status", &file]).status(0);
        assert!(said.out.contains("registered without a link"), "{}", said.out);

        controls.bring("congestion_other");
        let plan = program.run(&["plan", &file, "--detailed-exitcode"]).status(2);
        assert!(plan.out.contains("unregistered, then registered again"), "{}", plan.out);
        program.run(&["apply", &file, "--detach"]).status(0);
        controls.connect("p");
        assert_eq!(connections("edge"), [1, 1]);
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);

        // The records are lost: the kernel still has it, and the map is pinned.
        fs::remove_dir_all(program.state()).expect("a directory");
        program.run(&["apply", &file, "--detach"]).status(0);
        controls.connect("p");
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);

        program.run(&["destroy", &file, "--purge"]).status(0);
        assert!(!controls.is_registered("p"));
        let left = ["edge", "edge/connections"].map(|path| Path::new("/sys/fs/bpf").join(path));
        assert_eq!(host::tree(), left, "only the record could tell that this pin is ours");
    });
}

#[test]
fn a_scheduler_ends_before_the_next_begins() {
    if lacks(&[SCHED_EXT]) {
        return;
    }
    let state = || fs::read_to_string("/sys/kernel/sched_ext/state").expect("sched_ext is there");
    Sandbox::run(|_| {
        let program = Program::new();
        let text = format!(
            "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n\
             [objects.it]\npath = \"{}\"\n\n\
             [objects.it.programs.idle_hands]\nattach = [{{ hook = \"struct-ops\" }}]\n",
            object("scheduler").display()
        );
        let file = program.manifest("edge.toml", &text);
        assert_eq!(state().trim(), "disabled");
        program.run(&["apply", &file, "--detach"]).status(0);
        assert_eq!(state().trim(), "enabled");
        assert_eq!(counts("edge", "turns"), [1, 0]);
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);

        program.manifest("edge.toml", &format!("{text}\n[objects.it.globals]\nversion = 10\n"));
        let plan = program.run(&["plan", &file, "--detailed-exitcode"]).status(2);
        assert!(plan.out.contains("unregistered, then registered again"), "{}", plan.out);
        program.run(&["apply", &file, "--detach"]).status(0);
        assert_eq!(state().trim(), "enabled");
        assert_eq!(counts("edge", "turns"), [11, 1], "the old one ended, the new one began");
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);

        // The kernel takes one.
        let other = program.manifest("other.toml", &text.replace("edge", "other"));
        let said = program.run(&["apply", &other, "--detach"]).status(1);
        assert!(said.err.contains("one at a time"), "{}", said.err);
        assert_eq!(state().trim(), "enabled");

        program.run(&["destroy", &file]).status(0);
        eventually("no scheduler is at work", || state().trim() == "disabled");
        assert!(host::tree().is_empty(), "{:?}", host::tree());
    });
}

#[test]
fn what_a_kernel_lacks_is_named_with_the_first_that_has_it() {
    if !goes_without(SCHED_EXT) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let text = format!(
            "version = 1\nname = \"edge\"\n\n[objects.it]\npath = \"{}\"\n",
            object("scheduler").display()
        );
        let file = program.manifest("edge.toml", &text);
        let said = program.run(&["apply", &file, "--detach"]).status(1);
        assert!(said.err.contains("Linux has them since 6.12"), "{}", said.err);
        assert!(said.err.contains("CONFIG_SCHED_CLASS_EXT"), "{}", said.err);
        assert!(host::tree().is_empty(), "{:?}", host::tree());
    });
}
