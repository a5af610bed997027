//! Dispatchers of libxdp, and others that run alone as XDP: they are named, and stay as they are.

use std::process::Command;

use crate::features::{PROGRAMS_AT_FUNCTIONS, lacks};
use crate::host::{attached, tree};
use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::object;

fn manifest() -> String {
    format!(
        "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n[objects.small]\npath = \
         \"{}\"\n\n[objects.small.programs.count_packets]\nattach = [{{ hook = \"xdp\", interface = \
         \"veth0\" }}]\n",
        object("bench_small").display()
    )
}

/// What a command that must succeed prints.
pub(crate) fn run(command: &str, arguments: &[&str]) -> String {
    let done = Command::new(command).args(arguments).output().expect("`make deps` installed it");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{command} {}: {out}{err}", arguments.join(" "));
    out
}

/// Loads the one program of an object, pins it, and attaches that to `veth0` without a link.
pub(crate) fn attach_alone(name: &str, pin: &str) {
    let path = object(name).display().to_string();
    run("bpftool", &["prog", "load", &path, pin]);
    run("bpftool", &["net", "attach", "xdpgeneric", "pinned", pin, "dev", "veth0"]);
}

/// Has xdp-loader put a program behind a dispatcher on `veth0`.
pub(crate) fn load_by_xdp_loader(name: &str, program: &str) {
    let path = object(name).display().to_string();
    run("xdp-loader", &["load", "-m", "skb", "-n", program, "veth0", &path]);
}

/// Applies, is refused with all of these words, and has changed nothing.
pub(crate) fn is_refused(program: &Program, manifest: &str, words: &[&str]) {
    let (running, pins) = (attached("veth0"), tree());
    let mut said = program.run(&["apply", manifest, "--detach"]).status(1);
    for word in words {
        said = said.complains(word);
    }
    assert!(said.err.contains("the host is as before"), "{}", said.err);
    assert_eq!(attached("veth0"), running);
    assert_eq!(tree(), pins);
}

#[test]
fn a_dispatcher_is_refused_with_the_programs_that_it_calls() {
    // xdp-loader attaches its program alone where functions cannot be replaced.
    if lacks(&[PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    Sandbox::run(|sandbox| {
        sandbox.wire("veth0", "veth1");
        let program = Program::new();
        let path = program.manifest("edge.toml", &manifest());
        load_by_xdp_loader("shape_a", "count_a");
        load_by_xdp_loader("shape_b", "count_b");
        let unload = "xdp-loader unload veth0 --all";
        let words = ["libxdp dispatcher of version 2", "(`count_a`)", "(`count_b`)", unload];
        is_refused(&program, &path, &words);
        let status = run("xdp-loader", &["status", "veth0"]);
        assert!(status.contains("count_a") && status.contains("count_b"), "{status}");
        // To take over what has no link is refused with the same way out.
        program.run(&["adopt", &path]).status(1).complains(unload);
        // Which is a way out.
        run("xdp-loader", &["unload", "veth0", "--all"]);
        program.run(&["apply", &path, "--detach"]).status(0);
        program.run(&["destroy", &path]).status(0);
    });
}

#[test]
fn a_dispatcher_of_a_later_version_is_refused_with_its_version() {
    Sandbox::run(|sandbox| {
        sandbox.wire("veth0", "veth1");
        let program = Program::new();
        let path = program.manifest("edge.toml", &manifest());
        attach_alone("later_dispatcher", "/sys/fs/bpf/later");
        is_refused(&program, &path, &["libxdp dispatcher of version 9", "calls nothing"]);
    });
}

#[test]
fn a_program_without_a_link_is_refused_with_the_way_to_detach_it() {
    Sandbox::run(|sandbox| {
        sandbox.wire("veth0", "veth1");
        let program = Program::new();
        let path = program.manifest("edge.toml", &manifest());
        attach_alone("shape_b", "/sys/fs/bpf/alone");
        let detach = "ip link set dev veth0 xdpgeneric off";
        is_refused(&program, &path, &["attached without a link", detach]);
        run("ip", &["link", "set", "dev", "veth0", "xdpgeneric", "off"]);
        program.run(&["apply", &path, "--detach"]).status(0);
        program.run(&["destroy", &path]).status(0);
    });
}
