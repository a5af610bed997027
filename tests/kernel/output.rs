//! Results as programs read them.

use std::process::Stdio;

use crate::host;
use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::{object, root};

#[test]
fn every_result_is_one_json_document() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        object("three_policies");
        let program = Program::new();
        let manifest = root().join("examples/manifests/three-policies.toml").display().to_string();
        let json = |words: &[&str], status| {
            let words: Vec<&str> = words.iter().chain(&["--format", "json"]).copied().collect();
            program.run(&words).status(status).json()
        };

        let valid = json(&["validate", &manifest], 0);
        assert_eq!((&valid["format_version"], &valid["valid"]), (&1.into(), &true.into()));

        let plan = json(&["plan", &manifest], 0);
        assert_eq!(plan["name"], "three-policies");
        assert_eq!(plan["summary"]["create"], 5);
        let addresses: Vec<_> = plan["changes"]
            .as_array()
            .expect("changes")
            .iter()
            .map(|one| &one["address"])
            .collect();
        assert!(addresses.contains(&&"link.counter.count_packets[xdp:veth0]".into()));

        let applied = json(&["apply", &manifest, "--detach"], 0);
        assert_eq!((&applied["outcome"], &applied["generation"]), (&"applied".into(), &1.into()));
        let again = json(&["apply", &manifest, "--detach"], 0);
        assert_eq!((&again["outcome"], &again["generation"]), (&"unchanged".into(), &1.into()));

        let status = json(&["status", &manifest], 0);
        let deployment = &status["deployments"][0];
        assert_eq!(deployment["conditions"][0]["type"], "Ready");
        assert_eq!(deployment["conditions"][0]["status"], true);
        for resource in deployment["resources"].as_array().expect("resources") {
            for key in ["address", "kind", "id", "pin", "state", "detail"] {
                assert!(resource.get(key).is_some(), "{key} is missing from {resource}");
            }
        }

        let ended = json(&["destroy", &manifest, "--purge"], 0);
        assert_eq!(ended["outcome"], "ended");
        let unknown = json(&["destroy", "--name", "three-policies"], 1);
        assert_eq!(unknown["problems"][0]["code"], "unknown-deployment");
    });
}

#[test]
fn a_closed_pipe_is_no_failure() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        object("three_policies");
        let program = Program::new();
        let manifest = root().join("examples/manifests/three-policies.toml").display().to_string();
        for words in [&["plan", &manifest][..], &["apply", &manifest, "--detach"], &["schema"]] {
            let mut child = program
                .command(words)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program starts");
            drop(child.stdout.take());
            let said = child.wait_with_output().expect("it ends");
            assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
            assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
        }
    });
}
