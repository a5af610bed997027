//! The kernel that the commands ask and change: the running one.

use std::path::Path;

use crate::kernel::KernelError;
use crate::kernel::linux::Linux;

use super::reader::{Exposed, Reader};

/// A kernel with all of its symbols and the types of its modules is smaller.
const KERNEL_FILE_MAX: usize = 2 << 30;

/// The running kernel, with the types that `--btf` names. They decide what is read from the kernel's
/// memory, so the file must be as unexposed as an object.
pub(super) fn running(btf: Option<&Path>, exposed: Exposed) -> Result<Linux, KernelError> {
    let Some(path) = btf else { return Ok(Linux::new()) };
    let bytes = Reader::read_alone(path, KERNEL_FILE_MAX, exposed)
        .map_err(|reason| KernelError::reason("read the kernel's BTF", reason).at(path))?;
    Linux::with_btf(path, bytes)
}
