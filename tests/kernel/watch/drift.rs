//! What someone else changes behind the back of a held deployment.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use ebpf_apply::kernel::Kernel as _;
use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::model::attach::{Attachment, XdpMode};
use ebpf_apply::model::moment::Moment;
use ebpf_apply::model::name::Name;
use ebpf_apply::model::pin::{PinPath, PinRoot};
use rustix::process::Signal;
use serde_json::Value;

use super::flood::counted;
use super::manager::Manager;
use super::{Edge, HEAD, text};
use crate::host::{self, attached, bpftool, map_id, tree};
use crate::program::Held;
use crate::sandbox::{Sandbox, ip};
use crate::support::object;

const COUNTED: &str = "/sys/fs/bpf/edge/counted";
const LINK: &str = "/sys/fs/bpf/edge/~links/edge/edge:count_xdp:xdp:veth0";
const ADDRESS: &str = "link.edge.count_xdp[xdp:veth0]";
/// How often the host is looked at without a notice.
const SAFETY: Duration = Duration::from_secs(30);
const HEAL: &[&str] = &["--on-drift", "heal"];
/// XDP under a link changes without a notice; each look at the files is one at the host.
const POLL: &[&str] = &["--watch-method", "poll", "--poll-interval", "1"];
const HEAL_POLL: &[&str] =
    &["--on-drift", "heal", "--watch-method", "poll", "--poll-interval", "1"];

#[track_caller]
fn outcome(held: &mut Held, wanted: &str) -> Value {
    let result = held.result();
    assert_eq!(result["outcome"], wanted, "{result}");
    result
}

/// Waits for a line about drift, which must be of this resource alone.
#[track_caller]
fn drifted(held: &mut Held, address: &str, state: &str) {
    let result = outcome(held, "drifted");
    let resources = result["resources"].as_array().expect("resources");
    assert_eq!(resources.len(), 1, "{result}");
    assert_eq!(
        (&resources[0]["address"], &resources[0]["state"]),
        (&address.into(), &state.into())
    );
    assert!(resources[0]["detail"].is_string(), "{result}");
}

/// Waits until the deployment was applied again and is as it was.
#[track_caller]
fn healed(held: &mut Held) {
    outcome(held, "applied");
    let result = outcome(held, "in-sync");
    assert_eq!(result["resources"], Value::Array(Vec::new()));
}

/// Makes the link run the program of another deployment; returns that program's id.
fn swap_behind_its_back(edge: &Edge) -> u64 {
    let (name, edge_name) =
        (Name::new("theirs").expect("legal"), Name::new("edge").expect("legal"));
    let theirs = HEAD.replace("\"edge\"", "\"theirs\"").replace("bpf/edge", "bpf/theirs");
    let theirs = format!("{theirs}\n[objects.edge.programs.count_xdp]\n");
    let theirs = edge.program.manifest("theirs.toml", &theirs);
    edge.program.run(&["apply", &theirs, "--detach"]).status(0);
    let kernel = Linux::new();
    let open = |root: &str, pin: &PinPath| {
        let root = PinRoot::new(Path::new(root)).expect("legal");
        let found = kernel.open(&root, pin).expect("readable").expect("pinned");
        found.handle.expect("it can be opened")
    };
    let at = Attachment::Xdp { interface: "veth0".to_owned(), mode: XdpMode::Auto };
    let link = PinPath::link(&edge_name, &edge_name, "count_xdp", &at);
    let link = open("/sys/fs/bpf/edge", &link);
    let program = PinPath::program(&name, &edge_name, "count_xdp");
    let program = open("/sys/fs/bpf/theirs", &program);
    kernel.update_link(&link, &program, None).expect("anyone may");
    u64::from(kernel.id(&program))
}

#[test]
fn a_pin_that_was_removed_is_reported_once_and_left() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let manager = Manager::new();
        let mut command = edge.program.command(&["apply", &edge.manifest, "--watch"]);
        command.args(["--format", "json"]).env("NOTIFY_SOCKET", manager.path());
        let mut held = Held::start(&mut command);
        outcome(&mut held, "applied");
        let counted = map_id(COUNTED);
        manager.wait("STATUS=generation 1");
        let start = Instant::now();
        fs::remove_file(COUNTED).expect("a pin");
        drifted(&mut held, "map.edge.counted", "missing");
        assert!(start.elapsed() < SAFETY, "by a notice, not by the look each half a minute");
        manager.wait("STATUS=generation 1; 1 resource has drifted");
        assert!(!tree().contains(&COUNTED.into()));

        // The next line is of what it is asked for: what was said is not said again.
        held.signal(Signal::HUP);
        healed(&mut held);
        manager.wait("STATUS=generation 2");
        assert_eq!(map_id(COUNTED), counted);
    });
}

#[test]
fn since_when_something_has_drifted_is_noted_by_who_watches() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let since = || {
            let status = edge.program.run(&["status", "--format", "json"]).status(0).json();
            let resources =
                status["deployments"][0]["resources"].as_array().expect("resources").clone();
            let map = resources.iter().find(|one| one["address"] == "map.edge.counted");
            map.expect("the map")["drifted_since"].as_str().map(str::to_owned)
        };
        let (mut held, _) = edge.program.watch(&edge.manifest, &[]);
        assert_eq!(since(), None);
        let before: Moment = SystemTime::now().into();
        fs::remove_file(COUNTED).expect("a pin");
        drifted(&mut held, "map.edge.counted", "missing");
        let first = since().expect("it was noticed");
        assert!(
            before.to_string() <= first && first <= Moment::from(SystemTime::now()).to_string()
        );
        // Something else as well: the first keeps its time.
        fs::remove_file(LINK).expect("a pin");
        outcome(&mut held, "drifted");
        assert_eq!(since(), Some(first));

        assert_eq!(held.end(Signal::KILL).0, None);
        edge.program.run(&["apply", &edge.manifest, "--detach"]).status(0);
        assert_eq!(since(), None);
        // Nobody watches now, and what was noted is of another generation.
        fs::remove_file(COUNTED).expect("a pin");
        assert_eq!(since(), None);
        edge.program.run(&["destroy", "--name", "edge", "--purge"]).status(0);
        assert!(!edge.program.state().join("edge").exists(), "the notes are gone as well");
    });
}

#[test]
fn a_pin_that_was_removed_comes_back_with_its_entries() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, HEAL);
        let (before, map) = ((attached("veth0"), tree()), map_id(COUNTED));
        host::send_udp(3);
        for _ in 0..2 {
            fs::remove_file(COUNTED).expect("a pin");
            drifted(&mut held, "map.edge.counted", "missing");
            healed(&mut held);
            assert_eq!((map_id(COUNTED), counted()[1]), (map, 3));
        }
        assert_eq!((attached("veth0"), tree()), before, "nothing was loaded again");
        // Its own changes are no drift: the next line is the reload's.
        edge.replace(&text(2));
        assert_eq!(outcome(&mut held, "applied")["generation"], 4);
        edge.replace(&text(3));
        assert_eq!(outcome(&mut held, "applied")["generation"], 5);
    });
}

#[test]
fn a_link_that_was_detached_is_attached_again() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, HEAL_POLL);
        let running = attached("veth0");
        bpftool(&["link", "detach", "pinned", LINK]);
        drifted(&mut held, ADDRESS, "missing");
        healed(&mut held);
        assert_eq!(attached("veth0"), running);
    });
}

#[test]
fn a_program_that_was_swapped_is_reported_and_not_taken_back() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, POLL);
        let theirs = swap_behind_its_back(&edge);
        drifted(&mut held, ADDRESS, "drifted");
        held.signal(Signal::HUP);
        let refused = outcome(&mut held, "refused");
        assert!(refused["problems"][0]["message"].to_string().contains("not this deployment's"));
        assert_eq!(attached("veth0")["xdp"], [theirs]);
    });
}

#[test]
fn a_program_that_was_swapped_is_swapped_back() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, HEAL_POLL);
        let before = (attached("veth0"), tree());
        let theirs = swap_behind_its_back(&edge);
        assert_eq!(attached("veth0")["xdp"], [theirs]);
        drifted(&mut held, ADDRESS, "drifted");
        healed(&mut held);
        assert_eq!(attached("veth0"), before.0, "the program that ran before");
        edge.program.run(&["destroy", "--name", "theirs"]).status(0);
        assert_eq!(tree(), before.1, "the same link");
    });
}

#[test]
fn an_interface_that_was_made_anew_gets_its_program_again() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, HEAL);
        let start = Instant::now();
        ip(&["link", "delete", "veth0"]);
        drifted(&mut held, ADDRESS, "missing");
        assert!(start.elapsed() < SAFETY, "by a notice, not by the look each half a minute");
        outcome(&mut held, "refused");
        sandbox.wire("veth0", "veth1");
        let mut result = held.result();
        while result["outcome"] == "refused" {
            result = held.result();
        }
        assert_eq!(result["outcome"], "applied", "{result}");
        outcome(&mut held, "in-sync");
        assert_eq!(attached("veth0")["xdp"].len(), 1);
    });
}

#[test]
fn a_filter_that_was_removed_is_there_again() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        fs::copy(object("tc_counter"), edge.object()).expect("a copy");
        let place = "{ hook = \"tc\", interface = \"veth0\", direction = \"ingress\" }";
        let manifest = format!("{HEAD}\n[objects.edge.programs.tc_count]\nattach = [{place}]\n");
        edge.replace(&manifest);
        let (mut held, _) = edge.program.watch(&edge.manifest, HEAL);
        let running = attached("veth0");
        let done =
            Command::new("tc").args(["filter", "delete", "dev", "veth0", "ingress"]).status();
        assert!(done.expect("iproute2 is installed").success());
        drifted(&mut held, "link.edge.tc_count[tc:veth0:ingress]", "missing");
        healed(&mut held);
        assert_eq!(attached("veth0"), running);
    });
}

#[test]
fn what_is_pinned_in_the_place_of_ours_is_left_alone() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, HEAL);
        let ours = map_id(COUNTED);
        host::send_udp(3);
        let theirs = "/sys/fs/bpf/theirs";
        let create =
            format!("map create {theirs} type array key 4 value 8 entries 1024 name theirs");
        bpftool(&create.split(' ').collect::<Vec<_>>());
        let foreign = map_id(theirs);
        fs::rename(theirs, COUNTED).expect("over ours");
        drifted(&mut held, "map.edge.counted", "foreign");
        let refused = outcome(&mut held, "refused");
        assert!(
            refused["problems"][0]["message"].to_string().contains("would be lost"),
            "{refused}"
        );
        assert_eq!(map_id(COUNTED), foreign);

        fs::remove_file(COUNTED).expect("a pin");
        let mut result = held.result();
        while result["outcome"] == "refused" || result["outcome"] == "drifted" {
            result = held.result();
        }
        assert_eq!(result["outcome"], "applied", "{result}");
        outcome(&mut held, "in-sync");
        assert_eq!((map_id(COUNTED), counted()[1]), (ours, 3));
    });
}

#[test]
fn a_record_that_was_lost_is_written_again() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        let (mut held, _) = edge.program.watch(&edge.manifest, HEAL_POLL);
        let before = (attached("veth0"), tree());
        let record = edge.program.state().join("edge/inventory.json");
        fs::remove_file(record).expect("the record");
        outcome(&mut held, "applied");
        edge.program.run(&["plan", &edge.manifest, "--detailed-exitcode"]).status(0);
        assert_eq!(attached("veth0").len(), before.0.len());
        assert_eq!(tree(), before.1);
    });
}
