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

#[test]
fn programs_of_tc_run_at_any_of_their_hooks() {
    let warning = [(Severity::Warning, code::TARGET_MISMATCH)];
    for (program, element, expected) in [
        (
            "on_tc_egress",
            "{ hook = 'tc', interface = 'eth0', direction = 'ingress' }",
            &warning[..],
        ),
        ("on_netkit_peer", "{ hook = 'tcx', interface = 'eth0', direction = 'egress' }", &warning),
        ("on_netkit_peer", "{ hook = 'netkit', interface = 'nk0', side = 'primary' }", &warning),
        ("on_netkit_peer", "{ hook = 'netkit', interface = 'nk0', side = 'peer' }", &[]),
    ] {
        let found = attached("sections", &[(program, element)]);
        assert_eq!(codes(&found), expected, "{program} at {element}: {found:#?}");
    }
}

#[test]
fn a_card_runs_a_program_of_its_own() {
    let offloaded = "{ hook = 'xdp', interface = 'eth0', mode = 'offload' }";
    let native = "{ hook = 'xdp', interface = 'eth0', mode = 'native' }";
    let found = attached("dialect", &[("on_xdp", offloaded), ("on_xdp_frags", native)]);
    assert_eq!(codes(&found), [], "{found:#?}");
    let found = attached("dialect", &[("on_xdp", offloaded), ("on_xdp_frags", offloaded)]);
    assert_eq!(codes(&found), [(Severity::Error, code::ATTACHMENT_CONFLICT)], "{found:#?}");
}

#[test]
fn what_two_want_is_said_in_words() {
    let here = "{ hook = 'netfilter', family = 'ipv4', at = 'forward', priority = 1 }";
    let found = attached("net_hooks", &[("on_netfilter", here), ("on_netfilter_too", here)]);
    let messages: Vec<_> = found.iter().map(|problem| problem.message.as_str()).collect();
    let expected = "`net_hooks.on_netfilter_too` and `net_hooks.on_netfilter` both want priority 1 of \
                    netfilter's forward for ipv4";
    assert_eq!(messages, [expected]);
}
