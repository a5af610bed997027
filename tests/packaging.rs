//! What `packaging/` says of the program is so.

mod support;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

fn read(path: &str) -> String {
    fs::read_to_string(support::root().join("packaging").join(path)).expect("a readable file")
}

/// Runs the program with these words; the status that it ends with.
fn status(words: &[&str]) -> Option<i32> {
    let done = Command::new(env!("CARGO_BIN_EXE_ebpf-apply")).args(words).output();
    done.expect("the program starts").status.code()
}

/// The values of a key of the unit.
fn values<'u>(unit: &'u str, key: &str) -> Vec<&'u str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn the_unit_calls_the_program_as_it_can_be_called() {
    let unit = read("systemd/ebpf-apply@.service");
    let [start] = values(&unit, "ExecStart")[..] else { panic!("one command: {unit}") };
    let (program, words) = start.split_once(' ').expect("words");
    assert_eq!(program, "/usr/bin/ebpf-apply");
    let words = words.replace("%i", "no-such-deployment");
    let words: Vec<&str> = words.split(' ').collect();
    // A wrong command line would be 64, and a manifest that is not there is an invalid one.
    assert_eq!(status(&words), Some(3), "{words:?}");
    assert_eq!(values(&unit, "RestartPreventExitStatus"), ["3 64"]);
    // Where the records are, and that they outlive the process.
    assert_eq!(values(&unit, "RuntimeDirectory"), ["ebpf-apply"]);
    assert_eq!(values(&unit, "RuntimeDirectoryPreserve"), ["yes"]);
    assert_eq!(values(&unit, "CapabilityBoundingSet"), ["CAP_BPF CAP_NET_ADMIN CAP_PERFMON"]);
}

#[test]
fn the_daemonset_calls_the_program_as_it_can_be_called() {
    let daemonset = read("kubernetes/daemonset.yaml");
    let lists: Vec<Vec<String>> = daemonset
        .lines()
        .filter_map(|line| {
            let line = line.trim_start();
            line.strip_prefix("args: ").or_else(|| line.strip_prefix("command: "))
        })
        .map(|list| serde_json::from_str(list).expect("a list of strings"))
        .collect();
    let ours: Vec<&[String]> = lists
        .iter()
        .filter_map(|list| match list.first().map(String::as_str) {
            Some("apply") => Some(&list[..]),
            Some("/usr/bin/ebpf-apply") => Some(&list[1..]),
            _ => None,
        })
        .collect();
    assert_eq!(ours.len(), 3, "the container and two probes: {lists:?}");
    let state = tempfile::tempdir().expect("a directory for this test");
    let state = state.path().join("none").display().to_string();
    for words in ours {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        // There is no such manifest, and no such deployment.
        let wanted = if words[0] == "apply" { 3 } else { 1 };
        words.extend(["--state-dir", &state]);
        assert_eq!(status(&words), Some(wanted), "{words:?}");
    }
    assert!(!daemonset.contains("privileged: true"));
}

#[test]
fn the_manifest_of_the_kubernetes_base_is_valid() {
    let directory = tempfile::tempdir().expect("a directory for this test");
    let object = directory.path().join("firewall.bpf.o");
    fs::copy(support::object("firewall"), &object).expect("a copy");
    let text = read("kubernetes/edge.toml");
    let inside = "/objects/firewall.bpf.o";
    assert!(
        text.contains(inside) && read("kubernetes/daemonset.yaml").contains("mountPath: /objects")
    );
    let manifest = directory.path().join("edge.toml");
    fs::write(&manifest, text.replace(inside, &object.display().to_string())).expect("writable");
    let manifest: &Path = &manifest;
    assert_eq!(
        status(&["validate", &manifest.display().to_string(), "--deny", "warnings"]),
        Some(0)
    );
}

/// Says so where a run should have had it; `.ci/run` installs it.
fn skip() {
    writeln!(std::io::stdout(), "skipped: systemd-analyze is not installed").expect("a reader");
}

/// Units that systemd is asked about: what it says of each, the program being where the tests have it.
fn verified(units: &[&str]) -> Option<String> {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        skip();
        return None;
    };
    let directory = tempfile::tempdir().expect("a directory for this test");
    let mut paths = Vec::new();
    for unit in units {
        let text = read(&format!("systemd/{unit}"));
        let path = directory.path().join(unit.replace('@', "@edge"));
        let program = env!("CARGO_BIN_EXE_ebpf-apply");
        fs::write(&path, text.replace("/usr/bin/ebpf-apply", program)).expect("writable");
        paths.push(path);
    }
    let said = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&paths)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", directory.path().display()))
        .output()
        .expect("it starts");
    let version = String::from_utf8_lossy(&version.stdout);
    let version = version.split_whitespace().nth(1).and_then(|word| word.parse::<u32>().ok());
    let is_old = version.expect("systemd 252 (…)") < 253;
    let said = String::from_utf8_lossy(&said.stderr);
    // The unit says `notify` as well, for these.
    let known = |line: &&str| is_old && line.ends_with("service type, ignoring: notify-reload");
    let ours = |line: &&str| line.contains("ebpf-apply");
    Some(said.lines().filter(ours).filter(|line| !known(line)).collect())
}

#[test]
fn systemd_has_nothing_to_say_of_the_units() {
    let units = ["ebpf-apply@.service", "ebpf-apply-metrics.service", "ebpf-apply-metrics.timer"];
    let Some(said) = verified(&units) else { return };
    assert_eq!(said, "");
}

#[test]
fn systemd_measures_the_exposure_that_the_book_tells() {
    let unit = support::root().join("packaging/systemd/ebpf-apply@.service");
    let measured = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(&unit)
        .output();
    let Ok(measured) = measured else {
        skip();
        return;
    };
    let measured = String::from_utf8_lossy(&measured.stdout);
    let level = measured
        .lines()
        .find_map(|line| line.split_once("exposure level for ")?.1.split_once(": "));
    let (_, level) = level.expect("an overall exposure level");
    let version = Command::new("systemd-analyze").arg("--version").output().expect("it starts");
    if !version.stdout.starts_with(b"systemd 252 ") {
        let number: f32 =
            level.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
        assert!(number < 2.5, "it is {level}");
        return;
    }
    let told = level.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let page = fs::read_to_string(support::root().join("docs/systemd.md")).expect("the page");
    assert!(page.contains(&format!("   # {told}\n")), "it is {told}");
}

#[test]
fn the_unit_for_metrics_calls_the_program_as_it_can_be_called() {
    let unit = read("systemd/ebpf-apply-metrics.service");
    let [start] = values(&unit, "ExecStart")[..] else { panic!("one command: {unit}") };
    let directory = tempfile::tempdir().expect("a directory for this test");
    let out = directory.path().join("ebpf-apply.prom").display().to_string();
    let words = start.replace("/var/lib/prometheus/node-exporter/ebpf-apply.prom", &out);
    let words: Vec<&str> = words.split(' ').skip(1).collect();
    let state = directory.path().join("state").display().to_string();
    let words: Vec<&str> = words.into_iter().chain(["--state-dir", &state]).collect();
    assert_eq!(status(&words), Some(0), "{words:?}");
    assert!(fs::exists(&out).expect("readable"));
    let writable = values(&unit, "ReadWritePaths")[0];
    assert!(start.ends_with(&format!(" {writable}/ebpf-apply.prom")));
}

#[test]
fn the_chart_and_the_base_are_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = read("kubernetes/helm/Chart.yaml");
    assert!(chart.contains(&format!("\nappVersion: {version}\n")), "{chart}");
    assert!(read("kubernetes/daemonset.yaml").contains(&format!("/ebpf-apply:{version}\n")));
}

#[test]
fn the_manifest_of_the_chart_is_that_of_the_base() {
    let values = read("kubernetes/helm/values.yaml");
    let (_, manifest) = values.split_once("manifest: |\n").expect("a manifest");
    let indented = manifest.lines().take_while(|line| line.is_empty() || line.starts_with("  "));
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let chart = words(&indented.collect::<Vec<_>>().join("\n"));
    let base = read("kubernetes/edge.toml");
    let base = base.lines().filter(|line| !line.starts_with('#'));
    let base = base.map(|line| line.split("   #").next().unwrap_or_default());
    assert_eq!(chart, words(&base.collect::<Vec<_>>().join("\n")));
}
