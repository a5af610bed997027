//! Waiting for programs to end.

use rustix::io::Errno;

use super::{Answer, check};

/// Returns when every program that does not sleep and was running has ended, as
/// `synchronize_rcu()` in the kernel does, which is what this command of membarrier(2) is
/// (`kernel/sched/membarrier.c`). `EINVAL` on a kernel with `nohz_full`.
pub(in crate::kernel::linux) fn wait_for_programs() -> Answer<()> {
    /// `MEMBARRIER_CMD_GLOBAL`
    const GLOBAL: libc::c_int = 1;
    // SAFETY: the command takes no address.
    let answer = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    match check(answer) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Errno::INVAL),
        Err(errno) => Err(errno),
    }
}
