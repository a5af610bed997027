//! The end of a link, waited for.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::handle::Handle;
use super::{bpffs, sys};
use crate::model::identity::ObjectKind;
use crate::model::pin::{PinPath, PinRoot};

/// How long a link may outlive its last reference. Before Linux 6.18 a pin lets go of it a grace period
/// after it is gone (`bpf_destroy_inode` in `kernel/bpf/inode.c`).
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether it is still there.
const PAUSE: Duration = Duration::from_millis(1);

/// Removes the pin of a link and the link with it; brings the pin back if the link stays.
pub(super) fn release(
    roots: &bpffs::Roots,
    link: Handle,
    root: &PinRoot,
    pin: &PinPath,
) -> Result<()> {
    const OPERATION: &str = "let go of the link";
    let failed = |errno| KernelError::errno(OPERATION, errno).at(root.join(pin));
    link.expect(ObjectKind::Link).map_err(failed)?;
    let id = link.identity().id;
    bpffs::unpin(roots, root, pin)?;
    drop(link);
    let end = Instant::now() + PATIENCE;
    loop {
        let fd = match sys::open_link(id) {
            Ok(fd) => fd,
            // Without the right to ask, the kernel's answer to what comes next tells.
            Err(Errno::NOENT | Errno::PERM) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        };
        if Instant::now() >= end {
            let kept = Handle::of_kind(fd, ObjectKind::Link).map_err(failed)?;
            bpffs::pin(roots, root, pin, &kept)?;
            let reason = format!(
                "link id {id} is held by someone else as well, so it stays attached (`bpftool link show \
                 id {id} --bpffs` lists its pins)"
            );
            return Err(KernelError::reason(OPERATION, reason).at(root.join(pin)));
        }
        drop(fd);
        sleep(PAUSE);
    }
}
