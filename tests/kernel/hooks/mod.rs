//! One round for each hook, from a manifest: its program runs, goes on running when its object changes,
//! and is gone with the deployment. What a round finds about the hook, `docs/hooks.md` shows for each
//! kernel of the matrix.

mod events;
mod functions;
mod network;

use std::cell::OnceCell;
use std::fs;
use std::path::Path;

use aya::maps::{Array, Map, MapData};
use serde_json::Value;

use crate::host::tree;
use crate::layer::running::eventually;
use crate::program::{Program, Said};
use crate::support::object;

const PINS: &str = "/sys/fs/bpf/hooks";

/// Where libxdp has the pins of dispatchers. The directory is their lock as well, and stays.
const DISPATCHERS: &str = "/sys/fs/bpf/xdp";

/// A hook, and a program that counts.
struct Case<'c> {
    hook: &'static str,
    /// What it is called in the table.
    label: &'static str,
    /// The bytes of the object.
    object: Vec<u8>,
    /// The program, or the variable of a struct of operations.
    program: &'static str,
    /// What else the attachment says: `, interface = "veth0"`.
    options: String,
    /// What else the program's table says.
    entry: &'static str,
    /// What else the manifest says.
    rest: String,
    /// Does what makes the program run.
    act: Box<dyn Fn() + 'c>,
    /// How often it ran.
    count: Box<dyn Fn() -> u64 + 'c>,
}

impl<'c> Case<'c> {
    fn new(hook: &'static str, name: &str, program: &'static str) -> Self {
        Self {
            hook,
            label: hook,
            object: fs::read(object(name)).expect("an object"),
            program,
            options: String::new(),
            entry: "",
            rest: String::new(),
            act: Box::new(|| ()),
            count: Box::new(|| 0),
        }
    }

    fn label(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }

    fn options(mut self, options: impl Into<String>) -> Self {
        self.options = format!(", {}", options.into());
        self
    }

    fn entry(mut self, entry: &'static str) -> Self {
        self.entry = entry;
        self
    }

    fn rest(mut self, rest: impl Into<String>) -> Self {
        self.rest = rest.into();
        self
    }

    fn act(mut self, act: impl Fn() + 'c) -> Self {
        self.act = Box::new(act);
        self
    }

    fn count(mut self, count: impl Fn() -> u64 + 'c) -> Self {
        self.count = Box::new(count);
        self
    }

    /// Counts by an element of a pinned array.
    fn counts(self, map: &str, index: u32) -> Self {
        let pin = Path::new(PINS).join(map);
        let opened: OnceCell<Array<MapData, u64>> = OnceCell::new();
        self.count(move || {
            let array = opened.get_or_init(|| {
                let map = MapData::from_pin(&pin).expect("a pinned map");
                Map::Array(map).try_into().expect("an array of numbers")
            });
            array.get(&index, 0).expect("the index is inside")
        })
    }

    fn manifest(&self, program: &Program) -> String {
        let Self { hook, options, entry, rest, .. } = self;
        let text = format!(
            "version = 1\nname = \"hooks\"\npin-root = \"{PINS}\"\n\n[objects.it]\npath = \
             \"it.bpf.o\"\nload = \"listed\"\n\n[objects.it.programs.{}]\nattach = [{{ hook = \
             \"{hook}\"{options} }}]\n{entry}\n\n{rest}",
            self.program
        );
        program.manifest("hooks.toml", &text)
    }

    /// Writes the object, with so many bytes behind it that nothing reads.
    fn bring(&self, program: &Program, behind: usize) {
        let bytes = [&self.object[..], &vec![0; behind]].concat();
        fs::write(program.directory().join("it.bpf.o"), bytes).expect("a writable directory");
    }

    fn runs(&self) {
        eventually(&format!("the program at `{}` runs", self.hook), || self.counted() > 0);
    }

    fn counted(&self) -> u64 {
        let before = (self.count)();
        (self.act)();
        (self.count)() - before
    }

    /// The round.
    #[expect(clippy::print_stderr, reason = "whoever runs the matrix collects it")]
    fn round(&self) {
        let program = Program::new();
        self.bring(&program, 0);
        let manifest = self.manifest(&program);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        self.runs();
        program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);
        let pinned = pinned(&program.run(&["status", "--format", "json"]).status(0));

        self.bring(&program, 1);
        let plan = program.run(&["plan", &manifest, "--detailed-exitcode", "--format", "json"]);
        let swap = swap(&plan.status(2));
        program.run(&["apply", &manifest, "--detach"]).status(0);
        self.runs();
        program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);

        program.run(&["destroy", &manifest, "--purge"]).status(0);
        assert!(tree().iter().all(|path| path == Path::new(DISPATCHERS)), "{:?}", tree());
        // Older kernels let go of a link a little after its last pin.
        eventually("it runs no more", || self.counted() == 0);
        eprintln!("\nfact: {}|{pinned}|{swap}", self.label);
    }
}

/// Where the attachments are pinned.
fn pinned(status: &Said) -> &'static str {
    if tree().iter().any(|path| path.starts_with(DISPATCHERS) && path.ends_with("prog0-link")) {
        return "where libxdp has its pins";
    }
    let status = status.json();
    let resources = status["deployments"][0]["resources"].as_array().expect("resources");
    let mut links = resources.iter().filter(|resource| resource["kind"] == "link");
    let pinned = links.next().expect("something is attached")["pin"].is_string();
    assert!(links.all(|link| link["pin"].is_string() == pinned), "{status}");
    if pinned { "yes" } else { "no" }
}

/// How the program at the hook is changed.
fn swap(plan: &Said) -> &'static str {
    let plan = plan.json();
    let changes = plan["changes"].as_array().expect("changes");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    // The last one: what a replaced function belongs to comes before.
    let link = changes.iter().rfind(|change| {
        let address = text(&change["address"]);
        address.starts_with("link.it.") || address.starts_with("link.it[")
    });
    let link = link.unwrap_or_else(|| panic!("the attachment is not planned: {plan}"));
    let reason = text(&link["reason"]);
    match link["action"].as_str().expect("an action") {
        "update" => "atomic",
        "replace" if reason.contains("both programs run") => "both run for a moment",
        "replace" if reason.contains("priority nearby") => "the new one runs nearby meanwhile",
        "replace" if reason.contains("goes over with") => "with the program whose function it is",
        "replace" => "a gap",
        other => panic!("nothing is changed: {other}: {plan}"),
    }
}
