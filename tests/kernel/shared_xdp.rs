//! XDP programs that share an interface: with one another, and with those of xdp-loader, which reads what
//! a deployment attached, and the other way round.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use aya::maps::{Array, Map, MapData};
use ebpf_apply::kernel::Kernel as _;
use ebpf_apply::kernel::linux::Linux;
use serde_json::Value;

use crate::dispatchers::{attach_alone, is_refused, load_by_xdp_loader, run};
use crate::features::{PROGRAMS_AT_FUNCTIONS, lacks};
use crate::host::{attached, send_udp, tree, wire};
use crate::program::{Program, steps_to_kill_at};
use crate::sandbox::{Sandbox, mount_at};
use crate::support::object;

const PINS: &str = "/sys/fs/bpf/xdp";

/// Two programs of two objects, of which the first makes `verdict` of a packet.
fn manifest(verdict: u32, priority_of_late: u32) -> String {
    let path = object("shared").display().to_string();
    format!(
        "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n[objects.first]\npath = \
         \"{path}\"\nsubpath = \"first\"\nload = \"listed\"\n\n[objects.first.globals]\nverdict = \
         {verdict}\n\n[objects.first.programs.early]\nattach = [{{ hook = \"xdp\", interface = \
         \"veth0\", dispatcher = true }}]\n\n[objects.second]\npath = \"{path}\"\nsubpath = \
         \"second\"\nload = \"listed\"\n\n[objects.second.programs.late]\nattach = [{{ hook = \"xdp\", \
         interface = \"veth0\", dispatcher = true, priority = {priority_of_late} }}]\n"
    )
}

/// How often both programs were called.
fn calls() -> [u64; 2] {
    let count = |object: &str, index| {
        let map = MapData::from_pin(format!("/sys/fs/bpf/edge/{object}/calls")).expect("a map");
        let map = Map::from_map_data(map).expect("a map of a known type");
        let map: Array<_, u64> = Array::try_from(map).expect("an array of counters");
        map.get(&index, 0).expect("an entry")
    };
    [count("first", 0), count("second", 1)]
}

/// How often one datagram has both programs called.
fn calls_of_one() -> [u64; 2] {
    let before = calls();
    send_udp(1);
    let after = calls();
    [after[0] - before[0], after[1] - before[1]]
}

/// The programs that xdp-loader lists on `veth0`, in their order, each with its priority and id.
fn listed() -> Vec<(String, u32, u32)> {
    let status = run("xdp-loader", &["status", "veth0"]);
    let lines = status.lines().filter_map(|line| line.trim_start().strip_prefix("=>"));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| words[at].parse().expect("a number");
            (words[1].to_owned(), number(0), number(2))
        })
        .collect()
}

fn names() -> Vec<String> {
    listed().into_iter().map(|(name, ..)| name).collect()
}

/// The directories of dispatchers' pins.
fn directories() -> Vec<PathBuf> {
    let entries = fs::read_dir(PINS).into_iter().flatten();
    entries.map(|entry| entry.expect("a readable entry").path()).collect()
}

/// The states of the links, by address.
fn states(program: &Program) -> Vec<(String, String)> {
    let status = program.run(&["status", "--format", "json"]).json();
    let resources = status["deployments"][0]["resources"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    resources
        .iter()
        .filter(|resource| resource["kind"] == "link")
        .map(|resource| (text(&resource["address"]), text(&resource["state"])))
        .collect()
}

/// Runs a test in a sandbox with `veth0`, for a manifest of both programs, where the kernel can have
/// them called.
fn on_a_wire(test: impl FnOnce(&Sandbox, &Program, &str) + Send) {
    if lacks(&[PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    Sandbox::run(|sandbox| {
        wire(sandbox);
        let program = Program::new();
        let path = program.manifest("edge.toml", &manifest(2, 50));
        test(sandbox, &program, &path);
    });
}

#[test]
fn programs_run_in_the_order_of_their_priorities() {
    on_a_wire(|_, program, path| {
        program.run(&["apply", path, "--detach"]).status(0);
        assert_eq!(calls_of_one(), [1, 1]);
        let [early, late] = listed().try_into().expect("two");
        assert_eq!((early.0.as_str(), early.1), ("early", 10), "as the object says of itself");
        assert_eq!((late.0.as_str(), late.1), ("late", 50));
        assert!(states(program).iter().all(|(_, state)| state == "in-sync"));
        program.run(&["apply", path, "--detach"]).status(0);
        assert_eq!(listed(), [early.clone(), late.clone()], "nothing to do");

        // One of them is loaded anew and drops what it sees; the other stays as it is.
        program.manifest("edge.toml", &manifest(1, 50));
        program.run(&["apply", path, "--detach"]).status(0);
        assert_eq!(calls_of_one(), [1, 0]);
        let [other, same] = listed().try_into().expect("two");
        assert_ne!(other.2, early.2);
        assert_eq!(same, late);

        // The other one comes first.
        program.manifest("edge.toml", &manifest(1, 5));
        program.run(&["apply", path, "--detach"]).status(0);
        assert_eq!(calls_of_one(), [1, 1]);
        assert_eq!(names(), ["late", "early"]);
        assert_eq!(directories().len(), 1);

        // One leaves, and then the other.
        let alone = manifest(1, 5).split("[objects.second]").next().expect("a text").to_owned();
        program.manifest("edge.toml", &alone);
        program.run(&["apply", path, "--detach"]).status(0);
        assert_eq!(names(), ["early"]);
        program.run(&["destroy", path]).status(0);
        assert!(attached("veth0").is_empty());
        assert_eq!(tree(), [Path::new(PINS)]);
    });
}

#[test]
fn what_xdp_loader_unloads_comes_back() {
    on_a_wire(|_, program, path| {
        program.run(&["apply", path, "--detach"]).status(0);
        let early = listed()[0].2.to_string();
        run("xdp-loader", &["unload", "veth0", "--id", &early]);
        assert_eq!(names(), ["late"]);
        let gone = ("link.first.early[xdp:veth0]".to_owned(), "missing".to_owned());
        assert!(states(program).contains(&gone));
        program.run(&["apply", path, "--detach"]).status(0);
        assert_eq!(names(), ["early", "late"]);
        assert_eq!(listed()[0].2.to_string(), early, "it was loaded all the time");
        assert_eq!(calls_of_one(), [1, 1]);
        run("xdp-loader", &["unload", "veth0", "--all"]);
        assert!(attached("veth0").is_empty());
        assert_eq!(directories(), [] as [PathBuf; 0]);
        program.run(&["apply", path, "--detach"]).status(0);
        assert_eq!(names(), ["early", "late"]);
        program.run(&["destroy", path]).status(0);
        assert!(attached("veth0").is_empty());
    });
}

#[test]
fn programs_of_others_run_beside_and_stay() {
    on_a_wire(|_, program, path| {
        // Theirs first.
        load_by_xdp_loader("shape_a", "count_a");
        program.run(&["apply", path, "--detach"]).status(0);
        assert_eq!(names(), ["early", "count_a", "late"]);
        assert_eq!(calls_of_one(), [1, 1]);
        // Another one while ours are there.
        load_by_xdp_loader("shape_b", "count_b");
        assert_eq!(names(), ["early", "count_a", "count_b", "late"]);
        assert_eq!(calls_of_one(), [1, 1]);
        assert!(states(program).iter().all(|(_, state)| state == "in-sync"));
        program.run(&["apply", path, "--detach"]).status(0);
        program.run(&["destroy", path]).status(0);
        assert_eq!(names(), ["count_a", "count_b"]);
        // One by one: xdp-loader makes a new dispatcher out of what we made.
        let first = listed()[0].2.to_string();
        run("xdp-loader", &["unload", "veth0", "--id", &first]);
        assert_eq!(names(), ["count_b"]);
        run("xdp-loader", &["unload", "veth0", "--all"]);
        assert!(attached("veth0").is_empty());
        assert_eq!(directories(), [] as [PathBuf; 0]);
    });
}

#[test]
fn two_deployments_share_an_interface() {
    on_a_wire(|_, program, path| {
        let other = manifest(2, 7).replace("edge", "other");
        let other = program.manifest("other.toml", &other);
        program.run(&["apply", path, "--detach"]).status(0);
        program.run(&["apply", &other, "--detach"]).status(0);
        assert_eq!(names(), ["late", "early", "early", "late"]);
        assert_eq!(calls_of_one(), [1, 1]);
        program.run(&["destroy", path]).status(0);
        assert_eq!(names(), ["late", "early"]);
        program.run(&["destroy", &other]).status(0);
        assert!(attached("veth0").is_empty());
    });
}

#[test]
fn a_failure_brings_the_dispatcher_back() {
    on_a_wire(|sandbox, program, path| {
        program.run(&["apply", path, "--detach"]).status(0);
        let before = listed();
        // The interface after it is taken, which shows once that before has another dispatcher.
        sandbox.wire("veth2", "veth3");
        run(
            "bpftool",
            &["prog", "load", &object("shape_b").display().to_string(), "/sys/fs/bpf/alone"],
        );
        run(
            "bpftool",
            &["net", "attach", "xdpgeneric", "pinned", "/sys/fs/bpf/alone", "dev", "veth2"],
        );
        let both = manifest(1, 5).replace(
            "interface = \"veth0\", dispatcher = true }",
            "interface = [\"veth0\", \"veth2\"], dispatcher = true }",
        );
        program.manifest("edge.toml", &both);
        let (pins, others) = (tree().len(), attached("veth2"));
        program
            .run(&["apply", path, "--detach"])
            .status(1)
            .complains("`veth2`")
            .complains("`count_b`")
            .complains("the host is as before");
        assert_eq!(listed(), before);
        assert_eq!(calls_of_one(), [1, 1]);
        assert_eq!((tree().len(), attached("veth2")), (pins, others));
        run("ip", &["link", "set", "dev", "veth2", "xdpgeneric", "off"]);
        program.run(&["apply", path, "--detach"]).status(0);
        assert_eq!(calls_of_one(), [1, 1]);
        program.run(&["destroy", path]).status(0);
        assert!(attached("veth0").is_empty() && attached("veth2").is_empty());
    });
}

#[test]
fn a_run_that_is_killed_is_made_good_by_the_next() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    Sandbox::run(|sandbox| {
        wire(sandbox);
        for n in steps_to_kill_at(3) {
            let program = Program::new();
            let path = program.manifest("edge.toml", &manifest(2, 50));
            program.run(&["apply", &path, "--detach"]).status(0);
            program.manifest("edge.toml", &manifest(1, 5));
            let words = ["apply", path.as_str(), "--detach"];
            let mut command = program.command(&words);
            let command = command.env("EBPF_APPLY_CRASH_AT", n.to_string());
            let was_killed =
                command.output().expect("it starts").status.signal() == Some(libc::SIGKILL);
            // Something is called all the time.
            assert_eq!(names().len(), 2, "at step {n}");
            program.run(&words).status(0);
            assert_eq!(names(), ["late", "early"], "at step {n}");
            assert_eq!(calls_of_one(), [1, 1], "at step {n}");
            assert_eq!(directories().len(), 1, "at step {n}");
            assert!(states(&program).iter().all(|(_, state)| state == "in-sync"), "at step {n}");
            program.run(&["destroy", &path]).status(0);
            assert!(attached("veth0").is_empty(), "at step {n}");
            assert_eq!(tree(), [Path::new(PINS)], "at step {n}");
            if !was_killed {
                assert!(n > 8, "{n} steps are not worth a test");
                break;
            }
        }
    });
}

#[test]
fn pins_of_an_earlier_dispatcher_go() {
    on_a_wire(|_, program, path| {
        program.run(&["apply", path, "--detach"]).status(0);
        // As a run leaves it that is killed before it has removed them.
        let running = directories().pop().expect("a directory");
        let name = running.file_name().expect("a name").to_string_lossy().into_owned();
        let (interface, _) = name.rsplit_once('-').expect("an id");
        let earlier = Path::new(PINS).join(format!("{interface}-1"));
        fs::create_dir(&earlier).expect("make a directory");
        for name in ["prog0-prog", "prog1-prog"] {
            fs::hard_link(running.join(name), earlier.join(name)).expect("link a pin");
        }
        program.run(&["apply", path, "--detach"]).status(0);
        assert_eq!(directories(), [running]);
        program.run(&["destroy", path]).status(0);
        assert_eq!(directories(), [] as [PathBuf; 0]);
    });
}

#[test]
fn a_program_that_is_alone_is_refused_by_name() {
    on_a_wire(|_, program, path| {
        attach_alone("shape_b", "/sys/fs/bpf/alone");
        let words = ["is no dispatcher", "(`count_b`)", "ip link set dev veth0 xdpgeneric off"];
        is_refused(program, path, &words);
        run("ip", &["link", "set", "dev", "veth0", "xdpgeneric", "off"]);
        attach_alone("later_dispatcher", "/sys/fs/bpf/later");
        is_refused(program, path, &["libxdp dispatcher of version 9"]);
        run("ip", &["link", "set", "dev", "veth0", "xdpgeneric", "off"]);
        program.run(&["apply", path, "--detach"]).status(0);
        // And the other way round: alone where some share, and shared where one is alone.
        let alone =
            manifest(2, 50).replace(", dispatcher = true", "").replace(", priority = 50", "");
        let alone = alone.split("[objects.second]").next().expect("a text").to_owned();
        program.manifest("edge.toml", &alone);
        program.run(&["apply", path, "--detach"]).status(1).complains("a dispatcher calls");
        program.run(&["destroy", path]).status(0);
        program.run(&["apply", path, "--detach"]).status(0);
        program.manifest("edge.toml", &manifest(2, 50));
        program.run(&["apply", path, "--detach"]).status(1).complains("attached alone");
        program.run(&["destroy", path]).status(0);
    });
}

#[test]
fn every_kernel_takes_the_dispatcher() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let dispatcher = kernel.load_dispatcher().expect("it passes the verifier");
        assert_ne!(kernel.id(&dispatcher), 0);
    });
}

#[test]
fn what_xdp_loader_unloads_is_healed_by_who_watches() {
    on_a_wire(|_, program, path| {
        let (mut held, _) = program.watch(path, &["--on-drift", "heal"]);
        // A dispatcher that is ours runs in the driver, where that can.
        let theirs = object("shape_a").display().to_string();
        run("xdp-loader", &["load", "-m", "native", "-n", "count_a", "veth0", &theirs]);
        let early = listed()[0].2.to_string();
        run("xdp-loader", &["unload", "veth0", "--id", &early]);
        while held.result()["outcome"] != "in-sync" {}
        assert_eq!(names(), ["early", "count_a", "late"]);
        assert_eq!(calls_of_one(), [1, 1]);
    });
}

#[test]
fn nothing_is_made_where_libxdp_looks_for_bpffs_and_there_is_none() {
    on_a_wire(|_, program, _| {
        fs::create_dir("/run/bpf").expect("a directory");
        mount_at("bpf", "/run/bpf");
        mount_at("tmpfs", "/sys/fs/bpf");
        let text = manifest(2, 50).replace("/sys/fs/bpf", "/run/bpf");
        let path = program.manifest("edge.toml", &text);
        let said = program.run(&["apply", &path, "--detach"]).status(1);
        said.complains(PINS).complains("not on a BPF file system").complains("mount -t bpf");
        assert!(!Path::new(PINS).exists());
        assert!(attached("veth0").is_empty());
    });
}
