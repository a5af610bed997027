//! Links to the hooks of netfilter in the network namespace this thread is in.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::sys::{self, Answer, NetfilterHook, flags};
use crate::model::net_hook::{NetfilterAt, NetfilterFamily};

/// Attaches `program`.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    family: NetfilterFamily,
    at: NetfilterAt,
    priority: i32,
    defrag: bool,
) -> Answer<OwnedFd> {
    let place = NetfilterHook {
        family: family.number(),
        hook: at.number(),
        priority,
        flags: if defrag { flags::NETFILTER_DEFRAG } else { 0 },
    };
    sys::create_netfilter_link(program, place)
}

/// What to do about a refusal.
pub(super) fn advice(errno: Errno, priority: i32, defrag: bool) -> Option<String> {
    Some(match errno {
        Errno::BUSY => format!(
            "another program has priority {priority} there, and the kernel gives each once: choose \
             another"
        ),
        Errno::INVAL => "netfilter links need Linux 6.4".to_owned(),
        Errno::NOENT if defrag => {
            "the kernel has no module to reassemble fragments (`nf_defrag_ipv4`, `nf_defrag_ipv6`)"
                .to_owned()
        }
        Errno::OPNOTSUPP if defrag => {
            "`defrag` needs Linux 6.6, and netfilter links CONFIG_NETFILTER_BPF_LINK".to_owned()
        }
        Errno::OPNOTSUPP => "the kernel is built without CONFIG_NETFILTER_BPF_LINK".to_owned(),
        Errno::AFNOSUPPORT => "the kernel is built without this protocol family".to_owned(),
        _ => return None,
    })
}
