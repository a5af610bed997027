//! Exchanging two pins, also where bpffs cannot (before Linux 5.16).

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use super::super::sys::Answer;

/// How many second names are tried before one must be free.
const SECOND_NAMES: u32 = 64;

/// A name in an open directory.
pub(super) struct Entry<'a> {
    pub(super) directory: OwnedFd,
    pub(super) name: &'a str,
}

/// Exchanges two pins, so that at no moment either path is empty.
pub(super) fn exchange(one: &Entry<'_>, other: &Entry<'_>) -> Answer<()> {
    let at_once = rustix::fs::renameat_with(
        &one.directory,
        one.name,
        &other.directory,
        other.name,
        RenameFlags::EXCHANGE,
    );
    match at_once {
        // `simple_rename` of those kernels takes no such flag.
        Err(Errno::INVAL) => by_links(one, other),
        answer => answer,
    }
}

/// Gives both pins a second name beside `other`, then renames each over the other's place.
///
/// Between the two renames both paths lead to what was at `other`, and what was at `one` has its
/// second name only. What somebody else pins at `one` after it got its second name is lost, which no
/// call on those kernels prevents.
fn by_links(one: &Entry<'_>, other: &Entry<'_>) -> Answer<()> {
    let old = Second::of(one, other)?;
    let new = Second::of(other, other)?;
    new.rename_to(one)?;
    let answer = old.rename_to(other);
    if answer.is_err()
        && let Err(errno) = old.rename_to(one)
    {
        tracing::warn!(name = old.name, %errno, "an exchange of pins was left halfway");
        // The only name of what was at `one`.
        std::mem::forget(old);
    }
    answer
}

/// A second name of a pin, which goes with this value unless it took another's place.
struct Second<'a> {
    stage: &'a OwnedFd,
    name: String,
}

impl<'a> Second<'a> {
    /// Gives `pin` a free name beside `place`.
    fn of(pin: &Entry<'_>, place: &'a Entry<'_>) -> Answer<Self> {
        let stage = &place.directory;
        // A killed run may have left some.
        for n in 0..SECOND_NAMES {
            let name = format!("{}-{n}", place.name);
            match rustix::fs::linkat(&pin.directory, pin.name, stage, &name, AtFlags::empty()) {
                Ok(()) => return Ok(Self { stage, name }),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EXIST)
    }

    fn rename_to(&self, to: &Entry<'_>) -> Answer<()> {
        rustix::fs::renameat(self.stage, &self.name, &to.directory, to.name)
    }
}

impl Drop for Second<'_> {
    fn drop(&mut self) {
        // Gone if it was renamed.
        let _absent = rustix::fs::unlinkat(self.stage, &self.name, AtFlags::empty());
    }
}
