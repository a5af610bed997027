//! Names that would command a terminal, turn the direction of text, or begin a line that a pipeline
//! obeys: they come from manifests, objects, file names and the kernel, and leave in no output.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

use ebpf_apply::apply::{ApplyError, DeploymentStatus, Failure, Locker};
use ebpf_apply::kernel::KernelError;
use ebpf_apply::model::address::Address;
use ebpf_apply::model::host::HostIdentity;
use ebpf_apply::model::inventory::Inventory;
use ebpf_apply::model::name::Name;
use ebpf_apply::model::pin::PinRoot;
use ebpf_apply::model::unprintable::is_unprintable;
use ebpf_apply::plan::{Action, Capabilities, Change, Plan, ResourceState, ResourceStatus, Step};
use ebpf_apply::view::{self, Style};
use serde_json::Value;
use tempfile::TempDir;

/// Clears the screen, sets its title, colours, and turns what follows; in C1, too. Then a line of its
/// own that GitHub Actions would obey.
const HOSTILE: &str =
    "a\x1b[2J\x1b]0;t\x07\x1b[31m\u{9b}2Jb\u{202e}c\u{2066}d\u{2028}\r\n::error::e";

/// Takes the sequences out that set colours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(part.len());
        match part[end..].strip_prefix('m') {
            Some(rest) => plain.push_str(rest),
            None => plain.extend(["\x1b[", part]),
        }
    }
    plain
}

fn assert_harmless(what: &str, text: &str) {
    let bad = |c: char| is_unprintable(c) && c != '\n' && c != '\t';
    assert!(!text.contains(bad), "{what}: {text:?}");
    for line in text.lines() {
        assert!(!line.trim_start().starts_with("::error::"), "{what}: {text:?}");
    }
}

/// Both ways of drawing say the same, and neither has more than its own colours.
fn assert_drawn(what: &str, draw: impl Fn(Style) -> String) {
    let plain = draw(Style::PLAIN);
    assert_harmless(what, &plain);
    assert!(plain.contains('\u{fffd}'), "{what} shows what is hostile: {plain}");
    assert_eq!(without_colours(&draw(Style { colour: true, ..Style::PLAIN })), plain, "{what}");
}

/// `firewall` with names of the same lengths in bytes put in, in its symbols and in its BTF.
fn hostile_object(directory: &Path) -> PathBuf {
    let mut bytes = fs::read(support::object("firewall")).expect("it can be read");
    for (from, to) in [
        ("flows", "\x1b[2Jf"),
        ("flow_key", "\u{202e}\u{9b}key"),
        ("log_level", "\r\n::error"),
        ("xdp_firewall", "\x1b]0;t\x07\u{2066}all"),
        ("Dual MIT/GPL", "\x1b[31mMIT/GPL"),
    ] {
        assert_eq!(from.len(), to.len(), "{to:?}");
        let places: Vec<usize> = bytes
            .windows(from.len())
            .enumerate()
            .filter_map(|(at, found)| (found == from.as_bytes()).then_some(at))
            .collect();
        assert!(!places.is_empty(), "{from} is in the object");
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    let path = directory.join("fire\u{9b}2J\u{202e}wall.o");
    fs::write(&path, bytes).expect("it can be written");
    path
}

/// Manifests of all kinds of mistakes, each about something hostile.
fn hostile_manifests(directory: &Path) -> Vec<PathBuf> {
    let object = "fire\\u009B2J\\u202Ewall.o";
    let texts = [
        // Keys, values and targets.
        format!(
            "version = 1\nname = \"a\\u001B[2J\"\n\"k\\u202E\\u0007\" = 1\npin-root = \"x\\u009B\"\n\
             [objects.o]\npath = \"{object}\"\nsubpath = \"s\\u001B[2J\"\n\
             [objects.o.maps.\"m\\u001B]0;t\\u0007\\n::error::x\"]\npin = \"p\\u202E\"\n\
             [objects.o.globals]\n\"g\\u001B[2J\" = 1\n\"\\r\\n::error\" = \"\\u2066\"\n\
             [objects.o.programs.\"\\u001B]0;t\\u0007\\u2066all\"]\n\
             attach = [{{ hook = \"xdp\", interface = \"e\\u001B[2J\\n::error::x\" }}, \
             {{ hook = \"h\\u009B\" }}, {{ hook = \"tracepoint\", name = \"\\u202E\" }}]\n"
        ),
        // Names that are there, with mistakes about them.
        format!(
            "version = 1\nname = \"b\"\n[objects.o]\npath = \"{object}\"\n\
             [objects.o.maps.\"\\u001B[2Jf\"]\npin = \"none\"\nsubpath = \"x\"\n\
             [objects.o.maps.\"\\u001B[2Jf\".expect]\ntype = \"hash\"\nkey = \"struct \\u202E\"\n\
             [objects.o.globals]\n\"\\r\\n::error\" = \"\\u001B[2J\"\n"
        ),
        // Raw, in strings, comments and between them.
        format!("version = 1\n# \u{202e}\u{9b}2J\nname = \"{HOSTILE}\"\n\u{2066}x = \x1b[2J\n"),
        // No file of that name.
        "version = 1\nname = \"c\"\n[objects.o]\npath = \"gone\\u001B[2J\\n::error::x.o\"\n"
            .to_owned(),
    ];
    let named = texts.iter().enumerate().map(|(index, text)| {
        let path = directory.join(format!("{index}\u{1b}[2J\u{202e}\n::error::.toml"));
        fs::write(&path, text).expect("it can be written");
        path
    });
    named.collect()
}

/// What a run prints, both outputs in one, and whether it ended by itself.
fn said(words: &[&str], directory: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ebpf-apply"))
        .args(words)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    assert!(output.status.code().is_some(), "{words:?}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text + &String::from_utf8(output.stderr).expect("UTF-8")
}

fn workshop() -> (TempDir, PathBuf, Vec<PathBuf>) {
    let directory = tempfile::tempdir().expect("a directory");
    let object = hostile_object(directory.path());
    let manifests = hostile_manifests(directory.path());
    (directory, object, manifests)
}

#[test]
fn what_validate_says_is_harmless_in_every_form() {
    let (directory, _, manifests) = workshop();
    let paths: Vec<&str> = manifests.iter().map(|path| path.to_str().expect("UTF-8")).collect();
    for format in ["full", "concise", "json", "github", "sarif"] {
        let words = [&["validate", "--format", format], paths.as_slice()].concat();
        let text = said(&words, directory.path());
        if format == "github" {
            let forms = ["::error file=", "::warning file="];
            for line in text.lines() {
                assert!(forms.iter().any(|form| line.starts_with(form)), "{line:?}");
                assert!(!line.contains(is_unprintable), "{line:?}");
            }
        } else {
            assert_harmless(format, &text);
        }
        if format == "json" {
            let document: Value = serde_json::from_str(&text).expect("JSON");
            let problems = document["problems"].as_array().expect("a list");
            assert!(problems.len() > 15, "{} problems", problems.len());
            let first = problems[0]["file"].as_str().expect("a file");
            assert_eq!(Path::new(first), manifests[0], "programs are told the name as it is");
        }
        let coloured = said(&[words.as_slice(), &["--color", "always"]].concat(), directory.path());
        if format == "full" || format == "concise" {
            assert_eq!(without_colours(&coloured), text);
        } else {
            assert_eq!(coloured, text);
        }
    }
}

#[test]
fn what_is_said_of_objects_is_harmless() {
    let (directory, object, _) = workshop();
    let object = object.to_str().expect("UTF-8");
    let there = directory.path();
    let table = said(&["inspect", object], there);
    assert_harmless("inspect", &table);
    assert!(table.contains("�[2Jf") && table.contains("]0;t"), "{table}");
    assert_eq!(without_colours(&said(&["inspect", object, "--color", "always"], there)), table);
    let json = said(&["inspect", object, "--format", "json"], there);
    assert_harmless("inspect --format json", &json);
    let document: Value = serde_json::from_str(&json).expect("JSON");
    assert!(document.to_string().contains("\\u001b[2Jf"), "programs are told the name as it is");
    let manifest = said(&["init", object, "--name", "edge"], there);
    assert_harmless("init", &manifest);
    assert!(manifest.contains("[objects.fire-2J-wall.maps.\"\\u001B[2Jf\"]"), "{manifest}");
    fs::write(there.join("made.toml"), &manifest).expect("it can be written");
    assert_eq!(said(&["validate", "made.toml"], there), "made.toml: valid\n");
}

#[test]
fn what_is_said_of_words_on_the_command_line_is_harmless() {
    let (directory, ..) = workshop();
    for words in [
        &["explain", HOSTILE][..],
        &["inspect", HOSTILE],
        &["init", HOSTILE],
        &["validate", "--kernel", HOSTILE, "x"],
        &[HOSTILE, "validate"],
        &["validate", HOSTILE],
        &["--no\x1b[2Jsuch\u{202e}"],
        &["apply", HOSTILE, "--state-dir", HOSTILE],
        &["plan", HOSTILE, "-v"],
        &["destroy", "--name", HOSTILE],
    ] {
        for colour in ["never", "always"] {
            let all = [words, &["--color", colour]].concat();
            let text = without_colours(&said(&all, directory.path()));
            assert!(!text.is_empty(), "{words:?}");
            let bad = |c: char| is_unprintable(c) && c != '\n' && c != '\t';
            assert!(!text.contains(bad), "{words:?}: {text:?}");
        }
    }
}

fn name() -> Name {
    Name::new("edge").expect("a legal name")
}

fn address() -> Address {
    Address::map(&name(), HOSTILE)
}

fn inventory() -> Inventory {
    let host = HostIdentity { boot_id: String::new(), bpffs: None, netns: 0 };
    let root = PinRoot::new(Path::new("/sys/fs/bpf/a\u{1b}[2J\u{202e}")).expect("bpffs takes it");
    Inventory::empty(name(), root, PathBuf::from(HOSTILE), host)
}

fn plan() -> Plan {
    let change = |action| Change::new(address(), action, HOSTILE).before(HOSTILE).after(HOSTILE);
    let changes = [Action::Create, Action::Update, Action::Delete, Action::Refuse].map(change);
    Plan { changes: changes.into(), steps: Vec::new(), underway: inventory(), after: inventory() }
}

#[test]
fn plans_and_failures_are_harmless() {
    let plan = plan();
    assert_drawn("plan", |style| view::plan::of_deployment(&name(), &plan, style));
    let markdown = view::plan::markdown(&name(), &plan, &Capabilities::default());
    assert_harmless("markdown", &markdown);
    assert_eq!(markdown.lines().filter(|line| line.starts_with("| ")).count(), 5, "{markdown}");
    assert_harmless(
        "json",
        &view::json_line(&view::plan::json(&name(), &plan, &Capabilities::default())),
    );

    let refused = ApplyError::Refused(Box::new(plan));
    assert_drawn("refusal", |style| view::failure::human(&refused, style));
    let error = || {
        KernelError::reason(format!("load `{HOSTILE}`"), HOSTILE).at(HOSTILE).advice(HOSTILE).log(
            Path::new(HOSTILE),
            HOSTILE,
            &format!("0: (b7)\n; {HOSTILE}\n"),
        )
    };
    let step = Step::MakeRoot;
    let failed = ApplyError::Failed(Box::new(Failure { step, error: error() }));
    assert_drawn("failure", |style| view::failure::human(&failed, style));
    let stuck = ApplyError::Stuck { error: Box::new(failed), stuck: vec![error()] };
    assert_drawn("stuck", |style| view::failure::human(&stuck, style));
    let written = Err(io::Error::other(HOSTILE));
    assert_drawn("log", |style| view::failure::kept(Path::new(HOSTILE), &written, style));
}

#[test]
fn what_runs_is_shown_harmless() {
    let resource = ResourceStatus {
        address: address(),
        kind: "map",
        id: Some(1),
        pin: Some(HOSTILE.to_owned()),
        state: ResourceState::Drifted,
        detail: Some(HOSTILE.to_owned()),
    };
    let drifted = [resource];
    for heals in [false, true] {
        assert_drawn("drift", |style| view::drift::human(&name(), &drifted, heals, style));
    }
    let command = Some(HOSTILE.to_owned());
    let deployment = DeploymentStatus {
        inventory: inventory(),
        holder: Some(Locker { pid: 1, command, running: None }),
        is_changing: false,
        resources: drifted.into(),
        drifted_since: BTreeMap::new(),
        usage: BTreeMap::new(),
    };
    let deployments = [deployment];
    assert_drawn("status", |style| view::status::human(&deployments, style));
    assert_harmless("json", &view::json_line(&view::status::json(&deployments)));
    assert_harmless("metrics", &view::metrics::prometheus(&deployments));
}
