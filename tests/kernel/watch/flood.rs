//! Hot reloads under traffic: each packet is counted by the old program or the new one.
//!
//! How many reloads and packets is said by `EBPF_APPLY_SWAPS` and `EBPF_APPLY_PACKETS`; `make flood`
//! has the numbers that the promise is made for.

use std::env;
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use aya::maps::{Array, Map, MapData};
use rustix::process::Signal;

use super::{Edge, HEAD};
use crate::host::{self, attached, send_udp};
use crate::program::Held;
use crate::sandbox::Sandbox;

/// Entries of `counted` in `bpf/generation.bpf.c`.
const GENERATIONS: u32 = 1024;

fn scale(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |count| count.parse().expect("a number"))
}

fn swaps() -> u32 {
    u32::try_from(scale("EBPF_APPLY_SWAPS", 25)).expect("not so many").min(GENERATIONS - 2)
}

fn packets() -> u64 {
    scale("EBPF_APPLY_PACKETS", 50_000)
}

/// A process that sends datagrams as fast as it can, from a cgroup if one is given.
pub(super) struct Sender {
    child: Child,
    until: ChildStdin,
}

impl Sender {
    /// Sends at least so many.
    pub(super) fn start(at_least: u64, cgroup: Option<&Path>) -> Self {
        // A socket belongs to the cgroup of the process that makes it.
        let enter = "test -z \"$1\" || echo $$ > \"$1/cgroup.procs\"; shift; exec \"$@\"";
        let mut child = Command::new("sh")
            .args(["-ec", enter, "sh"])
            .arg(cgroup.unwrap_or(Path::new("")))
            .arg(env::current_exe().expect("this test"))
            .args(["--exact", "watch::flood::sends_until_its_input_ends", "--ignored"])
            .arg("--nocapture")
            .env("EBPF_APPLY_AT_LEAST", at_least.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let until = child.stdin.take().expect("a pipe");
        Self { child, until }
    }

    /// Lets it end, and returns how many it sent.
    pub(super) fn end(self) -> u64 {
        drop(self.until);
        let out = self.child.wait_with_output().expect("a child");
        let out = String::from_utf8(out.stdout).expect("UTF-8");
        let sent = out.split("sent ").nth(1).and_then(|rest| rest.split_whitespace().next());
        sent.unwrap_or_else(|| panic!("it sent nothing:\n{out}")).parse().expect("a number")
    }
}

#[test]
#[ignore = "the process that the tests below start"]
fn sends_until_its_input_ends() {
    let Ok(at_least) = env::var("EBPF_APPLY_AT_LEAST") else { return };
    let at_least: u64 = at_least.parse().expect("a number");
    let over = AtomicBool::new(false);
    let mut sent = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("readable");
            over.store(true, Ordering::Relaxed);
        });
        let socket = UdpSocket::bind("192.0.2.2:0").expect("an address of veth1");
        socket.connect("192.0.2.1:9").expect("a route");
        while sent < at_least || !over.load(Ordering::Relaxed) {
            // Short of buffers the kernel may refuse one, which is then not sent.
            sent += u64::from(socket.send(b"packet").is_ok());
        }
    });
    writeln!(std::io::stdout(), "sent {sent}").expect("a reader");
}

/// What each generation has counted.
pub(super) fn counted() -> Vec<u64> {
    let map = MapData::from_pin("/sys/fs/bpf/edge/counted").expect("a pinned map");
    let map = Map::from_map_data(map).expect("a map of a known type");
    let array: Array<_, u64> = Array::try_from(map).expect("an array of u64");
    array.iter().map(|count| count.expect("readable")).collect()
}

/// Packets that the wire lost before they came to a hook: its ring was full.
pub(super) fn lost() -> u64 {
    let out = Command::new("ip").args(["-json", "-stats", "link", "show", "veth1"]).output();
    let out = out.expect("iproute2 is installed").stdout;
    let shown: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    shown[0]["stats64"]["tx"]["dropped"].as_u64().expect("a count")
}

/// A hook, the program for it, and where it attaches.
struct Hook {
    function: &'static str,
    attachment: String,
}

impl Hook {
    fn text(&self, number: u32) -> String {
        let Self { function, attachment } = self;
        format!(
            "{HEAD}\n[objects.edge.programs.{function}]\nattach = [{attachment}]\n\n\
             [objects.edge.globals]\ngeneration = {number}\n"
        )
    }

    fn xdp() -> Self {
        let attachment = "{ hook = \"xdp\", interface = \"veth0\" }".to_owned();
        Self { function: "count_xdp", attachment }
    }

    fn tcx() -> Self {
        let attachment =
            "{ hook = \"tcx\", interface = \"veth1\", direction = \"egress\" }".to_owned();
        Self { function: "count_tcx", attachment }
    }

    fn cgroup(path: &Path) -> Self {
        let attachment = format!("{{ hook = \"cgroup\", path = \"{}\" }}", path.display());
        Self { function: "count_cgroup", attachment }
    }
}

/// Swaps the program under traffic. Every third reload is refused by the verifier.
#[expect(clippy::print_stdout, reason = "the figures, for who asks for them")]
fn flood(hook: &Hook, cgroup: Option<&Path>) {
    let edge = Edge::new();
    edge.replace(&hook.text(0));
    let mut command = edge.program.command(&["apply", &edge.manifest, "--watch"]);
    // What the verifier says of what it refuses is said elsewhere.
    let mut held = Held::start(command.args(["--format", "json"]).stderr(Stdio::null()));
    let first = held.result();
    assert_eq!(first["generation"], 1, "{first}");
    let lost_before = lost();
    let sender = Sender::start(packets(), cgroup);
    let swaps = swaps();
    for number in 1..=swaps {
        let text = hook.text(number);
        if number % 3 == 0 {
            reload(&edge, &mut held, &format!("{text}broken = 1\n"), "failed");
        }
        let applied = reload(&edge, &mut held, &text, "applied");
        assert_eq!(applied["generation"], number + 1, "{applied}");
    }
    let sent = sender.end();
    let (counted, lost) = (counted(), lost() - lost_before);
    let sum: u64 = counted.iter().sum();
    let busy = counted.iter().filter(|count| **count > 0).count();
    println!("{swaps} swaps: {sent} sent, {sum} counted by {busy} programs, {lost} lost before");
    assert!(sent >= packets());
    assert_eq!(sum + lost, sent, "a packet was counted by none, or twice");
    assert!(busy > 1, "the swaps were under traffic");
    assert_eq!(held.end(Signal::TERM).0, Some(0));
}

/// Reloads, and waits until that has come of it. The signal is not to wait until it has been quiet for
/// long enough; if the change was noticed before it came, the same is tried twice.
fn reload(edge: &Edge, held: &mut Held, text: &str, outcome: &str) -> serde_json::Value {
    edge.replace(text);
    held.signal(Signal::HUP);
    loop {
        let result = held.result();
        if result["outcome"] == outcome {
            return result;
        }
        let again = result["outcome"] == "unchanged" || result["outcome"] == "failed";
        assert!(again, "{result}");
    }
}

#[test]
fn xdp_swaps_lose_no_packet() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        flood(&Hook::xdp(), None);
    });
}

#[test]
fn tcx_swaps_lose_no_packet() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        flood(&Hook::tcx(), None);
    });
}

#[test]
fn cgroup_swaps_lose_no_packet() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let cgroup = sandbox.cgroup().to_owned();
        flood(&Hook::cgroup(&cgroup), Some(&cgroup));
    });
}

#[test]
fn a_hand_over_to_the_next_process_loses_no_packet() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, &["--on-exit", "keep"]);
        let before = attached("veth0");
        let lost_before = lost();
        let sender = Sender::start(packets(), None);
        for _ in 0..swaps().div_ceil(5) {
            assert_eq!(held.end(Signal::TERM).0, Some(0));
            let (next, first) = edge.program.watch(&edge.manifest, &["--on-exit", "keep"]);
            assert_eq!(first["outcome"], "unchanged", "{first}");
            held = next;
        }
        let sent = sender.end();
        assert_eq!(counted().iter().sum::<u64>() + lost() - lost_before, sent);
        assert_eq!(attached("veth0"), before);
        send_udp(1);
        assert_eq!(held.end(Signal::TERM).0, Some(0));
    });
}
