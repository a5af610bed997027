//! Which file a program's or library's name stands for.
//!
//! Source: `resolve_full_path` and `arch_specific_lib_paths` of libbpf's `src/libbpf.c`.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::model::probe::is_library;

/// The path of a target: itself if it is one, otherwise where libraries or programs of that name are.
pub(super) fn find(target: &str) -> Result<PathBuf, String> {
    if target.contains('/') {
        let path = PathBuf::from(target);
        return match access(&path, Access::READ_OK) {
            Ok(()) => Ok(path),
            Err(errno) => Err(format!("{target} cannot be read: {errno}")),
        };
    }
    let is_library = is_library(target);
    let wanted = if is_library { Access::READ_OK } else { Access::READ_OK | Access::EXEC_OK };
    candidates(target).into_iter().find(|path| access(path, wanted).is_ok()).ok_or_else(|| {
        let what = if is_library { "library" } else { "program" };
        format!("there is no {what} `{target}` where those are looked for; write its path")
    })
}

/// The paths at which a target may be, the first that there is being meant.
pub(in crate::kernel::linux) fn candidates(target: &str) -> Vec<PathBuf> {
    if target.contains('/') {
        return vec![PathBuf::from(target)];
    }
    let is_library = is_library(target);
    let (variable, fixed) =
        if is_library { ("LD_LIBRARY_PATH", LIBRARIES) } else { ("PATH", PROGRAMS) };
    let searched = std::env::var(variable).unwrap_or_default();
    let machine = library_directory();
    let directories = searched.split(':').filter(|directory| !directory.is_empty());
    let directories = directories.chain(fixed.iter().copied());
    let directories = directories.chain(machine.filter(|_| is_library));
    directories.map(|directory| Path::new(directory).join(target)).collect()
}

const LIBRARIES: &[&str] = &["/usr/lib64", "/usr/lib"];
const PROGRAMS: &[&str] = &["/usr/bin", "/usr/sbin"];

/// Where distributions that keep libraries by machine have them.
fn library_directory() -> Option<&'static str> {
    Some(match std::env::consts::ARCH {
        "x86_64" => "/lib/x86_64-linux-gnu",
        "x86" => "/lib/i386-linux-gnu",
        "s390x" => "/lib/s390x-linux-gnu",
        "aarch64" => "/lib/aarch64-linux-gnu",
        "riscv64" => "/lib/riscv64-linux-gnu",
        "arm" => "/lib/arm-linux-gnueabihf",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_what_is_not_there_is_named() {
        assert!(find("sh").expect("there is a shell").ends_with("sh"));
        assert_eq!(find("/bin/sh"), Ok(PathBuf::from("/bin/sh")));
        let error = find("libnonesuch.so.7").expect_err("there is none");
        assert!(error.contains("no library `libnonesuch.so.7`"), "{error}");
        let error = find("/nonesuch").expect_err("there is none");
        assert!(error.contains("/nonesuch cannot be read"), "{error}");
    }
}
