//! What programs are attached to: interfaces, cgroups, namespaces and tracepoints, looked up by name.

use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::sys::Answer;
use super::unit::{self, Search};
use super::{interface, netns, probe, replaced, tracefs};
use crate::model::attach::Attachment;
use crate::model::live::TargetState;
use crate::model::pattern;

/// `CGROUP2_SUPER_MAGIC` (`include/uapi/linux/magic.h`).
const CGROUP2: u32 = 0x6367_7270;

/// Whether what `attachment` names is there.
pub(super) fn state(attachment: &Attachment) -> Result<TargetState> {
    let operation = || format!("look for the target of {attachment}");
    match attachment {
        Attachment::Xdp { interface, .. }
        | Attachment::XdpShared { interface, .. }
        | Attachment::Tcx { interface, .. }
        | Attachment::Tc { interface, .. }
        | Attachment::Netkit { interface, .. } => match interface::index(interface) {
            Ok(index) => Ok(TargetState::Present(u64::from(index))),
            Err(Errno::NODEV) if interface == pattern::PHYSICAL => {
                Ok(missing("there is no physical network interface".to_owned()))
            }
            Err(Errno::NODEV) if pattern::is_pattern(interface) => {
                Ok(missing(format!("no network interface matches `{interface}`")))
            }
            Err(Errno::NODEV) => {
                Ok(missing(format!("there is no network interface `{interface}`")))
            }
            Err(errno) => Err(KernelError::errno(operation(), errno)),
        },
        Attachment::Cgroup { path } => cgroup_state(path, attachment),
        Attachment::CgroupUnit { unit } => match unit::find(unit) {
            Search::Found(path) => cgroup_state(&path, attachment),
            Search::Absent(reason) => Ok(missing(reason)),
        },
        Attachment::SkLookup { netns } | Attachment::FlowDissector { netns } => {
            netns::state(netns.as_deref(), &operation())
        }
        Attachment::Tracepoint { category, name, .. } => match tracefs::event_id(category, name) {
            Ok(_) => Ok(TargetState::Present(0)),
            Err(why) => Ok(missing(why.reason(category, name))),
        },
        Attachment::FreplacePinned { pin, function } => Ok(replaced::state(pin, function)),
        // tracefs does not list every raw tracepoint; the kernel answers when one is attached.
        // The program whose function is replaced is one of the same plan, and so is a sockmap.
        Attachment::Sockmap { .. }
        | Attachment::Netfilter { .. }
        | Attachment::RawTracepoint { .. }
        | Attachment::TpBtf { .. }
        | Attachment::Freplace { .. }
        // Whether the kernel has the struct, it says when the map is created.
        | Attachment::StructOps { .. } => Ok(TargetState::Present(0)),
        _ => probe::state(attachment),
    }
}

/// Whether a cgroup is there.
pub(super) fn cgroup_state(path: &Path, attachment: &Attachment) -> Result<TargetState> {
    let failed =
        |errno| KernelError::errno(format!("look for the target of {attachment}"), errno).at(path);
    match open_cgroup(path) {
        Ok(Cgroup::V2(directory)) => rustix::fs::fstat(&directory)
            .map(|status| TargetState::Present(status.st_ino))
            .map_err(failed),
        Ok(Cgroup::Other) => Ok(missing(not_cgroup2(path))),
        Err(Errno::NOENT) => Ok(missing(format!("there is no cgroup {}", path.display()))),
        Err(Errno::NOTDIR) => Ok(missing(format!("{} is no directory", path.display()))),
        Err(errno) => Err(failed(errno)),
    }
}

/// The directory of the cgroup that an attachment names.
pub(super) fn cgroup_path<'a>(
    attachment: &'a Attachment,
    operation: &str,
) -> Result<Cow<'a, Path>> {
    match attachment {
        Attachment::Cgroup { path } => Ok(Cow::Borrowed(path)),
        Attachment::CgroupUnit { unit } => match unit::find(unit) {
            Search::Found(path) => Ok(Cow::Owned(path)),
            Search::Absent(reason) => Err(KernelError::reason(operation, reason)),
        },
        other => Err(KernelError::reason(operation, format!("{other} is no cgroup"))),
    }
}

/// A cgroup's directory, open to attach to.
pub(super) fn cgroup(path: &Path, operation: &str) -> Result<OwnedFd> {
    match open_cgroup(path) {
        Ok(Cgroup::V2(directory)) => Ok(directory),
        Ok(Cgroup::Other) => Err(KernelError::reason(operation, not_cgroup2(path)).at(path)),
        Err(errno) => Err(KernelError::errno(operation, errno).at(path)),
    }
}

/// The refusal for an interface that cannot be looked up.
pub(super) fn interface_error(operation: &str, interface: &str, errno: Errno) -> KernelError {
    let error = KernelError::errno(operation, errno);
    if errno == Errno::NODEV {
        error.advice(format!("there is no network interface `{interface}` (`ip link` lists them)"))
    } else {
        error
    }
}

/// The paths at which what an attachment names comes and goes.
#[must_use]
pub fn places(attachment: &Attachment) -> Vec<PathBuf> {
    match attachment {
        Attachment::CgroupUnit { unit } => unit::places(unit),
        Attachment::Uprobe(probe) | Attachment::Uretprobe(probe) => {
            probe::candidates(&probe.target)
        }
        Attachment::Usdt(probe) => probe::candidates(&probe.target),
        other => other.path().map(Path::to_owned).into_iter().collect(),
    }
}

enum Cgroup {
    V2(OwnedFd),
    Other,
}

fn open_cgroup(path: &Path) -> Answer<Cgroup> {
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, path, how, Mode::empty())?;
    // `f_type` is a signed word on most architectures; magic numbers are 32 bits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "magic numbers are patterns of 32 bits"
    )]
    let magic = rustix::fs::fstatfs(&directory)?.f_type as u32;
    Ok(if magic == CGROUP2 { Cgroup::V2(directory) } else { Cgroup::Other })
}

fn not_cgroup2(path: &Path) -> String {
    format!(
        "{} is not in a cgroup2 hierarchy (`mount -t cgroup2` shows where one is mounted)",
        path.display()
    )
}

pub(super) fn missing(reason: String) -> TargetState {
    TargetState::Missing { reason }
}
