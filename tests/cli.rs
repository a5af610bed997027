//! The command line without privileges: help, usage errors, validation, inspection.

mod support;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

#[test]
fn commands() {
    // The cases name objects by their paths in the package.
    for name in ["dialect", "invalid_sizes", "three_policies", "undeclared", "volatile_maps"] {
        support::object(name);
    }
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}

/// What the built program prints; it must succeed.
fn prints(words: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_ebpf-apply")).args(words).output();
    let done = done.expect("the program starts");
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("UTF-8")
}

/// The commands that `--help` lists.
fn listed() -> Vec<String> {
    let help = prints(&["-h"]);
    let (_, rest) = help.split_once("Commands:\n").expect("a list of commands");
    let (list, _) = rest.split_once("\n\n").expect("its end");
    list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn every_shell_completes_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = prints(&["completions", shell]);
        for command in listed() {
            assert!(script.contains(&command), "{command} is not completed by {shell}");
        }
    }
}

#[test]
fn bash_accepts_its_completions_and_completes_with_them() {
    let script = prints(&["completions", "bash"]);
    let asks = format!(
        "{script}\nCOMP_WORDS=(ebpf-apply val); COMP_CWORD=1\n\
         function=$(complete -p ebpf-apply | sed 's/.* -F \\([^ ]*\\).*/\\1/')\n\
         $function ebpf-apply val ebpf-apply; echo \"${{COMPREPLY[*]}}\"\n"
    );
    let done = Command::new("bash").args(["-c", &asks]).output().expect("bash is installed");
    assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), "validate");
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let directory = tempfile::tempdir().expect("a directory for this test");
    prints(&["man", &directory.path().display().to_string()]);
    let read = |page: &str| std::fs::read_to_string(directory.path().join(page)).expect("a page");
    let main = read("ebpf-apply.1");
    assert_eq!(main, prints(&["man"]));
    assert!(main.contains("the saved plan is stale"), "exit statuses are in it");
    for command in listed() {
        let page = read(&format!("ebpf-apply-{command}.1"));
        assert!(page.contains(&format!(".TH ebpf-apply-{command} 1")), "{page}");
    }
    assert!(read("ebpf-apply-plan.1").contains("detailed"), "options are in it");
}

#[test]
fn manual_pages_that_cannot_be_written_are_an_error() {
    let done =
        Command::new(env!("CARGO_BIN_EXE_ebpf-apply")).args(["man", "/no/such/place"]).output();
    let done = done.expect("the program starts");
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("cannot write manual pages to /no/such/place"), "{said}");
}

/// Runs the program in the package's root with `input` on standard input.
fn run(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ebpf-apply"))
        .args(arguments)
        .current_dir(support::root())
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // It may end without reading all of it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

#[test]
fn a_manifest_on_standard_input_is_relative_to_the_working_directory() {
    support::object("three_policies");
    let manifest = "version = 1\nname = \"edge\"\n[objects.demo]\n\
                    path = \"bpf/out/three_policies.bpf.o\"\nsubpth = \"fw\"\n";
    let output = run(&["validate", "-", "--format", "concise"], &[], manifest);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "-:5:1: error[unknown-key]: `objects.demo` has no key `subpth`\n"
    );
    assert_eq!(output.status.code(), Some(3));
    let mended = manifest.replace("subpth", "subpath");
    let output = run(&["validate", "-"], &[], &mended);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "-: valid\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn colours_are_for_terminals() {
    let coloured = |arguments: &[&str], variables: &[(&str, &str)]| {
        let all = [&["validate", "nonesuch.toml", "--format", "concise"], arguments].concat();
        run(&all, variables, "").stdout.contains(&b'\x1b')
    };
    assert!(!coloured(&[], &[]), "a pipe");
    assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "0")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(!coloured(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}
