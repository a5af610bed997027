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
    let shown = bpftool(&["prog", "show", "pinned", &pin.display().to_string()]);
    shown["tag"].as_str().expect("a tag").to_owned()
}

/// What the kernel says of the maps that the program of a pin uses, by name.
fn maps(directory: &str) -> BTreeMap<String, serde_json::Value> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory of pins") {
        let path = entry.expect("an entry").path();
        let shown = bpftool(&["prog", "show", "pinned", &path.display().to_string()]);
        for id in shown["map_ids"].as_array().into_iter().flatten() {
            let mut map = bpftool(&["map", "show", "id", &id.to_string()]);
            let known = map.as_object_mut().expect("a map");
            let kept =
                ["name", "type", "flags", "bytes_key", "bytes_value", "max_entries", "frozen"];
            known.retain(|field, _| kept.contains(&field.as_str()));
            maps.insert(known["name"].as_str().unwrap_or_default().to_owned(), map);
        }
    }
    maps
}

fn bpftool(words: &[&str]) -> serde_json::Value {
    let out = Command::new("bpftool").arg("--json").args(words).output();
    serde_json::from_slice(&out.expect("bpftool is installed").stdout).expect("JSON")
}

#[test]
fn programs_have_the_same_tags_and_maps() {
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
            let [ours, theirs] = ["/sys/fs/bpf/ours/~progs/ours", "/sys/fs/bpf/theirs"];
            assert!(!tags(ours).is_empty());
            assert_eq!(tags(ours), tags(theirs), "{name}");
            // Before 1.3, libbpf takes hidden variables for visible ones.
            if name != "relocate_calls" {
                assert_eq!(maps(ours), maps(theirs), "{name}");
            }
        });
    }
}
