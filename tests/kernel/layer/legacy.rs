//! Maps defined as before BTF: created as their object says, and used by its programs.

use std::collections::BTreeMap;

use ebpf_apply::kernel::Kernel as _;
use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::model::kinds::MapType;

use super::running::{element, output, run};
use crate::contract::load;
use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::object;

#[test]
fn they_are_created_and_used() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let loaded = load(&kernel, "legacy_maps");
        assert!(!loaded.image.spec.has_btf);
        assert_eq!(run(loaded.program("count"), &[0; 64]), 2, "XDP_PASS");
        assert_eq!(element::<u64>(&loaded.maps["counters"], 1), 1);
        let shape = |name: &str| {
            let id = kernel.id(&loaded.maps[name]).to_string();
            let shown = output("bpftool", &["--json", "map", "show", "id", &id]);
            let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
            let number = |key: &str| shown[key].as_u64().expect("a number");
            (
                shown["type"].as_str().expect("text").to_owned(),
                ["bytes_key", "bytes_value", "max_entries", "flags"].map(number),
            )
        };
        let expected = BTreeMap::from([
            ("counters", ("array".to_owned(), [4, 8, 2, 0])),
            ("flows", ("hash".to_owned(), [8, 8, 64, 1])),
            ("routes", ("lru_hash".to_owned(), [4, 4, 16, 0])),
            ("own_section", ("array".to_owned(), [4, 4, 1, 0])),
        ]);
        for (name, expected) in expected {
            assert_eq!(shape(name), expected, "{name}");
        }
        let id = kernel.id(&loaded.maps["flows"]).to_string();
        let entries = output("bpftool", &["map", "dump", "id", &id]);
        assert!(entries.contains("Found 1 element"), "{entries}");
        assert_eq!(
            loaded.image.spec.map("routes").map(|map| map.shape.map_type),
            Some(MapType::LRU_HASH)
        );
    });
}

#[test]
fn a_manifest_may_pin_them_with_a_warning() {
    Sandbox::run(|_| {
        let program = Program::new();
        let text = format!(
            "version = 1\nname = \"old\"\npin-root = \"/sys/fs/bpf/old\"\n\n[objects.it]\npath = \"{}\"\n\n\
             [objects.it.maps.counters]\npin = \"by-name\"\n",
            object("legacy_maps").display()
        );
        let file = program.manifest("old.toml", &text);
        let said = program.run(&["apply", &file, "--detach"]).status(3);
        assert!(said.err.contains("pinning"), "it has no attribute: {}", said.err);
        let file = program.manifest("old.toml", &format!("{text}allow-undeclared = true\n"));
        let said = program.run(&["apply", &file, "--detach"]).status(0);
        assert!(said.err.contains("legacy-map"), "{}", said.err);
        assert!(std::path::Path::new("/sys/fs/bpf/old/counters").exists());
        program.run(&["destroy", &file]).status(0);
    });
}
