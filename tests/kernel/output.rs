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

/// Applies the example and returns its path with the program that did.
fn three_policies(sandbox: &Sandbox) -> (Program, String) {
    host::wire(sandbox);
    object("three_policies");
    let program = Program::new();
    let manifest = root().join("examples/manifests/three-policies.toml").display().to_string();
    program.run(&["apply", &manifest, "--detach"]).status(0);
    (program, manifest)
}

#[test]
fn a_status_tells_what_maps_and_programs_use() {
    Sandbox::run(|sandbox| {
        let (program, manifest) = three_policies(sandbox);
        host::send_udp(3);
        let status = program.run(&["status", &manifest, "--format", "json"]).status(0).json();
        let resources =
            status["deployments"][0]["resources"].as_array().expect("resources").clone();
        let usage = |address: &str| {
            let found = resources.iter().find(|resource| resource["address"] == address);
            found.unwrap_or_else(|| panic!("{address}: {resources:?}"))["usage"].clone()
        };
        let loaded = usage("program.counter.count_packets");
        assert!(loaded["memory"].as_u64().expect("bytes") > 0, "{loaded}");
        let link = resources.iter().find(|one| one["kind"] == "link").expect("a link");
        assert_eq!((&link["hook"], &link["target"]), (&"xdp".into(), &"veth0".into()));
        let map = usage("map.counter.totals");
        assert!(map["memory"].as_u64().expect("bytes") > 0, "{map}");
        assert!(map["max_entries"].as_u64().expect("a number") > 0, "{map}");
        let conditions = &status["deployments"][0]["conditions"];
        for (place, kind, holds) in
            [(0, "Ready", true), (1, "Progressing", false), (2, "Degraded", false)]
        {
            assert_eq!(
                (&conditions[place]["type"], &conditions[place]["status"]),
                (&kind.into(), &holds.into())
            );
            assert_eq!(conditions[place]["observed_generation"], 1);
        }
    });
}

#[test]
fn a_status_is_coloured_as_the_environment_asks() {
    Sandbox::run(|sandbox| {
        let (program, manifest) = three_policies(sandbox);
        let coloured = |variables: &[(&str, &str)], words: &[&str]| {
            let mut command = program.command(&["status", &manifest]);
            command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
            command.args(words).envs(variables.iter().copied());
            let said: crate::program::Said = command.output().expect("it starts").into();
            said.status(0).out.contains("\u{1b}[32min-sync")
        };
        assert!(!coloured(&[], &[]), "this is no terminal");
        assert!(coloured(&[("CLICOLOR_FORCE", "1")], &[]));
        assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[]));
        assert!(coloured(&[("NO_COLOR", "1")], &["--color", "always"]));
    });
}

#[test]
fn entries_are_counted_as_they_come_and_go() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        let text = format!(
            "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n[objects.fw]\npath = \"{}\"\n",
            object("firewall").display()
        );
        let manifest = program.manifest("edge.toml", &text);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let entries = || {
            let status = program.run(&["status", "--format", "json"]).status(0).json();
            let resources =
                status["deployments"][0]["resources"].as_array().expect("resources").clone();
            let flows = resources.iter().find(|one| one["address"] == "map.fw.blocked");
            flows.expect("the map")["usage"]["entries"].as_u64()
        };
        assert_eq!(entries(), Some(0));
        let add = |key: [&str; 4]| {
            let mut words = vec!["map", "update", "pinned", "/sys/fs/bpf/edge/blocked", "key"];
            words.extend(key);
            words.extend(["value", "1", "0", "0", "0", "0", "0", "0", "0"]);
            host::bpftool(&words);
        };
        add(["10", "0", "0", "1"]);
        add(["10", "0", "0", "2"]);
        assert_eq!(entries(), Some(2));
    });
}

#[test]
fn metrics_are_what_prometheus_reads_and_go_to_a_file_at_once() {
    Sandbox::run(|sandbox| {
        let (program, manifest) = three_policies(sandbox);
        let said = program.run(&["status", "--format", "prometheus"]).status(0).out;
        for sample in [
            "ebpf_apply_deployment_ready{deployment=\"three-policies\"} 1",
            "ebpf_apply_deployment_generation{deployment=\"three-policies\"} 1",
            "ebpf_apply_link_info{deployment=\"three-policies\",resource=\"link.counter.count_packets[xdp:veth0]\",hook=\"xdp\",target=\"veth0\"} 1",
            "ebpf_apply_resource_in_sync{deployment=\"three-policies\",kind=\"map\",resource=\"map.counter.totals\"} 1",
        ] {
            assert!(said.lines().any(|line| line == sample), "{sample} is not in\n{said}");
        }
        assert!(said.contains("# TYPE ebpf_apply_map_memory_bytes gauge"), "{said}");
        // Each metric is described once, before its samples, and each line is one or the other.
        let mut described = None;
        for line in said.lines() {
            match line.strip_prefix("# TYPE ebpf_apply_") {
                Some(rest) => described = rest.split(' ').next(),
                None if line.starts_with("# HELP ") => {}
                None => {
                    let name = line.strip_prefix("ebpf_apply_").expect("a sample");
                    assert_eq!(name.split('{').next(), described, "{line}");
                    let value = line.rsplit(' ').next().expect("a value");
                    assert!(value.parse::<f64>().is_ok(), "{line}");
                }
            }
        }
        let file = program.directory().join("ebpf-apply.prom");
        let out = file.display().to_string();
        program.run(&["status", &manifest, "--format", "prometheus", "--out", &out]).status(0);
        let written = std::fs::read_to_string(&file).expect("it was written");
        assert!(written.contains("ebpf_apply_deployment_ready"), "{written}");
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &file.metadata().expect("it is there").permissions(),
        );
        assert_eq!(mode & 0o777, 0o644, "whoever collects it is not root");
        program.run(&["status", "--out", "/no/such/place"]).status(1).complains("/no/such/place");
    });
}

#[test]
fn a_probe_fails_unless_the_deployment_is_ready() {
    Sandbox::run(|sandbox| {
        let (program, manifest) = three_policies(sandbox);
        let probe = |status| {
            program.run(&["status", &manifest, "--detailed-exitcode"]).status(status);
        };
        probe(0);
        std::fs::remove_file("/sys/fs/bpf/ebpf-apply/three-policies/live/sessions").expect("a pin");
        probe(2);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        probe(0);
        program.run(&["destroy", &manifest]).status(0);
        // What persists is no deployment that is ready.
        probe(2);
    });
}

#[test]
fn a_status_that_is_watched_is_shown_again() {
    Sandbox::run(|sandbox| {
        let (program, manifest) = three_policies(sandbox);
        let mut command = program.command(&["status", &manifest, "--watch=1", "--format", "json"]);
        let mut held = crate::program::Held::start(&mut command);
        for _ in 0..2 {
            assert_eq!(held.result()["deployments"][0]["name"], "three-policies");
        }
    });
}

#[test]
fn a_plan_in_markdown_is_one_table() {
    Sandbox::run(|sandbox| {
        let (program, manifest) = three_policies(sandbox);
        let unchanged = program.run(&["plan", &manifest, "--format", "markdown"]).status(0).out;
        let needs = "Needs CAP\\_BPF, CAP\\_NET\\_ADMIN, CAP\\_PERFMON.\n";
        let wanted = format!("### Deployment `three-policies`\n\nPlan: 5 unchanged.\n\n{needs}");
        assert_eq!(unchanged, wanted);
        std::fs::remove_file("/sys/fs/bpf/ebpf-apply/three-policies/live/sessions").expect("a pin");
        let text = program.run(&["plan", &manifest, "--format", "markdown"]).status(0).out;
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows[..2], ["| | resource | what happens |", "|---|---|---|"]);
        assert_eq!(rows.len(), 3, "{text}");
        assert!(rows[2].contains("| `map.counter.sessions` |"), "{text}");
        for row in rows {
            assert_eq!(row.replace("\\|", "").matches('|').count(), 4, "{row}");
        }
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
