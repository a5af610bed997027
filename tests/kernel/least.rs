//! A run under the documented capabilities only, and what a process that holds a deployment gives up.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;

use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_capabilities_secure_bits,
};

use crate::features::{MEMORY_BY_CGROUP, TCX, goes_without};
use crate::host::tree;
use crate::program::{Held, Program, Said};
use crate::sandbox::Sandbox;
use crate::support::object;

const THREE: CapabilitySet =
    CapabilitySet::BPF.union(CapabilitySet::NET_ADMIN).union(CapabilitySet::PERFMON);

/// Leaves what this thread starts nothing but these capabilities.
fn leave_only(kept: CapabilitySet) {
    for other in CapabilitySet::all().difference(kept).iter() {
        // Those that are newer than the running kernel cannot be removed.
        let _unknown = remove_capability_from_bounding_set(other);
    }
    let before = capabilities(None).expect("read capabilities");
    let after = CapabilitySets { inheritable: kept, ..before };
    set_capabilities(None, after).expect("lower what is inherited");
}

/// One object with the programs and hooks that come after it.
fn manifest(name: &str, path: &str, rest: &str) -> String {
    format!(
        "version = 1\nname = \"{name}\"\npin-root = \"/sys/fs/bpf/{name}\"\n\n[objects.it]\npath = \
         \"{path}\"\n{rest}"
    )
}

fn attached(program: &str, hook: &str) -> String {
    format!("\n[objects.it.programs.{program}]\nattach = [{{ {hook} }}]\n")
}

fn built(name: &str) -> String {
    object(name).display().to_string()
}

#[test]
fn three_capabilities_suffice_for_networks_cgroups_and_tracing() {
    Sandbox::run(|sandbox| {
        sandbox.wire("veth0", "veth1");
        let cgroup = sandbox.cgroup().display().to_string();
        let packaged =
            format!("/usr/lib/{}-linux-gnu/bpf/xdpfilt_alw_all.o", std::env::consts::ARCH);
        let section = "hook = \"section\"";
        let mut all = vec![
            (
                "xdp",
                built("firewall"),
                attached("xdp_firewall", "hook = \"xdp\", interface = \"veth0\""),
            ),
            (
                "packaged",
                packaged,
                attached("xdpfilt_alw_all", "hook = \"xdp\", interface = \"veth1\""),
            ),
            (
                "tc",
                built("tc_counter"),
                attached(
                    "tc_count",
                    "hook = \"tc\", interface = \"veth0\", direction = \"ingress\"",
                ),
            ),
            (
                "cgroup",
                built("cgroup_guard"),
                attached("count_egress", &format!("hook = \"cgroup\", path = \"{cgroup}\"")),
            ),
            (
                "tracing",
                built("exec_trace"),
                attached("raw_exec", section) + &attached("typed_exec", section),
            ),
        ];
        if !goes_without(TCX) {
            all.push((
                "tcx",
                built("tc_counter"),
                attached(
                    "tcx_ingress",
                    "hook = \"tcx\", interface = \"veth0\", direction = \"ingress\"",
                ),
            ));
        }
        let program = Program::new();
        let manifests: Vec<String> = all
            .iter()
            .map(|(name, path, rest)| {
                program.manifest(&format!("{name}.toml"), &manifest(name, path, rest))
            })
            .collect();
        let mut kept = THREE;
        if goes_without(MEMORY_BY_CGROUP) {
            kept |= CapabilitySet::SYS_RESOURCE;
        }
        leave_only(kept);
        for manifest in &manifests {
            program.run(&["apply", manifest, "--detach"]).status(0);
            let plan = program.run(&["plan", manifest, "--detailed-exitcode", "--format", "json"]);
            let needed = plan.status(0).json()["capabilities"]["needed"].clone();
            let needed: BTreeSet<String> = needed
                .as_array()
                .expect("a list")
                .iter()
                .map(|one| one["name"].as_str().expect("a name").to_owned())
                .collect();
            let three = ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"].map(str::to_owned);
            assert!(needed.is_subset(&BTreeSet::from(three)), "{manifest}: {needed:?}");
        }
        program.run(&["status", "--detailed-exitcode"]).status(0);
        for manifest in &manifests {
            program.run(&["destroy", manifest, "--purge"]).status(0);
        }
        assert!(tree().is_empty(), "{:?}", tree());
    });
}

#[test]
fn another_user_than_root_needs_a_pin_root_and_records_of_its_own() {
    Sandbox::run(|sandbox| {
        const USER: u32 = 1000;
        sandbox.wire("veth0", "veth1");
        let base = "/run/user-of-bpf";
        for directory in [base, "/sys/fs/bpf/edge"] {
            fs::create_dir(directory).expect("a directory");
            chown(directory, Some(USER), Some(USER)).expect("an owner");
        }
        fs::set_permissions("/sys/fs/bpf", PermissionsExt::from_mode(0o755)).expect("a mode");
        let (path, state) = (format!("{base}/edge.toml"), format!("{base}/state"));
        fs::copy(object("firewall"), format!("{base}/fw.bpf.o")).expect("a copy");
        let program = format!("{base}/ebpf-apply");
        fs::copy(env!("CARGO_BIN_EXE_ebpf-apply"), &program).expect("a copy");
        let hook = attached("xdp_firewall", "hook = \"xdp\", interface = \"veth0\"");
        fs::write(&path, manifest("edge", "fw.bpf.o", &hook)).expect("a manifest");

        let mut kept = THREE;
        if goes_without(MEMORY_BY_CGROUP) {
            kept |= CapabilitySet::SYS_RESOURCE;
        }
        let before = capabilities(None).expect("read capabilities");
        set_capabilities(None, CapabilitySets { inheritable: kept, ..before })
            .expect("inherit them");
        for capability in kept.iter() {
            configure_capability_in_ambient_set(capability, true).expect("keep it over an execve");
        }
        // Otherwise the kernel takes all capabilities when root becomes another user.
        set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP).expect("as they are");
        let run = |words: &[&str]| {
            let mut command = std::process::Command::new(&program);
            command.args(["--state-dir", &state]).args(words).uid(USER).gid(USER);
            Said::from(command.output().expect("the program starts"))
        };
        run(&["apply", &path, "--detach"]).status(0);
        let pins = tree();
        let owner = |path: &std::path::PathBuf| {
            std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).expect("it is there"))
        };
        assert!(pins.len() > 3 && pins.iter().all(|pin| owner(pin) == USER), "{pins:?}");
        run(&["plan", &path, "--detailed-exitcode"]).status(0);
        run(&["destroy", &path, "--purge"]).status(0);
        assert_eq!(tree().len(), 1, "the pin root, which was there before");

        fs::set_permissions("/sys/fs/bpf", PermissionsExt::from_mode(0o700)).expect("a mode");
        let said = run(&["apply", &path, "--detach"]);
        assert!(said.status != 0 && said.err.contains("/sys/fs/bpf"), "{}", said.err);
    });
}

/// A set of capabilities of a process, as `/proc` shows it, and whether it can gain none.
fn sets(held: &Held) -> (BTreeSet<String>, bool) {
    let status = fs::read_to_string(format!("/proc/{}/status", held.pid())).expect("a process");
    let value = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("it is there");
        line.trim().to_owned()
    };
    let sets = ["CapPrm:", "CapEff:", "CapBnd:"].map(value);
    assert_eq!(value("CapInh:"), value("CapAmb:"), "neither has any");
    (sets.into_iter().collect(), value("NoNewPrivs:") == "1")
}

fn bits(set: CapabilitySet) -> BTreeSet<String> {
    BTreeSet::from([format!("{:016x}", set.bits())])
}

#[test]
fn who_holds_a_deployment_keeps_only_what_it_needs() {
    Sandbox::run(|sandbox| {
        sandbox.wire("veth0", "veth1");
        let program = Program::new();
        // What a developer's checkout takes of the suite would be kept, too.
        fs::copy(object("firewall"), program.directory().join("fw.bpf.o")).expect("a copy");
        // To find a map again whose pin someone removed takes another capability.
        let unpinned = ["flows", "blocked", "events"]
            .map(|map| format!("\n[objects.it.maps.{map}]\npin = \"none\"\n"))
            .concat();
        let hook = attached("xdp_firewall", "hook = \"xdp\", interface = \"veth0\"") + &unpinned;
        let manifest = program.manifest("edge.toml", &manifest("edge", "fw.bpf.o", &hook));
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ebpf-apply"));
        command.arg("--state-dir").arg(program.state()).arg(&manifest);
        let mut held = Held::start(&mut command);
        while !held.line().contains("held until") {}
        let mut kept = THREE;
        if goes_without(MEMORY_BY_CGROUP) {
            kept |= CapabilitySet::SYS_RESOURCE;
        }
        assert_eq!(sets(&held), (bits(kept), true));
        let (status, said) = held.end(rustix::process::Signal::TERM);
        assert_eq!(status, Some(0), "it ends without the others, too: {said}");
        assert!(
            tree().iter().all(|pin| pin.ends_with("edge") || pin.starts_with("/sys/fs/bpf/edge"))
        );
    });
}

#[test]
fn a_reload_that_needs_what_was_given_up_changes_nothing() {
    Sandbox::run(|sandbox| {
        sandbox.wire("veth0", "veth1");
        let program = Program::new();
        fs::copy(object("firewall"), program.directory().join("fw.bpf.o")).expect("a copy");
        fs::copy(object("exec_trace"), program.directory().join("trace.bpf.o")).expect("a copy");
        let tracing = format!(
            "{}{}",
            manifest("edge", "trace.bpf.o", "load = \"listed\"\n"),
            attached("raw_exec", "hook = \"section\"")
        );
        let path = program.manifest("edge.toml", &tracing);
        let mut held = Held::start(&mut program.command(&["apply", &path, "--format", "json"]));
        assert_eq!(held.result()["outcome"], "applied");
        let before = tree();

        let hook = attached("xdp_firewall", "hook = \"xdp\", interface = \"veth0\"");
        program.manifest("edge.toml", &manifest("edge", "fw.bpf.o", &hook));
        held.signal(rustix::process::Signal::HUP);
        let said = held.result();
        assert_eq!(said["problems"][0]["code"], "capabilities-given-up", "{said}");
        let message = said["problems"][0]["message"].as_str().expect("a message");
        assert!(message.contains("CAP_NET_ADMIN"), "{message}");
        assert_eq!(tree(), before);

        program.manifest("edge.toml", &format!("{tracing}# the same\n"));
        held.signal(rustix::process::Signal::HUP);
        assert_eq!(held.result()["outcome"], "unchanged");
        let (status, _) = held.end(rustix::process::Signal::TERM);
        assert_eq!(status, Some(0));

        // Who watches keeps what most manifests need.
        program.manifest("edge.toml", &tracing);
        let (mut held, _) = program.watch(&path, &[]);
        program.manifest("edge.toml", &manifest("edge", "fw.bpf.o", &hook));
        assert_eq!(held.result()["outcome"], "applied");
        let (status, _) = held.end(rustix::process::Signal::TERM);
        assert_eq!(status, Some(0));
    });
}
