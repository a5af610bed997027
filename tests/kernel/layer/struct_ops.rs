//! Structs of operations: created with the kernel's layout, their programs loaded for its members.

use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::kernel::{Kernel, LoadRequest};
use ebpf_apply::model::map::MapSpec;

use super::running::output;
use crate::contract::{image, load};
use crate::features::{STRUCT_OPS_LINKS, lacks};
use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::object;

#[test]
fn maps_and_programs_load() {
    if lacks(&[STRUCT_OPS_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let loaded = load(&kernel, "struct_ops");
        for (name, link) in [("plain", false), ("linked", true)] {
            let id = kernel.id(&loaded.maps[name]).to_string();
            let shown = output("bpftool", &["--json", "map", "show", "id", &id]);
            let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
            assert_eq!((&shown["type"], &shown["name"]), (&"struct_ops".into(), &name.into()));
            // `struct bpf_struct_ops_tcp_congestion_ops` is larger than what the object declares.
            assert!(shown["bytes_value"].as_u64() > Some(100), "{shown}");
            assert_eq!(shown["flags"], if link { 1 << 13 } else { 0 });
        }
        assert_eq!(loaded.programs.len(), 4);
    });
}

#[test]
fn what_the_kernel_does_not_have_is_named() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("invalid_kinds");
        let btf = kernel.load_btf(&image).expect("load BTF");
        let ops: &MapSpec = image.spec.map("ops").expect("the object has it");
        let error = kernel.create_map(&image, ops, btf.as_ref()).expect_err("nobody has them");
        assert!(error.to_string().contains("`struct imagined_ops`"), "{error}");
        let request = LoadRequest {
            image: &image,
            programs: vec![image.spec.program("init").expect("the object has it")],
            maps: std::collections::BTreeMap::new(),
            btf: btf.as_ref(),
        };
        let error = kernel.load_programs(&[request]).expect_err("its map is not created");
        assert!(error.to_string().contains("in no struct of operations"), "{error}");
    });
}

#[test]
fn an_object_with_them_is_applied() {
    if lacks(&[STRUCT_OPS_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let text = format!(
            "version = 1\nname = \"ops\"\npin-root = \"/sys/fs/bpf/ops\"\n\n[objects.it]\npath = \"{}\"\n",
            object("struct_ops").display()
        );
        let file = program.manifest("ops.toml", &text);
        let said = program.run(&["apply", &file, "--detach"]).status(0);
        assert!(!said.out.contains("spare"), "what belongs to `?.struct_ops` waits: {}", said.out);
        assert!(!said.out.contains("optional"), "{}", said.out);
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);
        let named = program.manifest("ops.toml", &format!("{text}\n[objects.it.maps.optional]\n"));
        let said = program.run(&["apply", &named, "--detach"]).status(0);
        assert!(said.out.contains("spare") && said.out.contains("optional"), "{}", said.out);
        program.run(&["destroy", &file]).status(0);
    });
}
