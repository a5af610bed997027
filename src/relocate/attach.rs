//! What a program attached by BTF id attaches to.

use crate::btf::{Btf, Kind};

use super::error::RelocateError;

/// The id of the kernel's type that a program attaches to: the first named `prefix` and `name`
/// together (libbpf `find_btf_by_prefix_kind`).
///
/// By libbpf's `btf_get_kernel_prefix_kind`, the prefix is `btf_trace_` with a typedef for `tp_btf`,
/// `bpf_lsm_` with a function for LSM hooks, `bpf_iter_` with a function for iterators, and nothing
/// with a function for the rest.
pub fn find_attach_btf_id(
    kernel: &Btf<'_>,
    prefix: &str,
    name: &str,
    kind: Kind,
) -> Result<u32, RelocateError> {
    let name = format!("{prefix}{name}");
    match kernel.find(&name, kind) {
        Some(found) => Ok(found.id()),
        None => Err(RelocateError::NoAttachTarget { name, kind }),
    }
}
