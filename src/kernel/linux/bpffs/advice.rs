//! What bpffs's error numbers mean, and what to do.

use std::path::Path;

use rustix::io::Errno;

use super::super::super::KernelError;

/// For a path that is not on bpffs.
pub(super) const MOUNT: &str = "mount one with `mount -t bpf bpf /sys/fs/bpf`, and choose a pin \
     root below it; nothing is ever mounted by this program";

/// The kernel's refusal at a path, with advice.
pub(in super::super) fn refused(operation: &str, errno: Errno, path: &Path) -> KernelError {
    let error = KernelError::errno(operation, errno).at(path);
    match advice(errno, path) {
        Some(advice) => error.advice(advice),
        None => error,
    }
}

fn advice(errno: Errno, path: &Path) -> Option<String> {
    let dotted = path
        .components()
        .filter_map(|part| part.as_os_str().to_str())
        .find(|part| part.contains('.'));
    let text = match errno {
        Errno::ACCESS => {
            "the file's mode denies it: opening a pin needs read and write permission on it, and \
             changing a directory needs write permission on that directory"
        }
        Errno::PERM => match dotted {
            Some(part) => {
                return Some(format!("`{part}` contains a `.`, which bpffs refuses in every name"));
            }
            None => "pinning needs CAP_BPF, and changing a directory needs to be its owner or root",
        },
        Errno::NOENT => "a directory above it does not exist (or was removed meanwhile)",
        Errno::EXIST => "something is pinned there already, and a pin is never overwritten",
        Errno::ROFS => "bpffs is mounted read-only; `mount -o remount,rw` it",
        Errno::LOOP => "a symbolic link lies in the path; pins are not followed through links",
        Errno::XDEV => "another file system is mounted below the pin root",
        Errno::NOTDIR => "a part of the path is no directory",
        Errno::NAMETOOLONG => "a file name on bpffs has at most 255 bytes",
        Errno::NOSYS => "this needs openat2(2), which Linux has since 5.6",
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_is_told_from_a_missing_privilege() {
        let of = |path: &str| refused("pin map `m`", Errno::PERM, Path::new(path)).advice;
        assert!(of("/sys/fs/bpf/v1.2/m").is_some_and(|text| text.contains("`v1.2`")));
        assert!(of("/sys/fs/bpf/v1/m").is_some_and(|text| text.contains("CAP_BPF")));
    }
}
