//! Links to events: without them, a program is detached when whoever attached it ends.

use std::os::fd::AsFd as _;
use std::sync::OnceLock;

use rustix::io::Errno;

use super::super::since;
use super::super::sys;

/// Why this kernel cannot keep a program at an event; nothing if it can.
pub(in crate::kernel::linux) fn linkable() -> Result<(), String> {
    static HAS_LINKS: OnceLock<bool> = OnceLock::new();
    let has_links = || match sys::load_event_program() {
        Ok(program) => sys::has_event_links(program.as_fd()),
        // Who may load nothing learns nothing, and is told when something is attached.
        Err(Errno::PERM) => true,
        Err(_) => false,
    };
    if *HAS_LINKS.get_or_init(has_links) {
        return Ok(());
    }
    Err(format!(
        "this kernel has no links to events, so its program would be detached when whoever attached it \
         ends; {}",
        since::compare((5, 15), since::running())
    ))
}
