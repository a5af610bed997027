//! Pin roots: what they are on, making them, and removing what was made.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::super::super::{KernelError, Removal, Result};
use super::advice::{MOUNT, refused};
use super::{BPFFS, PLACE, Root, Roots, file_system};
use crate::model::live::RootState;
use crate::model::pin::PinRoot;
use crate::trust::{self, Opened};

/// Whether the root, or the nearest existing directory above it, is on bpffs.
pub(in super::super) fn root_state(roots: &Roots, root: &PinRoot) -> Result<RootState> {
    const OPERATION: &str = "look at the pin root";
    roots.keep(None);
    let (opened, directory) = judged(root.as_path(), OPERATION)?;
    let fd = opened.file;
    let asked = |errno| refused(OPERATION, errno, &directory);
    let magic = file_system(fd.as_fd()).map_err(asked)?;
    if magic != BPFFS {
        return Ok(RootState::NotBpffs { directory, magic });
    }
    if let Some(exposure) = opened.exposures.first() {
        return Ok(RootState::Exposed { reason: exposure.to_string(), mend: exposure.mend() });
    }
    if directory != root.as_path() {
        let below = |path: &&Path| **path != directory;
        let mut missing: Vec<_> =
            root.as_path().ancestors().take_while(below).map(Path::to_owned).collect();
        missing.reverse();
        return Ok(RootState::Absent { missing });
    }
    let device = rustix::fs::fstat(&fd).map_err(asked)?.st_dev;
    // What was judged is what is used from here on.
    roots.keep(Some(Arc::new(Root { fd, path: directory })));
    Ok(RootState::Present { device })
}

/// `st_dev` of the root or of the nearest directory above it; `None` if that is not on bpffs.
pub(in super::super) fn device(roots: &Roots, root: &PinRoot) -> Result<Option<u64>> {
    const OPERATION: &str = "look at the pin root";
    if let Some(known) = roots.known(root) {
        let status = rustix::fs::fstat(&known.fd);
        return Ok(Some(status.map_err(|errno| refused(OPERATION, errno, &known.path))?.st_dev));
    }
    let (fd, directory) = nearest(root.as_path(), OPERATION)?;
    let asked = |errno| refused(OPERATION, errno, &directory);
    if file_system(fd.as_fd()).map_err(asked)? != BPFFS {
        return Ok(None);
    }
    Ok(Some(rustix::fs::fstat(&fd).map_err(asked)?.st_dev))
}

/// Makes the root and the directories above it that are missing; returns those made, outermost
/// first. Removes them again if one cannot be made.
pub(in super::super) fn make_root(root: &PinRoot) -> Result<Vec<PathBuf>> {
    const OPERATION: &str = "make the pin root";
    let (mut fd, mut directory) = nearest(root.as_path(), OPERATION)?;
    let magic = file_system(fd.as_fd()).map_err(|errno| refused(OPERATION, errno, &directory))?;
    if magic != BPFFS {
        return Err(KernelError::reason(
            OPERATION,
            format!("{} is not on a BPF file system", directory.display()),
        )
        .at(root.as_path())
        .advice(MOUNT));
    }
    let missing: Vec<_> = root
        .as_path()
        .strip_prefix(&directory)
        .unwrap_or(Path::new(""))
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            _ => None,
        })
        .collect();
    let mut made: Vec<(OwnedFd, PathBuf)> = Vec::new();
    for name in missing {
        directory.push(&name);
        let new = match rustix::fs::mkdirat(&fd, name.as_os_str(), Mode::RWXU) {
            Ok(()) => Ok(true),
            // Somebody else made it at the same moment: it is theirs.
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno),
        };
        let opened = new.and_then(|new| {
            let how = PLACE | OFlags::NOFOLLOW;
            Ok((new, rustix::fs::openat(&fd, name.as_os_str(), how, Mode::empty())?))
        });
        match opened {
            Ok((new, child)) => {
                let parent = std::mem::replace(&mut fd, child);
                if new {
                    made.push((parent, directory.clone()));
                }
            }
            Err(errno) => {
                undo(&made);
                return Err(refused(OPERATION, errno, &directory));
            }
        }
    }
    Ok(made.into_iter().map(|(_, path)| path).collect())
}

/// Removes what was made, innermost first; what somebody has used meanwhile stays.
fn undo(made: &[(OwnedFd, PathBuf)]) {
    for (parent, path) in made.iter().rev() {
        let removed =
            path.file_name().map(|name| rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR));
        if let Some(Err(errno)) = removed {
            tracing::warn!(path = %path.display(), %errno, "a directory just made stays behind");
        }
    }
}

/// Removes an empty directory on bpffs.
pub(in super::super) fn remove_root_directory(directory: &Path) -> Result<Removal> {
    const OPERATION: &str = "remove the directory";
    let failed = |errno| refused(OPERATION, errno, directory);
    let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else {
        return Err(failed(Errno::INVAL));
    };
    let parent = match rustix::fs::openat(CWD, parent, PLACE, Mode::empty()) {
        Ok(parent) => parent,
        Err(Errno::NOENT) => return Ok(Removal::Absent),
        Err(errno) => return Err(failed(errno)),
    };
    // What was made lay on bpffs; where there is none any more, it is gone too.
    if file_system(parent.as_fd()).map_err(failed)? != BPFFS {
        return Ok(Removal::Absent);
    }
    removal(rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)).map_err(failed)
}

/// What rmdir(2) answered, told apart.
pub(super) fn removal(answer: rustix::io::Result<()>) -> rustix::io::Result<Removal> {
    match answer {
        Ok(()) => Ok(Removal::Removed),
        Err(Errno::NOENT) => Ok(Removal::Absent),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Removal::NotEmpty),
        Err(errno) => Err(errno),
    }
}

/// The deepest directory of `path` that exists, with who else can change it or the way to it.
fn judged(path: &Path, operation: &str) -> Result<(Opened<OwnedFd>, PathBuf)> {
    for ancestor in path.ancestors() {
        match trust::directory(ancestor) {
            Ok(opened) => return Ok((opened, ancestor.to_owned())),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT) => {}
                errno => return Err(refused(operation, errno.unwrap_or(Errno::IO), ancestor)),
            },
        }
    }
    Err(refused(operation, Errno::NOENT, path))
}

/// The deepest directory of `path` that exists, open, with its path.
fn nearest(path: &Path, operation: &str) -> Result<(OwnedFd, PathBuf)> {
    for ancestor in path.ancestors() {
        match rustix::fs::openat(CWD, ancestor, PLACE, Mode::empty()) {
            Ok(fd) => return Ok((fd, ancestor.to_owned())),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(refused(operation, errno, ancestor)),
        }
    }
    Err(refused(operation, Errno::NOENT, path))
}
