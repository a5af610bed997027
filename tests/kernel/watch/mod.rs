//! `apply --watch` and the signals of a held deployment, on the running kernel. The tests wait for
//! what the program says; that it does nothing is shown by a change afterwards, whose result must be
//! the next.

mod arrivals;
mod config_map;
mod drift;
mod flood;
mod idle;
mod manager;
mod places;
mod reload;
mod signals;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::program::Program;
use crate::support::object;

/// A deployment of one XDP program that tells its loads apart by a number.
struct Edge {
    program: Program,
    manifest: String,
}

impl Edge {
    fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    fn below(parent: &Path) -> Self {
        let program = Program::below(parent);
        fs::copy(object("generation"), program.directory().join("edge.bpf.o")).expect("a copy");
        let manifest = program.manifest("edge.toml", &text(1));
        Self { program, manifest }
    }

    /// Replaces the manifest by a rename, as editors and deployments do.
    fn replace(&self, text: &str) {
        let new = self.program.manifest("edge.toml.new", text);
        fs::rename(new, &self.manifest).expect("a rename");
    }

    /// Makes the next reload wait until what is returned is dropped: another run has the lock.
    fn pause(&self) -> File {
        let lock = File::open(self.program.state().join("edge.apply.lock")).expect("its lock");
        flock(&lock, FlockOperation::LockExclusive).expect("free");
        lock
    }

    fn object(&self) -> PathBuf {
        self.program.directory().join("edge.bpf.o")
    }
}

/// The manifest with which packets are counted under a number.
fn text(number: u32) -> String {
    format!("{HEAD}{PROGRAM}\n[objects.edge.globals]\ngeneration = {number}\n")
}

const HEAD: &str = "\
version = 1
name = \"edge\"
pin-root = \"/sys/fs/bpf/edge\"

[objects.edge]
path = \"edge.bpf.o\"
load = \"listed\"
";

const PROGRAM: &str = "
[objects.edge.programs.count_xdp]
attach = [{ hook = \"xdp\", interface = \"veth0\" }]
";
