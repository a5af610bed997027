//! Holds the arrows of ARCHITECTURE.md: which room may know which.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every room with the rooms it may name, and the foreign crates kept to it.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("btf", &[]),
    ("trust", &[]),
    ("manifest", &["model"]),
    ("object", &["model", "btf"]),
    ("relocate", &["model", "btf"]),
    ("validate", &["manifest", "object", "model"]),
    ("draft", &["validate", "object", "model"]),
    ("plan", &["validate", "object", "model"]),
    ("kernel", &["object", "relocate", "trust", "btf", "model"]),
    ("apply", &["plan", "kernel", "validate", "object", "trust", "model"]),
    ("view", &["apply", "plan", "object", "model"]),
    ("watch", &["model"]),
    (
        "cli",
        &[
            "view", "draft", "watch", "apply", "plan", "kernel", "validate", "manifest", "object",
            "trust", "model",
        ],
    ),
];

/// Foreign crates that only some rooms may use.
const FENCED: &[(&str, &[&str])] = &[
    ("aya", &["kernel"]),
    ("clap", &["cli"]),
    ("miette", &["view"]),
    ("minisign_verify", &["validate"]),
    ("toml", &["manifest", "validate"]),
    ("schemars", &["manifest", "model"]),
    ("netlink_packet_route", &["kernel"]),
    ("netlink_sys", &["kernel"]),
    ("signal_hook", &["cli"]),
];

fn sources() -> BTreeMap<String, Vec<PathBuf>> {
    let mut rooms = BTreeMap::new();
    for (room, _) in ROOMS {
        let mut files = Vec::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room), &mut files);
        assert!(!files.is_empty(), "room `{room}` has no files");
        rooms.insert((*room).to_owned(), files);
    }
    rooms
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a room is a directory") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The code of a file that ends up in the product: tests may look anywhere.
fn product(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a readable source");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// The identifiers that follow `prefix` in `code`.
fn named_after<'c>(code: &'c str, prefix: &str) -> Vec<&'c str> {
    let word = |rest: &'c str| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    };
    code.split(prefix).skip(1).map(word).collect()
}

#[test]
fn rooms_know_only_the_rooms_below() {
    let mut wrong = Vec::new();
    for (room, files) in sources() {
        let (_, allowed) = ROOMS.iter().find(|(name, _)| *name == room).expect("listed");
        for file in files.iter().filter(|file| !is_test_file(file)) {
            for other in named_after(&product(file), "crate::") {
                if other != room && !other.is_empty() && !allowed.contains(&other) {
                    wrong.push(format!("{}: {room} → {other}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point upward:\n{}", wrong.join("\n"));
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for (room, files) in sources() {
        for file in files.iter().filter(|file| !is_test_file(file)) {
            let code = product(file);
            for (name, allowed) in FENCED {
                let used = code.contains(&format!("use {name}::"))
                    || code.contains(&format!(" {name}::"))
                    || code.contains(&format!("({name}::"));
                if used && !allowed.contains(&room.as_str()) {
                    wrong.push(format!("{}: {room} uses {name}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "crates outside their rooms:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stays_in_the_system_call_layer() {
    let mut wrong = Vec::new();
    for files in sources().into_values() {
        for file in files {
            let code = product(&file);
            let has = code.contains("unsafe {")
                || code.contains("unsafe fn")
                || code.contains("unsafe impl");
            if has && !file.to_string_lossy().contains("src/kernel/linux/sys/") {
                wrong.push(file.display().to_string());
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe outside the system call layer:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_outgrows_its_purpose() {
    let mut large = Vec::new();
    for files in sources().into_values() {
        for file in files.iter().filter(|file| !is_test_file(file)) {
            let lines = product(file).lines().count();
            if lines > 500 {
                large.push(format!("{}: {lines} lines", file.display()));
            }
        }
    }
    assert!(large.is_empty(), "files over 500 lines:\n{}", large.join("\n"));
}
