//! Ids of static tracepoints, from tracefs where it is mounted; it is never mounted here.

use std::fs;
use std::io::ErrorKind;

/// Where tracefs is found; the second is an automount below debugfs.
pub(super) const MOUNTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Why a tracepoint has no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// tracefs is not mounted.
    Tracefs,
    /// tracefs may not be read.
    Denied,
    /// tracefs has no such event.
    Event,
}

/// The id of `events/<category>/<name>`.
pub(super) fn event_id(category: &str, name: &str) -> Result<u64, Missing> {
    let one_component =
        |text: &str| !text.is_empty() && !text.starts_with('.') && !text.contains(['/', '\0']);
    if !one_component(category) || !one_component(name) {
        return Err(Missing::Event);
    }
    for mount in MOUNTS {
        match fs::read_to_string(format!("{mount}/events/{category}/{name}/id")) {
            Ok(text) => return text.trim().parse().map_err(|_malformed| Missing::Event),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(Missing::Denied);
            }
            Err(_) if fs::metadata(format!("{mount}/events")).is_ok() => {
                return Err(Missing::Event);
            }
            Err(_) => {}
        }
    }
    Err(Missing::Tracefs)
}

impl Missing {
    /// What is missing and what to do, in words.
    pub(super) fn reason(self, category: &str, name: &str) -> String {
        match self {
            Self::Tracefs => {
                "tracefs is not mounted, so the tracepoint's id cannot be read; mount \
                 it with `mount -t tracefs tracefs /sys/kernel/tracing`"
                    .to_owned()
            }
            Self::Denied => "tracefs may not be read; it needs root, CAP_DAC_READ_SEARCH, or the \
                 mount option `gid=`"
                .to_owned(),
            Self::Event => format!("the kernel has no tracepoint `{category}/{name}`"),
        }
    }
}
