//! A counted reference to one kernel object.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::sys::{self, Answer};
use crate::model::identity::{Identity, ObjectKind};
use crate::model::kinds::AttachType;

/// Keeps a map, program, link or BTF alive; knows its kind and id, which never change.
#[derive(Debug)]
pub struct Handle {
    fd: OwnedFd,
    identity: Identity,
    /// `expected_attach_type` of a program loaded here: the kernel keeps it and does not tell it.
    attach_type: Option<AttachType>,
}

impl Handle {
    /// Takes `fd` if it is an object of the kernel; `None` if it is any other file.
    pub(super) fn new(fd: OwnedFd) -> Answer<Option<Self>> {
        match sys::kind(fd.as_fd())? {
            Some(kind) => Self::of_kind(fd, kind).map(Some),
            None => Ok(None),
        }
    }

    /// Takes `fd`, which was made as an object of that kind.
    pub(super) fn of_kind(fd: OwnedFd, kind: ObjectKind) -> Answer<Self> {
        let id = match kind {
            ObjectKind::Map => sys::map_info(fd.as_fd())?.id,
            ObjectKind::Program => sys::program_info(fd.as_fd())?.id,
            ObjectKind::Link => sys::link_info(fd.as_fd())?.id,
            ObjectKind::Btf => sys::btf_id(fd.as_fd())?,
        };
        Ok(Self { fd, identity: Identity { kind, id }, attach_type: None })
    }

    /// Remembers what the program was loaded for.
    pub(super) fn loaded_for(mut self, attach_type: Option<AttachType>) -> Self {
        self.attach_type = attach_type;
        self
    }

    /// The object's kind.
    pub(super) fn kind(&self) -> ObjectKind {
        self.identity.kind
    }

    /// Which object it is.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// What the program was loaded for, where that is known.
    pub(super) fn attach_type(&self) -> Option<AttachType> {
        self.attach_type
    }

    /// `EINVAL` unless this is an object of that kind.
    pub(super) fn expect(&self, kind: ObjectKind) -> Answer<BorrowedFd<'_>> {
        if self.kind() == kind { Ok(self.fd.as_fd()) } else { Err(Errno::INVAL) }
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
