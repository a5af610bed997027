//! Places among the programs of tcx and netkit.

use std::net::UdpSocket;
use std::process::Command;

use super::Deployment;
use crate::features::{NETKIT, TCX, lacks};
use crate::host::{attached, bpftool, wire};
use crate::program::Program;
use crate::sandbox::{Sandbox, ip};
use crate::support::object;

/// Manifest of one program at `veth0`, in a deployment of its own.
fn manifest(program: &Program, name: &str, function: &str, place: &str) -> String {
    let text = format!(
        "version = 1\nname = \"{name}\"\n\n[objects.tc]\npath = \"{}\"\nload = \"listed\"\n\n\
         [objects.tc.programs.{function}]\nattach = [{{ hook = \"tcx\", interface = \"veth0\", \
         direction = \"ingress\"{place} }}]\n",
        object("tc_counter").display()
    );
    program.manifest(&format!("{name}.toml"), &text)
}

/// Names of the programs at the ingress of `veth0`, in the order in which they run.
fn order() -> Vec<String> {
    let name = |id: &u64| {
        let shown = bpftool(&["--json", "prog", "show", "id", &id.to_string()]);
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        shown["name"].as_str().expect("a name").to_owned()
    };
    attached("veth0")
        .get("tcx/ingress")
        .map(|ids| ids.iter().map(name).collect())
        .unwrap_or_default()
}

#[test]
fn a_program_is_put_beside_one_of_someone_else() {
    if lacks(&[TCX]) {
        return;
    }
    Sandbox::run(|sandbox| {
        wire(sandbox);
        let program = Program::new();
        let base = manifest(&program, "base", "tc_count", "");
        program.run(&["apply", &base, "--detach"]).status(0);
        let last = manifest(&program, "last", "tcx_ingress", "");
        program.run(&["apply", &last, "--detach"]).status(0);
        assert_eq!(order(), ["tc_count", "tcx_ingress"]);

        let pin = "/sys/fs/bpf/ebpf-apply/base/~links/base/tc:tc_count:tcx:veth0:ingress";
        let beside = |option: &str, whom: &str| format!(", {option} = \"{whom}\"");
        for (place, wanted) in [
            (beside("before", "tcx_ingress"), ["tc_count", "classify", "tcx_ingress"]),
            (beside("before", "tc_count"), ["classify", "tc_count", "tcx_ingress"]),
            (beside("after", pin), ["tc_count", "classify", "tcx_ingress"]),
            (beside("after", "tcx_ingress"), ["tc_count", "tcx_ingress", "classify"]),
        ] {
            let manifest = manifest(&program, "mine", "classify", &place);
            program.run(&["apply", &manifest, "--detach"]).status(0);
            assert_eq!(order(), wanted, "{place}");
            program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);
        }

        let place = beside("before", "nonesuch");
        let manifest = manifest(&program, "mine", "classify", &place);
        let said = program.run(&["apply", &manifest, "--detach"]).status(1);
        let said = said.complains("no program `nonesuch` is at this hook");
        assert!(said.err.contains("there: `tc_count`, `tcx_ingress`"), "{}", said.err);
        assert!(said.err.contains("the host is as before"), "{}", said.err);
        assert_eq!(order(), ["tc_count", "tcx_ingress", "classify"]);
        program.run(&["destroy", &manifest]).status(0);
        assert_eq!(order(), ["tc_count", "tcx_ingress"]);
    });
}

#[test]
fn programs_of_one_manifest_are_put_beside_each_other() {
    if lacks(&[TCX]) {
        return;
    }
    Sandbox::run(|sandbox| {
        wire(sandbox);
        let program = Program::new();
        let text = |first: &str, second: &str| {
            let hook = "hook = \"tcx\", interface = \"veth0\", direction = \"ingress\"";
            format!(
                "version = 1\nname = \"mine\"\n\n[objects.a]\npath = \"{path}\"\nload = \"listed\"\n\n\
                 [objects.a.programs.classify]\nattach = [{{ {hook}, before = \"{first}\" }}]\n\n\
                 [objects.b]\npath = \"{path}\"\nload = \"listed\"\nsubpath = \"b\"\n\n\
                 [objects.b.programs.tcx_ingress]\nattach = [{{ {hook}, before = \"{second}\" }}]\n\n\
                 [objects.b.programs.tc_count]\nattach = [{{ {hook} }}]\n",
                path = object("tc_counter").display()
            )
        };
        let path = program.manifest("mine.toml", &text("b.tcx_ingress", "b.tc_count"));
        program.run(&["apply", &path, "--detach"]).status(0);
        assert_eq!(order(), ["classify", "tcx_ingress", "tc_count"]);
        program.run(&["plan", &path, "--detailed-exitcode"]).status(0);

        let path = program.manifest("mine.toml", &text("b.tc_count", "a.classify"));
        let plan = program.run(&["plan", &path, "--detailed-exitcode"]).status(2);
        assert!(
            plan.out.contains("position before `b.tc_count` → position before `a.classify`"),
            "{}",
            plan.out
        );
        program.run(&["apply", &path, "--detach"]).status(0);
        assert_eq!(order(), ["tcx_ingress", "classify", "tc_count"]);
        program.run(&["plan", &path, "--detailed-exitcode"]).status(0);
        program.run(&["destroy", &path]).status(0);
        assert!(order().is_empty());
    });
}

#[test]
fn netkit() {
    if lacks(&[NETKIT]) {
        return;
    }
    Sandbox::run(|_| {
        netkit_pair();
        let place = "hook = \"netkit\", interface = \"net0\", side = \"primary\"";
        let deployment = Deployment::apply(&format!(
            "[objects.hooks.programs.on_netkit]\nattach = [{{ {place} }}]\n\n\
             [objects.hooks.programs.on_netkit_first]\nattach = [{{ {place}, before = \
             \"hooks.on_netkit\" }}]\n"
        ));
        let hits = 6;
        let both = deployment.counted(hits, send_by_netkit);
        assert_eq!(both, 2, "both run");
        deployment.is_in_sync();
        let plan = deployment.renew(10);
        assert!(plan.contains("swapped atomically"), "{plan}");
        assert_eq!(deployment.counted(hits, send_by_netkit), 20);
        deployment.end_of(hits, send_by_netkit);
    });
}

/// A pair, of which `net0` is the primary end, with an address.
pub(crate) fn netkit_pair() {
    ip(&["link", "add", "net0", "type", "netkit"]);
    for interface in ["net0", &peer_of("net0")] {
        ip(&["link", "set", interface, "up"]);
    }
    ip(&["address", "add", "10.9.0.1/24", "dev", "net0"]);
    ip(&["neighbour", "add", "10.9.0.2", "lladdr", "02:00:00:00:00:02", "dev", "net0"]);
}

/// Sends a datagram out of `net0`.
pub(crate) fn send_by_netkit() {
    let socket = UdpSocket::bind("10.9.0.1:0").expect("an address");
    socket.send_to(b"x", "10.9.0.2:9").expect("a route");
}

/// The other end of a pair, which the kernel gave a name.
fn peer_of(interface: &str) -> String {
    let shown = Command::new("ip").args(["-json", "link", "show", interface]).output();
    let shown = shown.expect("iproute2 is installed").stdout;
    let shown: serde_json::Value = serde_json::from_slice(&shown).expect("JSON");
    shown[0]["link"].as_str().expect("a peer").to_owned()
}
