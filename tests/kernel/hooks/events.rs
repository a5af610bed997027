//! Tracepoints, counters and iterators.

use std::cell::Cell;
use std::fs;
use std::process::Command;

use aya::maps::{Array, Map, MapData};

use super::{Case, PINS};
use crate::features::{PERF_EVENT_LINKS, lacks};
use crate::sandbox::Sandbox;

/// A program that sees execve(2).
fn of_exec(hook: &'static str, program: &'static str, name: &str, index: u32) {
    Sandbox::run(|_| {
        let exec = || assert!(Command::new("true").status().expect("it is there").success());
        let case = Case::new(hook, "exec_trace", program).options(format!("name = \"{name}\""));
        case.act(exec).counts("exec_counts", index).round();
    });
}

#[test]
fn tracepoint() {
    if !lacks(&[PERF_EVENT_LINKS]) {
        of_exec("tracepoint", "enter_execve", "syscalls/sys_enter_execve", 0);
    }
}

#[test]
fn raw_tracepoint() {
    of_exec("raw-tracepoint", "raw_exec", "sched_process_exec", 1);
}

#[test]
fn tp_btf() {
    of_exec("tp-btf", "typed_exec", "sched_process_exec", 2);
}

#[test]
fn perf_event() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let opened = std::cell::OnceCell::new();
        let overflows = || {
            let array: &Array<MapData, u64> = opened.get_or_init(|| {
                let map = MapData::from_pin(format!("{PINS}/overflows")).expect("a pinned map");
                Map::Array(map).try_into().expect("an array of numbers")
            });
            (0..16).map(|cpu| array.get(&cpu, 0).expect("the index is inside")).sum()
        };
        // Whatever a processor does is counted.
        let work = || {
            let sum: u64 = (0..1_000_000_u64).map(std::hint::black_box).sum();
            std::hint::black_box(sum);
        };
        let case = Case::new("perf-event", "counter", "on_overflow")
            .options("software = \"cpu-clock\", frequency = 1000");
        case.act(work).count(overflows).round();
    });
}

#[test]
fn iter() {
    Sandbox::run(|_| {
        let shown = Cell::new(0);
        let this = format!("task {}\n", std::process::id());
        let read = || {
            let text = fs::read_to_string(format!("{PINS}/show_task")).unwrap_or_default();
            shown.set(shown.get() + u64::from(text.contains(&this)));
        };
        let case = Case::new("iter", "iterators", "show_task").entry("pin = \"by-name\"");
        case.act(read).count(|| shown.get()).round();
    });
}
