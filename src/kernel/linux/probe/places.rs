//! From what an attachment names to the places in a file that it means.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::elf::Binary;
use super::events::has_event_links;
use super::usdt::{self, Site};
use super::{file, mapped, symbols};
use crate::model::probe::{Usdt, UserProbe};

/// The file that a target's name stands for.
pub(super) fn open(target: &str) -> Result<(PathBuf, Binary), String> {
    let path = file::find(target)?;
    let binary = Binary::open(&path)?;
    Ok((path, binary))
}

/// Its inode; `None` if it cannot be told.
pub(super) fn inode(target: &str) -> Option<u64> {
    open(target).ok().map(|(_, binary)| binary.inode)
}

/// Where the functions of a probe begin, or the instruction in one.
pub(super) fn offsets(probe: &UserProbe) -> Result<(PathBuf, Vec<u64>), String> {
    let (path, binary) = open(&probe.target)?;
    let named = |reason: String| format!("{}: {reason}", path.display());
    let found = symbols::look_up(&binary, &probe.symbols).map_err(named)?;
    let offsets = found.into_iter().map(|start| start.checked_add(probe.offset));
    let offsets = offsets.collect::<Option<Vec<_>>>();
    let offsets = offsets.ok_or_else(|| format!("{}: no such offset", path.display()))?;
    Ok((path, offsets))
}

/// Where a file has a probe.
pub(super) fn sites(probe: &Usdt) -> Result<(PathBuf, Vec<Site>), String> {
    let (path, binary) = open(&probe.target)?;
    let sites = usdt::sites(&binary, &probe.provider, &probe.name)
        .map_err(|reason| format!("{}: {reason}", path.display()))?;
    Ok((path, sites))
}

/// Whether programs find the arguments of a probe by the address of its instruction: cookies came with
/// links to events.
pub(super) fn are_by_address() -> bool {
    !has_event_links()
}

/// Where the instructions of a probe are in memory, in the order of [`sites`] (libbpf
/// `collect_usdt_targets`).
pub(super) fn addresses(probe: &Usdt) -> Result<Vec<Vec<u64>>, String> {
    let (path, binary) = open(&probe.target)?;
    let named = |reason: String| format!("{}: {reason}", path.display());
    let sites = usdt::sites(&binary, &probe.provider, &probe.name).map_err(named)?;
    if binary.is_fixed() {
        return Ok(sites.into_iter().map(|site| vec![site.address]).collect());
    }
    let Some(pid) = probe.pid else { return Err(named(ANYWHERE.to_owned())) };
    let offsets: Vec<u64> = sites.into_iter().map(|site| site.offset).collect();
    mapped::addresses(&binary, pid, &offsets).map_err(named)
}

/// Why the addresses of a probe are not known.
const ANYWHERE: &str = "before Linux 5.15, which has cookies, a program finds a probe's arguments by the \
                        address of its instruction, and each process has this file at another one: say \
                        which process by `pid`, or build a program with `-no-pie`, which every process \
                        has at the same";

/// A path as the kernel takes it.
pub(super) fn text(path: &Path) -> Result<CString, String> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_nul| "its path has a NUL".to_owned())
}
