//! Any text as a manifest, held against real objects whatever it names, and its problems drawn.

#![no_main]

use std::fs;
use std::io;
use std::path::Path;
use std::sync::LazyLock;

use ebpf_apply::validate::validate;
use ebpf_apply::view::Style;
use ebpf_apply::view::problems::{self, Report};
use libfuzzer_sys::fuzz_target;

/// What `make bpf` built, in the order of their names.
static OBJECTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bpf/out");
    let entries = fs::read_dir(&directory).expect("run `make bpf` first");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a readable object")).collect()
});

/// Each path has one of the objects; those of one letter have nothing.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let name = path.as_os_str().as_encoded_bytes();
    if name.len() < 2 {
        return Err(io::ErrorKind::NotFound.into());
    }
    let choice = name.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31) ^ usize::from(*byte));
    Ok(OBJECTS.get(choice % OBJECTS.len().max(1)).cloned().unwrap_or_default())
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let validation = validate(Path::new("fuzzed.toml"), text, &read);
    let report = Report { file: "fuzzed.toml", source: text, problems: &validation.problems };
    let _ = problems::human(&report, Style::PLAIN);
    serde_json::to_string(&problems::problems_json(&report)).expect("problems are JSON");
});
