//! The program is killed between any two of its steps: the next run ends where it would have without
//! that, and nothing is left over.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;

use crate::features::{TCX, goes_without};
use crate::host::{self, attached, hash_map, tree};
use crate::program::{Program, steps_to_kill_at};
use crate::sandbox::Sandbox;
use crate::support::object;

/// A deployment of maps that persist and maps that do not, links, a filter, and initialised slots.
fn manifest() -> String {
    format!(
        "\
version = 1
name = \"edge\"
pin-root = \"/sys/fs/bpf/edge\"

[objects.firewall]
path = \"{firewall}\"
subpath = \"fw\"

[objects.firewall.maps.blocked]
pin = \"persist-on-exit\"
subpath = \"shared\"

[objects.firewall.programs.xdp_firewall]
pin = \"by-name\"
attach = [{{ hook = \"xdp\", interface = \"veth0\" }}, {{ hook = \"xdp\", interface = \"veth1\" }}]

[objects.honeypot]
path = \"{honeypot}\"
subpath = \"honeypot\"

[objects.honeypot.maps.blocked]
pin = \"persist-on-exit\"
subpath = \"shared\"

[objects.honeypot.programs.watch_bait]
attach = [{{ hook = \"{ingress}\", interface = \"veth0\", direction = \"ingress\" }}]

[objects.counter]
path = \"{counter}\"

[objects.counter.programs.tc_count]
attach = [{{ hook = \"tc\", interface = \"veth1\", direction = \"egress\" }}]

[objects.jumper]
path = \"{jumper}\"
subpath = \"jumps\"
",
        ingress = ingress_hook(),
        firewall = object("firewall").display(),
        honeypot = object("honeypot").display(),
        counter = object("tc_counter").display(),
        jumper = object("initial_slots").display(),
    )
}

fn ingress_hook() -> &'static str {
    if goes_without(TCX) { "tc" } else { "tcx" }
}

/// The same later: something is created, replaced, migrated, moved and pruned.
fn changed() -> String {
    manifest()
        .replace(
            "[objects.firewall.programs",
            "[objects.firewall.globals]\nlog_level = 2\n\n[objects.firewall.maps.flows]\n\
             max-entries = 1024\non-mismatch = \"replace\"\n\n[objects.firewall.programs",
        )
        .replace(
            "subpath = \"shared\"",
            "subpath = \"shared\"\nmax-entries = 8192\non-mismatch = \"migrate\"",
        )
        .replace("subpath = \"fw\"", "subpath = \"wall\"")
        .replace(", { hook = \"xdp\", interface = \"veth1\" }", "")
        .replace("subpath = \"jumps\"", "subpath = \"leaps\"")
        .replace(
            "direction = \"ingress\" }",
            &format!(
                "direction = \"ingress\" }}, {{ hook = \"{}\", interface = \"veth1\", direction = \
                 \"ingress\" }}",
                ingress_hook()
            ),
        )
        .replace(
            "[objects.counter.programs.tc_count]",
            "[objects.counter.maps.traffic]\npin = \"none\"\n\n[objects.counter.programs.tc_count]",
        )
}

/// Everything that can be seen from outside, without ids.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    tree: Vec<PathBuf>,
    attached: Vec<BTreeMap<String, usize>>,
    blocked: Vec<(u32, u64)>,
}

fn seen() -> Seen {
    let count = |interface| {
        attached(interface).into_iter().map(|(hook, programs)| (hook, programs.len())).collect()
    };
    let blocked = hash_map::<u32, u64>("/sys/fs/bpf/edge/shared/blocked");
    Seen {
        tree: tree(),
        attached: ["veth0", "veth1"].map(count).to_vec(),
        blocked: blocked.iter().collect::<Result<_, _>>().expect("readable entries"),
    }
}

/// A program whose first deployment is in place, with an entry in the map that persists.
fn deployed(program: &Program) -> String {
    let path = program.manifest("edge.toml", &manifest());
    program.run(&["apply", &path, "--detach"]).status(0);
    let mut blocked = hash_map::<u32, u64>("/sys/fs/bpf/edge/shared/blocked");
    blocked.insert(7, 9, 0).expect("an entry");
    path
}

/// Kills the run of `words` at its `n`-th step; says whether it came so far.
fn kill_at(program: &Program, words: &[&str], n: usize) -> bool {
    let mut command = program.command(words);
    let output = command.env("EBPF_APPLY_CRASH_AT", n.to_string()).output().expect("it starts");
    let killed = output.status.signal() == Some(libc::SIGKILL);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(killed || output.status.success(), "at step {n}: {:?}\n{said}", output.status);
    killed
}

/// The words of a command line, given a program whose deployment is in place.
type Words = fn(&Program) -> Vec<String>;

/// Runs `words` on a deployment, killed at step `n` and run again, or undisturbed; says what is to be
/// seen then, and whether it was killed. The deployment is ended and must leave nothing.
fn run(words: Words, n: Option<usize>) -> (Seen, bool) {
    let program = Program::new();
    deployed(&program);
    let words = words(&program);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let killed = n.is_some_and(|n| kill_at(&program, &words, n));
    if killed || n.is_none() {
        program.run(&words).status(0);
    }
    let seen = seen();
    let status = program.run(&["status", "--format", "json"]).status(0).json();
    let resources = status["deployments"][0]["resources"].as_array().expect("resources").clone();
    for resource in resources {
        // Maps that only another map holds cannot be seen.
        let fine = ["in-sync", "unknown"].iter().any(|state| resource["state"] == *state);
        assert!(fine, "killed at step {n:?}: {resource}");
    }
    program.run(&["destroy", "--name", "edge", "--purge"]).status(0);
    assert_eq!(tree(), Vec::<PathBuf>::new(), "killed at step {n:?}");
    let left = ["veth0", "veth1"].map(attached);
    assert!(left.iter().all(BTreeMap::is_empty), "killed at step {n:?}: {left:?}");
    (seen, killed)
}

/// Kills a run at each of its steps and lets it run again.
#[expect(clippy::print_stdout, reason = "the count is worth knowing")]
fn kill_at_every_step(words: Words) {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let (wanted, _) = run(words, None);
        for (kills, step) in steps_to_kill_at(9).enumerate() {
            let (seen, killed) = run(words, Some(step));
            assert_eq!(seen, wanted, "killed at step {step}");
            if !killed {
                println!("killed at {kills} of {step} steps");
                assert!(step > 20, "{step} steps are not worth a test");
                break;
            }
        }
    });
}

#[test]
fn an_update_killed_at_any_step_is_made_good_by_the_next() {
    kill_at_every_step(|program| {
        let path = program.manifest("edge.toml", &changed());
        ["apply", &path, "--detach"].map(str::to_owned).to_vec()
    });
}

#[test]
fn an_end_killed_at_any_step_is_made_good_by_the_next() {
    kill_at_every_step(|_| ["destroy", "--name", "edge"].map(str::to_owned).to_vec());
}

#[test]
fn a_deployment_whose_run_was_killed_says_so() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        deployed(&program);
        let path = program.manifest("edge.toml", &changed());
        assert!(kill_at(&program, &["apply", &path, "--detach"], 30), "it has more steps");
        let status = program.run(&["status"]).status(0);
        assert!(status.out.contains("cut short"), "{}", status.out);
        let status = program.run(&["status", "--format", "json"]).status(0).json();
        let condition = &status["deployments"][0]["conditions"][0];
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&false.into(), &"interrupted".into())
        );
        let plan = program.run(&["plan", &path, "--detailed-exitcode"]).status(2);
        assert!(plan.err.contains("cut short"), "{}", plan.err);
        program.run(&["apply", &path, "--detach"]).status(0);
        let status = program.run(&["status"]).status(0);
        assert!(!status.out.contains("cut short"), "{}", status.out);
    });
}
