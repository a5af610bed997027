//! Network namespaces: looked up by where they are mounted, and what they run.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::sys::Answer;
use crate::model::live::TargetState;

/// `NSFS_MAGIC` (`include/uapi/linux/magic.h`).
const NSFS: u32 = 0x6e73_6673;

/// The namespace of whoever asks.
const OWN: &str = "/proc/thread-self/ns/net";

/// Whether the namespace is there; our own always is.
pub(super) fn state(path: Option<&Path>, operation: &str) -> Result<TargetState> {
    let place = place(path);
    let missing = |reason| Ok(TargetState::Missing { reason });
    match open(place) {
        Ok(Opened::Namespace(fd)) => rustix::fs::fstat(fd.as_fd())
            .map(|status| TargetState::Present(status.st_ino))
            .map_err(|errno| KernelError::errno(operation, errno).at(place)),
        Ok(Opened::Other) => missing(not_a_namespace(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => missing(format!(
            "there is no network namespace {} (`ip netns` lists those with a name)",
            place.display()
        )),
        Err(errno) => Err(KernelError::errno(operation, errno).at(place)),
    }
}

/// The namespace, open to attach to.
pub(super) fn namespace(path: Option<&Path>, operation: &str) -> Result<OwnedFd> {
    let place = place(path);
    match open(place) {
        Ok(Opened::Namespace(fd)) => Ok(fd),
        Ok(Opened::Other) => Err(KernelError::reason(operation, not_a_namespace(place)).at(place)),
        Err(errno) => Err(KernelError::errno(operation, errno).at(place)),
    }
}

fn place(path: Option<&Path>) -> &Path {
    path.unwrap_or(Path::new(OWN))
}

enum Opened {
    Namespace(OwnedFd),
    Other,
}

fn open(path: &Path) -> Answer<Opened> {
    // A file of nsfs has no readers that could block; a FIFO in its place would.
    let how = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(CWD, path, how, Mode::empty())?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "magic numbers are patterns of 32 bits"
    )]
    let magic = rustix::fs::fstatfs(&file)?.f_type as u32;
    Ok(if magic == NSFS { Opened::Namespace(file) } else { Opened::Other })
}

fn not_a_namespace(path: &Path) -> String {
    format!("{} is no namespace (`ip netns` lists network namespaces)", path.display())
}
