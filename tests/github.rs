//! The GitHub Action and the pre-commit hooks, as far as they run without GitHub.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn packaged(name: &str) -> PathBuf {
    support::root().join("packaging/github").join(name)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("a readable file")
}

/// Runs a step of the action with its inputs as the action hands them over.
fn step(script: &str, inputs: &[(&str, &str)], directory: &Path) -> Output {
    let mut command = Command::new(packaged(script));
    command.env("PROGRAM", env!("CARGO_BIN_EXE_ebpf-apply")).current_dir(directory);
    command.envs(inputs.iter().copied());
    command.env("GITHUB_STEP_SUMMARY", directory.join("summary.md"));
    command.env("GITHUB_OUTPUT", directory.join("outputs"));
    command.output().expect("bash is installed")
}

#[test]
fn the_action_annotates_and_writes_sarif() {
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = directory.path().join("edge.toml");
    fs::write(&manifest, "version = 1\nname = \"edge\"\npin-rot = \"/sys/fs/bpf/edge\"\n")
        .expect("writable");
    let inputs = [("MANIFESTS", "edge.toml"), ("SARIF", "problems.sarif")];
    let done = step("validate.sh", &inputs, directory.path());
    assert_eq!(done.status.code(), Some(3));
    let said = String::from_utf8(done.stdout).expect("UTF-8");
    assert!(said.starts_with("::error file=edge.toml,line=3,"), "{said}");
    let sarif = text(&directory.path().join("problems.sarif"));
    let sarif: Value = serde_json::from_str(&sarif).expect("JSON");
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "unknown-key");
}

#[test]
fn inputs_of_the_action_become_options_and_never_code() {
    let directory = tempfile::tempdir().expect("a directory");
    let object = support::object("firewall");
    let manifest = format!(
        "version = 1\nname = \"edge\"\n[objects.fw]\npath = \"{}\"\n[objects.fw.programs.xdp_firewall]\n\
         attach = [{{ hook = \"xdp\", interface = \"eth0\" }}]\n",
        object.display()
    );
    fs::write(directory.path().join("edge.toml"), manifest).expect("writable");
    let status = |inputs: &[(&str, &str)]| {
        let inputs = [&[("MANIFESTS", "edge.toml")], inputs].concat();
        step("validate.sh", &inputs, directory.path()).status.code()
    };
    assert_eq!(status(&[]), Some(0));
    assert_eq!(status(&[("REQUIRE_DIGESTS", "true")]), Some(3));
    assert_eq!(status(&[("REQUIRE_DIGESTS", "false"), ("DENY_WARNINGS", "true")]), Some(0));
    assert_eq!(status(&[("KERNEL", "5.8"), ("DENY_WARNINGS", "true")]), Some(3));
    assert_eq!(status(&[("KERNEL", "$(touch made)")]), Some(64));
    assert_eq!(status(&[("MANIFESTS", "")]), Some(64));
    assert_eq!(status(&[("MANIFESTS", "edge.toml $(touch made) ;touch made")]), Some(3));
    assert!(!directory.path().join("made").exists());
}

#[test]
fn a_plan_that_cannot_be_made_fails_the_job() {
    let directory = tempfile::tempdir().expect("a directory");
    let done = step("plan.sh", &[("MANIFEST", "missing.toml")], directory.path());
    assert_eq!(done.status.code(), Some(3));
    assert!(!directory.path().join("outputs").exists());
}

#[test]
fn the_action_hands_every_input_to_a_step_that_reads_it() {
    let action = text(&packaged("action.yml"));
    let between = |from: &str, to: &str| {
        let (_, rest) = action.split_once(from).expect("a part of the action");
        rest.split_once(to).map_or(rest, |(part, _)| part).to_owned()
    };
    let inputs = between("\ninputs:\n", "\noutputs:\n");
    let names = inputs.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = names.map(|line| line.trim().trim_end_matches(':')).collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(action.contains(&format!("${{{{ inputs.{name} }}}}")), "{name} reaches no step");
    }
    for step in between("\n  steps:\n", "\n\n").split("    - name: ").skip(1) {
        let (_, run) = step.split_once("$GITHUB_ACTION_PATH/").expect("a script of its own");
        let script = text(&packaged(run.split('"').next().expect("a name")));
        let (_, given) = step.split_once("      env:\n").expect("inputs come as variables");
        for variable in given.lines().filter_map(|line| line.trim().split_once(": ")) {
            assert!(
                script.contains(&format!("${}", variable.0))
                    || script.contains(&format!("${{{}", variable.0)),
                "{} is read by nobody",
                variable.0
            );
        }
    }
}

#[test]
fn the_hooks_call_the_program_as_it_can_be_called() {
    let hooks = text(&support::root().join(".pre-commit-hooks.yaml"));
    let entries: Vec<&str> =
        hooks.lines().filter_map(|line| line.trim().strip_prefix("entry: ")).collect();
    assert_eq!(entries.len(), 2);
    for entry in entries {
        let words: Vec<&str> = entry.split(' ').collect();
        assert_eq!(words[0], "ebpf-apply");
        let run = |manifest: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ebpf-apply"));
            let done =
                command.args(&words[1..]).arg(manifest).current_dir(support::root()).output();
            done.expect("the program starts").status.code()
        };
        assert_eq!(run("examples/invalid/unknown-key.toml"), Some(3));
        support::object("three_policies");
        assert_eq!(run("examples/manifests/three-policies.toml"), Some(0));
    }
}
