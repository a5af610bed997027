//! Every way a manifest can be wrong has an example in `examples/invalid/`, and every example is
//! answered with the problems it was written for.

#[path = "invalid/advice.rs"]
mod advice;
#[path = "support/fixtures.rs"]
mod fixtures;
#[path = "invalid/hooks.rs"]
mod hooks;
#[path = "invalid/mutations.rs"]
mod mutations;
#[path = "invalid/neighbours.rs"]
mod neighbours;
#[path = "invalid/pages.rs"]
mod pages;
#[path = "invalid/releases.rs"]
mod releases;
#[path = "invalid/scenarios.rs"]
mod scenarios;
mod support;
#[path = "invalid/ten_mistakes.rs"]
mod ten_mistakes;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use ebpf_apply::model::code;
use ebpf_apply::model::problem::{Problem, Severity};
use ebpf_apply::validate::{OBJECT_MAX, OBJECTS_MAX, validate};

use fixtures::Fixture;

/// Codes without an example, each with the reason.
const WITHOUT_EXAMPLE: &[(&str, &str)] = &[
    (code::MANIFEST_UNREADABLE, "what cannot be read is no example; tests/cmd shows it"),
    (code::MANIFEST_TOO_LARGE, "the example would have a megabyte"),
    (code::INSECURE_PERMISSIONS, "permissions are not in the repository; tests/kernel shows it"),
    (code::SIGNATURE_MISSING, "it takes a key; tests/signature.rs shows it"),
    (code::SIGNATURE_INVALID, "it takes a key; tests/signature.rs shows it"),
    (code::TOO_MANY_OBJECTS, "the example would have 257 objects"),
    (code::DUPLICATE_DEPLOYMENT, "it takes two manifests; examples/invalid-together has them"),
    (code::DEPLOYMENT_CHANGED, "only a running deployment has it; tests/kernel/watch shows it"),
    (code::OBJECT_TOO_LARGE, "the example would need an object of 64 megabytes"),
];

/// Line and column, both from 1, the column in bytes.
fn position(text: &str, offset: usize) -> String {
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let column = offset - before.rfind('\n').map_or(0, |at| at + 1) + 1;
    format!("{line}:{column}")
}

/// Every field of every problem, with the text that it points at.
fn facts(text: &str, problems: &[Problem]) -> String {
    let mut out = String::new();
    for problem in problems {
        let place = problem.span.clone().map_or_else(
            || "file".to_owned(),
            |span| format!("{} `{}`", position(text, span.start), text[span].replace('\n', "⏎")),
        );
        let severity = if problem.severity == Severity::Error { "error" } else { "warning" };
        writeln!(out, "{severity}[{}] {place}", problem.code).expect("a string takes it");
        writeln!(out, "  {}", problem.message).expect("a string takes it");
        let related = problem.related.iter().map(|related| {
            format!("{} at {}", related.message, position(text, related.span.start))
        });
        let label = (!problem.label.is_empty()).then(|| problem.label.clone());
        for line in label.into_iter().chain(related) {
            writeln!(out, "  | {line}").expect("a string takes it");
        }
        if let Some(help) = &problem.help {
            writeln!(out, "  = {help}").expect("a string takes it");
        }
    }
    out
}

/// Digests of built objects depend on the compiler.
fn without_digests(text: &str, manifest: &str) -> String {
    let words = text.split(' ').map(|word| {
        let digest = word.trim_end_matches([',', '\n']);
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_digest && !manifest.contains(digest) {
            word.replace(digest, "<digest>")
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_example_is_answered() {
    for fixture in fixtures::invalid() {
        let Fixture { name, text, raises, .. } = &fixture;
        let validation = fixture.validate();
        let problems = &validation.problems;
        let raised: BTreeSet<&str> = problems.iter().map(|problem| problem.code).collect();
        let raised: Vec<&str> = raised.into_iter().collect();
        assert_eq!(raised, *raises, "{name} raises what it says, in alphabetical order");
        assert!(raises.contains(name), "{name}");
        assert!(text.starts_with("# "), "{name} says on top what is wrong");
        let valid = problems.iter().all(|problem| problem.severity == Severity::Warning);
        assert_eq!(validation.desired.is_some(), valid, "{name}");
        for problem in problems {
            let fixed = code::severity(problem.code).unwrap_or(problem.severity);
            assert_eq!(problem.severity, fixed, "{name}: {problem:?}");
        }
        insta::assert_snapshot!(name.as_str(), without_digests(&facts(text, problems), text));
    }
}

#[test]
fn every_code_has_an_example() {
    let examples: BTreeSet<String> =
        fixtures::invalid().into_iter().map(|fixture| fixture.name).collect();
    let codes: BTreeSet<&str> = code::ALL.iter().map(|(code, _)| *code).collect();
    let excepted: BTreeSet<&str> = WITHOUT_EXAMPLE.iter().map(|(code, _)| *code).collect();
    for code in &codes {
        assert_ne!(examples.contains(*code), excepted.contains(code), "{code}");
    }
    for example in &examples {
        assert!(codes.contains(example.as_str()), "{example} is no code");
    }
}

#[test]
fn what_has_no_example_is_found_too() {
    let manifest = "version = 1\nname = \"large\"\n[objects.demo]\npath = \"demo.bpf.o\"\n";
    let large = |_: &Path| -> io::Result<Vec<u8>> { Ok(vec![0; OBJECT_MAX + 1]) };
    let found = validate(Path::new("large.toml"), manifest, &large);
    let codes: Vec<_> = found.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [code::OBJECT_TOO_LARGE]);
    assert!(found.objects.iter().all(|object| object.image.is_none()));

    let objects = |count| {
        let object = |n| format!("[objects.o{n}]\npath = \"{n}.bpf.o\"\n");
        let objects = (0..count).map(object).collect::<String>();
        format!("version = 1\nname = \"large\"\n{objects}")
    };
    // Zeroes that nobody touches take no memory.
    let largest = |_: &Path| -> io::Result<Vec<u8>> { Ok(vec![0; OBJECT_MAX]) };
    let found = validate(Path::new("large.toml"), &objects(7), &largest);
    let together = found.problems.iter().filter(|problem| problem.message.contains("together"));
    let codes: Vec<_> = together.map(|problem| problem.code).collect();
    assert_eq!(codes, [code::OBJECT_TOO_LARGE; 3], "the fifth, and none after it is read");

    let unread = |path: &Path| -> io::Result<Vec<u8>> { panic!("{} is read", path.display()) };
    let found = validate(Path::new("large.toml"), &objects(OBJECTS_MAX + 1), &unread);
    let codes: Vec<_> = found.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [code::TOO_MANY_OBJECTS]);

    let found = validate(Path::new("large.toml"), &"#".repeat((1 << 20) + 1), &large);
    let codes: Vec<_> = found.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [code::MANIFEST_TOO_LARGE]);
}

#[test]
fn the_good_examples_are_good() {
    for manifest in fixtures::manifests("examples/manifests") {
        let fixture = Fixture::read(&manifest);
        let validation = fixture.validate();
        // An object of another package, which need not be installed.
        if validation.problems.iter().any(|problem| problem.code == code::OBJECT_UNREADABLE)
            && fixture.text.contains("path = \"/usr/lib/")
        {
            continue;
        }
        let problems = facts(&fixture.text, &validation.problems);
        assert_eq!(problems, "", "{}", manifest.display());
        assert!(validation.desired.is_some());
    }
}
