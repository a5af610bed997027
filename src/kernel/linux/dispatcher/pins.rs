//! The pins of dispatchers and their lock, where libxdp has them.
//!
//! `xdp/dispatch-INTERFACE-DISPATCHER/progN-prog` and `progN-link` hold what a dispatcher calls. Whoever
//! changes anything has flock(2) on `xdp`.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, ResolveFlags, flock};
use rustix::io::Errno;

use super::super::super::{KernelError, Result};
use super::super::bpffs;
use super::super::handle::Handle;
use super::super::sys::{self, Answer};
use crate::model::dispatch::PROGRAMS_MAX;
use crate::model::identity::ObjectKind;
use crate::trust;

/// Where bpffs is, unless `LIBXDP_BPFFS` tells libxdp otherwise.
const BPFFS: &str = "/sys/fs/bpf";

/// The directory there.
const NAME: &str = "xdp";

/// How long others may keep the lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether it is free.
const PAUSE: Duration = Duration::from_millis(5);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

const BELOW: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_XDEV);

/// The directory of all dispatchers' pins, which nobody else can change.
pub(super) struct Pins {
    directory: OwnedFd,
}

/// A dispatcher on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Index of the interface.
    pub(super) interface: u32,
    /// Kernel id of the dispatcher.
    pub(super) dispatcher: u32,
}

impl Key {
    fn name(self) -> String {
        format!("dispatch-{}-{}", self.interface, self.dispatcher)
    }

    fn parse(name: &str) -> Option<Self> {
        let (interface, dispatcher) = name.strip_prefix("dispatch-")?.split_once('-')?;
        let key = Self { interface: interface.parse().ok()?, dispatcher: dispatcher.parse().ok()? };
        (key.name() == name).then_some(key)
    }
}

impl Pins {
    /// The directory's path, for messages.
    pub(super) fn path() -> PathBuf {
        Path::new(BPFFS).join(NAME)
    }

    /// The directory as it is; `None` if it was never made.
    pub(super) fn look(operation: &str) -> Result<Option<Self>> {
        let at = Self::path();
        let failed = |errno| bpffs::refused(operation, errno, &at);
        let opened = match trust::directory_itself(&at) {
            Ok(opened) => opened,
            Err(error) => {
                return match Errno::from_io_error(&error).unwrap_or(Errno::IO) {
                    Errno::NOENT => Ok(None),
                    errno => Err(failed(errno)),
                };
            }
        };
        if let Some(exposure) = opened.exposures.first() {
            let reason = format!("others could change what is pinned there: {exposure}");
            return Err(KernelError::reason(operation, reason)
                .at(&at)
                .advice(format!("`{}` mends it", exposure.mend())));
        }
        let directory = rustix::fs::openat(&opened.file, ".", DIRECTORY, Mode::empty());
        let directory = directory.map_err(failed)?;
        is_on_bpffs(operation, directory.as_fd())?;
        Ok(Some(Self { directory }))
    }

    /// The directory, made if it is missing, and locked.
    pub(super) fn lock(operation: &str) -> Result<Self> {
        let failed = |errno| bpffs::refused(operation, errno, &Self::path());
        let end = Instant::now() + PATIENCE;
        loop {
            let Some(pins) = Self::look(operation)? else {
                let parent = rustix::fs::open(BPFFS, DIRECTORY, Mode::empty()).map_err(failed)?;
                is_on_bpffs(operation, parent.as_fd())?;
                match rustix::fs::mkdirat(&parent, NAME, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => continue,
                    Err(errno) => return Err(failed(errno)),
                }
            };
            match flock(&pins.directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(pins),
                Err(Errno::WOULDBLOCK) if Instant::now() < end => sleep(PAUSE),
                Err(Errno::WOULDBLOCK) => {
                    let reason = "another program has it locked, and does not let go of it";
                    return Err(KernelError::reason(operation, reason).at(Self::path()));
                }
                Err(errno) => return Err(failed(errno)),
            }
        }
    }

    /// The dispatchers that have pins.
    pub(super) fn all(&self) -> Answer<Vec<Key>> {
        let mut keys = Vec::new();
        for entry in Dir::read_from(&self.directory)? {
            keys.extend(entry?.file_name().to_str().ok().and_then(Key::parse));
        }
        Ok(keys)
    }

    /// The program that is pinned for a slot of a dispatcher.
    pub(super) fn program(&self, key: Key, slot: usize) -> Answer<Handle> {
        let path = format!("{}/prog{slot}-prog", key.name());
        let how = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inode = rustix::fs::openat2(&self.directory, path, how, Mode::empty(), BELOW)?;
        let program = sys::object_at(inode.as_fd())?;
        match sys::kind(program.as_fd())? {
            Some(ObjectKind::Program) => Handle::of_kind(program, ObjectKind::Program),
            _ => Err(Errno::INVAL),
        }
    }

    /// Ids of the programs that are pinned for a dispatcher.
    pub(super) fn programs(&self, key: Key) -> Vec<u32> {
        let programs = (0..PROGRAMS_MAX).filter_map(|slot| self.program(key, slot).ok());
        programs.map(|program| program.identity().id).collect()
    }

    /// Pins the programs of a dispatcher with their links: all of them, or none.
    pub(super) fn pin(&self, key: Key, members: &[(BorrowedFd<'_>, BorrowedFd<'_>)]) -> Answer<()> {
        rustix::fs::mkdirat(&self.directory, key.name(), Mode::RWXU)?;
        let pinned = self.enter(key).and_then(|directory| {
            for (slot, (program, link)) in members.iter().enumerate() {
                sys::pin(*link, directory.as_fd(), &format!("prog{slot}-link"))?;
                sys::pin(*program, directory.as_fd(), &format!("prog{slot}-prog"))?;
            }
            Ok(())
        });
        if pinned.is_err() {
            let _whatever_is_left = self.unpin(key);
        }
        pinned
    }

    /// Removes the pins of a dispatcher.
    pub(super) fn unpin(&self, key: Key) -> Answer<()> {
        let directory = match self.enter(key) {
            Err(Errno::NOENT) => return Ok(()),
            entered => entered?,
        };
        for slot in 0..PROGRAMS_MAX {
            for kind in ["link", "prog"] {
                let name = format!("prog{slot}-{kind}");
                let found = rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW);
                match found.map(|status| FileType::from_raw_mode(status.st_mode)) {
                    Ok(FileType::RegularFile) => {
                        rustix::fs::unlinkat(&directory, &name, AtFlags::empty())?;
                    }
                    Ok(_) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(errno),
                }
            }
        }
        rustix::fs::unlinkat(&self.directory, key.name(), AtFlags::REMOVEDIR)
    }

    fn enter(&self, key: Key) -> Answer<OwnedFd> {
        rustix::fs::openat2(&self.directory, key.name(), DIRECTORY, Mode::empty(), BELOW)
    }
}

/// Fails if a directory there is on another file system.
fn is_on_bpffs(operation: &str, directory: BorrowedFd<'_>) -> Result<()> {
    let failed = |errno| bpffs::refused(operation, errno, &Pins::path());
    if bpffs::file_system(directory).map_err(failed)? == bpffs::BPFFS {
        return Ok(());
    }
    let advice = format!("mount one with `mount -t bpf bpf {BPFFS}`");
    let reason = "it is not on a BPF file system";
    Err(KernelError::reason(operation, reason).at(Pins::path()).advice(advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_names_interface_and_dispatcher() {
        let key = Key { interface: 3, dispatcher: 41 };
        assert_eq!(key.name(), "dispatch-3-41");
        assert_eq!(Key::parse("dispatch-3-41"), Some(key));
        for other in ["dispatch-3", "dispatch-3-", "dispatch-03-41", "dispatch-3-41-5", "x"] {
            assert_eq!(Key::parse(other), None, "{other}");
        }
    }
}
