//! The limit of locked memory. Maps and programs count against it before Linux 5.11; since then
//! against the memory cgroup (kernel commit 3ac1f01b43b6).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process's limit as far as it may be; whether that is any further than it was.
pub(super) fn raise() -> bool {
    let Rlimit { current: Some(current), maximum } = getrlimit(Resource::Memlock) else {
        return false;
    };
    let unlimited = Rlimit { current: None, maximum: None };
    // Only CAP_SYS_RESOURCE raises the hard limit.
    setrlimit(Resource::Memlock, unlimited).is_ok()
        || maximum != Some(current)
            && setrlimit(Resource::Memlock, Rlimit { current: maximum, maximum }).is_ok()
}
