//! Facts about a host that hold for all of its deployments.

use serde::{Deserialize, Serialize};

/// Facts about a host that decide what the kernel makes of a map definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// Possible CPUs (`/sys/devices/system/cpu/possible`).
    pub possible_cpus: u32,
    /// Bytes of a page.
    pub page_size: u32,
}

/// Which boot of which machine, and which bpffs: what an inventory's kernel ids are good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostIdentity {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `st_dev` of the bpffs that the pin root lies on, or will lie on; `None` if that is no bpffs.
    pub bpffs: Option<u64>,
    /// Inode of the network namespace (`/proc/self/ns/net`), which gives interface indices their
    /// meaning.
    pub netns: u64,
}
