//! How long maps, programs and links live: held, detached, ended, killed.

use rustix::process::Signal;

use crate::features::{TCX, lacks};
use crate::host::{self, attached, hash_map, map_id, send_udp, tree};
use crate::program::{Program, Said};
use crate::sandbox::Sandbox;
use crate::support::{object, root};

const PINS: &str = "/sys/fs/bpf/ebpf-apply/three-policies";
const UDP: u32 = 17;

fn three_policies() -> String {
    object("three_policies");
    root().join("examples/manifests/three-policies.toml").display().to_string()
}

fn udp_packets() -> u64 {
    hash_map::<u32, u64>(format!("{PINS}/kept/totals")).get(&UDP, 0).unwrap_or(0)
}

#[test]
fn each_policy_while_held_after_the_end_and_in_the_next_run() {
    for signal in [Signal::TERM, Signal::INT] {
        Sandbox::run(|sandbox| {
            host::wire(sandbox);
            let program = Program::new();
            let manifest = three_policies();

            let held = program.hold(&manifest);
            assert!(held.said.contains("map.counter.totals"), "the plan is shown:\n{}", held.said);
            let (by_name, persisting) =
                (map_id(format!("{PINS}/live/sessions")), map_id(format!("{PINS}/kept/totals")));
            assert!(!tree().iter().any(|path| path.ends_with("scratch")));
            assert_eq!(attached("veth0").len(), 1);
            send_udp(5);
            assert_eq!(udp_packets(), 5);

            let (status, rest) = held.end(signal);
            assert_eq!(status, Some(0), "{rest}");
            assert!(attached("veth0").is_empty());
            let left: Vec<_> = tree().into_iter().filter(|path| !path.is_dir()).collect();
            assert_eq!(left, [std::path::PathBuf::from(format!("{PINS}/kept/totals"))]);

            let next = program.hold(&manifest);
            assert_eq!(map_id(format!("{PINS}/kept/totals")), persisting);
            assert_ne!(map_id(format!("{PINS}/live/sessions")), by_name);
            assert_eq!(udp_packets(), 5, "its contents survived");
            send_udp(2);
            assert_eq!(udp_packets(), 7);
            assert_eq!(next.end(signal).0, Some(0));

            program.run(&["destroy", &manifest, "--purge"]).status(0);
            assert!(tree().is_empty(), "{:?}", tree());
        });
    }
}

#[test]
fn a_killed_holder_leaves_traffic_as_it_was() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        let manifest = three_policies();
        let (status, _) = program.hold(&manifest).end(Signal::KILL);
        assert_eq!(status, None, "killed");
        let (running, pins) = (attached("veth0"), tree());
        assert_eq!(running.len(), 1);
        send_udp(3);
        assert_eq!(udp_packets(), 3);

        let next = program.hold(&manifest);
        assert!(next.said.contains("unchanged"), "{}", next.said);
        assert_eq!((attached("veth0"), tree()), (running, pins));
        assert_eq!(next.end(Signal::TERM).0, Some(0));
        assert!(attached("veth0").is_empty());
    });
}

#[test]
fn one_process_holds_a_deployment() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        let manifest = three_policies();
        let held = program.hold(&manifest);
        let pid = format!("pid {}", held.pid());
        for words in [
            &["apply", &manifest][..],
            &["apply", &manifest, "--detach"],
            &["destroy", &manifest],
            &["destroy", "--name", "three-policies", "--purge"],
        ] {
            program.run(words).status(5).complains(&pid);
        }
        let status = program.run(&["status", "--format", "json"]).status(0).json();
        assert_eq!(status["deployments"][0]["holder"], held.pid());
        assert_eq!(held.end(Signal::TERM).0, Some(0));
    });
}

#[test]
fn a_foreground_apply_takes_a_detached_deployment_over() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        let manifest = three_policies();
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let running = attached("veth0");
        let held = program.hold(&manifest);
        assert!(held.said.contains("ends it"), "{}", held.said);
        assert_eq!(attached("veth0"), running);
        assert_eq!(held.end(Signal::INT).0, Some(0));
        assert!(attached("veth0").is_empty());
    });
}

#[test]
fn nothing_of_a_lost_record_is_lost() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        let manifest = three_policies();
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let totals = map_id(format!("{PINS}/kept/totals"));
        send_udp(4);
        std::fs::remove_dir_all(program.state()).expect("the records");

        program.run(&["apply", &manifest, "--detach"]).status(0);
        assert_eq!(map_id(format!("{PINS}/kept/totals")), totals);
        assert_eq!(udp_packets(), 4);
        program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);
        program.run(&["destroy", &manifest, "--purge"]).status(0);
        assert!(attached("veth0").is_empty());
        assert_eq!(map_id(format!("{PINS}/kept/totals")), totals, "not provably ours, so it stays");
    });
}

#[test]
fn a_held_deployment_ends_though_its_record_is_gone() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        let manifest = three_policies();
        let held = program.hold(&manifest);
        std::fs::remove_dir_all(program.state()).expect("the records");
        assert_eq!(held.end(Signal::TERM).0, Some(0));
        assert!(attached("veth0").is_empty());
    });
}

#[test]
fn filters_of_a_lost_record_are_found_again() {
    if lacks(&[TCX]) {
        return;
    }
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        object("tc_counter");
        let program = Program::new();
        let manifest = root().join("examples/manifests/tc.toml").display().to_string();
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let before = attached("veth0");
        std::fs::remove_dir_all(program.state()).expect("the records");
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let after = attached("veth0");
        let count = |attached: &std::collections::BTreeMap<String, Vec<u64>>| {
            attached.iter().map(|(kind, ids)| (kind.clone(), ids.len())).collect::<Vec<_>>()
        };
        assert_eq!(count(&after), count(&before));
        program.run(&["destroy", &manifest, "--purge"]).status(0);
        assert!(attached("veth0").is_empty());
    });
}

/// Runs the program in a network namespace that is made for it and has nothing but `lo`.
fn elsewhere(program: &Program, words: &[&str]) -> Said {
    let mut command = std::process::Command::new("unshare");
    let ours = program.command(words);
    command.arg("--net").arg(ours.get_program()).args(ours.get_args());
    command.output().expect("unshare is installed").into()
}

#[test]
fn a_deployment_is_of_the_network_namespace_of_its_first_interface() {
    Sandbox::run(|_| {
        let program = Program::new();
        let with = |rest: &str| {
            let path = object("shape_a").display().to_string();
            let text = format!(
                "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n[objects.a]\npath = \
                 \"{path}\"\n{rest}"
            );
            program.manifest("edge.toml", &text)
        };
        program.run(&["apply", &with(""), "--detach"]).status(0);
        let manifest = with(
            "\n[objects.a.programs.count_a]\nattach = [{ hook = \"xdp\", interface = \"lo\", mode = \
             \"generic\" }]\n",
        );
        elsewhere(&program, &["apply", &manifest, "--detach"]).status(0);
        program.run(&["plan", &manifest]).status(1).complains("another network namespace");
    });
}

#[test]
fn another_network_namespace_is_not_mistaken_for_its_own() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        let manifest = three_policies();
        program.run(&["apply", &manifest, "--detach"]).status(0);
        elsewhere(&program, &["apply", &manifest, "--detach"])
            .status(1)
            .complains("another network namespace");
        elsewhere(&program, &["destroy", &manifest])
            .status(1)
            .complains("another network namespace");
        assert_eq!(attached("veth0").len(), 1);
        program.run(&["destroy", &manifest, "--purge"]).status(0);
    });
}
