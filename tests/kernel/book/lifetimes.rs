//! The table of lifetimes in the book, done to a running deployment row by row.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;
use serde_json::Value;

use crate::host::{self, attached, bpftool, map_id};
use crate::program::{Held, Program};
use crate::sandbox::{Sandbox, mount_at};
use crate::support::{object, root};

const ROOT: &str = "/sys/fs/bpf/lifetimes";
const MAPS: [(&str, &str); 3] =
    [("scratch", "none"), ("sessions", "by-name"), ("totals", "persist-on-exit")];

/// A running deployment to which something happens.
struct Subject {
    program: Program,
    manifest: String,
    held: Option<Held>,
}

/// What it had while it ran.
#[derive(Debug)]
struct Before {
    program: u64,
    maps: BTreeMap<&'static str, u64>,
}

fn head() -> String {
    let path = object("three_policies").display().to_string();
    format!(
        "version = 1\nname = \"lifetimes\"\npin-root = \"{ROOT}\"\n\n[objects.counter]\npath = \"{path}\"\n"
    )
}

const PROGRAM: &str = "\n[objects.counter.programs.count_packets]\nattach = [{ hook = \"xdp\", \
                       interface = \"veth0\" }]\n";

fn text() -> String {
    let maps =
        MAPS.map(|(map, policy)| format!("\n[objects.counter.maps.{map}]\npin = \"{policy}\"\n"));
    format!("{}{}{PROGRAM}", head(), maps.concat())
}

impl Subject {
    fn start(words: &[&str]) -> Self {
        let program = Program::new();
        let manifest = program.manifest("lifetimes.toml", &text());
        let (held, first) = program.watch(&manifest, words);
        assert_eq!(first["outcome"], "applied", "{first}");
        Self { program, manifest, held: Some(held) }
    }

    fn held(&mut self) -> &mut Held {
        self.held.as_mut().expect("it is held")
    }

    fn end(&mut self, signal: Signal) {
        let (status, rest) = self.held.take().expect("it is held").end(signal);
        assert_eq!(status, (signal != Signal::KILL).then_some(0), "{rest}");
    }

    /// Changes the manifest and waits for what becomes of it.
    fn reload(&mut self, text: &str, outcome: &str) {
        let new = self.program.manifest("new", text);
        fs::rename(new, &self.manifest).expect("a rename");
        let result = self.held().result();
        assert_eq!(result["outcome"], outcome, "{result}");
    }

    fn destroy(&mut self, words: &[&str]) {
        self.end(Signal::KILL);
        let all: Vec<&str> =
            ["destroy", &self.manifest].into_iter().chain(words.iter().copied()).collect();
        self.program.run(&all).status(0);
    }
}

impl Before {
    fn look() -> Self {
        let program = attached("veth0")["xdp"][0];
        let shown = bpftool(&["--json", "prog", "show", "id", &program.to_string()]);
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        let ids = shown["map_ids"].as_array().expect("its maps").iter().filter_map(Value::as_u64);
        let mut maps = BTreeMap::new();
        for id in ids {
            let map: Value =
                serde_json::from_str(&bpftool(&["--json", "map", "show", "id", &id.to_string()]))
                    .expect("JSON");
            let known = MAPS.iter().find(|(name, _)| map["name"] == **name);
            maps.extend(known.map(|(_, policy)| (*policy, id)));
        }
        assert_eq!(maps.len(), MAPS.len());
        Self { program, maps }
    }

    /// What there is of it now, in the words of the table.
    fn now(&self) -> BTreeMap<&'static str, &'static str> {
        let running = attached("veth0").get("xdp").is_some_and(|ids| ids[..] == [self.program]);
        let mut now = BTreeMap::from([("programs", if running { "at work" } else { "detached" })]);
        for (name, policy) in MAPS {
            let (pin, id) = (format!("{ROOT}/{name}"), self.maps[policy]);
            let word = if fs::exists(&pin).expect("bpffs") {
                assert_eq!(u64::from(map_id(&pin)), id, "{pin} is another map");
                "pinned"
            } else if lives(id) {
                "lives"
            } else {
                "gone"
            };
            now.insert(policy, word);
        }
        now
    }
}

fn lives(map: u64) -> bool {
    let id = map.to_string();
    let shown = Command::new("bpftool").args(["map", "show", "id", &id]).output();
    shown.expect("bpftool is installed").status.success()
}

/// What happens to a deployment, by the row's name.
fn happens(row: &str) -> Subject {
    let keep: &[&str] = &["--on-exit", "keep"];
    let mut it = Subject::start(if row.contains("keep") { keep } else { &[] });
    let before = Before::look();
    match row {
        "it is held" => {}
        "SIGINT or SIGTERM to its holder" => it.end(Signal::INT),
        "the same with `--on-exit keep`" => it.end(Signal::TERM),
        "`apply --detach` has exited" => {
            it.end(Signal::KILL);
            it.program.run(&["apply", &it.manifest, "--detach"]).status(0);
        }
        "its holder is killed" => it.end(Signal::KILL),
        "a reload is invalid" => it.reload("version = ", "invalid"),
        "a reload is refused by the verifier" => {
            let path = object("rejected").display().to_string();
            it.reload(&format!("{}\n[objects.bad]\npath = \"{path}\"\n", text()), "failed");
        }
        "the map leaves the manifest" => it.reload(&format!("{}{PROGRAM}", head()), "applied"),
        "the object leaves the manifest" => {
            let empty = head();
            let empty = empty.split("\n[objects").next().expect("a head");
            it.reload(empty, "applied");
        }
        "`destroy`" => it.destroy(&[]),
        "`destroy --purge`" => it.destroy(&["--purge"]),
        "bpffs is unmounted" => {
            it.end(Signal::KILL);
            unmount("/sys/fs/bpf", UnmountFlags::DETACH).expect("its own");
            mount_at("bpf", "/sys/fs/bpf");
        }
        _ => panic!("`{row}` is in no test"),
    }
    check(row, &before);
    it
}

/// Holds what is there against the row; the kernel frees things a moment after their last use.
fn check(row: &str, before: &Before) {
    let wanted = table().remove(row).expect("the row");
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let now = before.now();
        if now.iter().map(|(key, word)| (*key, (*word).to_owned())).eq(wanted.clone()) {
            return;
        }
        assert!(Instant::now() < deadline, "{row}: {now:?}, and the table says {wanted:?}");
        std::thread::yield_now();
    }
}

/// The rows of the page: of each, what becomes of programs and of each policy's map.
fn table() -> BTreeMap<String, BTreeMap<&'static str, String>> {
    let page = fs::read_to_string(root().join("docs/lifetimes.md")).expect("the page");
    let rows = page.lines().filter(|line| line.starts_with('|') && !line.starts_with("|-"));
    let rows = rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()));
    let mut rows: Vec<Vec<String>> = rows.map(Iterator::collect).collect();
    let columns = ["programs", "none", "by-name", "persist-on-exit"];
    for (cell, column) in rows.remove(0)[1..].iter().zip(columns) {
        assert!(cell.contains(column), "{cell}");
    }
    rows.into_iter()
        .map(|mut row| {
            let name = row.remove(0);
            assert_eq!(row.len(), columns.len(), "{name}");
            (name, columns.into_iter().zip(row).collect())
        })
        .collect()
}

#[test]
fn the_table_of_lifetimes_is_true() {
    object("three_policies");
    let rows = table();
    assert!(rows.len() >= 12, "{rows:?}");
    for row in rows.keys() {
        Sandbox::run(|sandbox| {
            host::wire(sandbox);
            drop(happens(row));
        });
    }
}
