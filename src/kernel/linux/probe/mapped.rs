//! Where a process has the code of a file in its memory.
//!
//! Source: `parse_vma_segs` and `find_vma_seg` of libbpf's `src/usdt.c`, and `show_map_vma` of the kernel's
//! `fs/proc/task_mmu.c`.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

use super::elf::Binary;

/// One line of `/proc/<pid>/maps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping<'a> {
    start: u64,
    size: u64,
    /// Where it begins in the file.
    offset: u64,
    is_code: bool,
    /// Major and minor number of the device.
    device: (u32, u32),
    inode: u64,
    /// As whoever reads sees it; empty for memory of no file.
    path: &'a [u8],
}

/// The addresses at which a process has what lies at each of these places in a file; several where it
/// has mapped the file more than once.
pub(super) fn addresses(
    binary: &Binary,
    pid: u32,
    offsets: &[u64],
) -> Result<Vec<Vec<u64>>, String> {
    let path = format!("/proc/{pid}/maps");
    let text = fs::read(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("there is no process {pid}"),
        ErrorKind::PermissionDenied => {
            format!("{path} cannot be read: {error}: this takes CAP_SYS_PTRACE")
        }
        _ => format!("{path} cannot be read: {error}"),
    })?;
    let code = mappings(&text).filter(|mapping| mapping.is_code && !mapping.path.is_empty());
    let code: Vec<Mapping<'_>> = code.filter(|mapping| mapping.is_of(binary, pid)).collect();
    let of = |offset: &u64| {
        let mut found: Vec<u64> = code.iter().filter_map(|code| code.address(*offset)).collect();
        found.sort_unstable();
        found.dedup();
        (!found.is_empty()).then_some(found)
    };
    let all = offsets.iter().map(of).collect::<Option<_>>();
    all.ok_or_else(|| format!("process {pid} has not mapped its code"))
}

fn mappings(text: &[u8]) -> impl Iterator<Item = Mapping<'_>> {
    text.split(|byte| *byte == b'\n').filter_map(mapping)
}

/// `55d0c8a00000-55d0c8a02000 r-xp 00001000 fd:01 1234   /usr/bin/sh`
fn mapping(line: &[u8]) -> Option<Mapping<'_>> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut next = || fields.next().and_then(|field| std::str::from_utf8(field).ok());
    let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
    let (start, end) = next()?.split_once('-')?;
    let (start, end) = (hexadecimal(start)?, hexadecimal(end)?);
    let is_code = next()?.as_bytes().get(2) == Some(&b'x');
    let offset = hexadecimal(next()?)?;
    let (major, minor) = next()?.split_once(':')?;
    let device = (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    let inode = next()?.parse().ok()?;
    let path = fields.next().unwrap_or_default().trim_ascii_start();
    Some(Mapping { start, size: end.checked_sub(start)?, offset, is_code, device, inode, path })
}

impl Mapping<'_> {
    fn address(&self, offset: u64) -> Option<u64> {
        let within = offset.checked_sub(self.offset).filter(|within| *within < self.size)?;
        self.start.checked_add(within)
    }

    /// Some file systems have other devices here than stat(2) tells, and a process may have another root:
    /// then it is the file to which the path leads.
    fn is_of(&self, binary: &Binary, pid: u32) -> bool {
        let device = (major(binary.device), minor(binary.device));
        if (self.device, self.inode) == (device, binary.inode) {
            return true;
        }
        let path = Path::new(OsStr::from_bytes(self.path));
        let Ok(inside) = path.strip_prefix("/") else { return false };
        let there = PathBuf::from(format!("/proc/{pid}/root")).join(inside);
        [path, &there].iter().any(|path| {
            fs::metadata(path)
                .is_ok_and(|file| (file.dev(), file.ino()) == (binary.device, binary.inode))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_kinds() {
        let text = b"7f5c6f5d1000-7f5c6f5d3000 r-xp 001c7000 08:1f 21238613      /usr/lib/a b.so\n\
            7f5c6f5d3000-7f5c6f5d8000 rw-p 00000000 00:00 0 \n\
            nonsense\n\
            7ffd0-7ffd2 r-xp 00000000 00:00 0   [vdso]\n";
        let all: Vec<_> = mappings(text).collect();
        assert_eq!(all.len(), 3);
        let expected = Mapping {
            start: 0x7f5c_6f5d_1000,
            size: 0x2000,
            offset: 0x1c_7000,
            is_code: true,
            device: (8, 0x1f),
            inode: 21_238_613,
            path: b"/usr/lib/a b.so",
        };
        assert_eq!(all[0], expected);
        assert_eq!((all[1].is_code, all[1].path), (false, &b""[..]));
        assert_eq!(expected.address(0x1c_7010), Some(0x7f5c_6f5d_1010));
        assert_eq!(expected.address(0x1c_6fff), None);
        assert_eq!(expected.address(0x1c_9000), None);
    }

    /// Somewhere in this test.
    #[test]
    fn a_process_tells_where_it_has_its_own_code() {
        let path = std::env::current_exe().expect("it has a path");
        let binary = Binary::open(&path).expect("it runs");
        let address = lines_of_all_kinds as *const () as u64;
        let text = fs::read("/proc/self/maps").expect("it is its own");
        let within = |mapping: &Mapping<'_>| {
            address >= mapping.start && address - mapping.start < mapping.size
        };
        let mapping = mappings(&text).find(within).expect("it is mapped");
        let offset = address - mapping.start + mapping.offset;
        let pid = std::process::id();
        assert_eq!(addresses(&binary, pid, &[offset]), Ok(vec![vec![address]]));
        let other = Binary::open(Path::new("/bin/sh")).expect("there is a shell");
        let error = addresses(&other, pid, &[0]).expect_err("it has no shell in it");
        assert!(error.contains("has not mapped"), "{error}");
    }
}
