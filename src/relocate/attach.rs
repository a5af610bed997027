//! What a program attached by BTF id attaches to.

use crate::btf::Kind;

use super::error::RelocateError;
use super::modules::{KernelType, KernelTypes};

/// What a program attached by BTF id attaches to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachTarget {
    /// Id of a type: `attach_btf_id`.
    pub type_id: u32,
    /// Descriptor of the module's BTF in which it is: `attach_btf_obj_fd`. 0 for the kernel's own.
    pub btf: i32,
}

/// The kernel's type that a program attaches to: the first named `prefix` and `name` together
/// (libbpf `find_kernel_btf_id`). `module:name` looks in that module only, or for `vmlinux:name`
/// first in the kernel's own types; without a module, those come first and then all modules.
///
/// By libbpf's `btf_get_kernel_prefix_kind`, the prefix is `btf_trace_` with a typedef for `tp_btf`,
/// `bpf_lsm_` with a function for LSM hooks, `bpf_iter_` with a function for iterators, and nothing
/// with a function for the rest.
pub fn find_attach_target(
    kernel: KernelTypes<'_>,
    prefix: &str,
    name: &str,
    kind: Kind,
) -> Result<AttachTarget, RelocateError> {
    let (module, name) = match name.split_once(':') {
        Some((module, name)) => (Some(module), name),
        None => (None, name),
    };
    let name = format!("{prefix}{name}");
    let own = if module.is_none_or(|module| module == "vmlinux") {
        kernel.own.find(&name, kind)
    } else {
        None
    };
    let found = match own {
        Some(found) => KernelType { among: kernel.own, found, module: None },
        None => kernel.find_in_modules(module, &name, kind).ok_or_else(|| {
            RelocateError::NoAttachTarget { name, kind, module: module.map(str::to_owned) }
        })?,
    };
    let btf = kernel.descriptor(&found).map_err(RelocateError::ModuleTypes)?;
    Ok(AttachTarget { type_id: found.found.id(), btf })
}
