//! Programs that a map of sockets keeps by itself: what there is before Linux 6.10, which has links for it.

use std::os::fd::AsFd as _;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::super::{KernelError, Result};
use super::handle::Handle;
use super::occupant::program_name;
use super::{capability, sys};
use crate::model::identity::ObjectKind;
use crate::model::kinds::AttachType;
use crate::model::socket_hook::{Kept, SocketHook};

/// Whether this kernel has links to maps of sockets.
pub(super) fn has_links() -> bool {
    static HAS_LINKS: OnceLock<bool> = OnceLock::new();
    let has_links = || match sys::load_socket_program() {
        Ok(program) => sys::has_socket_links(program.as_fd()),
        // Who may load nothing learns nothing, and is told when something is attached.
        Err(Errno::PERM) => true,
        Err(_) => false,
    };
    *HAS_LINKS.get_or_init(has_links)
}

/// What `map` runs at one of its hooks.
pub(super) fn kept(map: &Handle, attach_type: AttachType) -> Result<Kept> {
    let operation = || format!("ask {} for its {attach_type} program", map.identity());
    let asked =
        map.expect(ObjectKind::Map).and_then(|map| sys::program_of_sockets(map, attach_type));
    match asked {
        // Of the two kinds of verdicts, the other one is attached.
        Ok(None) | Err(Errno::BUSY) => Ok(Kept::Nothing),
        Ok(Some(id)) => Ok(Kept::Program { id, name: program_name(id) }),
        // To those without `CAP_NET_ADMIN` the kernel says nothing either.
        Err(Errno::INVAL | Errno::PERM) => Ok(Kept::Untold),
        Err(errno) => Err(KernelError::errno(operation(), errno)),
    }
}

/// `EBUSY` if a program is there: a link would take the place of one that the map keeps by itself
/// (`sock_map_prog_update` in `net/core/sock_map.c`, Linux 6.10).
pub(super) fn is_free(map: &Handle, attach_type: AttachType, operation: &str) -> Result<()> {
    let Kept::Program { id, name } = kept(map, attach_type)? else { return Ok(()) };
    let named = if name.is_empty() { String::new() } else { format!(" (`{name}`)") };
    let hook = SocketHook { map: map.identity().id, attach_type };
    Err(KernelError::errno(operation, Errno::BUSY).advice(format!(
        "program id {id}{named} is attached to map id {} already; one without a link goes with `{}`, a \
         link with `bpftool link detach`",
        hook.map,
        hook.detach_command(id)
    )))
}

/// Attaches `new` in the place of `old`, of which the kernel knows nothing: it is asked before.
pub(super) fn keep(
    map: &Handle,
    attach_type: AttachType,
    new: &Handle,
    old: Option<&Handle>,
) -> Result<()> {
    let operation = format!("attach {} to {} ({attach_type})", new.identity(), map.identity());
    let failed = |errno| refused(&operation, errno);
    match kept(map, attach_type)? {
        Kept::Program { id, .. } if old.is_none_or(|old| old.identity().id != id) => {
            return Err(changed(&operation, &format!("program {id} is attached there")));
        }
        Kept::Nothing if old.is_some() => {
            return Err(changed(&operation, "no program is attached there any more"));
        }
        _ => {}
    }
    let program = new.expect(ObjectKind::Program).map_err(failed)?;
    let map = map.expect(ObjectKind::Map).map_err(failed)?;
    sys::attach_to_sockets(map, program, attach_type).map_err(failed)
}

/// Detaches `program`, if it is the one attached; says whether it was.
pub(super) fn let_go(map: &Handle, attach_type: AttachType, program: &Handle) -> Result<bool> {
    let operation =
        format!("detach {} from {} ({attach_type})", program.identity(), map.identity());
    let failed = |errno| refused(&operation, errno);
    let program = program.expect(ObjectKind::Program).map_err(failed)?;
    let map = map.expect(ObjectKind::Map).map_err(failed)?;
    match sys::detach_from_sockets(map, program, attach_type) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        // Before Linux 5.13 there is no such hook, so nothing is attached there.
        Err(Errno::INVAL) if attach_type == AttachType::SK_SKB_VERDICT => Ok(false),
        Err(errno) => Err(failed(errno)),
    }
}

fn changed(operation: &str, what: &str) -> KernelError {
    KernelError::reason(operation, what).advice("somebody else changed it meanwhile; run it again")
}

fn refused(operation: &str, errno: Errno) -> KernelError {
    let error = KernelError::errno(operation, errno);
    match errno {
        Errno::PERM => error.advice(capability::advice(CapabilitySet::NET_ADMIN)),
        // `sock_map_prog_lookup`, and `sock_map_prog_update` where a link is there.
        Errno::BUSY => error.advice(
            "a map runs a `verdict` or a `stream_verdict` program, not both; or a link is attached there",
        ),
        Errno::OPNOTSUPP | Errno::INVAL => error.advice(
            "the kernel is built without CONFIG_BPF_STREAM_PARSER, the map holds no sockets, or the \
             kernel has no such hook: `sk_skb/verdict` needs Linux 5.13",
        ),
        _ => error,
    }
}
