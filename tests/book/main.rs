//! The book as a whole: each page is listed, each link leads somewhere, and what is generated of it is
//! what would be generated now. `UPDATE_BOOK=1 cargo test --test book` writes that anew.
//!
//! What its commands do is seen in `tests/kernel/book/`.

mod links;
mod reference;

use std::fs;
use std::path::{Path, PathBuf};

/// The book's directory.
fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The page that `make hooks` makes of a run on every kernel; a page of the book, there or not.
const MADE_BY_RUNS: &str = "hooks.md";

/// The pages below a directory of the book, by their paths in it, in order.
fn pages(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(book().join(directory)).expect("the directory is there");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    let names = names.map(|name| name.into_string().expect("UTF-8"));
    let mut pages: Vec<String> = names
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"))
        .map(|name| if directory.is_empty() { name } else { format!("{directory}/{name}") })
        .collect();
    if directory.is_empty() && !pages.iter().any(|page| page == MADE_BY_RUNS) {
        pages.push(MADE_BY_RUNS.to_owned());
    }
    pages.sort();
    pages
}

/// Holds a file of the book against what is generated for it.
#[track_caller]
fn is_current(file: &str, generated: &str) {
    let path = book().join(file);
    if std::env::var_os("UPDATE_BOOK").is_some() {
        fs::write(&path, generated).expect("the book can be written");
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let difference = found.lines().zip(generated.lines()).position(|(old, new)| old != new);
    assert!(
        found == generated,
        "docs/{file} is not current (first in line {}): run `UPDATE_BOOK=1 cargo test --test book`",
        difference.map_or(found.lines().count(), |line| line + 1)
    );
}

/// Where the list of codes begins in the summary.
const CODES: &str = "- [Codes of problems](codes.md)\n";

#[test]
fn the_summary_lists_every_page_once() {
    let summary = read(&book().join("SUMMARY.md"));
    let (pages_part, _) = summary.split_once(CODES).expect("the codes");
    let codes = pages("codes").into_iter().map(|page| {
        let title = page.trim_start_matches("codes/").trim_end_matches(".md").to_owned();
        format!("  - [{title}]({page})\n")
    });
    let codes: String = codes.collect();
    is_current("SUMMARY.md", &format!("{pages_part}{CODES}{codes}"));
    for page in pages("").iter().filter(|page| *page != "SUMMARY.md") {
        assert_eq!(summary.matches(&format!("]({page})")).count(), 1, "{page}");
    }
    let listed = links::links(&summary);
    assert_eq!(listed.len(), pages("").len() - 1 + pages("codes").len());
}
