//! Taking over what another loader left.

use std::fs;

use crate::host::{self, attached, bpftool, map_id, send_udp, tree};
use crate::program::Program;
use crate::sandbox::{Sandbox, ip};
use crate::support::object;

fn manifest(program: &Program) -> String {
    let text = format!(
        "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n[objects.a]\npath = \
         \"{}\"\n\n[objects.a.programs.count_a]\nattach = [{{ hook = \"xdp\", interface = \"veth0\" \
         }}]\n",
        object("shape_a").display()
    );
    program.manifest("edge.toml", &text)
}

/// Where the link of another loader is pinned.
const THEIRS: &str = "/sys/fs/bpf/theirs/edge/a:count_a:xdp:veth0";

/// That link: its id and its program's.
fn their_link() -> (u64, u64) {
    let shown = bpftool(&["--json", "link", "show", "pinned", THEIRS]);
    let link: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let id = |key: &str| link[key].as_u64().expect("an id");
    (id("id"), id("prog_id"))
}

#[test]
fn the_link_and_the_map_of_another_loader_go_over_without_a_gap() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        // A deployment whose records are gone, and whose links lie elsewhere, is another loader's work.
        let theirs = Program::new();
        theirs.run(&["apply", &manifest(&theirs), "--detach"]).status(0);
        fs::rename("/sys/fs/bpf/edge/~links", "/sys/fs/bpf/theirs").expect("a rename");
        fs::rename("/sys/fs/bpf/edge/~progs", "/sys/fs/bpf/theirs/progs").expect("a rename");
        let (map, (link, _)) = (map_id("/sys/fs/bpf/edge/state"), their_link());

        let program = Program::new();
        let manifest = manifest(&program);
        let said = program.run(&["apply", &manifest, "--detach"]).status(1);
        let said = said.complains("ebpf-apply adopt");
        assert!(said.err.contains("the host is as before"), "{}", said.err);
        let saved = program.directory().join("edge.plan").display().to_string();
        let words = ["plan", &manifest, "--adopt", "--detailed-exitcode", "--out", &saved];
        let plan = program.run(&words).status(2);
        for text in ["adopt: link ", "adopt: pinned by someone else", "(`count_a`)"] {
            assert!(plan.out.contains(text), "{}", plan.out);
        }
        assert_eq!(their_link().0, link, "a plan takes nothing");

        // A saved plan to adopt adopts.
        let said = program.run(&["apply", "--plan", &saved, "--detach"]).status(0);
        assert!(said.out.contains("link.a.count_a[xdp:veth0]"), "{}", said.out);
        let (taken, runs) = their_link();
        assert_eq!(taken, link, "there was always a program");
        assert_eq!(attached("veth0")["xdp"], [runs]);
        assert_eq!(map_id("/sys/fs/bpf/edge/state"), map);
        send_udp(1);
        program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);
        let status = program.run(&["status", "--format", "json"]).status(0);
        assert!(status.out.contains("\"reason\":\"in-sync\""), "{}", status.out);

        // The pin that its maker has of the link stays, and with it the attachment.
        program.run(&["destroy", &manifest]).status(0);
        assert_eq!(their_link().0, link);
        assert!(!tree().contains(&"/sys/fs/bpf/edge/state".into()), "the map's pin was ours");
    });
}

#[test]
fn what_has_no_link_is_refused_with_the_command_that_frees_it() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let object = object("shape_b").display().to_string();
        bpftool(&["prog", "load", &object, "/sys/fs/bpf/foreign", "type", "xdp"]);
        for mode in ["xdpgeneric", "xdpdrv"] {
            bpftool(&["net", "attach", mode, "pinned", "/sys/fs/bpf/foreign", "dev", "veth0"]);
            let program = Program::new();
            let manifest = manifest(&program);
            let running = attached("veth0");
            let said = program.run(&["adopt", &manifest]).status(1).complains("without a link");
            assert_eq!(attached("veth0"), running);
            let free = format!("ip link set dev veth0 {mode} off");
            assert!(said.err.contains(&free), "{}", said.err);
            ip(&free.split(' ').skip(1).collect::<Vec<_>>());
            program.run(&["adopt", &manifest]).status(0);
            program.run(&["destroy", &manifest, "--purge"]).status(0);
        }
    });
}

#[test]
fn a_link_in_another_network_namespace_is_not_there_to_be_taken() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let theirs = Program::new();
        let elsewhere = theirs.directory().to_owned();
        theirs.run(&["apply", &manifest(&theirs), "--detach"]).status(0);
        let running = attached("veth0");
        Sandbox::run(|sandbox| {
            assert!(elsewhere.exists(), "the other deployment lives as long as this one");
            host::wire(sandbox);
            let program = Program::new();
            let manifest = manifest(&program);
            let plan =
                program.run(&["plan", &manifest, "--adopt", "--detailed-exitcode"]).status(2);
            assert!(plan.out.contains("create: not attached"), "{}", plan.out);
            program.run(&["adopt", &manifest]).status(0);
            assert_eq!(attached("veth0")["xdp"].len(), 1);
            program.run(&["destroy", &manifest, "--purge"]).status(0);
            assert_eq!(attached("veth0").get("xdp"), None);
        });
        assert_eq!(attached("veth0"), running);
        theirs.run(&["plan", &manifest(&theirs), "--detailed-exitcode"]).status(0);
    });
}
