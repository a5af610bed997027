//! From directory to directory by descriptors, each link read where it lies.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, StatVfsMountFlags};
use rustix::io::Errno;

use super::exposure::{Exposure, Kind};

/// As many links as the kernel follows (`MAXSYMLINKS` in `include/linux/namei.h`).
const LINKS_MAX: usize = 40;

/// How something is opened to be looked at, whatever it is. Nothing of a device or FIFO is touched.
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How a regular file is read. `NONBLOCK` in case that a FIFO took its place a moment ago.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// `PROC_SUPER_MAGIC` (`include/uapi/linux/magic.h`).
const PROC: u64 = 0x9fa0;

/// What a path led to.
#[derive(Debug)]
pub struct Opened<F> {
    /// It.
    pub file: F,
    /// Permission bits and owner of it.
    pub mode: u32,
    /// All that others can change of it and of the way to it, outermost first.
    pub exposures: Vec<Exposure>,
}

/// Opens a regular file for reading. Never waits, not for the writer of a FIFO either.
///
/// # Errors
/// Those of open(2); `InvalidInput` if it is no regular file.
pub fn file(path: &Path) -> io::Result<Opened<File>> {
    open_file(Walk::new(path)?)
}

/// The same of a file below a directory that was judged before, and is called `shown`.
///
/// # Errors
/// Those of [`file()`].
pub fn file_below(
    directory: BorrowedFd<'_>,
    shown: &Path,
    path: &Path,
) -> io::Result<Opened<File>> {
    open_file(Walk::below(directory, shown, path)?)
}

fn open_file(mut walk: Walk) -> io::Result<Opened<File>> {
    match walk.go(true)? {
        Found::File(name) => {
            let file = rustix::fs::openat(&walk.at, &name, READ, Mode::empty())?;
            let status = rustix::fs::fstat(&file)?;
            if file_type(&status) != FileType::RegularFile {
                return Err(no_file());
            }
            walk.judge(file.as_fd(), &walk.shown.join(name), Kind::File, &status);
            Ok(Opened {
                file: file.into(),
                mode: status.st_mode & 0o7777,
                exposures: walk.exposures,
            })
        }
        Found::Directory | Found::Other => Err(no_file()),
    }
}

/// Opens a directory as a place for others (`O_PATH`).
///
/// # Errors
/// Those of open(2).
pub fn directory(path: &Path) -> io::Result<Opened<OwnedFd>> {
    open_directory(path, true)
}

/// The same, and a symbolic link in the last place is refused with `ELOOP`.
///
/// # Errors
/// Those of open(2).
pub fn directory_itself(path: &Path) -> io::Result<Opened<OwnedFd>> {
    open_directory(path, false)
}

fn open_directory(path: &Path, follow: bool) -> io::Result<Opened<OwnedFd>> {
    let mut walk = Walk::new(path)?;
    match walk.go(follow)? {
        Found::Directory => {
            let mode = rustix::fs::fstat(&walk.at)?.st_mode & 0o7777;
            Ok(Opened { file: walk.at, mode, exposures: walk.exposures })
        }
        Found::File(_) | Found::Other => Err(Errno::NOTDIR.into()),
    }
}

/// What lies at the end of a walk.
enum Found {
    /// The directory that was reached.
    Directory,
    /// A regular file of that name in the directory that was reached.
    File(OsString),
    /// Anything else.
    Other,
}

/// A walk under way.
struct Walk {
    /// The directory reached.
    at: OwnedFd,
    /// Its path, without links.
    shown: PathBuf,
    /// What is still to go.
    rest: VecDeque<OsString>,
    links: usize,
    user: u32,
    exposures: Vec<Exposure>,
}

impl Walk {
    fn new(path: &Path) -> io::Result<Self> {
        if path.is_absolute() {
            let mut walk = Self::from(open_root()?, Path::new("/"), path);
            let status = rustix::fs::fstat(&walk.at)?;
            let root = exposure(&walk.at, &walk.shown, Kind::Directory, &status, walk.user);
            walk.exposures.extend(root);
            Ok(walk)
        } else {
            let here = rustix::fs::openat(CWD, ".", LOOK | OFlags::DIRECTORY, Mode::empty())?;
            let mut walk = Self::from(here, &std::env::current_dir().unwrap_or_default(), path);
            walk.climb();
            Ok(walk)
        }
    }

    /// A walk from a directory that was judged, with all above it.
    fn below(directory: BorrowedFd<'_>, shown: &Path, path: &Path) -> io::Result<Self> {
        Ok(Self::from(directory.try_clone_to_owned()?, shown, path))
    }

    fn from(at: OwnedFd, shown: &Path, path: &Path) -> Self {
        Self {
            at,
            shown: shown.to_owned(),
            rest: parts(path).collect(),
            links: 0,
            user: rustix::process::geteuid().as_raw(),
            exposures: Vec::new(),
        }
    }

    /// Judges the directory that the walk begins in and those above it. Whoever may not look at one
    /// of them is not the one who must beware of it.
    fn climb(&mut self) {
        let mut above = Vec::new();
        let mut at = self.at.as_fd().try_clone_to_owned().ok();
        let mut shown = Some(self.shown.clone());
        while let Some(directory) = at.take() {
            let Ok(status) = rustix::fs::fstat(&directory) else { break };
            let path = shown.clone().unwrap_or_default();
            above.extend(exposure(directory.as_fd(), &path, Kind::Directory, &status, self.user));
            let up = rustix::fs::openat(&directory, "..", LOOK | OFlags::DIRECTORY, Mode::empty());
            let Ok(up) = up else { break };
            let same =
                |other: &Stat| (other.st_dev, other.st_ino) == (status.st_dev, status.st_ino);
            if rustix::fs::fstat(&up).is_ok_and(|other| !same(&other)) {
                shown = shown.and_then(|path| path.parent().map(Path::to_owned));
                at = Some(up);
            }
        }
        self.exposures.extend(above.into_iter().rev());
    }

    /// Goes on to the end; `follow` says whether a link in the last place is followed.
    fn go(&mut self, follow: bool) -> io::Result<Found> {
        while let Some(name) = self.rest.pop_front() {
            let inode = rustix::fs::openat(&self.at, &name, LOOK, Mode::empty())?;
            let status = rustix::fs::fstat(&inode)?;
            let last = self.rest.is_empty();
            match file_type(&status) {
                FileType::Directory => self.enter(inode, &name, &status),
                FileType::Symlink if last && !follow => return Err(Errno::LOOP.into()),
                FileType::Symlink => self.follow(&inode, &name, &status, last)?,
                _ if !last => return Err(Errno::NOTDIR.into()),
                FileType::RegularFile => return Ok(Found::File(name)),
                _ => return Ok(Found::Other),
            }
        }
        Ok(Found::Directory)
    }

    fn enter(&mut self, directory: OwnedFd, name: &OsStr, status: &Stat) {
        if name == ".." {
            self.shown.pop();
        } else {
            self.shown.push(name);
        }
        self.judge(directory.as_fd(), &self.shown.clone(), Kind::Directory, status);
        self.at = directory;
    }

    fn follow(
        &mut self,
        link: &OwnedFd,
        name: &OsStr,
        status: &Stat,
        last: bool,
    ) -> io::Result<()> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno::LOOP.into());
        }
        self.judge(link.as_fd(), &self.shown.join(name), Kind::Link, status);
        let target = rustix::fs::readlinkat(link, "", Vec::new())?.into_bytes();
        let target = PathBuf::from(OsString::from_vec(target));
        if target.is_absolute() {
            let root = open_root()?;
            self.shown = "/".into();
            self.judge(root.as_fd(), Path::new("/"), Kind::Directory, &rustix::fs::fstat(&root)?);
            self.at = root;
        } else if last && is_on_proc(link) {
            // `pipe:[7]` and the like: `/dev/stdin`, or what a shell makes of `<(…)`.
            return Err(no_file());
        }
        for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
            self.rest.push_front(part);
        }
        Ok(())
    }

    fn judge(&mut self, inode: impl AsFd, path: &Path, kind: Kind, status: &Stat) {
        let found = exposure(inode, path, kind, status, self.user);
        let fresh = |found: &Exposure| !self.exposures.contains(found);
        if let Some(found) = found.filter(fresh) {
            self.exposures.push(found);
        }
    }
}

/// Nobody writes to what is mounted read-only, whatever its bits say: a `ConfigMap`'s directories have
/// mode 0777.
fn exposure(
    inode: impl AsFd,
    path: &Path,
    kind: Kind,
    status: &Stat,
    user: u32,
) -> Option<Exposure> {
    let found = Exposure::of(path, kind, status.st_mode & 0o7777, status.st_uid, user)?;
    let read_only = rustix::fs::fstatvfs(inode)
        .is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY));
    (!read_only).then_some(found)
}

fn open_root() -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(CWD, "/", LOOK | OFlags::DIRECTORY, Mode::empty())
}

fn is_on_proc(link: &OwnedFd) -> bool {
    // `f_type` is a signed word on most architectures; magic numbers are 32 bits.
    #[expect(clippy::cast_sign_loss, reason = "magic numbers are bit patterns")]
    rustix::fs::fstatfs(link).is_ok_and(|system| system.f_type as u64 == PROC)
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

fn file_type(status: &Stat) -> FileType {
    FileType::from_raw_mode(status.st_mode)
}

fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}
