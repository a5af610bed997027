//! How long a change takes to reach the kernel: from the rename of the manifest until the program
//! under the link is another one, median and 95th percentile of 100; and what an idle watcher needs.
//!
//! Beside it the same by SIGHUP, which waits for nothing: what is left is reading, loading and
//! swapping. Needs root; runs in namespaces of its own. The exit status says only whether it could be
//! measured.

#![expect(clippy::print_stdout, reason = "the figures are its result")]

#[path = "../tests/support/mod.rs"]
mod support;

#[path = "../tests/support/sandbox.rs"]
#[expect(dead_code, reason = "the tests make cgroups too")]
mod sandbox;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ebpf_apply::kernel::Kernel as _;
use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::model::live::LiveObject;
use ebpf_apply::model::name::Name;
use ebpf_apply::model::pin::{PinPath, PinRoot};
use rustix::process::{Pid, Signal, kill_process};

const ROUNDS: u32 = 100;
/// How long the watcher waits until a change is complete.
const DEBOUNCE: Duration = Duration::from_millis(100);

fn main() {
    sandbox::Sandbox::run(|sandbox| {
        sandbox.wire("veth0", "veth1");
        measure(Path::new("/run"));
    });
}

fn text(number: u32) -> String {
    format!(
        "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n[objects.edge]\npath = \
         \"edge.bpf.o\"\nload = \"listed\"\n\n[objects.edge.globals]\ngeneration = {number}\n\n\
         [objects.edge.programs.count_xdp]\nattach = [{{ hook = \"xdp\", interface = \"veth0\" }}]\n"
    )
}

fn measure(directory: &Path) {
    fs::copy(support::object("generation"), directory.join("edge.bpf.o")).expect("a copy");
    let manifest = directory.join("edge.toml");
    fs::write(&manifest, text(0)).expect("a writable directory");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ebpf-apply"))
        .args(["--state-dir", "/run/state", "--format", "json", "--watch"])
        .arg(&manifest)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let pid = Pid::from_child(&child);
    let mut results = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    results.next().expect("the first apply").expect("readable");

    let mut round = |number: u32, signal: Option<Signal>| {
        let before = running();
        let new = directory.join("edge.toml.new");
        fs::write(&new, text(number)).expect("a writable directory");
        let start = Instant::now();
        fs::rename(&new, &manifest).expect("a rename");
        if let Some(signal) = signal {
            kill_process(pid, signal).expect("a live process");
        }
        while running() == before {
            thread::sleep(Duration::from_micros(200));
        }
        let took = start.elapsed();
        results.next().expect("the reload").expect("readable");
        took
    };
    let renamed: Vec<Duration> = (1..=ROUNDS).map(|number| round(number, None)).collect();
    let signalled: Vec<Duration> =
        (ROUNDS + 1..=2 * ROUNDS).map(|number| round(number, Some(Signal::HUP))).collect();

    let (median, slow) = quantiles(renamed);
    let (load, slow_load) = quantiles(signalled);
    println!("rename to live: median {median:.1?}, 95th percentile {slow:.1?} of {ROUNDS}");
    println!("SIGHUP to live: median {load:.1?}, 95th percentile {slow_load:.1?} of {ROUNDS}");
    let more = median.saturating_sub(DEBOUNCE + load);
    println!("beyond {DEBOUNCE:?} of quiet and that: {more:.1?}");
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("alive");
    for line in status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("RssA"))
    {
        println!("idle, {line}");
    }
    kill_process(pid, Signal::TERM).expect("a live process");
    child.wait().expect("a child");
}

/// Kernel id of the program under the deployment's one link.
fn running() -> u32 {
    let (kernel, name) = (Linux::new(), Name::new("edge").expect("a name"));
    let root = PinRoot::new(Path::new("/sys/fs/bpf/edge")).expect("a root");
    let [links, ..] = PinPath::private_directories(&name);
    let pins = kernel.list(&root, &links).expect("readable");
    let found = kernel.open(&root, &pins[0]).expect("readable").expect("a pin");
    match found.object {
        LiveObject::Link(link) => link.program_id,
        other => panic!("{} where the link was", other.kind()),
    }
}

fn quantiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], times[times.len() * 95 / 100])
}
