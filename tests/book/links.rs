//! Links between pages, and to files of the repository.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{MADE_BY_RUNS, book, pages, read};

/// The targets of a page's links, without those in code.
pub(super) fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_block = false;
    for line in page.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        }
        if in_block {
            continue;
        }
        // Code spans are every other part.
        let text: String = line
            .split('`')
            .enumerate()
            .map(|(part, text)| if part % 2 == 0 { text } else { "code" })
            .collect();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        links.extend(targets.map(str::to_owned));
    }
    links
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut in_block = false;
    for line in page.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        }
        let Some(heading) = line.strip_prefix('#').filter(|_| !in_block) else { continue };
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        anchors.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
    }
    anchors
}

fn is_yet_to_be_made(page: &Path) -> bool {
    page.ends_with(MADE_BY_RUNS) && !page.exists()
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents: Vec<PathBuf> =
        pages("").into_iter().chain(pages("codes")).map(|page| book().join(page)).collect();
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"] {
        documents.extend(Some(root.join(name)).filter(|path| path.exists()));
    }
    let mut followed = 0;
    for document in documents {
        if is_yet_to_be_made(&document) {
            continue;
        }
        let text = read(&document);
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().expect("a directory").join(path),
            };
            let shown = document.display();
            if is_yet_to_be_made(&target) {
                continue;
            }
            assert!(target.exists(), "{shown}: {link} leads nowhere");
            let found = anchor.is_empty() || anchors(&read(&target)).contains(anchor);
            assert!(found, "{shown}: {link} has no such heading");
            followed += 1;
        }
    }
    assert!(followed > 80, "{followed} links");
}

#[test]
fn the_book_is_found_from_the_readme() {
    let readme = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    assert!(links(&readme).contains(&"docs/index.md".to_owned()));
    let index = links(&read(&book().join("index.md")));
    for page in pages("") {
        let is_listed = index.contains(&page) || ["index.md", "SUMMARY.md"].contains(&&*page);
        assert!(is_listed, "index.md does not lead to {page}");
    }
}
