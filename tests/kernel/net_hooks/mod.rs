//! Hooks of the network, each attached from a manifest: it runs its program, takes another one, and
//! is gone with the deployment.

mod cgroups;
pub(crate) mod chain;
mod kept;
pub(crate) mod netfilter;
pub(crate) mod netns;
pub(crate) mod sockmap;

use std::fs;
use std::path::Path;

use aya::maps::{Array, Map, MapData};
use serde_json::Value;

use crate::host::{bpftool, tree};
use crate::layer::running::eventually;
use crate::program::Program;
use crate::support::object;

/// Where `net_hooks` counts the messages that it sees.
const SK_MSG: u32 = 2;

/// A deployment of programs of one object that count their calls.
struct Deployment {
    program: Program,
    manifest: String,
    attach: String,
    /// Outlives the deployment.
    hits: Array<MapData, u64>,
}

impl Deployment {
    /// Applies `net_hooks` with these tables of programs, and their attachments.
    fn apply(attach: &str) -> Self {
        Self::of("net_hooks", "hits", attach)
    }

    /// The same of another object, whose `counter` counts.
    fn of(name: &str, counter: &str, attach: &str) -> Self {
        let program = Program::new();
        fs::copy(object(name), program.directory().join("hooks.bpf.o")).expect("a copy");
        let manifest = program.manifest("hooks.toml", &text(attach, 1));
        program.run(&["apply", &manifest, "--detach"]).status(0);
        let pin = Path::new("/sys/fs/bpf/hooks").join(counter);
        let map = Map::from_map_data(MapData::from_pin(pin).expect("a pin")).expect("a map");
        let hits = map.try_into().expect("an array of numbers");
        Self { program, manifest, attach: attach.to_owned(), hits }
    }

    fn count(&self, hook: u32) -> u64 {
        self.hits.get(&hook, 0).expect("a number")
    }

    /// What a change adds to the count of a hook.
    fn counted(&self, hook: u32, act: impl FnOnce()) -> u64 {
        let before = self.count(hook);
        act();
        self.count(hook) - before
    }

    /// Nothing is left to do, and everything is as it was applied.
    #[track_caller]
    fn is_in_sync(&self) {
        self.program.run(&["plan", &self.manifest, "--detailed-exitcode"]).status(0);
        let status = self.program.run(&["status", "--format", "json"]).status(0).json();
        assert_eq!(status["deployments"][0]["conditions"][0]["reason"], "in-sync", "{status}");
    }

    /// Applies the same programs with another number, which they count by; returns the plan.
    fn renew(&self, number: u32) -> String {
        self.change(&self.attach, number)
    }

    /// Applies other attachments.
    fn change(&self, attach: &str, number: u32) -> String {
        self.program.manifest("hooks.toml", &text(attach, number));
        let plan = self.program.run(&["plan", &self.manifest, "--detailed-exitcode"]).status(2);
        self.program.run(&["apply", &self.manifest, "--detach"]).status(0);
        plan.out
    }

    /// Ends it, after which nothing is counted any more.
    #[track_caller]
    fn end_of(&self, hook: u32, act: impl Fn()) {
        self.end();
        // Older kernels let go of a link a little after its last pin.
        eventually("it is detached", || self.counted(hook, &act) == 0);
    }

    /// Ends it. Nothing may be left.
    #[track_caller]
    fn end(&self) {
        self.program.run(&["destroy", &self.manifest]).status(0);
        assert_eq!(tree(), Vec::<std::path::PathBuf>::new());
    }
}

fn text(attach: &str, generation: u32) -> String {
    let globals = if attach.contains("tc_count") || attach.contains("count_") {
        String::new()
    } else {
        format!("[objects.hooks.globals]\ngeneration = {generation}\n")
    };
    format!(
        "version = 1\nname = \"hooks\"\npin-root = \"/sys/fs/bpf/hooks\"\n\n[objects.hooks]\npath = \
         \"hooks.bpf.o\"\nload = \"listed\"\n\n{globals}{attach}"
    )
}

/// The pinned link of a program, as bpftool shows it.
fn link(pin: &str) -> Value {
    let path = format!("/sys/fs/bpf/hooks/~links/hooks/hooks:{pin}");
    serde_json::from_str(&bpftool(&["--json", "link", "show", "pinned", &path])).expect("JSON")
}
