//! `BPF_OBJ_PIN` and `BPF_OBJ_GET`, on paths that nobody else can move.

use std::ffi::CString;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::abi::{Command, Object};
use super::{Answer, address, bpf, number, own};

/// Pins `object` as `name` in `directory`, which may be open with `O_PATH`.
///
/// The kernel takes a path; `/proc/thread-self/fd/N/name` names the directory by its descriptor, so nobody
/// can put another in its place. (`BPF_F_PATH_FD` would do without `/proc`, from 6.5 on.)
pub(in crate::kernel::linux) fn pin(
    object: BorrowedFd<'_>,
    directory: BorrowedFd<'_>,
    name: &str,
) -> Answer<()> {
    if name.is_empty() || name.contains('/') {
        return Err(Errno::INVAL);
    }
    let path = proc_path(directory, Some(name))?;
    let mut attr = Object {
        pathname: address(path.as_bytes_with_nul()),
        bpf_fd: number(object),
        ..Object::default()
    };
    // SAFETY: `Object` is what `BPF_OBJ_PIN` takes; `path` is NUL-terminated and outlives the call.
    unsafe { bpf(Command::ObjPin, &mut attr) }.map(drop)
}

/// Opens the object whose pin is open, with `O_PATH`, as `inode`.
///
/// `BPF_OBJ_GET` follows links, but `/proc/thread-self/fd/N` leads to the very inode that was opened.
pub(in crate::kernel::linux) fn object_at(inode: BorrowedFd<'_>) -> Answer<OwnedFd> {
    let path = proc_path(inode, None)?;
    let mut attr = Object { pathname: address(path.as_bytes_with_nul()), ..Object::default() };
    // SAFETY: `Object` is what `BPF_OBJ_GET` takes; `path` is NUL-terminated and outlives the call.
    let fd = unsafe { bpf(Command::ObjGet, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

fn proc_path(fd: BorrowedFd<'_>, name: Option<&str>) -> Answer<CString> {
    let mut path = format!("/proc/thread-self/fd/{}", fd.as_raw_fd());
    if let Some(name) = name {
        path.push('/');
        path.push_str(name);
    }
    CString::new(path).map_err(|_nul| Errno::INVAL)
}
