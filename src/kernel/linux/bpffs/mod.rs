//! The pin root and what lies below it on bpffs, reached so that nobody can lead us elsewhere.
//!
//! The root is opened as a directory when it is looked at, and that descriptor serves until the next
//! look; everything below is resolved from it by openat2(2), which follows no symbolic link, leaves no
//! file system and climbs nowhere. A pin is then named by its directory's descriptor. bpffs is
//! recognised by statfs(2) and never mounted.

mod advice;
mod exchange;
mod pins;
mod roots;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

pub(super) use pins::{
    Pin, exchange, list, make_directory, open, open_program, pin, remove_directory, rename, unpin,
};
pub(super) use roots::{device, make_root, remove_root_directory, root_state};

use super::super::{KernelError, Result};
use super::sys::Answer;
use crate::model::pin::{PinPath, PinRoot};
pub(super) use advice::refused;

/// `BPF_FS_MAGIC` (`include/uapi/linux/magic.h`).
pub(super) const BPFFS: u64 = 0xcafe_4a11;

/// How a directory is opened only to be a place for others.
const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Nothing below the root leads away from it.
const BELOW: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_XDEV)
    .union(ResolveFlags::NO_MAGICLINKS);

/// An open pin root that is on bpffs.
#[derive(Debug)]
struct Root {
    fd: OwnedFd,
    path: PathBuf,
}

/// The pin root that was used last, kept open.
#[derive(Debug, Default)]
pub(super) struct Roots(Mutex<Option<Arc<Root>>>);

impl Roots {
    /// The root, open; `None` if it does not exist.
    fn open(&self, root: &PinRoot) -> Result<Option<Arc<Root>>> {
        if let Some(known) = self.known(root) {
            return Ok(Some(known));
        }
        let opened = Root::open(root)?.map(Arc::new);
        self.keep(opened.clone());
        Ok(opened)
    }

    /// Opens the root, which must exist, for `operation`.
    fn existing(&self, root: &PinRoot, operation: &str) -> Result<Arc<Root>> {
        self.open(root)?.ok_or_else(|| refused(operation, Errno::NOENT, root.as_path()))
    }

    /// The root if it is open already and was not removed since.
    fn known(&self, root: &PinRoot) -> Option<Arc<Root>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|known| known.path == root.as_path() && known.is_linked())
    }

    fn keep(&self, root: Option<Arc<Root>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = root;
    }
}

impl Root {
    /// Opens the root; `None` if it does not exist.
    fn open(root: &PinRoot) -> Result<Option<Self>> {
        const OPERATION: &str = "open the pin root";
        let path = root.as_path().to_owned();
        let fd = match rustix::fs::openat(CWD, &path, PLACE, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(refused(OPERATION, errno, &path)),
        };
        match file_system(fd.as_fd()).map_err(|errno| refused(OPERATION, errno, &path))? {
            BPFFS => Ok(Some(Self { fd, path })),
            _ => Err(KernelError::reason(OPERATION, "it is not on a BPF file system")
                .at(&path)
                .advice(advice::MOUNT)),
        }
    }

    /// Whether the directory still has a name: rmdir(2) takes the last of its links.
    fn is_linked(&self) -> bool {
        rustix::fs::fstat(&self.fd).is_ok_and(|status| status.st_nlink > 0)
    }

    /// The directory that holds `path`.
    fn holder(&self, path: &PinPath) -> Answer<OwnedFd> {
        match path.parent() {
            Some(parent) => self.descend(parent.as_str(), PLACE),
            None => self
                .fd
                .try_clone()
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }

    /// Opens what lies at `path` below the root.
    fn descend(&self, path: &str, how: OFlags) -> Answer<OwnedFd> {
        rustix::fs::openat2(&self.fd, path, how | OFlags::CLOEXEC, Mode::empty(), BELOW)
    }

    /// The whole path of a pin, for messages.
    fn show(&self, path: &PinPath) -> PathBuf {
        self.path.join(path.as_str())
    }
}

/// `f_type` of the file system that `fd` lies on.
pub(super) fn file_system(fd: BorrowedFd<'_>) -> Answer<u64> {
    let status = rustix::fs::fstatfs(fd)?;
    // `f_type` is a signed word on most architectures; magic numbers are 32 bits.
    #[expect(clippy::cast_sign_loss, reason = "magic numbers are bit patterns")]
    let magic = status.f_type as u64 & u64::from(u32::MAX);
    Ok(magic)
}
