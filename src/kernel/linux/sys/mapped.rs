//! The kernel's BTF where it lies: in the kernel's own memory.

use std::ops::Deref;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use rustix::fs::{fstat, fstatfs};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::Answer;

/// `SYSFS_MAGIC` (`include/uapi/linux/magic.h`).
const SYSFS: i64 = 0x6265_6572;

/// Memory of the kernel that this process may read.
#[derive(Debug)]
pub(in crate::kernel::linux) struct Mapped {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory belongs to this value alone and nobody writes it.
unsafe impl Send for Mapped {}
// SAFETY: the same.
unsafe impl Sync for Mapped {}

/// Maps `/sys/kernel/btf/vmlinux`, which the kernel allows since 6.16 (`btf_sysfs_vmlinux_mmap` in
/// `kernel/bpf/sysfs_btf.c`). Reading it takes a call a page.
pub(in crate::kernel::linux) fn map_kernel_btf(file: BorrowedFd<'_>) -> Answer<Mapped> {
    // A file of another file system in its place could be cut while it is mapped.
    if i128::from(fstatfs(file)?.f_type) != i128::from(SYSFS) {
        return Err(Errno::NODEV);
    }
    let length = usize::try_from(fstat(file)?.st_size).map_err(|_beyond| Errno::NOMEM)?;
    // SAFETY: the kernel chooses a free place. What is mapped there is the BTF section of the kernel's
    // image, which is never written and never freed.
    let start =
        unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, file, 0) }?;
    let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
    Ok(Mapped { start, length })
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length` bytes are mapped at `start` and stay so, unchanged, until this is dropped.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: this value mapped these bytes, and whoever borrowed them did so from it.
        // Should it fail, they stay mapped until the process ends.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}
