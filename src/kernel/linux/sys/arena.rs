//! Mapping an arena, which gives it its address.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::{Answer, map_info};
use crate::model::kinds::MapType;

/// Maps an arena of `pages` pages of `page_size` bytes and unmaps it again: the first mapping fixes
/// the address at which programs and whoever maps it later see it (`arena_map_mmap` in
/// `kernel/bpf/arena.c`), without which the verifier refuses programs that use it.
///
/// With `map_extra`, that is the address; `EEXIST` if this process has something there.
pub(in crate::kernel::linux) fn map_arena(map: BorrowedFd<'_>, page_size: u32) -> Answer<()> {
    let shape = map_info(map)?.shape;
    if shape.map_type != MapType::ARENA {
        return Err(Errno::INVAL);
    }
    let length = u64::from(shape.max_entries) * u64::from(page_size);
    let length = usize::try_from(length).map_err(|_beyond| Errno::NOMEM)?;
    let address = usize::try_from(shape.map_extra).map_err(|_beyond| Errno::INVAL)?;
    // libbpf says MAP_FIXED, which would replace what an object's number happens to hit.
    let fixed = if address == 0 { MapFlags::empty() } else { MapFlags::FIXED_NOREPLACE };
    let at = std::ptr::without_provenance_mut(address);
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the kernel chooses a free place, or refuses the one given if anything is there; the
    // mapping goes before anybody could look at it.
    unsafe {
        let mapped = mmap(at, length, access, MapFlags::SHARED | fixed, map, 0)?;
        munmap(mapped, length)
    }
}
