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
