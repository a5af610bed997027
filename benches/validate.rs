//! What validating costs for each object as there are more of them: 10, 100 and 1000 manifests, each with
//! an object of its own, in one call, beside `bpftool btf dump file` over the same objects, a process
//! for each as it takes one file.
//!
//! `cargo bench --bench validate`. Needs neither root nor a kernel with BPF.

#![expect(clippy::print_stdout, reason = "the figures are its result")]
#![expect(clippy::cast_precision_loss, reason = "figures of few digits")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const COUNTS: [usize; 3] = [10, 100, 1000];
const ROUNDS: usize = 5;

/// Of different sizes, all valid by themselves.
const OBJECTS: [&str; 4] = ["three_policies", "firewall", "globals", "bench_heavy"];

fn main() {
    let objects = OBJECTS.map(|name| fs::read(support::object(name)).expect("it can be read"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let bpftool = Command::new("bpftool").arg("version").output().is_ok();
    println!("microseconds for each object, the median of {ROUNDS} rounds; {cores} cores");
    println!("{:>7} {:>9} {:>9} {:>12}", "objects", "validate", "KiB each", "bpftool btf");
    for count in COUNTS {
        let directory = tempfile::tempdir().expect("a directory");
        let size = fill(&objects, directory.path(), count);
        let validate = median(|| {
            let status = Command::new(env!("CARGO_BIN_EXE_ebpf-apply"))
                .arg("validate")
                .arg(directory.path())
                .stdout(Stdio::null())
                .status()
                .expect("the program starts");
            assert!(status.success(), "the manifests are valid");
        });
        let dump = bpftool.then(|| median(|| dump(directory.path())));
        println!(
            "{count:>7} {:>9.1} {:>9.1} {:>12}",
            each(validate, count),
            size as f64 / 1024.0 / count as f64,
            dump.map_or_else(|| "none".to_owned(), |dump| format!("{:.1}", each(dump, count))),
        );
    }
}

/// Manifests and objects, different in name and bytes; yields the bytes of all objects.
fn fill(objects: &[Vec<u8>], directory: &Path, count: usize) -> u64 {
    let mut size = 0;
    for index in 0..count {
        let mut bytes = objects[index % objects.len()].clone();
        // What follows the last section is nobody's, and makes each digest another.
        bytes.extend_from_slice(&index.to_le_bytes());
        size += bytes.len() as u64;
        fs::write(directory.join(format!("{index}.bpf.o")), bytes).expect("it can be written");
        let manifest = format!(
            "version = 1\nname = \"host-{index}\"\n[objects.demo]\npath = \"{index}.bpf.o\"\n"
        );
        fs::write(directory.join(format!("{index}.toml")), manifest).expect("it can be written");
    }
    size
}

/// Prints each object's types, to nobody.
fn dump(directory: &Path) {
    let objects = fs::read_dir(directory).expect("it can be listed");
    let objects = objects.map(|entry| entry.expect("it can be listed").path());
    let is_object = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "o");
    for object in objects.filter(is_object) {
        let status = Command::new("bpftool")
            .args(["btf", "dump", "file"])
            .arg(object)
            .stdout(Stdio::null())
            .status()
            .expect("bpftool starts");
        assert!(status.success(), "bpftool reads the object");
    }
}

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            run();
            begin.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

fn each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}
