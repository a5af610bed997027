//! What comes and goes while a deployment is held: interfaces, cgroups and namespaces.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::features::{PERF_EVENT_LINKS, lacks};
use crate::host::{attached, tree};
use crate::program::{Held, Program};
use crate::sandbox::{Sandbox, ip};
use crate::support::{built, object};

/// A manifest of one program, attached as told.
fn manifest(program: &Program, name: &str, function: &str, attach: &str) -> String {
    let text = format!(
        "version = 1\nname = \"late\"\npin-root = \"/sys/fs/bpf/late\"\n\n[objects.it]\npath = \
         \"{}\"\nload = \"listed\"\n\n[objects.it.programs.{function}]\nattach = [{attach}]\n",
        object(name).display()
    );
    program.manifest("late.toml", &text)
}

/// Applies and holds, with a result in JSON for each apply; returns the first.
fn hold(program: &Program, manifest: &str, words: &[&str]) -> (Held, Value) {
    let mut command = program.command(&["apply", manifest, "--format", "json"]);
    let mut held = Held::start(command.args(words));
    let first = held.result();
    (held, first)
}

/// The actions of a result on links, with their addresses.
fn links(result: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let changes = result["changes"].as_array().expect("changes");
    let links = changes.iter().filter(|change| text(&change["address"]).starts_with("link."));
    links.map(|link| (text(&link["action"]), text(&link["address"]))).collect()
}

#[track_caller]
fn says(result: &Value, wanted: &[(&str, &str)]) {
    let wanted: Vec<_> =
        wanted.iter().map(|(action, address)| ((*action).into(), (*address).into())).collect();
    assert_eq!(links(result), wanted, "{result}");
}

fn ends(held: Held, program: &Program) {
    let (status, _) = held.end(Signal::TERM);
    assert_eq!(status, Some(0));
    assert_eq!(tree(), Vec::<std::path::PathBuf>::new());
    let status = program.run(&["status", "--format", "json"]).status(0).json();
    assert_eq!(status["deployments"], Value::Array(Vec::new()));
}

const XDP: &str = "{ hook = \"xdp\", interface = \"late0\", wait = true }";
const XDP_LINK: &str = "link.it.count_a[xdp:late0]";

#[test]
fn an_interface_is_attached_to_when_it_comes_and_when_it_comes_back() {
    for words in [&[][..], &["--watch"], &["--watch", "--watch-method", "poll"]] {
        Sandbox::run(|sandbox| {
            let program = Program::new();
            let manifest = manifest(&program, "shape_a", "count_a", XDP);
            let (mut held, first) = hold(&program, &manifest, words);
            says(&first, &[("wait", XDP_LINK)]);
            program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);
            for _ in 0..2 {
                sandbox.wire("late0", "peer0");
                says(&held.result(), &[("create", XDP_LINK)]);
                assert_eq!(attached("late0")["xdp"].len(), 1);
                sandbox.wire("other0", "other1");
                ip(&["link", "del", "other0"]);
                ip(&["link", "del", "late0"]);
                says(&held.result(), &[("wait", XDP_LINK)]);
            }
            ends(held, &program);
        });
    }
}

#[test]
fn a_pattern_follows_the_interfaces_that_it_stands_for() {
    Sandbox::run(|sandbox| {
        sandbox.wire("late0", "peer0");
        let program = Program::new();
        let pattern = "{ hook = \"xdp\", interface = \"late*\" }";
        let manifest = manifest(&program, "shape_a", "count_a", pattern);
        let (mut held, first) = hold(&program, &manifest, &["--watch"]);
        let one = "link.it.count_a[xdp:late1]";
        says(&first, &[("create", XDP_LINK)]);
        sandbox.wire("late1", "peer1");
        says(&held.result(), &[("no-op", XDP_LINK), ("create", one)]);
        ip(&["link", "del", "late0"]);
        says(&held.result(), &[("no-op", one), ("delete", XDP_LINK)]);
        assert_eq!(attached("late1")["xdp"].len(), 1);
        ends(held, &program);
    });
}

#[test]
fn a_pattern_for_nothing_is_refused_unless_it_waits() {
    Sandbox::run(|sandbox| {
        let program = Program::new();
        let pattern =
            |options: &str| format!("{{ hook = \"xdp\", interface = \"late[0-9]\"{options} }}");
        let path = manifest(&program, "shape_a", "count_a", &pattern(""));
        let said = program.run(&["apply", &path, "--detach"]).status(1);
        said.complains("no network interface matches `late[0-9]`");
        assert_eq!(tree(), Vec::<std::path::PathBuf>::new());
        let path = manifest(&program, "shape_a", "count_a", &pattern(", wait = true"));
        let (mut held, first) = hold(&program, &path, &[]);
        says(&first, &[("wait", "link.it.count_a[xdp:late[0-9]]")]);
        sandbox.wire("late0", "peer0");
        says(&held.result(), &[("create", XDP_LINK)]);
        ip(&["link", "del", "late0"]);
        let gone = held.result();
        assert!(links(&gone).contains(&("delete".into(), XDP_LINK.into())), "{gone}");
        ends(held, &program);
    });
}

#[test]
fn who_watches_attaches_again_to_what_is_back() {
    for (words, again) in [(&["--watch"][..], true), (&[], false)] {
        Sandbox::run(|sandbox| {
            sandbox.wire("late0", "peer0");
            let program = Program::new();
            let xdp = "{ hook = \"xdp\", interface = \"late0\" }";
            let manifest = manifest(&program, "shape_a", "count_a", xdp);
            let (mut held, first) = hold(&program, &manifest, words);
            says(&first, &[("create", XDP_LINK)]);
            ip(&["link", "del", "late0"]);
            sandbox.wire("late0", "peer0");
            if !again {
                held.signal(Signal::HUP);
            }
            // Who watches may first tell that the link drifted.
            let drifted = |result: &Value| result["outcome"] == "drifted";
            let result = std::iter::repeat_with(|| held.result()).find(|result| !drifted(result));
            says(&result.expect("there is no end"), &[("replace", XDP_LINK)]);
            assert_eq!(attached("late0")["xdp"].len(), 1);
            ends(held, &program);
        });
    }
}

#[test]
fn a_file_is_probed_when_it_comes_and_when_another_takes_its_place() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("probed");
        let attach = format!(
            "{{ hook = \"uprobe\", target = \"{}\", symbol = \"probed_single\", wait = true }}",
            file.display()
        );
        let manifest = manifest(&program, "user_probes", "on_entry", &attach);
        let (mut held, first) = hold(&program, &manifest, &[]);
        let link = format!("link.it.on_entry[uprobe:{}:probed_single]", file.display());
        says(&first, &[("wait", &link)]);
        let install = || {
            let new = directory.path().join("new");
            fs::copy(built("bpf/out/probed"), &new).expect("a copy");
            fs::rename(&new, &file).expect("in place");
        };
        install();
        says(&held.result(), &[("create", &link)]);
        install();
        says(&held.result(), &[("replace", &link)]);
        fs::remove_file(&file).expect("it was there");
        says(&held.result(), &[("wait", &link)]);
        ends(held, &program);
    });
}

#[test]
fn a_cgroup_and_a_namespace_are_attached_to_when_they_come() {
    Sandbox::run(|sandbox| {
        let program = Program::new();
        let cgroup = sandbox.cgroup().join("late");
        let attach =
            format!("{{ hook = \"cgroup\", path = \"{}\", wait = true }}", cgroup.display());
        let path = manifest(&program, "cgroup_guard", "count_egress", &attach);
        let (mut held, first) = hold(&program, &path, &[]);
        let link = format!("link.it.count_egress[cgroup:{}]", cgroup.display());
        says(&first, &[("wait", &link)]);
        for _ in 0..2 {
            fs::create_dir(&cgroup).expect("a cgroup");
            says(&held.result(), &[("create", &link)]);
            fs::remove_dir(&cgroup).expect("an empty cgroup");
            says(&held.result(), &[("wait", &link)]);
        }
        ends(held, &program);

        let attach = "{ hook = \"sk-lookup\", netns = \"late\", wait = true }";
        let path = manifest(&program, "net_hooks", "on_sk_lookup", attach);
        let (mut held, first) = hold(&program, &path, &[]);
        let link = "link.it.on_sk_lookup[sk-lookup:late]";
        says(&first, &[("wait", link)]);
        ip(&["netns", "add", "late"]);
        says(&held.result(), &[("create", link)]);
        ip(&["netns", "del", "late"]);
        says(&held.result(), &[("wait", link)]);
        assert!(!Path::new("/run/netns/late").exists());
        ends(held, &program);
    });
}

#[test]
fn what_nobody_holds_is_said_to_wait_for_nothing() {
    Sandbox::run(|sandbox| {
        let program = Program::new();
        let manifest = manifest(&program, "shape_a", "count_a", XDP);
        let said = program.run(&["apply", &manifest, "--detach"]).status(0);
        assert!(said.out.contains("wait: there is no network interface `late0`"), "{}", said.out);
        assert!(said.out.contains("1 waiting"), "{}", said.out);
        said.complains("nobody attaches what waits: link.it.count_a[xdp:late0]");
        sandbox.wire("late0", "peer0");
        assert!(attached("late0").is_empty());
        let said = program.run(&["apply", &manifest, "--detach"]).status(0);
        assert!(!said.err.contains("waits"), "{}", said.err);
        assert_eq!(attached("late0")["xdp"].len(), 1);
        program.run(&["destroy", &manifest]).status(0);
        assert_eq!(tree(), Vec::<std::path::PathBuf>::new());
    });
}
