//! Applying again: what changed is changed in place, what did not is left alone.

use std::fs;
use std::process::Command;

use crate::host::{self, attached, map_id, send_udp, tree};
use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::object;

fn link_and_program(program: &Program) -> (u64, u64) {
    let status = program.run(&["status", "--format", "json"]).status(0).json();
    let resources = status["deployments"][0]["resources"].as_array().expect("resources").clone();
    let id = |kind: &str| {
        let found = resources.iter().find(|resource| resource["kind"] == kind);
        found.expect("one of the kind")["id"].as_u64().expect("an id")
    };
    (id("link"), id("program"))
}

const FIREWALL: &str = "\
version = 1
name = \"edge\"
pin-root = \"/sys/fs/bpf/edge\"

[objects.fw]
path = \"fw.bpf.o\"

[objects.fw.programs.xdp_firewall]
attach = [{ hook = \"xdp\", interface = \"veth0\" }]
";

#[test]
fn another_value_of_a_global_swaps_the_program_under_the_link() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        fs::copy(object("firewall"), program.directory().join("fw.bpf.o")).expect("a copy");
        let manifest = program.manifest("edge.toml", FIREWALL);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let (link, loaded) = link_and_program(&program);
        let flows = map_id("/sys/fs/bpf/edge/flows");
        let before = tree();

        program
            .manifest("edge.toml", &format!("{FIREWALL}\n[objects.fw.globals]\nlog_level = 2\n"));
        let plan = program.run(&["plan", &manifest, "--detailed-exitcode"]).status(2);
        assert!(plan.out.contains("swapped atomically"), "{}", plan.out);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let (link_after, loaded_after) = link_and_program(&program);
        assert_eq!(link_after, link);
        assert_ne!(loaded_after, loaded);
        assert_eq!(attached("veth0")["xdp"], [loaded_after]);
        assert_eq!(map_id("/sys/fs/bpf/edge/flows"), flows);
        assert_eq!(tree(), before, "nothing is left in the stage");
        send_udp(1);
        program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);
    });
}

#[test]
fn a_reload_that_the_verifier_rejects_changes_nothing() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        let copy = program.directory().join("fw.bpf.o");
        fs::copy(object("firewall"), &copy).expect("a copy");
        let manifest = program.manifest("edge.toml", FIREWALL);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let before = (link_and_program(&program), attached("veth0"), tree());

        let rejected = object("rejected");
        let more = format!("{FIREWALL}\n[objects.zz]\npath = \"{}\"\n", rejected.display());
        let more = more.replace(
            "[objects.fw.programs",
            "[objects.fw.globals]\nlog_level = 1\n\n[objects.fw.programs",
        );
        program.manifest("edge.toml", &more);
        program.run(&["apply", &manifest, "--detach"]).status(1);
        assert_eq!((link_and_program(&program), attached("veth0"), tree()), before);
    });
}

#[test]
fn what_left_the_manifest_is_pruned_and_a_moved_pin_keeps_its_map() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        fs::copy(object("firewall"), program.directory().join("fw.bpf.o")).expect("a copy");
        let manifest = program.manifest("edge.toml", FIREWALL);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let flows = map_id("/sys/fs/bpf/edge/flows");

        let moved = FIREWALL.replace(
            "[objects.fw.programs.xdp_firewall]\nattach = [{ hook = \"xdp\", interface = \"veth0\" }]",
            "[objects.fw.maps.flows]\nsubpath = \"state\"",
        );
        program.manifest("edge.toml", &moved);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        assert!(attached("veth0").is_empty());
        assert_eq!(map_id("/sys/fs/bpf/edge/state/flows"), flows);
        assert!(!tree().contains(&"/sys/fs/bpf/edge/flows".into()));
        assert!(!tree().contains(&"/sys/fs/bpf/edge/~links".into()), "empty directories go");
        program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);
    });
}

#[test]
fn a_map_whose_pin_was_removed_is_pinned_again_with_its_entries() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        fs::copy(object("firewall"), program.directory().join("fw.bpf.o")).expect("a copy");
        let manifest = program.manifest("edge.toml", FIREWALL);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let pin = "/sys/fs/bpf/edge/blocked";
        let blocked = map_id(pin);
        host::hash_map::<u32, u64>(pin).insert(7, 9, 0).expect("an entry");
        let before = (link_and_program(&program), tree());
        fs::remove_file(pin).expect("a pin");
        let plan = program.run(&["plan", &manifest, "--detailed-exitcode"]).status(2);
        assert!(plan.out.contains("pinned again, contents kept"), "{}", plan.out);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        assert_eq!(map_id(pin), blocked);
        assert_eq!(host::hash_map::<u32, u64>(pin).get(&7, 0).expect("the entry"), 9);
        assert_eq!((link_and_program(&program), tree()), before, "nothing was loaded again");
        program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);
    });
}

#[test]
fn a_tc_filter_is_replaced_in_place() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        let copy = program.directory().join("tc.bpf.o");
        fs::copy(object("tc_counter"), &copy).expect("a copy");
        let text = "\
version = 1
name = \"edge\"
pin-root = \"/sys/fs/bpf/edge\"

[objects.tc]
path = \"tc.bpf.o\"

[objects.tc.programs.tc_count]
attach = [{ hook = \"tc\", interface = \"veth0\", direction = \"ingress\", priority = 7 }]
";
        let manifest = program.manifest("edge.toml", text);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let first = attached("veth0");
        assert_eq!(first["clsact/ingress"].len(), 1);

        // Any other bytes are another object.
        let mut bytes = fs::read(&copy).expect("the copy");
        bytes.push(0);
        fs::write(&copy, bytes).expect("the copy");
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let second = attached("veth0");
        assert_eq!(second["clsact/ingress"].len(), 1);
        assert_ne!(second, first);
        program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);
        program.run(&["destroy", &manifest, "--purge"]).status(0);
        assert!(attached("veth0").is_empty());
    });
}

#[test]
fn an_attachment_gets_other_options() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        let manifest = |xdp: &str, tc: &str| {
            let text = format!(
                "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n[objects.fw]\npath = \
                 \"{}\"\n\n[objects.fw.programs.xdp_firewall]\nattach = [{{ hook = \"xdp\", interface = \
                 \"veth0\"{xdp} }}]\n\n[objects.tc]\npath = \"{}\"\n\n[objects.tc.programs.tc_count]\n\
                 attach = [{{ hook = \"tc\", interface = \"veth0\", direction = \"ingress\"{tc} }}]\n",
                object("firewall").display(),
                object("tc_counter").display()
            );
            program.manifest("edge.toml", &text)
        };
        let mode = || {
            let out = Command::new("ip").args(["-json", "link", "show", "veth0"]).output();
            let out = out.expect("iproute2 is installed").stdout;
            let links: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
            // 1 is in the driver, 2 in the stack (`XDP_ATTACHED_*`).
            links[0]["xdp"]["mode"].as_u64().expect("a mode")
        };
        let path = manifest("", "");
        program.run(&["apply", &path, "--detach"]).status(0);
        assert_eq!(mode(), 1);
        let before = (attached("veth0"), tree());

        let path = manifest(", mode = \"generic\"", ", priority = 9");
        let plan = program.run(&["plan", &path, "--detailed-exitcode"]).status(2);
        assert!(plan.out.contains("in between nothing runs there"), "{}", plan.out);
        program.run(&["apply", &path, "--detach"]).status(0);
        assert_eq!(mode(), 2);
        assert_eq!((attached("veth0"), tree()), before, "the same programs, each once");
        send_udp(1);
        program.run(&["plan", &path, "--detailed-exitcode"]).status(0);
        program.run(&["destroy", &path, "--purge"]).status(0);
        assert!(attached("veth0").is_empty() && tree().is_empty());
    });
}

#[test]
fn an_interface_that_was_made_anew_gets_its_program_back() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        fs::copy(object("firewall"), program.directory().join("fw.bpf.o")).expect("a copy");
        let manifest = program.manifest("edge.toml", FIREWALL);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        crate::sandbox::ip(&["link", "delete", "veth0"]);
        let status = program.run(&["status", "--format", "json"]).status(0);
        assert!(status.out.contains("\"missing\""), "{}", status.out);
        program.run(&["apply", &manifest, "--detach"]).status(1).complains("veth0");
        host::wire(sandbox);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        assert_eq!(attached("veth0").len(), 1);
        program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);
    });
}

#[test]
fn an_attachment_moves_to_another_program_of_another_object() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        let manifest = |object_name: &str, function: &str| {
            let path = object(object_name);
            program.manifest(
                "edge.toml",
                &format!(
                    "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n\
                     [objects.{object_name}]\npath = \"{}\"\n\n[objects.{object_name}.programs.\
                     {function}]\nattach = [{{ hook = \"xdp\", interface = \"veth0\" }}]\n",
                    path.display()
                ),
            )
        };
        let path = manifest("bench_small", "count_packets");
        program.run(&["apply", &path, "--detach"]).status(0);
        let (link, first) = link_and_program(&program);
        let path = manifest("shape_a", "count_a");
        program.run(&["apply", &path, "--detach"]).status(0);
        let (link_after, second) = link_and_program(&program);
        assert_eq!(link_after, link, "the interface was never without a program");
        assert_ne!(second, first);
        assert_eq!(attached("veth0")["xdp"], [second]);
        program.run(&["plan", &path, "--detailed-exitcode"]).status(0);
        program.run(&["destroy", &path, "--purge"]).status(0);
        assert!(tree().is_empty() && attached("veth0").is_empty(), "{:?}", tree());
    });
}

#[test]
fn what_the_kernel_makes_of_a_shape_is_no_difference() {
    Sandbox::run(|_| {
        let program = Program::new();
        let path = program.manifest(
            "edge.toml",
            &format!(
                "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n[objects.it]\npath = \
                 \"{}\"\n",
                object("shape_kernel").display()
            ),
        );
        program.run(&["apply", &path, "--detach"]).status(0);
        program.run(&["plan", &path, "--detailed-exitcode"]).status(0);
    });
}
