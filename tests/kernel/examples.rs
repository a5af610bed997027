//! Every manifest that users are shown works on the running kernel.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use crate::features::{PERF_EVENT_LINKS, PROGRAMS_AT_FUNCTIONS, TCX, lacks};
use crate::host;
use crate::program::Program;
use crate::sandbox::{Sandbox, mount_at};
use crate::support::{object, root};

/// The objects that the examples name.
const OBJECTS: &[&str] = &[
    "cgroup_guard",
    "counter",
    "exec_trace",
    "firewall",
    "honeypot",
    "iterators",
    "shared",
    "tc_counter",
    "three_policies",
    "user_probes",
];

/// Applies an example twice, looks at it, and ends it. `hooks` are those of `veth0` that it attaches to.
fn round(example: &str, hooks: &[&str]) {
    for name in OBJECTS {
        object(name);
    }
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let before = host::tree();
        let program = Program::new();
        let manifest = root().join("examples/manifests").join(example).display().to_string();

        let first = program.run(&["apply", &manifest, "--detach", "--format", "json"]).status(0);
        assert_eq!(first.json()["outcome"], "applied");
        let running = host::attached("veth0");
        assert_eq!(running.keys().collect::<Vec<_>>(), hooks, "{running:?}");
        let again = program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);
        assert!(again.out.contains("unchanged."), "{}", again.out);
        let status = program.run(&["status", &manifest, "--format", "json"]).status(0).json();
        let resources = status["deployments"][0]["resources"].as_array().expect("resources");
        assert!(!resources.is_empty());
        for resource in resources {
            // A map that no loaded program uses is gone with the run that made it.
            let unused = resource["address"].as_str().is_some_and(|map| map.contains("__bpf_usdt"));
            let wanted = if unused { "unknown" } else { "in-sync" };
            assert_eq!(resource["state"], wanted, "{resource}");
        }

        program.run(&["destroy", &manifest, "--purge"]).status(0);
        let mut left = host::tree();
        // The directory of dispatchers is the lock of all who change one.
        left.retain(|path| path != Path::new("/sys/fs/bpf/xdp"));
        assert_eq!(left, before);
        assert!(host::attached("veth0").is_empty(), "{:?}", host::attached("veth0"));
        let records = fs::read_dir(program.state()).expect("a directory");
        let records =
            records.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_dir()));
        assert_eq!(records.count(), 0, "no record is left");
    });
}

#[test]
fn cgroup() {
    // The example's cgroup has a fixed place.
    Sandbox::run(|_| {
        mount_at("cgroup2", "/sys/fs/cgroup");
        let cgroup = Path::new("/sys/fs/cgroup/ebpf-apply-demo");
        fs::create_dir(cgroup).expect("a cgroup");
        object("cgroup_guard");
        let program = Program::new();
        let manifest = root().join("examples/manifests/cgroup.toml").display().to_string();
        program.run(&["apply", &manifest, "--detach"]).status(0);
        assert!(!attached_to(cgroup).is_empty());
        program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);
        program.run(&["destroy", &manifest, "--purge"]).status(0);
        assert_eq!(attached_to(cgroup), Vec::<serde_json::Value>::new());
        fs::remove_dir(cgroup).expect("nothing holds the cgroup");
        assert_eq!(host::tree(), Vec::<std::path::PathBuf>::new());
    });
}

/// What is attached to a cgroup, as bpftool sees it. It asks the cgroup, not for every link there is,
/// which other tests make and drop meanwhile.
fn attached_to(cgroup: &Path) -> Vec<serde_json::Value> {
    let bpftool = |words: &[&str]| {
        let out = Command::new("bpftool").arg("--json").args(words).output();
        out.expect("bpftool is installed")
    };
    let path = cgroup.to_str().expect("a path of ASCII");
    let shown = bpftool(&["cgroup", "show", path]);
    if shown.status.success() {
        // For none it says nothing.
        let text = shown.stdout.trim_ascii();
        return if text.is_empty() {
            Vec::new()
        } else {
            serde_json::from_slice(text).expect("JSON")
        };
    }
    // Linux 5.10 does not know how it asks.
    let id = fs::metadata(cgroup).expect("it is there").ino();
    let links = bpftool(&["link", "show"]).stdout;
    let links: Vec<serde_json::Value> = serde_json::from_slice(&links).unwrap_or_default();
    links.into_iter().filter(|link| link["cgroup_id"] == id).collect()
}

#[test]
fn firewall() {
    round("firewall.toml", &["xdp"]);
}

#[test]
fn probes() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    round("probes.toml", &[]);
}

#[test]
fn shared_map() {
    if lacks(&[TCX]) {
        return;
    }
    round("shared-map.toml", &["tcx/ingress", "xdp"]);
}

#[test]
fn tc() {
    if lacks(&[TCX]) {
        return;
    }
    round("tc.toml", &["clsact/egress", "clsact/ingress", "tcx/egress", "tcx/ingress"]);
}

#[test]
fn three_policies() {
    round("three-policies.toml", &["xdp"]);
}

#[test]
fn trace() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    round("trace.toml", &[]);
}

#[test]
fn xdp_filter_of_the_distribution() {
    round("xdp-filter.toml", &["xdp"]);
}

#[test]
fn xdp_shared() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    round("xdp-shared.toml", &["xdp"]);
}

#[test]
fn no_example_is_forgotten() {
    let covered = [
        "cgroup.toml",
        "firewall.toml",
        "probes.toml",
        "shared-map.toml",
        "tc.toml",
        "three-policies.toml",
        "trace.toml",
        "xdp-filter.toml",
        "xdp-shared.toml",
    ];
    let mut found: Vec<String> = fs::read_dir(root().join("examples/manifests"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    assert_eq!(found, covered);
}
