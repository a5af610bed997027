//! The tables of the README are those of the program.

use std::collections::BTreeSet;
use std::fs;

use crate::program::Program;
use crate::support::root;

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("the README")
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
