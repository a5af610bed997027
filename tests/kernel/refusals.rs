//! What cannot be done is said, and changes nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::host::{attached, map_id, tree};
use crate::program::Program;
use crate::sandbox::{Sandbox, ip, mount_at};
use crate::support::object;

/// A manifest with one object, further lines as given.
fn manifest(object_name: &str, rest: &str) -> String {
    let path = object(object_name);
    format!(
        "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n[objects.fw]\npath = \
         \"{}\"\n{rest}",
        path.display()
    )
}

/// Pins a map that is not ours.
fn foreign_map(path: &str, value_size: u32) {
    let parent = Path::new(path).parent().expect("a directory");
    fs::create_dir_all(parent).expect("a directory on bpffs");
    let value = value_size.to_string();
    let done = Command::new("bpftool")
        .args(["map", "create", path, "type", "hash", "key", "4", "value", &value])
        .args(["entries", "16", "name", "foreign"])
        .status();
    assert!(done.expect("bpftool is installed").success());
}

#[test]
fn a_pinned_policy_without_the_attribute_is_the_seed_case() {
    Sandbox::run(|_| {
        let program = Program::new();
        let text = manifest("undeclared", "\n[objects.fw.maps.flows]\npin = \"by-name\"\n");
        let path = program.manifest("seed.toml", &text);
        for words in [&["validate", &path][..], &["apply", &path, "--detach"]] {
            let said = program.run(words).status(3);
            let text = format!("{}{}", said.out, said.err);
            assert_eq!(text.matches("explain pin-attribute-missing").count(), 1, "{text}");
            assert!(text.contains("1 error"), "one diagnostic only:\n{text}");
            assert!(text.contains("seed.toml:9:"), "the manifest's line:\n{text}");
            assert!(text.contains("__uint(pinning, LIBBPF_PIN_BY_NAME);"), "the C line:\n{text}");
        }
        assert!(tree().is_empty());
        assert!(!program.state().exists(), "not even a lock file");
    });
}

#[test]
fn an_object_that_the_verifier_rejects_takes_the_others_with_it() {
    Sandbox::run(|sandbox| {
        sandbox.wire("veth0", "veth1");
        let rejected = object("rejected");
        let program = Program::new();
        let lonely = nobody_elses(&program);
        let text = manifest(
            "shape_a",
            &format!(
                "\n[objects.fw.programs.{lonely}]\nattach = [{{ hook = \"xdp\", interface = \"veth0\" \
                 }}]\n\n[objects.zz]\npath = \"{}\"\n",
                rejected.display()
            ),
        );
        let ours = program.directory().join("lonely.bpf.o").display().to_string();
        let text = text.replace(&object("shape_a").display().to_string(), &ours);
        let path = program.manifest("edge.toml", &text);
        let said = program.run(&["apply", &path, "--detach"]).status(1);
        let said = said.complains("read_blindly").complains("invalid access to packet");
        assert!(said.err.contains("the host is as before"), "{}", said.err);
        assert!(tree().is_empty(), "{:?}", tree());
        assert!(attached("veth0").is_empty());
        no_program_is_left(&lonely);
        program.run(&["status", "--format", "json"]).status(0).json()["deployments"]
            .as_array()
            .is_some_and(Vec::is_empty)
            .then_some(())
            .expect("nothing is on record");
    });
}

#[test]
fn all_that_the_verifier_says_is_kept_on_request() {
    Sandbox::run(|_| {
        let program = Program::new();
        let path = program.manifest("edge.toml", &manifest("rejected", ""));
        let logs = program.directory().join("logs");
        let logs_text = logs.display().to_string();
        let said = program.run(&["apply", &path, "--detach", "--verifier-log", &logs_text]);
        said.status(1).complains("rejected.bpf.c:30: `__u16 ethertype = eth->h_proto;`");
        let log = fs::read_to_string(logs.join("rejected.bpf.o.read_blindly.log")).expect("a log");
        assert!(log.contains("invalid access to packet") && log.contains("processed"), "{log}");
        assert_eq!(fs::read_dir(&logs).expect("a directory").count(), 1);
    });
}

/// Makes an object like `shape_a` whose program has a name that no other test gives, and returns it:
/// the kernel lists the programs of the whole machine.
fn nobody_elses(program: &Program) -> String {
    let name = format!("p{:06}", std::process::id() % 1_000_000);
    let mut bytes = fs::read(object("shape_a")).expect("an object");
    let old = b"count_a";
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(old)).collect();
    for at in places {
        bytes[at..at + old.len()].copy_from_slice(name.as_bytes());
    }
    fs::write(program.directory().join("lonely.bpf.o"), bytes).expect("a writable directory");
    name
}

/// The kernel frees programs a moment after their last reference goes; this waits for that.
fn no_program_is_left(name: &str) {
    let left = || {
        let out = Command::new("bpftool").args(["-json", "prog", "show", "name", name]).output();
        String::from_utf8(out.expect("bpftool is installed").stdout).expect("UTF-8")
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while left().contains(name) {
        assert!(std::time::Instant::now() < deadline, "still loaded: {}", left());
        std::thread::yield_now();
    }
}

#[test]
fn a_pin_of_another_shape_is_refused_and_left_alone() {
    Sandbox::run(|_| {
        let program = Program::new();
        let path = program.manifest("edge.toml", &manifest("shape_a", ""));
        foreign_map("/sys/fs/bpf/edge/state", 24);
        let (id, before) = (map_id("/sys/fs/bpf/edge/state"), tree());
        for words in [&["plan", &path][..], &["apply", &path, "--detach"]] {
            let said = program.run(words).status(1);
            let text = format!("{}{}", said.out, said.err);
            assert!(text.contains("24 in the pin"), "both values:\n{text}");
            assert!(text.contains("value 24"), "the pin's shape:\n{text}");
            assert!(text.contains("refuse"), "{text}");
        }
        assert_eq!(tree(), before);
        assert_eq!(map_id("/sys/fs/bpf/edge/state"), id);

        let replace = manifest("shape_a", "\n[objects.fw.maps.state]\non-mismatch = \"replace\"\n");
        let path = program.manifest("edge.toml", &replace);
        program.run(&["apply", &path, "--detach"]).status(1).complains("not on record");
        assert_eq!(map_id("/sys/fs/bpf/edge/state"), id, "a foreign pin is never replaced");
    });
}

#[test]
fn a_failure_while_attaching_leaves_what_was_there() {
    Sandbox::run(|sandbox| {
        sandbox.wire("veth0", "veth1");
        // Somebody else's program is on the interface, so ours cannot be attached.
        let other = Program::new();
        let text = manifest(
            "bench_small",
            "\n[objects.fw.programs.count_packets]\nattach = [{ hook = \"xdp\", interface = \
             \"veth0\" }]\n",
        );
        let text = text.replace("edge", "other");
        let path = other.manifest("other.toml", &text);
        other.run(&["apply", &path, "--detach"]).status(0);
        let (before, running) = (tree(), attached("veth0"));

        let program = Program::new();
        let text = manifest(
            "firewall",
            "\n[objects.fw.programs.xdp_firewall]\nattach = [{ hook = \"xdp\", interface = \
             \"veth0\" }]\n",
        );
        let text = format!(
            "{text}\n[objects.aa]\npath = \"{}\"\n\n[objects.aa.programs.tc_count]\nattach = [{{ hook \
             = \"tc\", interface = \"veth0\", direction = \"ingress\" }}]\n",
            object("tc_counter").display()
        );
        let path = program.manifest("edge.toml", &text);
        program.run(&["apply", &path, "--detach"]).status(1).complains("veth0");
        assert_eq!(tree(), before);
        assert_eq!(attached("veth0"), running);
        let qdiscs = Command::new("tc").args(["qdisc", "show", "dev", "veth0"]).output();
        let qdiscs = String::from_utf8(qdiscs.expect("iproute2").stdout).expect("UTF-8");
        assert!(!qdiscs.contains("clsact"), "the qdisc we added is gone again:\n{qdiscs}");
    });
}

#[test]
fn a_root_off_bpffs_is_refused_and_nothing_is_mounted() {
    Sandbox::run(|_| {
        let program = Program::new();
        let text = manifest("shape_a", "").replace("/sys/fs/bpf/edge", "/run/edge/pins");
        let path = program.manifest("edge.toml", &text);
        let mounts = fs::read_to_string("/proc/thread-self/mounts").expect("readable");
        let said = program.run(&["apply", &path, "--detach"]).status(1);
        said.complains("not on bpffs").complains("mount -t bpf");
        assert!(!Path::new("/run/edge").exists());
        assert_eq!(fs::read_to_string("/proc/thread-self/mounts").expect("readable"), mounts);
    });
}

#[test]
fn a_read_only_bpffs_is_named() {
    Sandbox::run(|_| {
        let program = Program::new();
        let path = program.manifest("edge.toml", &manifest("shape_a", ""));
        ip(&["link", "show"]);
        mount_at("bpf", "/sys/fs/bpf");
        let done = Command::new("mount").args(["-o", "remount,ro", "/sys/fs/bpf"]).status();
        assert!(done.expect("mount(8)").success());
        program.run(&["apply", &path, "--detach"]).status(1).complains("read-only");
    });
}

#[test]
fn a_missing_interface_is_refused_before_anything_happens() {
    Sandbox::run(|_| {
        let program = Program::new();
        let text = manifest(
            "shape_a",
            "\n[objects.fw.programs.count_a]\nattach = [{ hook = \"xdp\", interface = \"nonesuch\" \
             }]\n",
        );
        let path = program.manifest("edge.toml", &text);
        let said = program.run(&["apply", &path, "--detach"]).status(1);
        assert!(said.complains("nonesuch").err.contains("nothing was changed"));
        assert!(tree().is_empty());
    });
}
