//! What a map or program has used and done, as far as the kernel tells.

use std::os::fd::{AsFd as _, AsRawFd as _};

use rustix::io::Errno;

use super::handle::Handle;
use super::sys::{self, Answer, Elements};
use crate::model::entries::EntryKind;
use crate::model::identity::ObjectKind;
use crate::model::usage::Usage;

/// Figures of a map or program; nothing of other objects.
pub(super) fn of(handle: &Handle) -> Answer<Usage> {
    match handle.kind() {
        ObjectKind::Map => map(handle),
        ObjectKind::Program => program(handle),
        ObjectKind::Link | ObjectKind::Btf => Ok(Usage::default()),
    }
}

fn program(handle: &Handle) -> Answer<Usage> {
    let statistics = sys::program_statistics(handle.as_fd())?;
    // Counters stay where they were when counting ends, so what was counted once is told.
    let counts = statistics.runs > 0 || counts_runs();
    Ok(Usage {
        memory: memory(handle),
        runs: counts.then_some(statistics.runs),
        run_time_ns: counts.then_some(statistics.run_time_ns),
        verified_instructions: Some(statistics.verified_instructions).filter(|count| *count > 0),
        ..Usage::default()
    })
}

fn map(handle: &Handle) -> Answer<Usage> {
    let info = sys::map_info(handle.as_fd())?;
    let entries = match EntryKind::of(info.shape.map_type) {
        Ok(EntryKind::Hash | EntryKind::PerCpuHash | EntryKind::Prefixes) => count(handle).ok(),
        Ok(EntryKind::Array | EntryKind::PerCpuArray) | Err(_) => None,
    };
    Ok(Usage {
        memory: memory(handle),
        entries,
        max_entries: Some(info.shape.max_entries).filter(|count| *count > 0),
        ..Usage::default()
    })
}

/// Counts keys. Where one is deleted meanwhile, the kernel begins again from the first, so no more are
/// counted than the map has room for.
fn count(handle: &Handle) -> Answer<u64> {
    let (elements, info) = Elements::of(handle.as_fd())?;
    let room = u64::from(info.shape.max_entries);
    let mut key: Option<Vec<u8>> = None;
    let mut next = vec![0; usize::try_from(info.shape.key_size).unwrap_or_default()];
    let mut count = 0;
    while count < room {
        match elements.next_key(key.as_deref(), &mut next) {
            Ok(()) => count += 1,
            Err(Errno::NOENT) => break,
            Err(errno) => return Err(errno),
        }
        match &mut key {
            Some(key) => key.copy_from_slice(&next),
            None => key = Some(next.clone()),
        }
    }
    Ok(count)
}

/// `memlock` of the fdinfo (`bpf_map_show_fdinfo`, `bpf_prog_show_fdinfo` in `kernel/bpf/syscall.c`).
fn memory(handle: &Handle) -> Option<u64> {
    let fdinfo = format!("/proc/thread-self/fdinfo/{}", handle.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(fdinfo).ok()?;
    text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
}

/// Whether the kernel counts runs and their time now.
fn counts_runs() -> bool {
    let sysctl = std::fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled");
    sysctl.is_ok_and(|text| text.trim() == "1")
}
