//! Manifests as people write them at their first try, each with the advice that it gets.

use std::path::Path;

use ebpf_apply::model::code;
use ebpf_apply::validate::{Validator, validate};

use crate::fixtures;
use crate::support;

/// What stands below the first lines, the code it raises, and how the advice begins.
const TRIES: &[(&str, &str, &str)] = &[
    ("[[objects.x]]\npath = 'y'", code::WRONG_TYPE, "a table stands in one pair of brackets"),
    ("[[objects]]\nname = 'fw'", code::WRONG_TYPE, "its keys are names: `[….NAME]`"),
    ("objects.x = 'y.o'", code::WRONG_TYPE, "such as `{ path = \"y.o\" }`"),
    ("objects.x.path = ''", code::OBJECT_UNREADABLE, "name the file that clang has made"),
    ("objects.x.path = 'a/x.bpf.c'", code::OBJECT_UNREADABLE, "an object is what clang makes of"),
    ("maps.flows.max-entries = '4096'", code::WRONG_TYPE, "without quotes: `4096`"),
    ("maps.flows.external = 'true'", code::WRONG_TYPE, "without quotes: `true`"),
    ("maps.flows.pin = true", code::WRONG_TYPE, "allowed: `none`, `by-name`, `persist-on-exit`"),
    ("maps.flows.pin = 'persist'", code::BAD_VALUE, "did you mean \"persist-on-exit\"?"),
    ("maps.flows.pin_path = '/x'", code::UNKNOWN_KEY, "known here: `pin`, `subpath`"),
    ("maps.flows.subpath = ''", code::BAD_SUBPATH, "leave `subpath` out"),
    ("maps.flows.subpath = 'a/b/'", code::BAD_SUBPATH, "one `/` between two names"),
    (
        "maps.flows.expect.key = 'flow_key'",
        code::EXPECT_MISMATCH,
        "C names it with its tag: `struct flow_key`",
    ),
    ("maps.flow.pin = 'none'", code::UNKNOWN_MAP, "did you mean `flows`?"),
    (
        "programs.xdp_firewall.attach = { hook = 'xdp', interface = 'e' }",
        code::WRONG_TYPE,
        "a list stands in brackets",
    ),
    ("programs.xdp_firewall.attach = ['xdp']", code::WRONG_TYPE, "such as `{ hook = "),
    (
        "programs.xdp_firewall.attach = [{ hook = 'XDP', interface = 'e' }]",
        code::BAD_VALUE,
        "did you mean \"xdp\"?",
    ),
    (
        "programs.xdp_firewall.attach = [{ hook = 'xdp', interface = 'e', priority = 5 }]",
        code::BAD_TARGET,
        "add `dispatcher = true` to share the interface",
    ),
    (
        "programs.xdp_firewall.attach = [{ hook = 'xdp', interface = 'e', dispatcher = true, chain-actions \
         = ['PASS'] }]",
        code::BAD_VALUE,
        "did you mean \"pass\"?",
    ),
];

#[test]
fn a_dispatcher_needs_a_kernel_that_moves_its_programs() {
    support::object("shared");
    let text = "version = 1\nname = 'demo'\n[objects.it]\npath = 'bpf/out/shared.bpf.o'\nload = \
                'listed'\nprograms.early.attach = [{ hook = 'xdp', interface = 'e', dispatcher = true }]\n";
    for (kernel, wanted) in [("5.9", 1), ("5.10", 0)] {
        let read = |path: &Path| match path.extension() {
            Some(extension) if extension == "toml" => Ok(text.as_bytes().to_vec()),
            _ => fixtures::read(path),
        };
        let validator =
            Validator::with_reader(&read).for_kernel(kernel.parse().expect("a release"));
        let report = validator.check(["demo.toml"]);
        let problems = &report.manifests[0].problems;
        assert_eq!(problems.len(), wanted, "{problems:?}");
        assert!(
            problems
                .iter()
                .all(|found| found.message.contains("dispatcher calls needs Linux 5.10"))
        );
    }
}

#[test]
fn deployments_share_an_interface_or_one_has_it() {
    support::object("shared");
    let text = |name: &str, options: &str| {
        format!(
            "version = 1\nname = '{name}'\n[objects.it]\npath = 'bpf/out/shared.bpf.o'\nload = \
             'listed'\nprograms.early.attach = [{{ hook = 'xdp', interface = 'e'{options} }}]\n"
        )
    };
    let (shared, alone) = (", dispatcher = true", "");
    for (first, second, wanted) in
        [(shared, shared, 0), (shared, alone, 1), (alone, shared, 1), (alone, alone, 1)]
    {
        let read = |path: &Path| match path.to_str() {
            Some("first.toml") => Ok(text("first", first).into_bytes()),
            Some("second.toml") => Ok(text("second", second).into_bytes()),
            _ => fixtures::read(path),
        };
        let report = Validator::with_reader(&read).check(["first.toml", "second.toml"]);
        let problems: Vec<_> = report.manifests.iter().flat_map(|one| &one.problems).collect();
        assert_eq!(problems.len(), wanted, "{problems:?}");
        assert!(problems.iter().all(|found| found.code == code::ATTACHMENT_CONFLICT));
    }
}

fn advice(text: &str) -> Vec<(&'static str, String)> {
    let problems = validate(Path::new("demo.toml"), text, &fixtures::read).problems;
    let of =
        |problem: ebpf_apply::validate::Problem| (problem.code, problem.help.unwrap_or_default());
    problems.into_iter().map(of).collect()
}

#[test]
fn first_tries_are_met_with_advice() {
    support::object("firewall");
    for (tried, code, begins) in TRIES {
        let of_object = !tried.contains("objects");
        let object = if of_object { "[objects.fw]\npath = 'bpf/out/firewall.bpf.o'\n" } else { "" };
        let text = format!("version = 1\nname = 'demo'\n{object}{tried}\n");
        let found = advice(&text);
        assert!(
            matches!(found.as_slice(), [(found, help)] if found == code && help.starts_with(begins)),
            "{text}{found:#?}"
        );
    }
}

#[test]
fn other_languages_are_recognised() {
    for (text, language) in [
        ("version: 1\nname: edge\n", "YAML"),
        ("---\nobjects:\n  fw:\n", "YAML"),
        ("# ours\n\n{ \"version\": 1, \"name\": \"edge\" }\n", "JSON"),
    ] {
        let found = advice(text);
        let first = found.first().map(|(code, help)| (*code, help.contains(language)));
        assert_eq!(first, Some((code::TOML_SYNTAX, true)), "{text}{found:#?}");
    }
    let found = advice("version = 1\nname = edge\n");
    assert_eq!(found, [(code::TOML_SYNTAX, "text stands in quotes: \"edge\"".to_owned())]);
}
