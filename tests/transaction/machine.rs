//! A host in memory, and a deployment that has a bit of everything.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ebpf_apply::apply::{Applied, ApplyError, Host, Keeper, StateDirectory};
use ebpf_apply::kernel::fake::{Fake, Snapshot};
use ebpf_apply::model::name::Name;
use ebpf_apply::validate::{Desired, validate};
use tempfile::TempDir;

use crate::support;

/// A host in memory with its directory of records.
pub(crate) struct Machine {
    pub(crate) kernel: Fake,
    pub(crate) state: StateDirectory,
    /// What ends with the process, which a killed one does not keep.
    pub(crate) keeper: Keeper<Fake>,
    pub(crate) directory: TempDir,
}

/// A manifest with everything a plan can do: shared, moved, persisting and private maps, links that
/// swap in place and links that cannot, and a netlink filter.
pub(crate) const FIRST: &str = r#"
version = 1
name = "edge"
pin-root = "/sys/fs/bpf/edge"

[objects.firewall]
path = "firewall.bpf.o"
subpath = "fw"

[objects.firewall.maps.blocked]
pin = "persist-on-exit"
subpath = "shared"

[objects.firewall.programs.xdp_firewall]
pin = "by-name"
attach = [{ hook = "xdp", interface = "eth0" }, { hook = "xdp", interface = "eth1" }]

[objects.honeypot]
path = "honeypot.bpf.o"
subpath = "honeypot"

[objects.honeypot.maps.blocked]
pin = "persist-on-exit"
subpath = "shared"

[objects.honeypot.programs.watch_bait]
attach = [{ hook = "tcx", interface = "eth0", direction = "ingress" }]

[objects.counter]
path = "tc_counter.bpf.o"

[objects.counter.programs.tc_count]
attach = [{ hook = "tc", interface = "eth1", direction = "egress" }]

[objects.jumper]
path = "initial_slots.bpf.o"
subpath = "jumps"

[objects.watcher]
path = "iterators.bpf.o"
subpath = "watch"
load = "listed"

[objects.watcher.programs.show_task]
pin = "by-name"
attach = [{ hook = "iter" }]

[objects.watcher.programs.show_entry]
pin = "persist-on-exit"
attach = [{ hook = "iter", map = "counter.traffic" }]

[objects.clock]
path = "counter.bpf.o"

[objects.clock.programs.on_overflow]
attach = [{ hook = "perf-event", software = "cpu-clock", frequency = 49, cpu = 0 }]
"#;

/// The same deployment later: a global changed, pins moved, an attachment went and one came, and a
/// prog array that is loaded again has moved as well.
pub(crate) fn second() -> String {
    FIRST
        .replace(
            "[objects.firewall.programs",
            "[objects.firewall.globals]\nlog_level = 2\n\n[objects.firewall.programs",
        )
        .replace("subpath = \"fw\"", "subpath = \"wall\"")
        .replace("subpath = \"watch\"", "subpath = \"seen\"")
        .replace("pin = \"by-name\"\nattach = [{ hook = \"iter\"", "attach = [{ hook = \"iter\"")
        .replace(", { hook = \"xdp\", interface = \"eth1\" }", "")
        .replace(
            "subpath = \"jumps\"",
            "subpath = \"leaps\"\n\n[objects.jumper.maps.by_key]\nmax-entries = 8",
        )
        .replace(
            "direction = \"ingress\" }",
            "direction = \"ingress\" }, { hook = \"tcx\", interface = \"eth1\", direction = \
             \"ingress\" }",
        )
        .replace(
            "[objects.counter.programs.tc_count]",
            "[objects.counter.maps.traffic]\npin = \"none\"\n\n[objects.counter.programs.tc_count]",
        )
}

/// A manifest whose attachments have other options.
pub(crate) fn other_options(text: &str) -> String {
    text.replace(
        "hook = \"xdp\", interface = \"eth0\"",
        "hook = \"xdp\", interface = \"eth0\", mode = \"generic\"",
    )
    .replace("direction = \"egress\"", "direction = \"egress\", priority = 9")
    .replace("frequency = 49", "frequency = 99")
    .replace(
        "hook = \"tcx\", interface = \"eth0\"",
        "hook = \"tcx\", interface = \"eth0\", position = \"first\"",
    )
}

/// What a manifest asks for; worked out once, for tests ask often.
pub(crate) fn desired(text: &str) -> &'static Desired {
    static KNOWN: Mutex<BTreeMap<String, &'static Desired>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(text.to_owned()).or_insert_with(|| {
        let directory = support::object("firewall").with_file_name("edge.toml");
        let names = [
            "counter",
            "honeypot",
            "tc_counter",
            "initial_slots",
            "iterators",
            "net_hooks",
            "shared",
        ];
        for name in names {
            support::object(name);
        }
        let checked = validate(&directory, text, &|path: &Path| std::fs::read(path));
        let desired = checked.desired.unwrap_or_else(|| panic!("{:#?}", checked.problems));
        Box::leak(Box::new(desired))
    })
}

pub(crate) fn edge() -> Name {
    Name::new("edge").expect("a legal name")
}

impl Machine {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let state = StateDirectory::new(directory.path().join("state"));
        let kernel = Fake::new();
        kernel.add_interface("eth0");
        kernel.add_interface("eth1");
        Self { kernel, state, directory, keeper: Keeper::default() }
    }

    pub(crate) fn host(&self) -> Host<'_, Fake> {
        // Another test that starts a process holds our lock from its fork to its exec.
        let lock_timeout = Duration::from_secs(10);
        let keeper = Some(&self.keeper);
        Host { keeper, ..Host::new(&self.kernel, &self.state, lock_timeout) }
    }

    /// The process is gone, and the kernel does as it should again.
    pub(crate) fn dies(&mut self) {
        self.keeper = Keeper::default();
        self.kernel.heal();
    }

    pub(crate) fn apply(&self, text: &str) -> Result<Applied, ApplyError> {
        self.host().apply(desired(text), &mut |_| {})
    }

    /// A machine with a manifest applied.
    pub(crate) fn after(text: &str) -> Self {
        let machine = Self::new();
        machine.apply(text).expect("applies");
        machine
    }

    pub(crate) fn end(&self, purge: bool) -> Result<Applied, ApplyError> {
        self.host().end(&edge(), None, purge, &mut |_| {})
    }

    /// What can be seen: the host, and the record of the deployment.
    pub(crate) fn visible(&self) -> (Snapshot, Option<String>) {
        let record = self.directory.path().join("state/edge/inventory.json");
        (self.kernel.snapshot(), std::fs::read_to_string(record).ok())
    }

    #[track_caller]
    pub(crate) fn assert_settled(&self, text: &str) {
        let plan = self.host().plan(desired(text)).expect("observable");
        assert!(plan.is_unchanged(), "{:#?}", plan.changes);
    }
}
