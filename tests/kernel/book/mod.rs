//! What the README and the book show is what happens.

mod lifetimes;
mod page;
mod readme;
mod terminal;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::sandbox::Sandbox;
use crate::support::{object, root};

use page::blocks;
use terminal::Terminal;

/// Commands that need what a test here has not; a page may show them in blocks `sh`, which are not run.
/// `tests/packaging.rs` runs `systemd-analyze`.
const NOT_RUN: &[&str] =
    &["apt", "helm", "journalctl", "kubectl", "make", "systemctl", "systemd-analyze"];

/// A test for each page that runs something.
macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        const PAGES: &[&str] = &[$($page),*];
        $(
            #[test]
            fn $test() {
                run($page);
            }
        )*
    };
}

pages! {
    the_readme: "README.md",
    codes: "docs/codes.md",
    comparison: "docs/comparison.md",
    gitops: "docs/gitops.md",
    pins: "docs/pins.md",
    systemd: "docs/systemd.md",
    tutorial: "docs/tutorial.md",
}

/// Writes the files that a page shows and runs its commands in order, with `eth0` joined to `eth1`.
fn run(page: &str) {
    let text = fs::read_to_string(root().join(page)).expect("a page");
    let firewall = object("firewall");
    Sandbox::run(|sandbox| {
        sandbox.wire("eth0", "eth1");
        let place = tempfile::tempdir().expect("a directory for this test");
        let [desk, commands] = ["desk", "commands"].map(|name| place.path().join(name));
        fs::create_dir(&desk).expect("a directory");
        fs::create_dir(&commands).expect("a directory");
        symlink(env!("CARGO_BIN_EXE_ebpf-apply"), commands.join("ebpf-apply")).expect("a link");
        // The object that pages apply without saying where it comes from.
        fs::copy(&firewall, desk.join("firewall.bpf.o")).expect("a copy");
        let mut terminal = Terminal::new(&desk, &commands);
        for block in blocks(&text) {
            if let Some(name) = block.name {
                fs::write(desk.join(name), &block.text).expect("a writable directory");
            }
            for command in block.commands() {
                terminal.run(&command);
            }
        }
        terminal.end();
    });
}

/// The README and every page of the book, by their paths.
fn every_page() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    for entry in fs::read_dir(root().join("docs")).expect("the book") {
        let path: PathBuf = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let path = path.strip_prefix(root()).expect("below the root");
            pages.push(path.display().to_string());
        }
    }
    pages
}

#[test]
fn every_page_that_shows_commands_is_run() {
    let has_commands = |page: &String| {
        let text = fs::read_to_string(root().join(page)).expect("a page");
        blocks(&text).iter().any(|block| block.language == "console")
    };
    let shown: BTreeSet<String> = every_page().into_iter().filter(has_commands).collect();
    assert_eq!(shown, PAGES.iter().copied().map(str::to_owned).collect());
}

#[test]
fn what_is_shown_and_not_run_needs_what_a_test_has_not() {
    for page in every_page() {
        let text = fs::read_to_string(root().join(&page)).expect("a page");
        for block in blocks(&text).iter().filter(|block| block.language == "sh") {
            for line in block.text.lines() {
                let word = line.trim_start_matches(['$', '#', ' ']).split(' ').next();
                let known = word.is_some_and(|word| NOT_RUN.contains(&word));
                assert!(known, "{page}: `{line}` could be run: put it into a block `console`");
                let target = line.split_once("make ").map(|(_, target)| target.split(' ').next());
                if let Some(Some(target)) = target {
                    let makefile = fs::read_to_string(root().join("Makefile")).expect("there");
                    let begins = |line: &str| line.starts_with(&format!("{target}: "));
                    assert!(makefile.lines().any(begins), "{page}: make {target}");
                }
            }
        }
    }
}

#[test]
fn sources_that_pages_show_are_those_of_the_tests() {
    let mut shown = 0;
    for page in every_page() {
        let text = fs::read_to_string(root().join(&page)).expect("a page");
        for block in blocks(&text).iter().filter(|block| block.language == "c") {
            let Some(name) = block.name else { continue };
            let source = fs::read_to_string(Path::new(root()).join("bpf").join(name));
            assert_eq!(source.ok().as_ref(), Some(&block.text), "{page}: bpf/{name}");
            shown += 1;
        }
    }
    assert!(shown >= 2, "the tutorial begins with C");
}
