//! How the program is linked: as one file that needs no library, and so that starting it costs little,
//! which is most of what applying a small manifest costs.
//!
//! On a musl target it is static by itself, and `scripts/release-cargo.sh` has it linked by the linker that
//! comes with the compiler. For the compiler's own target glibc's archives are looked for. On any other
//! target, and where those archives are not installed, it is linked as usual.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Which functions lie side by side, made by `scripts/startup/order.sh`.
const ORDER: &str = "build/startup.ld";

/// How to leave out what unwinding takes.
const ABORTS: &str = "build/aborts.ld";

/// The thousands of places that hold an address take bytes instead of 24 each.
const SHORT_RELOCATIONS: [&str; 2] = ["-z", "pack-relative-relocs"];

/// Writes what Cargo is to tell the linker; files for it go into `out`.
pub(crate) fn choose(cargo: &mut impl Write, out: &Path) -> io::Result<()> {
    if !is("CARGO_CFG_TARGET_OS", "linux") {
        return Ok(());
    }
    if is("CARGO_CFG_TARGET_ENV", "musl") {
        let target = env::var("TARGET").unwrap_or_default().to_uppercase().replace('-', "_");
        writeln!(cargo, "cargo::rerun-if-env-changed=CARGO_TARGET_{target}_LINKER")?;
        if is("RUSTC_LINKER", "rust-lld") && !is_linker_among_flags() {
            let linker = Linker::Itself;
            // The musl that comes with Rust (1.2.5) unpacks them where it relocates itself.
            linker.tell(cargo, &SHORT_RELOCATIONS)?;
            return if is("PROFILE", "release") { linker.release(cargo) } else { Ok(()) };
        }
    } else if let Some(libraries) = static_libraries(&out.join("static"))? {
        // The tests too, which then run on any kernel as one file. Not `rustc-link-search`, which the
        // library's own tests and procedural macros would follow.
        for kind in ["bins", "tests"] {
            writeln!(cargo, "cargo::rustc-link-arg-{kind}=-L{}", libraries.display())?;
            writeln!(cargo, "cargo::rustc-link-arg-{kind}=-static-pie")?;
        }
        let linker = Linker::BehindCompiler;
        // Before glibc 2.36 the start of a static program does not know how to unpack them.
        if glibc().is_some_and(|version| version >= (2, 36)) {
            linker.tell(cargo, &SHORT_RELOCATIONS)?;
        }
        if is("PROFILE", "release") && is_default_linker() {
            linker.release(cargo)?;
        }
    }
    Ok(())
}

/// Who is told how to link, and so how it is said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Linker {
    /// lld, which takes its options as they are.
    Itself,
    /// lld or GNU's by way of a C compiler.
    BehindCompiler,
}

impl Linker {
    /// Passes options on, for the program only.
    fn tell(self, cargo: &mut impl Write, options: &[&str]) -> io::Result<()> {
        match self {
            Self::Itself => options
                .iter()
                .try_for_each(|option| writeln!(cargo, "cargo::rustc-link-arg-bins={option}")),
            Self::BehindCompiler => {
                writeln!(cargo, "cargo::rustc-link-arg-bins=-Wl,{}", options.join(","))
            }
        }
    }

    /// Has the script of a release read beside the linker's own.
    fn read(self, cargo: &mut impl Write, script: &str) -> io::Result<()> {
        self.tell(cargo, &["-T", &fs::canonicalize(script)?.to_string_lossy()])
    }

    /// What only a release is: in order, and without what it never needs.
    fn release(self, cargo: &mut impl Write) -> io::Result<()> {
        self.read(cargo, ORDER)?;
        // A fourteenth of the program tells how to unwind it, which the release profile never does.
        // What gcc links to a program wants it where lld is not the linker that comes with rustc.
        if self == Self::Itself || is("CARGO_CFG_TARGET_ARCH", "x86_64") {
            self.read(cargo, ABORTS)?;
            self.tell(cargo, &["--no-eh-frame-hdr"])?;
        }
        Ok(())
    }
}

/// Whether Cargo says of the target, or of how it builds, what is expected.
fn is(key: &str, expected: &str) -> bool {
    env::var(key).is_ok_and(|found| found == expected)
}

/// A directory in which the linker finds glibc's static archives before its shared ones; `None` where
/// they are not installed or the target is another, and the program is linked as usual.
///
/// Half of what starting the program would cost is the dynamic linker. `-C target-feature=+crt-static`
/// would do the same, but on a target whose procedural macros are shared libraries it needs `--target`
/// and so another directory of results.
fn static_libraries(directory: &Path) -> io::Result<Option<PathBuf>> {
    let native = env::var("HOST").ok() == env::var("TARGET").ok();
    if !(native && is("CARGO_CFG_TARGET_ENV", "gnu")) {
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

/// Whether glibc's program is linked by the linker that comes with the compiler, or by GNU's: not every
/// other one reads linker scripts.
fn is_default_linker() -> bool {
    let is_set = |key| env::var_os(key).is_some_and(|value: OsString| !value.is_empty());
    !(is_linker_among_flags() || is_set("RUSTC_LINKER"))
}

fn is_linker_among_flags() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    flags.split('\x1f').any(|flag| {
        let options = ["--codegen=", "-C", "-Z"];
        let option = options.iter().find_map(|option| flag.strip_prefix(option)).unwrap_or(flag);
        option.trim_start().starts_with("linker") || flag.contains("-fuse-ld")
    })
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
