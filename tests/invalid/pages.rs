//! The page of every code: there, in one form, and with examples that are no invention. What a page
//! shows as the mistake stands in the code's fixture or in the C source of its objects, line by line;
//! what it shows as the mend is TOML that the format takes.

use std::collections::BTreeSet;
use std::fs;

use ebpf_apply::manifest;
use ebpf_apply::model::code;

use crate::fixtures::{self, Fixture};
use crate::support;

/// A fenced piece of a page: its language and its text.
fn fenced(page: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        found.push((language, text.join("\n")));
    }
    found
}

/// The part of a page under a heading.
fn part<'p>(page: &'p str, heading: &str) -> Option<&'p str> {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n"))?;
    Some(rest.split_once("\n## ").map_or(rest, |(part, _)| part))
}

fn page(code: &str) -> &'static str {
    code::page(code).unwrap_or_else(|| panic!("{code} has no page"))
}

#[test]
fn every_code_has_a_page_of_the_same_form() {
    for (code, _) in code::ALL {
        let page = page(code);
        assert!(page.starts_with(&format!("# {code}\n\n")), "{code} begins with its name");
        for heading in ["Example", "Mend"] {
            let part = part(page, heading).unwrap_or_else(|| panic!("{code} lacks {heading}"));
            assert!(part.trim().len() > 20, "{code}: {heading} says something");
        }
        // Code is indented by four.
        let is_wide = |line: &&str| line.chars().count() > 86;
        assert_eq!(page.lines().find(is_wide), None, "{code} fits a terminal");
        assert!(page.ends_with('\n') && !page.ends_with("\n\n"), "{code} ends with one line end");
    }
}

#[test]
fn no_page_is_of_an_unknown_code() {
    let codes: BTreeSet<String> = code::ALL.iter().map(|(code, _)| format!("{code}.md")).collect();
    let files = fs::read_dir(support::root().join("docs/codes")).expect("the directory is there");
    for file in files {
        let name = file.expect("an entry").file_name().into_string().expect("UTF-8");
        assert!(codes.contains(&name), "docs/codes/{name}");
    }
}

#[test]
fn examples_stand_in_the_fixtures() {
    for fixture in fixtures::invalid() {
        let Fixture { name, text, .. } = &fixture;
        let example = part(page(name), "Example").unwrap_or_default();
        let pieces = fenced(example);
        assert!(!pieces.is_empty(), "{name} shows an example");
        let sources: Vec<String> = fixtures::objects(text)
            .map(|object| support::root().join(format!("bpf/{object}.bpf.c")))
            .map(|path| fs::read_to_string(path).expect("an object has its source"))
            .collect();
        for (language, piece) in pieces {
            let stands = match language {
                "toml" => text.contains(&piece),
                "c" => sources.iter().any(|source| source.contains(&piece)),
                other => panic!("{name}: an example in {other:?}"),
            };
            assert!(stands, "{name}: the fixture does not have\n{piece}");
        }
    }
}

#[test]
fn mends_are_manifests() {
    for (code, _) in code::ALL {
        for (_, piece) in fenced(page(code)).into_iter().filter(|(language, _)| *language == "toml")
        {
            if part(page(code), "Example").is_some_and(|example| example.contains(&piece)) {
                continue;
            }
            let has = |key: &str| piece.lines().any(|line| line.starts_with(key));
            let head = [("version = ", "version = 1\n"), ("name = ", "name = \"demo\"\n")];
            let head = head.into_iter().filter(|(key, _)| !has(key)).map(|(_, line)| line);
            let mut whole: String = head.chain([piece.as_str()]).collect();
            for object in ["demo", "first", "second"] {
                let is_named = whole.contains(&format!("[objects.{object}"));
                let header = format!("[objects.{object}]");
                if is_named && !has(&header) {
                    whole.extend(["\n", &header, "\npath = \"demo.bpf.o\"\n"]);
                }
            }
            let problems = manifest::parse(&whole).problems;
            assert!(problems.is_empty(), "{code}:\n{whole}\n{problems:#?}");
        }
    }
}
