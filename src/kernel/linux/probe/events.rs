//! Links to events: without them, a program is detached when whoever attached it ends.

use std::os::fd::AsFd as _;
use std::sync::OnceLock;

use rustix::io::Errno;

use super::super::sys;

/// Whether this kernel can keep a program at an event by itself.
pub(in crate::kernel::linux) fn has_event_links() -> bool {
    static HAS_LINKS: OnceLock<bool> = OnceLock::new();
    let has_links = || match sys::load_event_program() {
        Ok(program) => sys::has_event_links(program.as_fd()),
        // Who may load nothing learns nothing, and is told when something is attached.
        Err(Errno::PERM) => true,
        Err(_) => false,
    };
    *HAS_LINKS.get_or_init(has_links)
}
