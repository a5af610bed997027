//! Links of several functions: whether the kernel has them, and what becomes of an attachment where it
//! has not.

use std::os::fd::AsFd as _;

use rustix::io::Errno;

use super::{functions, places, symbols};
use crate::kernel::linux::since;
use crate::kernel::linux::sys::{self, UserPlace};
use crate::model::attach::Attachment;
use crate::model::kinds::AttachType;
use crate::model::probe::{KernelProbe, Usdt, UserProbe};
use crate::model::release::Release;

/// Links of several functions of the kernel, and of a program or library.
pub(super) const KPROBES: (AttachType, Release) =
    (AttachType::TRACE_KPROBE_MULTI, Release::new(5, 18));
pub(super) const UPROBES: (AttachType, Release) =
    (AttachType::TRACE_UPROBE_MULTI, Release::new(6, 6));

/// Whether the kernel has links of that type (libbpf `probe_uprobe_multi_link` for the one). An older one
/// does not know the type, or says first that it was built without.
pub(super) fn has_links(attach_type: AttachType) -> bool {
    let Ok(program) = sys::load_multi_probe(attach_type) else { return false };
    let program = program.as_fd();
    if attach_type == AttachType::TRACE_UPROBE_MULTI {
        // A directory has no instructions.
        let place = UserPlace { offset: 1, counter: 0, cookie: 0 };
        let answer = sys::link_user_places(program, attach_type, c"/", &[place], None, false);
        return answer.is_err_and(|errno| errno == Errno::BADF);
    }
    sys::try_kernel_functions(program, attach_type) == Errno::FAULT
}

/// Most places that get a link each: more are hardly meant, and each takes a pin and a record.
pub(super) const APART_MAX: usize = 1000;

/// One attachment for each place that an attachment names; itself where that cannot be told, or where
/// there are too many, for then what is wrong is told later.
pub(super) fn apart(attachment: &Attachment) -> Vec<Attachment> {
    let parts =
        match attachment {
            Attachment::Kprobe(probe) if probe.is_several() => {
                kernel_functions(probe).map(|all| all.into_iter().map(Attachment::Kprobe).collect())
            }
            Attachment::Kretprobe(probe) if probe.is_several() => kernel_functions(probe)
                .map(|all| all.into_iter().map(Attachment::Kretprobe).collect()),
            Attachment::Uprobe(probe) if probe.is_several() => {
                user_functions(probe).map(|all| all.into_iter().map(Attachment::Uprobe).collect())
            }
            Attachment::Uretprobe(probe) if probe.is_several() => user_functions(probe)
                .map(|all| all.into_iter().map(Attachment::Uretprobe).collect()),
            Attachment::Usdt(probe) => {
                sites(probe).map(|all| all.into_iter().map(Attachment::Usdt).collect::<Vec<_>>())
            }
            _ => return vec![attachment.clone()],
        };
    let told = parts.ok().filter(|parts| (1..=APART_MAX).contains(&parts.len()));
    told.unwrap_or_else(|| vec![attachment.clone()])
}

/// A name that stands for several functions cannot be probed by name, so such are left out.
fn kernel_functions(probe: &KernelProbe) -> Result<Vec<KernelProbe>, String> {
    let found = functions::look_up(&probe.functions)?;
    let count = |name: &str| found.iter().filter(|(other, _)| other == name).count();
    Ok(found
        .iter()
        .filter(|(name, _)| count(name) == 1)
        .map(|(name, _)| KernelProbe { functions: vec![name.clone()], ..probe.clone() })
        .collect())
}

fn user_functions(probe: &UserProbe) -> Result<Vec<UserProbe>, String> {
    let of = |name: &String| UserProbe { symbols: vec![name.clone()], ..probe.clone() };
    let [pattern] = probe.symbols.as_slice() else {
        return Ok(probe.symbols.iter().map(of).collect());
    };
    let (_, binary) = places::open(&probe.target)?;
    Ok(symbols::all_of(&binary, pattern)?.iter().map(|(name, _)| of(name)).collect())
}

/// With the addresses where these count. If they cannot be told, all sites are left together, for then
/// that is told later.
fn sites(probe: &Usdt) -> Result<Vec<Usdt>, String> {
    let addresses = if places::are_by_address() {
        places::addresses(probe)?
    } else {
        let (_, sites) = places::sites(probe)?;
        vec![Vec::new(); sites.len()]
    };
    let of = |(at, addresses)| Usdt { site: Some(at), addresses, ..probe.clone() };
    Ok(addresses.into_iter().enumerate().map(of).collect())
}

/// Why places are attached to one by one.
pub(super) fn note((_, since): (AttachType, Release)) -> String {
    format!(
        "one link for each place, for this kernel has none of several ({})",
        since::compare(since, since::running())
    )
}
