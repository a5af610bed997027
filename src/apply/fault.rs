//! Where a run can be killed, to test what the next one makes of it.

/// A moment between two effects. In test builds, the process is killed at the `n`-th of them if the
/// environment says `EBPF_APPLY_CRASH_AT=n` (counted from 0); in others there is nothing here.
#[cfg(not(feature = "test-support"))]
pub(super) const fn point() {}

#[cfg(feature = "test-support")]
pub(super) fn point() {
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    let passed = PASSED.fetch_add(1, Ordering::Relaxed);
    let due = std::env::var("EBPF_APPLY_CRASH_AT").ok().and_then(|at| at.parse().ok());
    if due == Some(passed) {
        // Nothing of this process runs after it.
        let _ = kill_process(getpid(), Signal::KILL);
    }
}
