//! The walker and the types must refuse the same manifests: thousands of mutated ones say so.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;

use crate::manifest::{Manifest, parse};
use crate::model::code;

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(crate::manifest::SCHEMA).expect("the schema is JSON");
    jsonschema::draft7::new(&schema).expect("a schema")
});

/// A valid manifest with every key and every hook, one option a line.
const FULL: &str = include_str!("full.toml");

const VALUES: &[&str] = &[
    "0",
    "1",
    "-1",
    "+7",
    "0xff",
    "65535",
    "65536",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "-2147483649",
    "170141183460469231731687303715884105728",
    "1.5",
    "inf",
    "1e999",
    "true",
    "\"\"",
    "\"x\"",
    "\"a.b\"",
    "\"/a\"",
    "\"../a\"",
    "\"by-name\"",
    "\"none\"",
    "\"native\"",
    "\"listed\"",
    "\"xdp\"",
    "\"tcx\"",
    "\"section\"",
    "\"hash\"",
    "\"unspec\"",
    "\"ingress\"",
    "[]",
    "[\"a\"]",
    "[\"a\", 1]",
    "[1, [true]]",
    "{}",
    "{ a = 1 }",
    "{ hook = \"xdp\", interface = \"a\" }",
    "[{ hook = \"section\" }]",
    "[{}]",
    "[{ hook = \"section\" }, { hook = \"nonesuch\" }]",
    "1979-05-27",
    "[1979-05-27]",
    "\"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\"",
];

const KEYS: &[&str] = &[
    "version",
    "name",
    "pin-root",
    "path",
    "sha256",
    "subpath",
    "load",
    "pin",
    "max-entries",
    "max_entries",
    "on-mismatch",
    "external",
    "attach",
    "hook",
    "interface",
    "mode",
    "direction",
    "priority",
    "wait",
    "cookie",
    "type",
    "key",
    "value",
    "maps",
    "globals",
    "objects",
    "offset",
];

#[derive(Clone, Debug)]
enum Mutation {
    Value(usize, &'static str),
    Key(usize, &'static str),
    Delete(usize),
    Insert(usize, &'static str, &'static str),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let value = || prop::sample::select(VALUES);
    let key = || prop::sample::select(KEYS);
    prop_oneof![
        3 => (any::<usize>(), value()).prop_map(|(at, value)| Mutation::Value(at, value)),
        1 => (any::<usize>(), key()).prop_map(|(at, key)| Mutation::Key(at, key)),
        1 => any::<usize>().prop_map(Mutation::Delete),
        1 => (any::<usize>(), key(), value()).prop_map(|(at, k, v)| Mutation::Insert(at, k, v)),
    ]
}

/// The beginning of the full manifest, which every case has, and the tables that are mutated: a
/// case with all of them would take ten times as long and find no more.
fn mutated(mutations: &[Mutation]) -> String {
    let mut table = 0;
    let mut lines: Vec<(usize, String)> = Vec::new();
    for line in FULL.lines() {
        table += usize::from(line.starts_with('['));
        lines.push((table, line.to_owned()));
    }
    let mut kept = BTreeSet::from([0, 1]);
    for mutation in mutations {
        let (Mutation::Value(at, _)
        | Mutation::Key(at, _)
        | Mutation::Delete(at)
        | Mutation::Insert(at, ..)) = mutation;
        let at = at % lines.len();
        let (table, line) = &mut lines[at];
        kept.insert(*table);
        let parts = line.split_once(" = ").map(|(k, v)| (k.to_owned(), v.to_owned()));
        match (mutation, parts) {
            (Mutation::Value(_, value), Some((key, _))) => *line = format!("{key} = {value}"),
            (Mutation::Key(_, key), Some((_, value))) => *line = format!("{key} = {value}"),
            (Mutation::Delete(_), Some(_)) => drop(lines.remove(at)),
            (Mutation::Insert(_, key, value), _) => {
                let line = (*table, format!("{key} = {value}"));
                lines.insert(at + 1, line);
            }
            _ => {}
        }
    }
    let kept = lines.into_iter().filter(|(table, _)| kept.contains(table));
    kept.map(|(_, line)| line).collect::<Vec<_>>().join("\n")
}

fn assert_spans_are_inside(text: &str) {
    let parsed = parse(text);
    for problem in &parsed.problems {
        let spans = problem.span.iter().chain(problem.related.iter().map(|related| &related.span));
        for span in spans {
            assert!(text.get(span.clone()).is_some(), "{span:?} of {problem:?}");
        }
    }
    assert!(parsed.problems.is_sorted_by_key(|problem| problem.span.as_ref().map(|s| s.start)));
}

#[test]
fn the_full_manifest_is_clean() {
    assert_eq!(parse(FULL).problems, []);
    let manifest = parse(FULL).manifest;
    let hooks: std::collections::BTreeSet<&str> = manifest.objects["fw"]
        .programs
        .values()
        .flat_map(|program| &program.attach)
        .map(crate::manifest::Hook::name)
        .collect();
    assert_eq!(hooks.len(), 27, "every hook is there: {hooks:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn walker_and_types_agree(mutations in prop::collection::vec(mutation(), 1..4)) {
        let text = mutated(&mutations);
        let parsed = parse(&text);
        let clean = parsed.problems.is_empty();
        let read = toml::from_str::<Manifest>(&text);
        // To serde, a date of TOML is a table with one text in it, and `globals` takes any name.
        let read = read.map_err(|error| error.to_string()).and_then(|manifest| {
            let date = text.contains("globals = 1979-05-27");
            if date { Err("a date".to_owned()) } else { Ok(manifest) }
        });
        prop_assert_eq!(clean, read.is_ok(), "{:?} against {:?}", parsed.problems, read.err());
        // Whatever was refused was taken out, so the rest could be read.
        let syntax = [code::TOML_SYNTAX, code::DUPLICATE_KEY];
        if !parsed.problems.iter().any(|problem| syntax.contains(&problem.code)) {
            let path_kept = parsed.manifest.objects.contains_key("fw");
            let path_ok = !parsed.document.is_marked(&crate::manifest::KeyPath::of(["objects", "fw", "path"]))
                && !parsed.document.is_marked(&crate::manifest::KeyPath::of(["objects"]));
            prop_assert_eq!(path_kept, path_ok, "{:?}", parsed.problems);
        }
        assert_spans_are_inside(&text);
        // An editor has nothing to say against what we take, as far as JSON has numbers for it.
        let json = toml::from_str::<serde_json::Value>(&text);
        if let Ok(json) = json && clean && !["inf", "nan"].iter().any(|none| text.contains(none)) {
            let found: Vec<String> =
                SCHEMA.iter_errors(&json).map(|error| error.to_string()).collect();
            prop_assert!(found.is_empty(), "{found:?}");
        }
    }
}

proptest! {
    #[test]
    fn broken_text_never_panics(
        cut in any::<prop::sample::Index>(),
        noise in "[\\[\\]{}=\"'.,#\\\\a1é\n ]{0,12}",
        end in any::<prop::sample::Index>(),
    ) {
        let start = FULL.floor_char_boundary(cut.index(FULL.len()));
        let rest = FULL.floor_char_boundary(end.index(FULL.len()));
        assert_spans_are_inside(&format!("{}{noise}{}", &FULL[..start], &FULL[rest..]));
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,200}") {
        assert_spans_are_inside(&text);
    }
}

#[test]
fn deep_and_long_texts_are_survived() {
    for text in [
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("[objects.fw.globals.{}b]", "a.".repeat(70)),
        format!("[objects.fw.globals]\nx = {}1{}", "[".repeat(75), "]".repeat(75)),
        format!("x = {}", "[".repeat(100_000)),
        "k".repeat(1_000_000),
        "[objects.".repeat(100_000),
    ] {
        assert_spans_are_inside(&text);
    }
    let problems = parse(&" ".repeat(super::super::MANIFEST_MAX + 1)).problems;
    assert_eq!(problems.first().map(|problem| problem.code), Some(code::MANIFEST_TOO_LARGE));
}
