//! Structs of operations: their maps, and what their programs attach to.
//!
//! Creating the map registers nothing: that is done by writing its value, and for
//! `.struct_ops.link` by a link.

use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::super::{KernelError, Result};
use super::modules::{ModuleFiles, ModuleTypes};
use super::sys::{self, MapAttributes, MapTypes};
use super::{Linux, maps, programs};
use crate::model::kinds::ProgramType;
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
    let ops = layout(&linker, spec, KernelTypes { own: &own, modules: &modules })
        .map_err(|reason| KernelError::reason(operation(), reason))?;
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
