//! What a change of a file does to what runs.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::manager::Manager;
use super::{Edge, HEAD, PROGRAM, text};
use crate::host::{self, attached, map_id, tree};
use crate::program::{Held, Program};
use crate::sandbox::Sandbox;

const COUNTED: &str = "/sys/fs/bpf/edge/counted";

fn link(program: &Program) -> u64 {
    let status = program.run(&["status", "--format", "json"]).status(0).json();
    let resources = status["deployments"][0]["resources"].as_array().expect("resources").clone();
    let link = resources.iter().find(|resource| resource["kind"] == "link").expect("a link");
    link["id"].as_u64().expect("an id")
}

#[track_caller]
fn outcome(held: &mut Held, wanted: &str, generation: impl Into<Value>) -> Value {
    let result = held.result();
    assert_eq!(result["outcome"], wanted, "{result}");
    assert_eq!(result["generation"], generation.into(), "{result}");
    assert_eq!(result["name"], "edge");
    result
}

fn codes(result: &Value) -> Vec<&str> {
    let problems = result["problems"].as_array().expect("problems");
    problems.iter().filter_map(|problem| problem["code"].as_str()).collect()
}

#[test]
fn a_change_of_the_manifest_or_the_object_swaps_the_program_under_the_link() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, first) = edge.program.watch(&edge.manifest, &[]);
        assert_eq!((&first["outcome"], &first["generation"]), (&"applied".into(), &1.into()));
        let (before, running, map) = (link(&edge.program), attached("veth0"), map_id(COUNTED));

        edge.replace(&text(2));
        let second = outcome(&mut held, "applied", 2);
        let updated = second["changes"].as_array().expect("changes");
        assert!(updated.iter().any(|change| change["action"] == "update"), "{second}");
        assert_eq!((link(&edge.program), map_id(COUNTED)), (before, map));
        let swapped = attached("veth0");
        assert_ne!(swapped, running);

        let mut bytes = fs::read(edge.object()).expect("the object");
        bytes.push(0);
        fs::write(edge.object(), bytes).expect("the object");
        outcome(&mut held, "applied", 3);
        assert_eq!((link(&edge.program), map_id(COUNTED)), (before, map));
        assert_ne!(attached("veth0"), swapped);

        let (status, rest) = held.end(Signal::TERM);
        assert_eq!(status, Some(0), "{rest}");
        assert!(rest.contains("\"outcome\":\"ended\"") && attached("veth0").is_empty());
    });
}

#[test]
fn an_object_that_the_verifier_refuses_changes_nothing_and_the_next_good_one_applies() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, &[]);
        let before = (link(&edge.program), attached("veth0"), map_id(COUNTED), tree());
        edge.replace(&format!("{}broken = 1\n", text(2)));
        let failed = outcome(&mut held, "failed", Value::Null);
        assert!(failed["problems"][0]["message"].to_string().contains("count_xdp"), "{failed}");
        assert_eq!((link(&edge.program), attached("veth0"), map_id(COUNTED), tree()), before);
        edge.replace(&text(2));
        outcome(&mut held, "applied", 2);
        assert_ne!(attached("veth0"), before.1);
    });
}

#[test]
fn an_invalid_manifest_changes_nothing_and_the_same_valid_one_loads_nothing() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, &[]);
        let before = (link(&edge.program), attached("veth0"), tree());
        edge.replace(&format!("{}brokn = 1\n", text(1)));
        let invalid = outcome(&mut held, "invalid", Value::Null);
        assert_eq!(codes(&invalid), ["unknown-global"]);
        assert_eq!(invalid["problems"][0]["span"]["start"]["line"], 14, "{invalid}");
        edge.replace("version = ");
        assert_eq!(codes(&outcome(&mut held, "invalid", Value::Null)), ["toml-syntax"]);
        edge.replace(&text(1));
        outcome(&mut held, "unchanged", 1);
        assert_eq!((link(&edge.program), attached("veth0"), tree()), before);
        fs::remove_file(edge.object()).expect("the object");
        assert_eq!(codes(&outcome(&mut held, "invalid", Value::Null)), ["object-unreadable"]);
        assert_eq!((link(&edge.program), attached("veth0"), tree()), before);
    });
}

#[test]
fn what_does_not_change_the_bytes_is_no_reload() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, &[]);
        edge.replace(&text(1));
        fs::read(edge.object()).expect("the object");
        fs::write(edge.object(), fs::read(edge.object()).expect("the object")).expect("the same");
        edge.program.manifest("another.toml", &text(7));
        edge.replace(&text(2));
        outcome(&mut held, "applied", 2);
    });
}

#[test]
fn what_changes_during_a_reload_makes_for_one_more() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let manager = Manager::new();
        let mut command = edge.program.command(&["apply", &edge.manifest, "--watch"]);
        command.args(["--format", "json"]).env("NOTIFY_SOCKET", manager.path());
        let mut held = Held::start(&mut command);
        outcome(&mut held, "applied", 1);
        let pause = edge.pause();
        edge.replace(&text(2));
        manager.wait("RELOADING=1");
        for number in 3..9 {
            edge.replace(&text(number));
            held.signal(Signal::HUP);
        }
        drop(pause);
        outcome(&mut held, "applied", 2);
        outcome(&mut held, "applied", 3);
        edge.replace(&text(9));
        outcome(&mut held, "applied", 4);
    });
}

#[test]
fn the_manifest_of_another_deployment_is_refused_while_one_runs() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, &[]);
        let before = (attached("veth0"), tree());
        for (from, to) in [("name = \"edge\"", "name = \"other\""), ("bpf/edge", "bpf/elsewhere")] {
            edge.replace(&text(2).replace(from, to));
            let refused = outcome(&mut held, "invalid", Value::Null);
            assert_eq!(codes(&refused), ["deployment-changed"]);
            assert!(!refused["problems"][0]["span"].is_null(), "{refused}");
            assert_eq!((attached("veth0"), tree()), before);
        }
        edge.replace(&text(2));
        outcome(&mut held, "applied", 2);
    });
}

#[test]
fn what_the_host_lacks_is_tried_again_until_it_is_there() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, &[]);
        let more =
            "{ hook = \"xdp\", interface = \"veth0\" }, { hook = \"xdp\", interface = \"late\" }";
        let both = PROGRAM.replace("{ hook = \"xdp\", interface = \"veth0\" }", more);
        edge.replace(&format!("{HEAD}{both}"));
        outcome(&mut held, "refused", Value::Null);
        sandbox.wire("late", "later");
        let mut result = held.result();
        while result["outcome"] == "refused" {
            result = held.result();
        }
        assert_eq!((&result["outcome"], &result["generation"]), (&"applied".into(), &2.into()));
        assert_eq!(attached("late").len(), 1);
    });
}

#[test]
fn a_first_manifest_that_is_invalid_is_not_waited_for() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        edge.replace("version = ");
        edge.program.run(&["apply", &edge.manifest, "--watch"]).status(3).complains("toml-syntax");
        edge.program.run(&["apply", "/nowhere/edge.toml", "--watch"]).status(3);
        assert!(tree().is_empty());
    });
}

#[test]
fn people_are_told_of_each_reload_and_what_goes_on() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let mut held = Held::start(&mut edge.program.command(&[&edge.manifest, "--watch"]));
        while !held.line().contains("applied as generation 1; held until") {}
        edge.replace(&text(2));
        while !held.line().contains("applied as generation 2") {}
        let (status, rest) = held.end(Signal::INT);
        assert!(status == Some(0) && rest.contains("has ended"), "{rest}");
    });
}
