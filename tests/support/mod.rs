//! What several test targets need: the BPF objects built from `bpf/`. Never touches the kernel.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The package's root directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `bpf/out/<name>.bpf.o`, built from `bpf/<name>.bpf.c` if it is missing or older.
///
/// The Makefile knows the flags. Tests may ask for one object at the same time: clang writes a
/// temporary file and renames it, so none sees half of one. A machine that has no compiler brings
/// them all, and says so with `OBJECTS_ARE_BUILT` in the environment.
///
/// # Panics
/// If the source does not exist or does not compile.
pub(crate) fn object(name: &str) -> PathBuf {
    built(&format!("bpf/out/{name}.bpf.o"))
}

/// A file that the Makefile builds, in the same way.
///
/// # Panics
/// As [`object`] does.
pub(crate) fn built(object: &str) -> PathBuf {
    if std::env::var_os("OBJECTS_ARE_BUILT").is_some() {
        return root().join(object);
    }
    let made = Command::new("make")
        .args(["--silent", "--no-print-directory", object])
        .current_dir(root())
        // Under `make test` these would tie this run to that one's job server.
        .env_remove("MAKEFLAGS")
        .env_remove("MFLAGS")
        .output()
        .expect("make is installed");
    let log = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{object} cannot be built:\n{log}");
    root().join(object)
}
