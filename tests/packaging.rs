//! What `packaging/` says of the program is so.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

fn read(path: &str) -> String {
    fs::read_to_string(support::root().join("packaging").join(path)).expect("a readable file")
}

/// Runs the program with these words; the status that it ends with.
fn status(words: &[&str]) -> Option<i32> {
    let done = Command::new(env!("CARGO_BIN_EXE_ebpf-apply")).args(words).output();
    done.expect("the program starts").status.code()
}

/// The values of a key of the unit.
fn values<'u>(unit: &'u str, key: &str) -> Vec<&'u str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn the_unit_calls_the_program_as_it_can_be_called() {
    let unit = read("systemd/ebpf-apply@.service");
    let [start] = values(&unit, "ExecStart")[..] else { panic!("one command: {unit}") };
    let (program, words) = start.split_once(' ').expect("words");
    assert_eq!(program, "/usr/bin/ebpf-apply");
    let words = words.replace("%i", "no-such-deployment");
    let words: Vec<&str> = words.split(' ').collect();
    // A wrong command line would be 64, and a manifest that is not there is an invalid one.
    assert_eq!(status(&words), Some(3), "{words:?}");
    assert_eq!(values(&unit, "RestartPreventExitStatus"), ["3 64"]);
    // Where the records are, and that they outlive the process.
    assert_eq!(values(&unit, "RuntimeDirectory"), ["ebpf-apply"]);
    assert_eq!(values(&unit, "RuntimeDirectoryPreserve"), ["yes"]);
    assert_eq!(values(&unit, "CapabilityBoundingSet"), ["CAP_BPF CAP_NET_ADMIN CAP_PERFMON"]);
}

#[test]
fn the_daemonset_calls_the_program_as_it_can_be_called() {
    let daemonset = read("kubernetes/daemonset.yaml");
    let lists: Vec<Vec<String>> = daemonset
        .lines()
        .filter_map(|line| {
            let line = line.trim_start();
            line.strip_prefix("args: ").or_else(|| line.strip_prefix("command: "))
        })
        .map(|list| serde_json::from_str(list).expect("a list of strings"))
        .collect();
    let ours: Vec<&[String]> = lists
        .iter()
        .filter_map(|list| match list.first().map(String::as_str) {
            Some("apply") => Some(&list[..]),
            Some("/usr/bin/ebpf-apply") => Some(&list[1..]),
            _ => None,
        })
        .collect();
    assert_eq!(ours.len(), 3, "the container and two probes: {lists:?}");
    for words in ours {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(status(&words), Some(3), "{words:?}");
    }
    assert!(!daemonset.contains("privileged: true"));
}

#[test]
fn the_manifest_of_the_kubernetes_base_is_valid() {
    let directory = tempfile::tempdir().expect("a directory for this test");
    let object = directory.path().join("firewall.bpf.o");
    fs::copy(support::object("firewall"), &object).expect("a copy");
    let text = read("kubernetes/edge.toml");
    let inside = "/objects/firewall.bpf.o";
    assert!(
        text.contains(inside) && read("kubernetes/daemonset.yaml").contains("mountPath: /objects")
    );
    let manifest = directory.path().join("edge.toml");
    fs::write(&manifest, text.replace(inside, &object.display().to_string())).expect("writable");
    let manifest: &Path = &manifest;
    assert_eq!(
        status(&["validate", &manifest.display().to_string(), "--deny", "warnings"]),
        Some(0)
    );
}
