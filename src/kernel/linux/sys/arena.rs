//! Mapping an arena, which gives it its address, and filling it.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{Errno, pread, pwrite};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::{Answer, map_info};
use crate::model::kinds::MapType;

/// Maps an arena of `pages` pages of `page_size` bytes, puts `contents` at `offset` into it, and
/// unmaps it again: the first mapping fixes the address at which programs and whoever maps it later
/// see it (`arena_map_mmap` in `kernel/bpf/arena.c`), without which the verifier refuses programs that
/// use it.
///
/// With `map_extra`, that is the address; `EEXIST` if this process has something there. `EFAULT` if
/// the arena gives its user no memory (`BPF_F_SEGV_ON_FAULT`, or there is none), `EINVAL` for contents
/// beyond its end.
pub(in crate::kernel::linux) fn map_arena(
    map: BorrowedFd<'_>,
    page_size: u32,
    offset: u32,
    contents: &[u8],
) -> Answer<()> {
    let shape = map_info(map)?.shape;
    if shape.map_type != MapType::ARENA {
        return Err(Errno::INVAL);
    }
    let length = u64::from(shape.max_entries) * u64::from(page_size);
    let length = usize::try_from(length).map_err(|_beyond| Errno::NOMEM)?;
    let address = usize::try_from(shape.map_extra).map_err(|_beyond| Errno::INVAL)?;
    let start = usize::try_from(offset).map_err(|_beyond| Errno::INVAL)?;
    if start.checked_add(contents.len()).is_none_or(|end| end > length) {
        return Err(Errno::INVAL);
    }
    let file = (!contents.is_empty()).then(|| file_of(contents)).transpose()?;
    // libbpf says MAP_FIXED, which would replace what an object's number happens to hit.
    let fixed = if address == 0 { MapFlags::empty() } else { MapFlags::FIXED_NOREPLACE };
    let at = std::ptr::without_provenance_mut(address);
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the kernel chooses a free place, or refuses the one given if anything is there; nobody
    // else knows the mapping before it goes. The slice lies within it, as was checked, is of bytes,
    // of which any are valid, and is written by the kernel alone, which answers EFAULT where a page
    // cannot be had.
    unsafe {
        let mapped = mmap(at, length, access, MapFlags::SHARED | fixed, map, 0)?;
        let filled = file.map_or(Ok(()), |file| {
            let place = mapped.cast::<u8>().add(start);
            let place = std::slice::from_raw_parts_mut(place, contents.len());
            match pread(file.as_fd(), place, 0) {
                Ok(read) if read == contents.len() => Ok(()),
                // A copy that meets a page it cannot have ends early.
                Ok(_) => Err(Errno::FAULT),
                Err(errno) => Err(errno),
            }
        });
        munmap(mapped, length)?;
        filled
    }
}

/// A file of these bytes, from which the kernel copies: where there is no memory that is an answer,
/// and not a signal.
fn file_of(contents: &[u8]) -> Answer<OwnedFd> {
    let file = memfd_create("arena", MemfdFlags::CLOEXEC)?;
    let mut written = 0;
    while let Some(rest) = contents.get(written..).filter(|rest| !rest.is_empty()) {
        written += pwrite(&file, rest, written as u64)?;
    }
    Ok(file)
}
