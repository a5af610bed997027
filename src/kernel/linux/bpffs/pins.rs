//! Pins and directories below a root.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::super::super::{KernelError, Removal, Result};
use super::super::handle::Handle;
use super::super::sys::{self, Answer};
use super::advice::refused;
use super::exchange::Entry;
use super::roots::removal;
use super::{BPFFS, PLACE, Roots, file_system};
use crate::model::identity::ObjectKind;
use crate::model::pin::{PinPath, PinRoot};

/// What lies at a path below a root.
pub(in super::super) enum Pin {
    /// An object of the kernel, open.
    Object(Handle),
    /// A directory.
    Directory,
    /// Something that cannot be opened, and why.
    Unreadable(String),
}

/// Opens what lies at `path`; `None` if nothing does.
pub(in super::super) fn open(roots: &Roots, root: &PinRoot, path: &PinPath) -> Result<Option<Pin>> {
    let Some(root) = roots.open(root)? else { return Ok(None) };
    let inode = match root.descend(path.as_str(), OFlags::PATH | OFlags::NOFOLLOW) {
        Ok(inode) => inode,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => {
            let reason = "a directory above it is a symbolic link, and those are not followed";
            return Ok(Some(Pin::Unreadable(reason.to_owned())));
        }
        Err(Errno::NOTDIR) => {
            let reason = "something that is no directory is in the place of a directory above it";
            return Ok(Some(Pin::Unreadable(reason.to_owned())));
        }
        Err(errno) => return Err(refused("open the pin", errno, &root.show(path))),
    };
    inspect(&inode).map(Some).map_err(|errno| refused("open the pin", errno, &root.show(path)))
}

/// Opens the program that is pinned at a path outside of any root, whoever pinned it. Links on the way
/// are followed, as everyone follows them there.
pub(in super::super) fn open_program(pin: &Path) -> Result<Handle> {
    const OPERATION: &str = "open the program";
    let failed = |errno| refused(OPERATION, errno, pin);
    let wrong = |reason: &str| KernelError::reason(OPERATION, reason).at(pin);
    let how = OFlags::PATH | OFlags::CLOEXEC;
    let inode = match rustix::fs::openat(CWD, pin, how, Mode::empty()) {
        Ok(inode) => inode,
        Err(Errno::NOENT | Errno::NOTDIR) => {
            let advice = "start what pins it first";
            return Err(wrong("nothing is pinned there").advice(advice));
        }
        Err(errno) => return Err(failed(errno)),
    };
    if file_system(inode.as_fd()).map_err(failed)? != BPFFS {
        return Err(wrong("it is not on a BPF file system, so it is no pin"));
    }
    let found = match inspect(&inode).map_err(failed)? {
        Pin::Object(handle) if handle.kind() == ObjectKind::Program => return Ok(handle),
        Pin::Object(handle) => format!("it is {}, not a program", handle.identity()),
        Pin::Directory => "it is a directory, not a program".to_owned(),
        Pin::Unreadable(reason) => reason,
    };
    Err(wrong(&found))
}

fn inspect(inode: &OwnedFd) -> Answer<Pin> {
    match FileType::from_raw_mode(rustix::fs::fstat(inode)?.st_mode) {
        FileType::Directory => return Ok(Pin::Directory),
        FileType::RegularFile => {}
        // With `O_PATH | O_NOFOLLOW` openat2(2) opens a link in the last place itself.
        FileType::Symlink => {
            return Ok(Pin::Unreadable("it is a symbolic link, which is not followed".to_owned()));
        }
        _ => return Ok(Pin::Unreadable("it is neither a pin nor a directory".to_owned())),
    }
    match sys::object_at(inode.as_fd()) {
        Ok(fd) => Ok(Handle::new(fd)?.map_or_else(
            || Pin::Unreadable("it is no map, program or link".to_owned()),
            Pin::Object,
        )),
        Err(errno @ (Errno::ACCESS | Errno::PERM)) => Ok(Pin::Unreadable(format!(
            "opening it was denied: {errno}; it needs CAP_BPF, and read and write permission on the \
             file"
        ))),
        Err(errno) => Err(errno),
    }
}

/// The pins in a directory, sorted; directories and names that no [`PinPath`] can have left out.
pub(in super::super) fn list(
    roots: &Roots,
    root: &PinRoot,
    directory: &PinPath,
) -> Result<Vec<PinPath>> {
    let Some(root) = roots.open(root)? else { return Ok(Vec::new()) };
    let failed = |errno| refused("list the directory", errno, &root.show(directory));
    let fd = match root.descend(directory.as_str(), OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(errno) => return Err(failed(errno)),
    };
    let mut pins = Vec::new();
    for entry in Dir::new(fd).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type() == FileType::Directory {
            continue;
        }
        pins.extend(entry.file_name().to_str().ok().and_then(|name| directory.child(name)));
    }
    pins.sort();
    Ok(pins)
}

/// Makes one directory; says whether it was missing.
pub(in super::super) fn make_directory(
    roots: &Roots,
    root: &PinRoot,
    path: &PinPath,
) -> Result<bool> {
    const OPERATION: &str = "make the directory";
    let root = roots.existing(root, OPERATION)?;
    let failed = |errno| refused(OPERATION, errno, &root.show(path));
    let holder = root.holder(path).map_err(failed)?;
    match rustix::fs::mkdirat(&holder, path.file_name(), Mode::RWXU) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => {
            // A pin or a link of that name is no directory to go on in.
            root.descend(path.as_str(), PLACE).map_err(failed)?;
            Ok(false)
        }
        Err(errno) => Err(failed(errno)),
    }
}

/// Removes a directory if it is empty.
pub(in super::super) fn remove_directory(
    roots: &Roots,
    root: &PinRoot,
    path: &PinPath,
) -> Result<Removal> {
    let Some(root) = roots.open(root)? else { return Ok(Removal::Absent) };
    let answer = match root.holder(path) {
        Ok(holder) => rustix::fs::unlinkat(holder, path.file_name(), AtFlags::REMOVEDIR),
        Err(errno) => Err(errno),
    };
    removal(answer).map_err(|errno| refused("remove the directory", errno, &root.show(path)))
}

/// Pins an object at a path where nothing is.
pub(in super::super) fn pin(
    roots: &Roots,
    root: &PinRoot,
    path: &PinPath,
    handle: &Handle,
) -> Result<()> {
    const OPERATION: &str = "pin";
    let root = roots.existing(root, OPERATION)?;
    root.holder(path)
        .and_then(|holder| sys::pin(handle.as_fd(), holder.as_fd(), path.file_name()))
        .map_err(|errno| refused(OPERATION, errno, &root.show(path)))
}

/// Removes a pin; directories, links and other files are refused.
pub(in super::super) fn unpin(roots: &Roots, root: &PinRoot, path: &PinPath) -> Result<()> {
    const OPERATION: &str = "unpin";
    let root = roots.existing(root, OPERATION)?;
    let failed = |errno| refused(OPERATION, errno, &root.show(path));
    let holder = root.holder(path).map_err(failed)?;
    let name = path.file_name();
    let found = rustix::fs::statat(&holder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(KernelError::reason(OPERATION, "it is no pin").at(root.show(path)));
    }
    rustix::fs::unlinkat(&holder, name, AtFlags::empty()).map_err(failed)
}

/// Renames a pin to a path where nothing is.
pub(in super::super) fn rename(
    roots: &Roots,
    root: &PinRoot,
    from: &PinPath,
    to: &PinPath,
) -> Result<()> {
    change(roots, root, from, to, "rename the pin", |from, to| {
        let how = RenameFlags::NOREPLACE;
        rustix::fs::renameat_with(&from.directory, from.name, &to.directory, to.name, how)
    })
}

/// Exchanges two pins, so that at no moment either path is empty.
pub(in super::super) fn exchange(
    roots: &Roots,
    root: &PinRoot,
    one: &PinPath,
    other: &PinPath,
) -> Result<()> {
    change(roots, root, one, other, "exchange the pin", super::exchange::exchange)
}

fn change(
    roots: &Roots,
    root: &PinRoot,
    from: &PinPath,
    to: &PinPath,
    operation: &str,
    how: impl Fn(&Entry<'_>, &Entry<'_>) -> Answer<()>,
) -> Result<()> {
    let operation = format!("{operation} {from} with {to}");
    let root = roots.existing(root, &operation)?;
    let answer = root.holder(from).and_then(|source| {
        let target = Entry { directory: root.holder(to)?, name: to.file_name() };
        how(&Entry { directory: source, name: from.file_name() }, &target)
    });
    answer.map_err(|errno| refused(&operation, errno, &root.show(from)))
}
