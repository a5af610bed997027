//! What the README shows is what happens.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::Signal;

use crate::host::tree;
use crate::program::{Held, Program};
use crate::sandbox::Sandbox;
use crate::support::{object, root};

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("the README")
}

/// The fenced blocks of a language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// The words of the command lines of console blocks that call the program, without the remark that
/// follows two spaces.
fn commands(text: &str) -> Vec<Vec<String>> {
    let lines = blocks(text, "console").into_iter().flat_map(str::lines);
    let calls = lines.filter_map(|line| {
        let line = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "))?;
        let line = line.split("  ").next()?;
        line.strip_prefix("ebpf-apply ")
    });
    calls.map(|call| call.split(' ').map(str::to_owned).collect()).collect()
}

#[test]
fn the_manifest_and_the_commands_work_as_shown() {
    let text = readme();
    let manifest = blocks(&text, "toml");
    assert_eq!(manifest.len(), 1, "one manifest is shown");
    let commands = commands(&text);
    assert!(commands.len() >= 3, "{commands:?}");
    Sandbox::run(|sandbox| {
        sandbox.wire("eth0", "eth1");
        let program = Program::new();
        fs::copy(object("firewall"), program.directory().join("firewall.bpf.o")).expect("a copy");
        let path = program.manifest("edge.toml", manifest[0]);
        for command in &commands {
            let words: Vec<&str> = command
                .iter()
                .map(|word| if word == "edge.toml" { &path } else { word.as_str() })
                .collect();
            if words == [path.as_str()] {
                let held = program.hold(&path);
                assert!(tree().contains(&"/sys/fs/bpf/ebpf-apply/edge/state/flows".into()));
                assert_eq!(held.end(Signal::TERM).0, Some(0));
            } else if words == [path.as_str(), "--watch"] {
                let mut held = Held::start(&mut program.command(&words));
                while !held.line().contains("held until") {}
                program
                    .manifest("edge.toml", &manifest[0].replace("log_level = 2", "log_level = 1"));
                while !held.line().contains("applied as generation") {}
                assert_eq!(held.end(Signal::TERM).0, Some(0));
            } else {
                program.run(&words).status(0);
            }
        }
        assert!(tree().contains(&"/sys/fs/bpf/ebpf-apply/edge/state/flows".into()), "persists");
    });
}

#[test]
fn the_table_of_commands_lists_every_command() {
    let text = readme();
    let listed = |word: &str| text.contains(&format!("`ebpf-apply {word}"));
    let help = Program::new().run(&["--help"]).status(0).out;
    let commands: Vec<&str> = help
        .split("Commands:\n")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .expect("a list of commands")
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() >= 7, "{commands:?}");
    for command in commands {
        assert!(listed(command), "`{command}` is not in the README");
    }
}

#[test]
fn the_table_of_exit_statuses_is_that_of_the_help_text() {
    let statuses = |text: &str, open: &str| {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix(open));
        let numbered = lines.filter_map(|line| {
            line.split([' ', '|']).find(|word| !word.is_empty())?.parse::<u8>().ok()
        });
        numbered.collect::<BTreeSet<_>>()
    };
    let help = Program::new().run(&["--help"]).status(0).out;
    let help = help.split("Exit status:").nth(1).expect("the exit statuses");
    assert_eq!(statuses(&readme(), "|"), statuses(help, ""));
}
