//! Programs that watch functions and events, from a manifest: each runs when it should, and no longer
//! once it is taken away.

mod addresses;
mod counters;
mod functions;
mod held;
mod iterators;
mod kernel;
mod usdt;
mod user;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aya::maps::{Array, Map, MapData};

use crate::features::{PERF_EVENT_LINKS, is_past};
use crate::host;
use crate::program::{Program, Said};
use crate::sandbox::Sandbox;
use crate::support::{built, object};

/// A manifest of one object, `probes`, whose programs are attached as `rest` says.
fn manifest(program: &Program, file: &str, rest: &str) -> String {
    let text = format!(
        "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n\
         [objects.probes]\npath = \"{}\"\nload = \"listed\"\n\n{rest}\n",
        object(file).display()
    );
    program.manifest("edge.toml", &text)
}

/// An element of a pinned array of numbers.
fn number(map: &str, index: u32) -> u64 {
    let pin = Path::new("/sys/fs/bpf/edge").join(map);
    let map = MapData::from_pin(pin).expect("a pinned map");
    let array: Array<_, u64> = Map::Array(map).try_into().expect("an array of numbers");
    array.get(&index, 0).expect("the index is inside")
}

/// Applies, and finds nothing left to do.
fn apply(program: &Program, file: &str) -> Said {
    let said = program.run(&["apply", file, "--detach"]).status(0);
    program.run(&["plan", file, "--detailed-exitcode"]).status(0);
    let status = program.run(&["status", file, "--format", "json"]).status(0).json();
    for resource in status["deployments"][0]["resources"].as_array().expect("resources") {
        // A map that no loaded program uses is gone with the run that made it.
        assert!(resource["state"] == "in-sync" || resource["state"] == "unknown", "{resource}");
    }
    said
}

#[test]
fn a_kernel_that_cannot_keep_programs_at_events_says_so() {
    if is_past(PERF_EVENT_LINKS) {
        return;
    }
    Sandbox::run(|_| {
        let (program, probed) = (Program::new(), Probed::start());
        let rest = format!(
            "[objects.probes.programs.on_entry]\nattach = [{{ hook = \"uprobe\", {}, symbol = \
             \"probed_single\" }}]\n",
            probed.options()
        );
        let file = manifest(&program, "user_probes", &rest);
        let said = program.run(&["apply", &file, "--detach"]).status(1);
        assert!((said.out.clone() + &said.err).contains("since 5.15"), "{said:?}");
        assert!(host::tree().is_empty(), "{:?}", host::tree());
    });
}

/// Ends the deployment, and finds nothing left of it.
fn destroy(program: &Program, file: &str) {
    program.run(&["destroy", file]).status(0);
    assert!(host::tree().is_empty(), "{:?}", host::tree());
}

/// A running `bpf/probed.c`, which calls a function for each letter.
pub(crate) struct Probed {
    child: Child,
    path: PathBuf,
}

impl Probed {
    pub(crate) fn start() -> Self {
        Self::spawn(&mut Command::new(Self::path()), Self::path())
    }

    /// One that every process has at the same addresses.
    fn fixed() -> Self {
        let path = built("bpf/out/probed-fixed");
        Self::spawn(&mut Command::new(&path), path)
    }

    /// A process that becomes it once it is told to.
    fn later() -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "read go; exec \"$0\""]).arg(Self::path());
        Self::spawn(&mut shell, Self::path())
    }

    fn spawn(command: &mut Command, path: PathBuf) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self { child: command.spawn().expect("it was built"), path }
    }

    /// Has a process become it.
    fn go(&mut self) {
        let input = self.child.stdin.as_mut().expect("a pipe");
        input.write_all(b"\n").expect("it reads");
    }

    fn path() -> PathBuf {
        built("bpf/out/probed")
    }

    /// Has functions called by their letters; gives the last answer.
    pub(crate) fn call(&mut self, letters: &str) -> u8 {
        let mut answer = [0];
        for letter in letters.bytes() {
            let input = self.child.stdin.as_mut().expect("a pipe");
            input.write_all(&[letter]).expect("it reads");
            let output = self.child.stdout.as_mut().expect("a pipe");
            output.read_exact(&mut answer).expect("it answers");
        }
        answer[0]
    }

    /// What an attachment to it in any process has.
    fn target(&self) -> String {
        format!("target = \"{}\"", self.path.display())
    }

    /// What an attachment to it alone has in common: the file and the process.
    pub(crate) fn options(&self) -> String {
        format!("{}, pid = {}", self.target(), self.child.id())
    }
}

impl Drop for Probed {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("it ends with its input");
    }
}
