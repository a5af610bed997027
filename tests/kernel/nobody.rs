//! What is said of manifests and objects does not depend on who asks, nor on the host: nobody, without
//! capabilities, BTF of the kernel and bpffs, is told the same as root.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use ebpf_apply::validate::manifests_in;

use crate::sandbox::{Sandbox, mount_at};
use crate::support::{object, root};

const NOBODY: u32 = 65534;
/// Where everything lies that nobody needs: `/run` is the sandbox's.
const BASE: &str = "/run/base";

/// Examples with their objects and the program, readable by all.
fn prepare() -> Vec<String> {
    let mut manifests = Vec::new();
    for directory in ["examples/invalid", "examples/invalid-together", "examples/manifests"] {
        fs::create_dir_all(format!("{BASE}/{directory}")).expect("a directory");
        for manifest in manifests_in(&root().join(directory)).expect("it can be listed") {
            let name = manifest.strip_prefix(root()).expect("below").display().to_string();
            fs::copy(&manifest, format!("{BASE}/{name}")).expect("a copy");
            manifests.push(name);
        }
    }
    fs::create_dir_all(format!("{BASE}/bpf/out")).expect("a directory");
    for manifest in &manifests {
        let text = fs::read_to_string(root().join(manifest)).expect("a manifest is text");
        for (at, found) in text.match_indices("bpf/out/") {
            let name = text[at + found.len()..].split(".bpf.o").next().expect("a name");
            fs::copy(object(name), format!("{BASE}/bpf/out/{name}.bpf.o")).expect("a copy");
        }
    }
    let program = format!("{BASE}/ebpf-apply");
    fs::copy(env!("CARGO_BIN_EXE_ebpf-apply"), &program).expect("a copy");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("a mode");
    manifests
}

/// What was run, its exit status, and both outputs.
type Run = (String, Option<i32>, Vec<u8>, Vec<u8>);

/// Everything that needs no privileges.
fn all(manifests: &[String], as_nobody: bool) -> Vec<Run> {
    let manifests: Vec<&str> = manifests.iter().map(String::as_str).collect();
    let validate = |format| [&["validate", "--format", format], manifests.as_slice()].concat();
    let objects = ["bpf/out/firewall.bpf.o", "bpf/out/globals.bpf.o", "bpf/out/exec_trace.bpf.o"];
    let with_objects = |words: &[&'static str]| [words, objects.as_slice()].concat();
    let mut runs: Vec<Vec<&str>> =
        ["full", "concise", "json", "github", "sarif"].map(validate).into();
    runs.push(with_objects(&["init"]));
    runs.push(with_objects(&["inspect"]));
    runs.push(with_objects(&["inspect", "--format", "json"]));
    runs.push(vec!["schema"]);
    let run = |words: Vec<&str>| {
        let mut command = Command::new(format!("{BASE}/ebpf-apply"));
        command.args(&words).current_dir(BASE);
        if as_nobody {
            // From root to another user, the kernel clears all capabilities, and std the groups.
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output().expect("the program starts");
        (words[..2].join(" "), output.status.code(), output.stdout, output.stderr)
    };
    runs.into_iter()
        .map(|mut words| {
            words.push("--color=never");
            run(words)
        })
        .collect()
}

#[test]
fn nobody_is_told_what_root_is_told() {
    Sandbox::run(|_| {
        let manifests = prepare();
        let as_root = all(&manifests, false);
        assert!(Path::new("/sys/fs/bpf").exists());
        for place in ["/sys/kernel", "/sys/fs/bpf"] {
            mount_at("tmpfs", place);
        }
        assert!(!Path::new("/sys/kernel/btf").exists());
        let as_nobody = all(&manifests, true);
        for (root, nobody) in as_root.iter().zip(&as_nobody) {
            let (what, status, stdout, stderr) = root;
            assert_eq!((*status, stderr), (nobody.1, &nobody.3), "{what}");
            assert!(stdout == &nobody.2, "{what}: {}", String::from_utf8_lossy(&nobody.2));
            assert!(!stdout.is_empty(), "{what}");
        }
        let statuses: Vec<_> = as_root.iter().map(|(_, status, ..)| *status).collect();
        assert_eq!(statuses, [[Some(3)].repeat(5), [Some(0)].repeat(4)].concat());
    });
}
