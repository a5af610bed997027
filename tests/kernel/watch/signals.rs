//! SIGHUP, SIGTERM and SIGINT of a held deployment.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::flood::{Sender, counted, lost};
use super::manager::Manager;
use super::{Edge, text};
use crate::host::{self, attached, tree};
use crate::program::Held;
use crate::sandbox::Sandbox;

#[test]
fn sighup_reads_and_applies_again_without_watching() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let words = ["apply", &edge.manifest, "--format", "json"];
        let mut held = Held::start(&mut edge.program.command(&words));
        assert_eq!(held.result()["generation"], 1);
        held.signal(Signal::HUP);
        assert_eq!(held.result()["outcome"], "unchanged");
        let before = attached("veth0");
        edge.replace(&text(2));
        held.signal(Signal::HUP);
        assert_eq!(held.result()["generation"], 2);
        assert_ne!(attached("veth0"), before);
        edge.replace("version = ");
        held.signal(Signal::HUP);
        assert_eq!(held.result()["outcome"], "invalid");
        assert_eq!(held.end(Signal::TERM).0, Some(0));
        assert!(attached("veth0").is_empty());
    });
}

#[test]
fn a_storm_of_sighup_is_one_reload() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, &[]);
        // While it is stopped nothing of the storm can be taken in.
        held.signal(Signal::STOP);
        for _ in 0..1000 {
            held.signal(Signal::HUP);
        }
        held.signal(Signal::CONT);
        assert_eq!(held.result()["outcome"], "unchanged");
        edge.replace(&text(2));
        assert_eq!(held.result()["generation"], 2, "the next is that of the change");
    });
}

#[test]
fn a_reload_is_finished_before_the_deployment_ends() {
    for signal in [Signal::TERM, Signal::INT] {
        Sandbox::run(|sandbox| {
            host::wire(sandbox);
            let edge = Edge::new();
            let manager = Manager::new();
            let mut command = edge.program.command(&["apply", &edge.manifest, "--watch"]);
            command.args(["--format", "json"]).env("NOTIFY_SOCKET", manager.path());
            let mut held = Held::start(&mut command);
            assert_eq!(held.result()["generation"], 1);
            manager.wait("READY=1");

            let pause = edge.pause();
            edge.replace(&text(2));
            manager.wait("RELOADING=1");
            held.signal(signal);
            drop(pause);
            assert_eq!(held.result()["generation"], 2);
            assert_eq!(held.result()["outcome"], "ended");
            assert_eq!(held.end(signal).0, Some(0));
            assert!(attached("veth0").is_empty() && tree().is_empty());
        });
    }
}

/// Waits until more are counted than now.
fn wait_for_packets() {
    let total = || counted().iter().sum::<u64>();
    let (before, deadline) = (total(), Instant::now() + Duration::from_secs(30));
    while total() == before {
        assert!(Instant::now() < deadline, "no packet is counted");
        std::thread::yield_now();
    }
}

#[test]
fn a_restart_that_keeps_leaves_no_packet_uncounted() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let keep = ["--on-exit", "keep"];
        let (held, _) = edge.program.watch(&edge.manifest, &keep);
        let sender = Sender::start(10_000, None);
        wait_for_packets();
        assert_eq!(held.end(Signal::TERM).0, Some(0));
        wait_for_packets();
        // What an upgrade of a package changes as well.
        edge.replace(&text(2));
        let (held, next) = edge.program.watch(&edge.manifest, &keep);
        assert_eq!(next["outcome"], "applied");
        wait_for_packets();
        let sent = sender.end();
        assert_eq!(counted().iter().sum::<u64>() + lost(), sent);
        assert_eq!(held.end(Signal::TERM).0, Some(0));
    });
}

#[test]
fn kept_on_exit_the_next_start_finds_all_as_it_was() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (held, _) = edge.program.watch(&edge.manifest, &["--on-exit", "keep"]);
        let before = (attached("veth0"), tree());
        let (status, rest) = held.end(Signal::TERM);
        assert!(status == Some(0) && rest.contains("\"outcome\":\"kept\""), "{rest}");
        assert_eq!((attached("veth0"), tree()), before);
        let (held, next) = edge.program.watch(&edge.manifest, &[]);
        assert_eq!(next["outcome"], "unchanged");
        assert_eq!((attached("veth0"), tree()), before);
        assert_eq!(held.end(Signal::TERM).0, Some(0));
        assert!(tree().is_empty());
        fs::remove_file(&edge.manifest).expect("the manifest");
    });
}
