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

/// The only thing that is told: its code, and its help.
fn only(found: &[Problem]) -> (&'static str, &str) {
    let [problem] = found else { panic!("{found:#?}") };
    (problem.code, problem.help.as_deref().unwrap_or_default())
}

#[test]
fn a_neighbour_is_another_program_or_a_pin_that_can_be() {
    let beside = |name: &str| {
        let place = "hook = 'tcx', interface = 'eth0', direction = 'ingress'";
        attached("tc_counter", &[("tc_count", &format!("{{ {place}, before = '{name}' }}"))])
    };
    let found = beside("tc_counter.tc_count");
    assert_eq!(only(&found).0, code::ATTACHMENT_CONFLICT);
    assert!(found[0].message.contains("beside itself"), "{found:#?}");
    for pin in ["/sys/fs/bpf/a.b", "/sys/fs/bpf/../x"] {
        assert_eq!(only(&beside(pin)).0, code::BAD_TARGET);
    }
    assert_eq!(codes(&beside("/sys/fs/bpf/theirs")), []);
}

#[test]
fn functions_and_interfaces_that_cannot_be_are_told() {
    let at = |functions: &str| {
        let element = format!("{{ hook = 'kprobe', function = {functions} }}");
        attached("kernel_probes", &[("on_entry", &element)])
    };
    let advice = "write `function = \"do_unlinkat\", offset = 4`";
    assert_eq!(only(&at("'do_unlinkat+4'")), (code::BAD_TARGET, advice));
    assert_eq!(only(&at("['tcp_close', 'tcp_close']")).0, code::DUPLICATE_ATTACHMENT);
    assert_eq!(codes(&at("['tcp_close', 'tcp_connect']")), []);

    let at = |interface: &str| {
        let element = format!("{{ hook = 'xdp', interface = '{interface}' }}");
        attached("dialect", &[("on_xdp", &element)])
    };
    for none in ["eth[9-0]", "abcdefghijklmnop*"] {
        assert_eq!(only(&at(none)).0, code::BAD_TARGET, "{none}");
    }
    for some in ["eth[0-9]", "abcdefghijklmno*", "*"] {
        assert_eq!(codes(&at(some)), [], "{some}");
    }
}

#[test]
fn other_names_of_counters_are_known() {
    let at = |event: &str| {
        let element = format!("{{ hook = 'perf-event', {event}, frequency = 99 }}");
        attached("dialect", &[("on_perf_event", &element)])
    };
    for (event, advice) in [
        ("hardware = 'cycles'", "did you mean `cpu-cycles`?"),
        ("hardware = 'branches'", "did you mean `branch-instructions`?"),
        ("software = 'faults'", "did you mean `page-faults`?"),
    ] {
        assert_eq!(only(&at(event)), (code::BAD_TARGET, advice), "{event}");
    }
}

#[test]
fn sections_that_say_too_much_are_told() {
    let object = "invalid_section_names";
    let found = attached(object, &[("on_switch", "{ hook = 'section' }")]);
    let advice = "write it without its subsystem: `sched_switch`";
    assert_eq!(only(&found), (code::BAD_TARGET, advice));
    let found = told(&[object], &format!("[objects.{object}.programs.at_entry]\n"));
    assert_eq!(only(&found), (code::UNKNOWN_SECTION, "did you mean `SEC(\"tc\")`?"));
}
