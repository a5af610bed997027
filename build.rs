//! What is made when the program is built: the tree of the manifest's schema, and how the program
//! is linked.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use serde_json::Value;

/// Which functions lie side by side, made by `scripts/startup/order.sh`.
const ORDER: &str = "link/startup.ld";

/// How to leave out what unwinding takes.
const ABORTS: &str = "link/aborts.ld";

const SCHEMA: &str = "schema/ebpf-apply-v1.schema.json";

fn main() -> io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut cargo = io::stdout().lock();
    writeln!(cargo, "cargo::rerun-if-changed=build.rs")?;
    writeln!(cargo, "cargo::rerun-if-changed={SCHEMA}")?;
    let schema = serde_json::from_str(&fs::read_to_string(SCHEMA)?)?;
    let mut tree = String::new();
    write_tree(&mut tree, &schema, Keys::Keywords);
    fs::write(out.join("schema_tree.rs"), tree)?;
    if let Some(libraries) = static_libraries(&out.join("static"))? {
        // The tests too, which then run on any kernel as one file. Not `rustc-link-search`, which the
        // library's own tests and procedural macros would follow.
        for kind in ["bins", "tests"] {
            writeln!(cargo, "cargo::rustc-link-arg-{kind}=-L{}", libraries.display())?;
            writeln!(cargo, "cargo::rustc-link-arg-{kind}=-static-pie")?;
        }
        // The thousands of places that hold an address take bytes instead of 24 each. Before glibc
        // 2.36 the start of a static program does not know how to unpack them.
        if glibc().is_some_and(|version| version >= (2, 36)) {
            writeln!(cargo, "cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs")?;
        }
        if is_default_linker() {
            let order = fs::canonicalize(ORDER)?;
            writeln!(cargo, "cargo::rerun-if-changed={ORDER}")?;
            writeln!(cargo, "cargo::rustc-link-arg-bins=-Wl,-T,{}", order.display())?;
            // A fourteenth of the program tells how to unwind it, which the release profile never does.
            // What gcc links to a program wants it where lld is not the linker that comes with rustc.
            if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
                let aborts = fs::canonicalize(ABORTS)?;
                writeln!(cargo, "cargo::rerun-if-changed={ABORTS}")?;
                writeln!(cargo, "cargo::rustc-link-arg-bins=-Wl,-T,{}", aborts.display())?;
                writeln!(cargo, "cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr")?;
            }
        }
    }
    Ok(())
}

/// What the keys of a JSON object are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// Keywords of JSON schema.
    Keywords,
    /// Names that the schema describes.
    Names,
}

/// Writes a value as an expression of `manifest::tree::Tree`, without the keywords that are for
/// people and editors only.
fn write_tree(out: &mut String, value: &Value, keys: Keys) {
    const UNREAD: [&str; 6] = ["$id", "$schema", "default", "description", "pattern", "title"];
    // Writing to a string cannot fail.
    let _ = match value {
        Value::Null => unreachable!("TOML has no null, and so the schema has none"),
        Value::Bool(value) => write!(out, "Tree::Bool({value})"),
        Value::Number(number) => write!(out, "Tree::Number({number})"),
        Value::String(text) => write!(out, "Tree::Text({text:?})"),
        Value::Array(list) => {
            out.push_str("Tree::List(&[");
            for value in list {
                write_tree(out, value, Keys::Keywords);
                out.push(',');
            }
            write!(out, "])")
        }
        Value::Object(table) => {
            out.push_str("Tree::Table(&[");
            let unread = |key: &str| keys == Keys::Keywords && UNREAD.contains(&key);
            for (key, value) in table.iter().filter(|(key, _)| !unread(key)) {
                let names =
                    keys == Keys::Keywords && matches!(key.as_str(), "properties" | "definitions");
                let _ = write!(out, "({key:?},");
                write_tree(out, value, if names { Keys::Names } else { Keys::Keywords });
                out.push_str("),");
            }
            write!(out, "])")
        }
    };
}

/// A directory in which the linker finds the C library's static archives before its shared ones;
/// `None` where they are not installed or the target has none, and the program is linked as usual.
///
/// Starting a program costs more than half of what applying a small manifest does, and half of that
/// is the dynamic linker. `-C target-feature=+crt-static` would do the same, but on a target whose
/// procedural macros are shared libraries it needs `--target` and so another directory of results.
fn static_libraries(directory: &Path) -> io::Result<Option<PathBuf>> {
    let is = |key: &str, value: &str| env::var(key).is_ok_and(|found| found == value);
    let native = env::var("HOST").ok() == env::var("TARGET").ok();
    if !(native && is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu")) {
        return Ok(None);
    }
    let [Some(c), Some(math), Some(compiler), Some(unwinder)] =
        ["libc.a", "libm.a", "libgcc.a", "libgcc_eh.a"].map(archive)
    else {
        return Ok(None);
    };
    fs::create_dir_all(directory)?;
    let script = |name: &str, archives: &[&PathBuf]| {
        let list: Vec<String> = archives.iter().map(|path| path.display().to_string()).collect();
        fs::write(directory.join(name), format!("GROUP ( {} )\n", list.join(" ")))
    };
    script("libc.a", &[&c])?;
    script("libm.a", &[&math])?;
    // rustc asks for the shared one by this name.
    script("libgcc_s.a", &[&unwinder, &compiler, &c])?;
    Ok(Some(directory.to_owned()))
}

/// Whether a release is linked by the linker that comes with the compiler, or by GNU's: not every
/// other one reads linker scripts.
fn is_default_linker() -> bool {
    let is_set = |key| env::var_os(key).is_some_and(|value: OsString| !value.is_empty());
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let chosen = flags.contains("fuse-ld") || flags.contains("linker") || is_set("RUSTC_LINKER");
    env::var("PROFILE").is_ok_and(|profile| profile == "release") && !chosen
}

/// Where the C compiler finds an archive; it answers with the bare name if it finds none.
fn archive(name: &str) -> Option<PathBuf> {
    let answer = Command::new("cc").arg(format!("-print-file-name={name}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(answer.stdout).ok()?.trim());
    path.is_absolute().then_some(path)
}

/// The version of the C library that the C compiler finds.
fn glibc() -> Option<(u32, u32)> {
    let macros = ["-E", "-dM", "-include", "features.h", "-xc", "/dev/null"];
    let answer = Command::new("cc").args(macros).output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    let number = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u32>().ok())
    };
    Some((number("#define __GLIBC__ ")?, number("#define __GLIBC_MINOR__ ")?))
}
