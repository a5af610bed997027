//! The promises of `SECURITY.md` are held by tests: each names some, and those exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every test of the repository, by the module it is in and its name.
fn tests() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for directory in ["tests", "src"] {
        collect(&root().join(directory), &mut found);
    }
    found
}

fn collect(directory: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
            let text = fs::read_to_string(&path).expect("a readable source");
            let mut lines = text.lines().map(str::trim);
            while lines.any(|line| line == "#[test]") {
                let name = lines.find_map(|line| line.strip_prefix("fn "));
                let name = name.and_then(|rest| rest.split('(').next()).unwrap_or_default();
                found.insert((module.clone(), name.to_owned()));
            }
        }
    }
}

/// The promises, each with the names of its tests.
fn promises(text: &str) -> Vec<(&str, Vec<&str>)> {
    let (_, rest) = text.split_once("\n## What is promised\n").expect("there are promises");
    let (part, _) = rest.split_once("\n## ").expect("and there is what is not promised");
    part.split("\n- **")
        .skip(1)
        .map(|promise| {
            let quoted = promise.split('`').skip(1).step_by(2);
            (
                promise,
                quoted.filter(|word| word.matches('_').count() > 1 && is_path(word)).collect(),
            )
        })
        .collect()
}

/// Whether it could be a test's name, rather than an option's or a capability's.
fn is_path(word: &str) -> bool {
    word != "no_new_privs"
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c))
}

#[test]
fn every_promise_is_held_by_tests_that_exist() {
    let text = fs::read_to_string(root().join("SECURITY.md")).expect("it is there");
    let tests = tests();
    let promises = promises(&text);
    assert!(promises.len() > 10, "{}", promises.len());
    for (promise, named) in promises {
        assert!(!named.is_empty(), "no test holds this:\n{promise}");
        for name in named {
            let mut parts = name.rsplit("::");
            let function = parts.next().expect("a name");
            let module = parts.find(|module| *module != "tests");
            let exists = tests.iter().any(|(file, known)| {
                known == function && module.is_none_or(|module| module == file)
            });
            assert!(exists, "there is no test `{name}`");
        }
    }
}

#[test]
fn the_search_for_tests_finds_them_and_nothing_else() {
    let tests = tests();
    let has = |module: &str, name: &str| tests.contains(&(module.to_owned(), name.to_owned()));
    assert!(has("security", "every_promise_is_held_by_tests_that_exist"));
    assert!(has("security", "the_search_for_tests_finds_them_and_nothing_else"));
    assert!(!has("security", "promises"));
    assert!(has("inspect_damaged", "no_mutation_makes_it_panic"));
}
