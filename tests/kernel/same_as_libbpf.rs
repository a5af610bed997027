//! What the kernel gets from us is what it gets from libbpf: the tags that it computes are the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::object;

/// The kernel's tag of each program pinned in a directory, by the name of the pin's program.
fn tags(directory: &str) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory of pins") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        let name = name.rsplit(':').next().unwrap_or(name).to_owned();
        tags.insert(name, tag(&path));
    }
    tags
}

fn tag(pin: &Path) -> String {
    let out = Command::new("bpftool").args(["--json", "prog", "show", "pinned"]).arg(pin).output();
    let out = out.expect("bpftool is installed").stdout;
    let shown: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    shown["tag"].as_str().expect("a tag").to_owned()
}

#[test]
fn the_kernel_computes_the_same_tags() {
    // All sections of these are known to the libbpf of the oldest bpftool that is around.
    for name in ["relocate_calls", "subprogs", "firewall", "globals", "core_read", "exec_trace"] {
        Sandbox::run(|_| {
            let object = object(name);
            let loaded = Command::new("bpftool")
                .args(["prog", "loadall"])
                .arg(&object)
                .arg("/sys/fs/bpf/theirs")
                .output()
                .expect("bpftool is installed");
            let log = String::from_utf8_lossy(&loaded.stderr);
            assert!(loaded.status.success(), "{name}: {log}");

            let program = Program::new();
            let manifest = program.manifest(
                "ours.toml",
                &format!(
                    "version = 1\nname = \"ours\"\npin-root = \"/sys/fs/bpf/ours\"\n\n[objects.it]\n\
                     path = \"{}\"\n",
                    object.display()
                ),
            );
            program.run(&["apply", &manifest, "--detach"]).status(0);
            let (ours, theirs) = (tags("/sys/fs/bpf/ours/~progs/ours"), tags("/sys/fs/bpf/theirs"));
            assert!(!ours.is_empty());
            assert_eq!(ours, theirs, "{name}");
        });
    }
}
