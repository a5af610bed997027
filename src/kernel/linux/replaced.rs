//! The function of a loaded program that another replaces, as the kernel must be told it.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use rustix::io::Errno;

use super::super::Replaced;
use super::handle::Handle;
use super::sys;
use crate::btf::{Btf, Kind, Linkage, Shape};
use crate::model::identity::ObjectKind;
use crate::relocate::AttachTarget;

/// Id of the function in its program's own BTF, and the program's descriptor (libbpf
/// `libbpf_find_prog_btf_id`).
pub(super) fn target(replaced: &Replaced<'_, Handle>) -> Result<AttachTarget, String> {
    let unusable = |errno| format!("the program that has the function cannot be used: {errno}");
    let program = replaced.program.expect(ObjectKind::Program).map_err(unusable)?;
    let type_id = function(program, replaced.function)?;
    Ok(AttachTarget { type_id, btf: program.as_raw_fd() })
}

fn function(program: BorrowedFd<'_>, name: &str) -> Result<u32, String> {
    let unreadable = |errno| match errno {
        Errno::PERM => {
            "the BTF of the program that has the function can be opened with CAP_SYS_ADMIN only"
                .to_owned()
        }
        errno => format!("the BTF of the program that has the function cannot be read: {errno}"),
    };
    let id = sys::program_info(program).map_err(unreadable)?.btf_id;
    if id == 0 {
        return Err("the program that has the function was loaded without BTF".to_owned());
    }
    let btf = sys::open_btf(id).map_err(unreadable)?;
    let bytes = sys::btf_bytes(btf.as_fd()).map_err(unreadable)?;
    let types = Btf::parse(&bytes).map_err(|error| error.to_string())?;
    let found = types
        .find(name, Kind::Func)
        .ok_or_else(|| format!("the program that shall have it has no function `{name}`"))?;
    match found.shape() {
        Shape::Func { linkage: Linkage::Static, .. } => {
            Err(format!("function `{name}` is static, and only global ones can be replaced"))
        }
        _ => Ok(found.id()),
    }
}
