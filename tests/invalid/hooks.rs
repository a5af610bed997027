//! Programs at the hooks that a manifest names: what is told of each, and what is not.

use std::path::Path;

use ebpf_apply::model::code;
use ebpf_apply::validate::{Problem, Severity, validate};

use crate::fixtures;
use crate::support;

/// What is told of a manifest; its objects are of `bpf/`, each under its own name.
fn told(objects: &[&str], manifest: &str) -> Vec<Problem> {
    let mut text = String::from("version = 1\nname = \"demo\"\n");
    for object in objects {
        support::object(object);
        let entry = format!("[objects.{object}]\npath = \"bpf/out/{object}.bpf.o\"\n");
        text.extend([entry.as_str(), "load = \"listed\"\n"]);
    }
    text.push_str(manifest);
    validate(Path::new("demo.toml"), &text, &fixtures::read).problems
}

/// Severity and code of each.
fn codes(problems: &[Problem]) -> Vec<(Severity, &'static str)> {
    problems.iter().map(|problem| (problem.severity, problem.code)).collect()
}

/// Programs of one object, each with the one element of its `attach`.
fn attached(object: &str, programs: &[(&str, &str)]) -> Vec<Problem> {
    let table = |(program, element): &(&str, &str)| {
        format!("[objects.{object}.programs.{program}]\nattach = [{element}]\n")
    };
    told(&[object], &programs.iter().map(table).collect::<String>())
}

#[test]
fn a_map_of_sockets_has_one_verdict_on_what_is_received() {
    let here = "{ hook = \"sockmap\", map = \"net_hooks.sockets\" }";
    let found = attached("net_hooks", &[("on_stream", here), ("on_verdict", here)]);
    assert_eq!(codes(&found), [(Severity::Error, code::ATTACHMENT_CONFLICT)], "{found:#?}");
    let found = attached("net_hooks", &[("on_stream", here), ("on_parse", here)]);
    assert_eq!(codes(&found), [], "{found:#?}");
}
