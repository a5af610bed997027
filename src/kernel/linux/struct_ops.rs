//! Structs of operations: their maps, and what their programs attach to.
//!
//! Creating the map registers nothing: that is done by writing its value, and for
//! `.struct_ops.link` by a link.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::super::error::ENOTSUPP;
use super::super::{KernelError, Result};
use super::handle::Handle;
use super::modules::{ModuleFiles, ModuleTypes};
use super::sys::{self, MapAttributes, MapTypes, OperationsState};
use super::{Linux, capability, maps, programs, since};
use crate::model::attach::Attachment;
use crate::model::identity::ObjectKind;
use crate::model::kinds::{MapType, ProgramType};
use crate::model::live;
use crate::model::map::{MapOrigin, MapShape, MapSpec};
use crate::model::program::ProgramSpec;
use crate::object::Image;
use crate::relocate::{KernelOps, KernelTypes, Linker};

/// Creates the map of a struct of operations, with a value as large as the kernel's.
pub(super) fn create(
    linux: &Linux,
    image: &Image,
    spec: &MapSpec,
    btf: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd> {
    let operation = || format!("create map `{}`", spec.name);
    let Some(btf) = btf else {
        let reason = "the kernel wants the object's BTF for struct ops, and did not take it";
        return Err(KernelError::reason(operation(), reason));
    };
    let linker = programs::open(image)?;
    let files = ModuleFiles::default();
    let own = linux.kernel_btf()?;
    // Until the map is there, which then holds the module's BTF.
    let modules = ModuleTypes::new(&files, &own);
    let ops =
        layout(&linker, spec, KernelTypes { own: &own, modules: &modules }).map_err(|reason| {
            let error = KernelError::reason(operation(), reason);
            match &spec.origin {
                MapOrigin::StructOps { ops, .. } => since::explain_operations(error, ops),
                _ => error,
            }
        })?;
    let value_size = u32::try_from(ops.value.len()).unwrap_or(u32::MAX);
    let attributes = MapAttributes {
        name: &spec.kernel_name(image.name()),
        types: Some(MapTypes { btf, key: 0, value: 0 }),
        kernel_value: ops.value_type_id,
        kernel_value_btf: ops.btf,
        ..MapAttributes::new(MapShape { value_size, ..spec.shape })
    };
    sys::create_map(&attributes).map_err(|errno| maps::refused(operation(), errno, spec))
}

/// Writes programs and values into a map of struct ops, unless something was written already.
pub(super) fn fill(
    linux: &Linux,
    map: &Handle,
    (image, spec): (&Image, &MapSpec),
    programs: &BTreeMap<&str, &Handle>,
) -> Result<()> {
    let operation = || format!("fill struct ops `{}`", spec.name);
    let failed = |errno| KernelError::errno(operation(), errno);
    let fd = map.expect(ObjectKind::Map).map_err(failed)?;
    match sys::operations_state(fd).map_err(failed)? {
        OperationsState::Empty => {}
        OperationsState::Ready | OperationsState::Registered => return Ok(()),
        OperationsState::Ending => {
            let reason = "it was unregistered, and cannot be registered again";
            return Err(KernelError::reason(operation(), reason));
        }
    }
    let linker = programs::open(image)?;
    let files = ModuleFiles::default();
    let own = linux.kernel_btf()?;
    let modules = ModuleTypes::new(&files, &own);
    let ops = layout(&linker, spec, KernelTypes { own: &own, modules: &modules })
        .map_err(|reason| KernelError::reason(operation(), reason))?;
    let mut value = ops.value;
    for op in &ops.programs {
        let missing =
            || KernelError::reason(operation(), format!("program `{}` is not loaded", op.program));
        let program = programs.get(op.program.as_str()).ok_or_else(missing)?;
        let program = program.expect(ObjectKind::Program).map_err(failed)?;
        let start = usize::try_from(op.offset).unwrap_or(usize::MAX);
        // A pointer, of which the kernel takes the descriptor (`bpf_struct_ops_map_update_elem`).
        let place = value.get_mut(start..).and_then(|rest| rest.get_mut(..8));
        let number = u64::from(program.as_raw_fd().unsigned_abs());
        place.ok_or_else(|| failed(Errno::INVAL))?.copy_from_slice(&number.to_ne_bytes());
    }
    sys::set_operations(fd, &value).map_err(|errno| {
        let attachment = Attachment::of_operations(spec);
        attachment.map_or_else(|| failed(errno), |place| refused(&operation(), &place, errno))
    })
}

/// Whether a map of struct ops is registered without a link, or can be.
pub(super) fn state(map: &Handle) -> Result<live::OperationsState> {
    let failed = |errno| KernelError::errno("read the state of struct ops", errno);
    let fd = map.expect(ObjectKind::Map).map_err(failed)?;
    Ok(match sys::operations_state(fd).map_err(failed)? {
        OperationsState::Empty | OperationsState::Ready => live::OperationsState::Unregistered,
        OperationsState::Registered => live::OperationsState::Registered,
        OperationsState::Ending => live::OperationsState::Spent,
    })
}

/// Unregisters a map of struct ops that has no link.
pub(super) fn unregister(map: &Handle) -> Result<()> {
    let failed = |errno| KernelError::errno("unregister struct ops", errno);
    let fd = map.expect(ObjectKind::Map).map_err(failed)?;
    match sys::delete_operations(fd) {
        // It is unregistered already.
        Err(Errno::INPROGRESS | Errno::NOENT) => Ok(()),
        answer => answer.map_err(failed),
    }
}

/// Registers a map of struct ops by a link.
pub(super) fn attach(map: &Handle, attachment: &Attachment) -> Result<Handle> {
    let operation = format!("register {attachment}");
    let failed = |errno| refused(&operation, attachment, errno);
    let fd = map.expect(ObjectKind::Map).map_err(failed)?;
    let link = sys::link_operations(fd).map_err(failed)?;
    Handle::of_kind(link, ObjectKind::Link).map_err(failed)
}

/// Swaps the map of struct ops under a link.
pub(super) fn update(link: BorrowedFd<'_>, new: &Handle, old: Option<&Handle>) -> Result<()> {
    const OPERATION: &str = "update the link";
    let failed = |errno| KernelError::errno(OPERATION, errno);
    let map = new.expect(ObjectKind::Map).map_err(failed)?;
    sys::update_link(link, map, old.map(Handle::as_fd)).map_err(|errno| match errno {
        Errno::PERM if old.is_some() => failed(errno)
            .advice("the link has other operations than it was thought to: somebody changed it"),
        Errno::NOLINK => failed(errno).advice("it was detached; register anew"),
        Errno::OPNOTSUPP => failed(errno).advice("operations of this kind are not swapped"),
        Errno::INVAL => failed(errno).advice(
            "the new operations are of another kind, were not filled, or have another name: those of \
             TCP keep theirs while they are swapped",
        ),
        _ => failed(errno),
    })
}

fn refused(operation: &str, attachment: &Attachment, errno: Errno) -> KernelError {
    let error = KernelError::errno(operation, errno);
    let Attachment::StructOps { ops, name, link } = attachment else { return error };
    match errno {
        Errno::PERM | Errno::ACCESS => {
            error.advice(capability::advice(capability::for_map(MapType::STRUCT_OPS)))
        }
        Errno::EXIST => error.advice(match name {
            Some(name) => format!(
                "`{name}` is registered already: `bpftool struct_ops show` lists those of BPF, and `sysctl \
                 net.ipv4.tcp_available_congestion_control` the names of TCP"
            ),
            None => format!("another `struct {ops}` is registered (`bpftool struct_ops show`)"),
        }),
        Errno::BUSY => error.advice(format!(
            "another `struct {ops}` is at work (`bpftool struct_ops show`), and the kernel takes one at a \
             time"
        )),
        Errno::INVAL => error.advice(format!(
            "`struct {ops}` lacks an operation that it must have, or the kernel does not take one of its \
             values; the kernel's log (`dmesg`) may say which{}",
            if *link { "; links of struct ops need Linux 6.4" } else { "" }
        )),
        _ if errno == Errno::OPNOTSUPP || errno.raw_os_error() == ENOTSUPP => {
            error.advice(format!(
                "`struct {ops}` sets an operation or value that this kernel does not let a program have"
            ))
        }
        _ => error,
    }
}

/// What a program of struct ops attaches to: a member of a struct of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Id of the struct in the kernel's BTF: `attach_btf_id`.
    pub(super) type_id: u32,
    /// Descriptor of the module's BTF which that is in; 0 for the kernel's own.
    pub(super) btf: i32,
    /// Its index: `expected_attach_type`.
    pub(super) index: u32,
}

/// The members that programs of struct ops are for, by program: those of the maps that were created
/// count. One program may be in several maps if it is for the same member of the same struct.
pub(super) fn members(
    linker: &Linker<'_>,
    image: &Image,
    programs: &[&ProgramSpec],
    is_created: impl Fn(&str) -> bool,
    kernel: Option<KernelTypes<'_>>,
) -> std::result::Result<BTreeMap<String, Member>, String> {
    let mut members = BTreeMap::new();
    let Some(kernel) = kernel.filter(|_| programs.iter().any(|program| is_op(program))) else {
        return Ok(members);
    };
    let maps = image.spec.maps.iter().filter(|map| is_ops(map) && is_created(&map.name));
    for map in maps {
        let ops = layout(linker, map, kernel)?;
        for op in ops.programs {
            let member = Member { type_id: ops.type_id, btf: ops.btf, index: op.member };
            if let Some(other) = members.insert(op.program.clone(), member)
                && other != member
            {
                return Err(format!(
                    "program `{}` is used for two members of struct ops; the kernel loads it for one",
                    op.program
                ));
            }
        }
    }
    Ok(members)
}

/// Whether the program is one of struct ops.
pub(super) fn is_op(program: &ProgramSpec) -> bool {
    program.kind.as_ref().is_some_and(|kind| kind.program_type == ProgramType::STRUCT_OPS)
}

fn is_ops(map: &MapSpec) -> bool {
    matches!(map.origin, MapOrigin::StructOps { .. })
}

fn layout(
    linker: &Linker<'_>,
    spec: &MapSpec,
    kernel: KernelTypes<'_>,
) -> std::result::Result<KernelOps, String> {
    linker.struct_ops(&spec.name, &spec.slots, kernel).map_err(|error| error.to_string())
}
