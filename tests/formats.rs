//! Every way in which `validate` prints what is wrong, over every example of it: one file in
//! `tests/rendered/` for each example, written anew with `UPDATE_SNAPSHOTS=1`.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use ebpf_apply::validate::{Demands, Report, Severity, Validator, manifests_in};
use ebpf_apply::view::{Style, problems};
use serde_json::Value;

const RENDERED: &str = "tests/rendered";

/// Checks manifests with the package's root as working directory, building their objects first.
fn checked(manifests: &[PathBuf]) -> Report {
    for manifest in manifests {
        let text = fs::read_to_string(support::root().join(manifest)).expect("a manifest is text");
        for (at, _) in text.match_indices("bpf/out/") {
            let name = text[at..].trim_start_matches("bpf/out/").split(".bpf.o").next();
            support::object(name.expect("an object has a name"));
        }
    }
    let read = |path: &Path| fs::read(support::root().join(path));
    let mut validator = Validator::with_reader(&read);
    if let [manifest] = manifests {
        if let Some(release) = said(manifest, "kernel") {
            validator = validator.for_kernel(release.parse().expect("a release"));
        }
        if said(manifest, "requires").is_some() {
            validator = validator.demanding(Demands { digests: true, ..Demands::default() });
        }
    }
    validator.check(manifests)
}

/// What an example says of how it is to be checked: `# kernel: 5.10`.
fn said(manifest: &Path, what: &str) -> Option<String> {
    let text = fs::read_to_string(support::root().join(manifest)).expect("a manifest is text");
    let line = text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(what));
    line.and_then(|line| line.strip_prefix(": ")).map(str::to_owned)
}

/// The examples, each with its name: a manifest, or several for one host.
fn examples() -> Vec<(String, Vec<PathBuf>)> {
    let of = |directory: &str| -> Vec<PathBuf> {
        let found = manifests_in(&support::root().join(directory)).expect("it can be listed");
        let relative =
            |path: PathBuf| path.strip_prefix(support::root()).expect("below").to_owned();
        found.into_iter().map(relative).collect()
    };
    let single = of("examples/invalid").into_iter().map(|path| {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        (name, vec![path])
    });
    let together = ("together".to_owned(), of("examples/invalid-together"));
    single.chain([together]).collect()
}

/// One report as [`problems`] takes it.
fn with_views<T>(report: &Report, view: impl Fn(&[problems::Report<'_>]) -> T) -> T {
    let files: Vec<String> =
        report.manifests.iter().map(|manifest| manifest.path.display().to_string()).collect();
    let views: Vec<_> = report
        .manifests
        .iter()
        .zip(&files)
        .map(|(manifest, file)| problems::Report {
            file,
            source: &manifest.source,
            problems: &manifest.problems,
        })
        .collect();
    view(&views)
}

fn every_form(reports: &[problems::Report<'_>]) -> String {
    let forms = [
        ("full", problems::full(reports, Style::PLAIN)),
        ("concise", problems::concise(reports, Style::PLAIN)),
        ("github", problems::github(reports)),
        ("json", format!("{:#}\n", problems::json(reports))),
        ("sarif", format!("{:#}\n", problems::sarif(reports))),
    ];
    forms.map(|(name, text)| format!("──── {name}\n{text}")).concat()
}

/// Digests of built objects depend on the compiler.
fn without_digests(text: &str, report: &Report) -> String {
    let mut text = text.to_owned();
    let is_digest = |word: &&str| {
        word.len() == 64
            && word.bytes().all(|byte| byte.is_ascii_hexdigit())
            && report.manifests.iter().all(|manifest| !manifest.source.contains(word))
    };
    let copy = text.clone();
    for digest in copy.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_digest) {
        text = text.replace(digest, &"0".repeat(64));
    }
    text
}

#[test]
fn every_example_is_rendered_as_it_was() {
    let rendered = support::root().join(RENDERED);
    let update = env::var_os("UPDATE_SNAPSHOTS").is_some();
    let mut differing = Vec::new();
    let mut known = BTreeSet::new();
    for (name, manifests) in examples() {
        let report = checked(&manifests);
        let text = without_digests(&with_views(&report, every_form), &report);
        let file = rendered.join(format!("{name}.txt"));
        if update {
            fs::create_dir_all(&rendered).expect("it can be made");
            fs::write(&file, &text).expect("it can be written");
        } else if fs::read_to_string(&file).unwrap_or_default() != text {
            differing.push(format!("──────── {name}\n{text}"));
        }
        known.insert(file);
    }
    for entry in fs::read_dir(&rendered).expect("it can be listed") {
        let file = entry.expect("it can be listed").path();
        if !known.contains(&file) {
            if update {
                fs::remove_file(&file).expect("it can be removed");
            } else {
                differing.push(format!("{} is of no example", file.display()));
            }
        }
    }
    assert!(
        differing.is_empty(),
        "if this is as it should be, write {RENDERED} anew: \
         `UPDATE_SNAPSHOTS=1 cargo test --test formats`\n{}",
        differing.join("\n")
    );
}

/// What the forms for programs agree on: code, severity, file and place of each problem.
type Line = (String, String, String, Option<(u64, u64)>);

fn from_json(document: &Value) -> Vec<Line> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let problems = document["problems"].as_array().expect("a list");
    let line = |problem: &Value| {
        let start = &problem["span"]["start"];
        let place = start["line"].as_u64().zip(start["column"].as_u64());
        (text(&problem["code"]), text(&problem["severity"]), text(&problem["file"]), place)
    };
    problems.iter().map(line).collect()
}

fn from_sarif(log: &Value) -> Vec<Line> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let run = &log["runs"][0];
    let line = |result: &Value| {
        let location = &result["locations"][0]["physicalLocation"];
        let region = &location["region"];
        let place = region["startLine"].as_u64().zip(region["startColumn"].as_u64());
        // Errata 01: a region begins somewhere.
        assert_eq!(region.is_null(), place.is_none(), "{region}");
        let rule = usize::try_from(result["ruleIndex"].as_u64().expect("a number")).expect("small");
        assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], result["ruleId"]);
        let file = text(&location["artifactLocation"]["uri"]);
        (text(&result["ruleId"]), text(&result["level"]), file, place)
    };
    run["results"].as_array().expect("a list").iter().map(line).collect()
}

fn from_concise(text: &str) -> Vec<Line> {
    let line = |line: &str| {
        let (head, _) = line.split_once("]: ").expect("a code in brackets");
        let (head, code) = head.rsplit_once('[').expect("a code in brackets");
        let (place, severity) = head.rsplit_once(": ").expect("a severity");
        let mut parts = place.split(':');
        let file = parts.next().expect("a file").to_owned();
        let mut number = || parts.next().map(|part| part.parse().expect("a number"));
        (code.to_owned(), severity.to_owned(), file, number().zip(number()))
    };
    text.lines().map(line).collect()
}

#[test]
fn forms_for_programs_agree_and_sarif_follows_its_schema() {
    // Two of its patterns have a bracket that only JavaScript takes for itself.
    let text = include_str!("schemas/sarif-2.1.0.json");
    let text = text.replace("[a-zA-Z]{2}]?$", r"[a-zA-Z]{2}\\]?$");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    assert!(!schema.is_valid(&serde_json::json!({ "version": "2.1.0" })), "it requires something");
    let all: Vec<PathBuf> = examples().into_iter().flat_map(|(_, manifests)| manifests).collect();
    let report = checked(&all);
    assert!(report.problems().count() > 40);
    with_views(&report, |reports| {
        let log = problems::sarif(reports);
        let wrong: Vec<String> = schema
            .iter_errors(&log)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let document = problems::json(reports);
        let lines = from_json(&document);
        assert_eq!(document["valid"], false);
        assert_eq!(lines.len(), report.problems().count());
        assert_eq!(from_sarif(&log), lines);
        assert_eq!(from_concise(&problems::concise(reports, Style::PLAIN)), lines);
        assert_eq!(problems::github(reports).lines().count(), lines.len());
    });
}

#[test]
fn without_a_problem_nothing_is_listed() {
    let report = checked(&[PathBuf::from("examples/manifests/three-policies.toml")]);
    with_views(&report, |reports| {
        assert_eq!(problems::concise(reports, Style::PLAIN), "");
        assert_eq!(problems::github(reports), "");
        assert_eq!(problems::sarif(reports)["runs"][0]["results"], serde_json::json!([]));
    });
}

#[test]
fn two_deployments_cannot_have_the_same() {
    let (_, manifests) = examples().pop().expect("the last one");
    let report = checked(&manifests);
    let found: Vec<_> = report
        .problems()
        .map(|(manifest, problem)| {
            let related = problem.related.first().and_then(|related| related.file.as_ref());
            let name = |path: &Path| path.file_stem().expect("a name").display().to_string();
            (name(&manifest.path), problem.code, related.map(|file| name(file)))
        })
        .collect();
    let expected = [
        ("green", "pin-path-clash", "blue"),
        ("green", "attachment-conflict", "blue"),
        ("lime", "pin-path-nested", "blue"),
        ("lime", "pin-path-nested", "blue"),
        ("teal", "attachment-conflict", "blue"),
        ("yellow", "duplicate-deployment", "green"),
    ];
    let expected = expected.map(|(at, code, other)| (at.to_owned(), code, Some(other.to_owned())));
    assert_eq!(found, expected);
    assert_eq!(report.count(Severity::Error), expected.len());
    for manifest in manifests {
        assert!(checked(std::slice::from_ref(&manifest)).is_valid(), "each by itself is valid");
    }
}

#[test]
fn many_manifests_are_reported_in_their_order() {
    let manifest = |index: usize| {
        let again = if index.is_multiple_of(100) { "name = \"twice\"\n" } else { "" };
        format!("version = 1\nname = \"d{index}\"\n{again}")
    };
    let read = |path: &Path| {
        let index = path.to_str().and_then(|name| name.parse().ok()).expect("a number");
        Ok(manifest(index).into_bytes())
    };
    let paths: Vec<PathBuf> = (0..1000).map(|index: usize| index.to_string().into()).collect();
    let report = Validator::with_reader(&read).check(paths.clone());
    assert!(report.manifests.iter().map(|manifest| &manifest.path).eq(&paths));
    let found: Vec<_> = report.problems().map(|(manifest, _)| manifest.path.clone()).collect();
    let expected: Vec<PathBuf> =
        (0..10).map(|index: usize| (100 * index).to_string().into()).collect();
    assert_eq!(found, expected);
    assert_eq!(report.clone().deny_warnings().count(Severity::Warning), 0);
}
