//! A kernel without links to events: the process that applies holds what is attached to them.

use std::fs::{self, File};

use rustix::process::Signal;

use super::{Probed, manifest, number};
use crate::features::{PERF_EVENT_LINKS, is_past};
use crate::host;
use crate::program::{Held, Program};
use crate::sandbox::Sandbox;

const HITS: &str = "user_hits";
const RETURNED: u32 = 1;

/// A program at the returns of functions. It has no cookie, which such a kernel does not know.
fn attach(probed: &Probed, symbols: &[&str]) -> String {
    let of = |symbol: &&str| {
        format!("{{ hook = \"uretprobe\", {}, symbol = \"{symbol}\" }}", probed.options())
    };
    let all: Vec<String> = symbols.iter().map(of).collect();
    format!("[objects.probes.programs.on_return]\nattach = [{}]\n", all.join(", "))
}

pub(super) fn reload(held: &mut Held) {
    held.signal(Signal::HUP);
    while !held.line().contains("applied as generation") {}
}

pub(super) fn states(program: &Program, file: &str) -> Vec<String> {
    let status = program.run(&["status", file, "--format", "json"]).status(0).json();
    let resources = status["deployments"][0]["resources"].as_array().expect("resources").clone();
    let links = resources.iter().filter(|resource| resource["kind"] == "link");
    links.map(|link| format!("{} {}", link["state"], link["detail"])).collect()
}

#[test]
fn what_is_attached_to_events_is_held_reloaded_and_let_go_of() {
    if is_past(PERF_EVENT_LINKS) {
        return;
    }
    Sandbox::run(|_| {
        let (program, mut probed) = (Program::new(), Probed::start());
        let both = attach(&probed, &["probed_single", "probed_many_one"]);
        let file = manifest(&program, "user_probes", &both);
        let plan = program.run(&["plan", &file]).status(0);
        assert!(plan.out.contains("since 5.15") && plan.out.contains("not pinned"), "{}", plan.out);
        let mut held = program.hold(&file);
        let seen = || number(HITS, RETURNED);
        probed.call("sa");
        assert_eq!(seen(), 2);
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);
        let states_now = states(&program, &file);
        let says = format!("held by pid {}: not pinned", held.pid());
        assert!(states_now.len() == 2 && states_now.iter().all(|link| link.contains(&says)));

        // What leaves the manifest is detached, and what stays goes on.
        manifest(&program, "user_probes", &attach(&probed, &["probed_single"]));
        reload(&mut held);
        probed.call("sa");
        assert_eq!(seen(), 3);

        // Whoever takes over after a kill finds it gone, and attaches again.
        assert_eq!(held.end(Signal::KILL).0, None);
        probed.call("s");
        assert_eq!(seen(), 3);
        assert!(states(&program, &file).iter().all(|link| link.contains("missing")));
        let held = program.hold(&file);
        probed.call("s");
        assert_eq!(seen(), 4);
        let (status, _) = held.end(Signal::TERM);
        assert_eq!(status, Some(0));
        assert!(host::tree().is_empty(), "{:?}", host::tree());
    });
}

#[test]
fn a_counter_and_a_tracepoint_are_held() {
    if is_past(PERF_EVENT_LINKS) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let rest = "[objects.probes.programs.on_overflow]\nattach = [{ hook = \"perf-event\", software = \
                    \"cpu-clock\", frequency = 200 }]\n";
        let file = manifest(&program, "counter", rest);
        let held = program.hold(&file);
        let overflows = || (0..16).map(|cpu| number("overflows", cpu)).sum::<u64>();
        crate::layer::running::eventually("the clock ticks", || overflows() > 0);
        assert_eq!(held.end(Signal::TERM).0, Some(0));

        let rest = "[objects.probes.programs.enter_execve]\nattach = [{ hook = \"section\" }]\n";
        let file = manifest(&program, "exec_trace", rest);
        let held = program.hold(&file);
        // The kernel tells that the descriptor runs this program.
        let links = states(&program, &file);
        assert!(links.len() == 1 && links[0].starts_with("\"in-sync\""), "{links:?}");
        assert_eq!(held.end(Signal::TERM).0, Some(0));
        assert!(host::tree().is_empty(), "{:?}", host::tree());
    });
}

#[test]
fn what_the_kernel_cannot_keep_is_said_when_the_rest_is_left_to_it() {
    if is_past(PERF_EVENT_LINKS) {
        return;
    }
    Sandbox::run(|_| {
        let (program, mut probed) = (Program::new(), Probed::start());
        let file = manifest(&program, "user_probes", &attach(&probed, &["probed_single"]));
        let errors = program.directory().join("errors");
        let mut command = program.command(&["apply", &file, "--on-exit", "keep"]);
        let mut held = Held::start(command.stderr(File::create(&errors).expect("a file")));
        while !held.line().contains("held until") {}
        assert_eq!(held.end(Signal::TERM).0, Some(0));
        let said = fs::read_to_string(&errors).expect("what it said");
        assert!(said.contains("not kept: 1 attachment to events"), "{said}");
        probed.call("s");
        assert_eq!(number(HITS, RETURNED), 0);
        assert!(states(&program, &file).iter().all(|link| link.contains("missing")));
        program.run(&["destroy", &file]).status(0);
    });
}
