//! The tree of bpffs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::super::{KernelError, Removal, Result};
use crate::model::identity::Identity;
use crate::model::live::RootState;

/// Where bpffs is mounted.
const MOUNT: &str = "/sys/fs/bpf";
/// `SYSFS_MAGIC`: what is around the mount.
const AROUND: u64 = 0x6265_6572;

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    Pin(Identity),
}

/// Directories and pins by their absolute paths.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
    device: u64,
}

impl Tree {
    /// A new mount with nothing on it.
    pub(super) fn new(device: u64) -> Self {
        let nodes = BTreeMap::from([(PathBuf::from(MOUNT), Node::Directory)]);
        Self { nodes, device }
    }

    pub(super) fn device(&self) -> u64 {
        self.device
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (&Path, Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_path(), *node))
    }

    pub(super) fn root_state(&self, root: &Path) -> RootState {
        if !root.starts_with(MOUNT) {
            let directory = Path::new(MOUNT).parent().unwrap_or(Path::new("/")).to_owned();
            return RootState::NotBpffs { directory, magic: AROUND };
        }
        match self.nodes.get(root) {
            Some(Node::Directory) => RootState::Present { device: self.device },
            Some(Node::Pin(_)) | None => {
                let absent = |path: &&Path| !self.nodes.contains_key(*path);
                let mut missing: Vec<_> =
                    root.ancestors().take_while(absent).map(Path::to_owned).collect();
                missing.reverse();
                RootState::Absent { missing }
            }
        }
    }

    /// The device that the path lies on, if that is bpffs.
    pub(super) fn device_of(&self, path: &Path) -> Option<u64> {
        path.starts_with(MOUNT).then_some(self.device)
    }

    pub(super) fn find(&self, path: &Path) -> Option<Node> {
        self.nodes.get(path).copied()
    }

    /// Names of the pins in a directory, sorted.
    pub(super) fn pins_in(&self, directory: &Path) -> Result<Vec<String>> {
        if let Some(Node::Pin(_)) = self.find(directory) {
            return Err(refused("list the directory", Errno::NOTDIR, directory));
        }
        Ok(self
            .children(directory)
            .filter(|(_, node)| matches!(node, Node::Pin(_)))
            .filter_map(|(path, _)| path.file_name()?.to_str().map(str::to_owned))
            .collect())
    }

    pub(super) fn make_root(&mut self, root: &Path) -> Result<Vec<PathBuf>> {
        if !root.starts_with(MOUNT) {
            return Err(KernelError::reason("make the pin root", "it is not on bpffs").at(root));
        }
        let missing: Vec<PathBuf> = root
            .ancestors()
            .take_while(|path| !self.nodes.contains_key(*path))
            .map(Path::to_owned)
            .collect();
        for path in &missing {
            self.nodes.insert(path.clone(), Node::Directory);
        }
        Ok(missing.into_iter().rev().collect())
    }

    pub(super) fn make_directory(&mut self, path: &Path) -> Result<bool> {
        const OPERATION: &str = "make the directory";
        self.expect_parent(path, OPERATION)?;
        match self.find(path) {
            Some(Node::Directory) => Ok(false),
            Some(Node::Pin(_)) => Err(refused(OPERATION, Errno::NOTDIR, path)),
            None => {
                self.nodes.insert(path.to_owned(), Node::Directory);
                Ok(true)
            }
        }
    }

    pub(super) fn remove_directory(&mut self, path: &Path) -> Result<Removal> {
        match self.find(path) {
            None => Ok(Removal::Absent),
            Some(Node::Pin(_)) => Err(refused("remove the directory", Errno::NOTDIR, path)),
            Some(Node::Directory) if self.children(path).next().is_some() => Ok(Removal::NotEmpty),
            Some(Node::Directory) => {
                self.nodes.remove(path);
                Ok(Removal::Removed)
            }
        }
    }

    pub(super) fn pin(&mut self, path: &Path, object: Identity) -> Result<()> {
        self.expect_parent(path, "pin")?;
        if self.nodes.contains_key(path) {
            return Err(refused("pin", Errno::EXIST, path));
        }
        self.nodes.insert(path.to_owned(), Node::Pin(object));
        Ok(())
    }

    pub(super) fn unpin(&mut self, path: &Path) -> Result<Identity> {
        let object = self.pinned(path, "unpin")?;
        self.nodes.remove(path);
        Ok(object)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        const OPERATION: &str = "rename the pin";
        let object = self.pinned(from, OPERATION)?;
        self.expect_parent(to, OPERATION)?;
        if self.nodes.contains_key(to) {
            return Err(refused(OPERATION, Errno::EXIST, to));
        }
        self.nodes.remove(from);
        self.nodes.insert(to.to_owned(), Node::Pin(object));
        Ok(())
    }

    pub(super) fn exchange(&mut self, one: &Path, other: &Path) -> Result<()> {
        const OPERATION: &str = "exchange the pin";
        let (first, second) = (self.pinned(one, OPERATION)?, self.pinned(other, OPERATION)?);
        self.nodes.insert(one.to_owned(), Node::Pin(second));
        self.nodes.insert(other.to_owned(), Node::Pin(first));
        Ok(())
    }

    fn pinned(&self, path: &Path, operation: &str) -> Result<Identity> {
        match self.find(path) {
            Some(Node::Pin(object)) => Ok(object),
            Some(Node::Directory) => Err(KernelError::reason(operation, "it is no pin").at(path)),
            None => Err(refused(operation, Errno::NOENT, path)),
        }
    }

    fn expect_parent(&self, path: &Path, operation: &str) -> Result<()> {
        match path.parent().and_then(|parent| self.find(parent)) {
            Some(Node::Directory) => Ok(()),
            Some(Node::Pin(_)) => Err(refused(operation, Errno::NOTDIR, path)),
            None => Err(refused(operation, Errno::NOENT, path)),
        }
    }

    fn children<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = (&'a Path, Node)> {
        self.nodes().filter(move |(path, _)| path.parent() == Some(directory))
    }
}

fn refused(operation: &str, errno: Errno, path: &Path) -> KernelError {
    KernelError::errno(operation, errno).at(path)
}
