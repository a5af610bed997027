//! The function of a loaded program that another replaces, as the kernel must be told it.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;

use super::super::{KernelError, Replaced};
use super::bpffs;
use super::handle::Handle;
use super::sys::{self, Answer};
use crate::btf::{Btf, Kind, Linkage, Shape, Type};
use crate::model::identity::ObjectKind;
use crate::model::live::TargetState;
use crate::relocate::AttachTarget;

/// Id of the function in its program's own BTF, and the program's descriptor (libbpf
/// `libbpf_find_prog_btf_id`).
pub(super) fn target(replaced: &Replaced<'_, Handle>) -> Result<AttachTarget, String> {
    let unusable = |errno| format!("the program that has the function cannot be used: {errno}");
    let program = replaced.program.expect(ObjectKind::Program).map_err(unusable)?;
    let type_id = function(program, replaced.function)?;
    Ok(AttachTarget { type_id, btf: program.as_raw_fd() })
}

/// Whether a program with that function is pinned there; the state's number is the program's id.
pub(super) fn state(pin: &Path, name: &str) -> TargetState {
    let missing = |reason: String| TargetState::Missing { reason };
    let program = match bpffs::open_program(pin) {
        Ok(program) => program,
        Err(error) => return missing(error.to_string()),
    };
    match function(program.as_fd(), name) {
        Ok(_) => TargetState::Present(u64::from(program.identity().id)),
        Err(reason) => missing(format!("{}: {reason}", pin.display())),
    }
}

/// Replaces a function of the program that is pinned there. A program that was attached before can be
/// attached again, if the function is alike (`bpf_tracing_prog_attach` in `kernel/bpf/syscall.c`,
/// Linux 5.10).
pub(super) fn attach(
    program: BorrowedFd<'_>,
    (pin, name): (&Path, &str),
    operation: &str,
) -> Result<Answer<OwnedFd>, KernelError> {
    let target = bpffs::open_program(pin)?;
    let type_id = function(target.as_fd(), name)
        .map_err(|reason| KernelError::reason(operation, reason).at(pin))?;
    Ok(sys::replace_function(program, target.as_fd(), type_id))
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
    let found = types.find(name, Kind::Func).ok_or_else(|| {
        let global = types.types().filter(is_global);
        let mut global: Vec<_> = global.map(|found| format!("`{}`", found.name())).collect();
        global.sort_unstable();
        format!(
            "the program that shall have it has no function `{name}`; it has {}",
            global.join(", ")
        )
    })?;
    if !is_global(&found) {
        return Err(format!(
            "function `{name}` is static or hidden, and only global ones can be replaced"
        ));
    }
    Ok(found.id())
}

fn is_global(found: &Type<'_>) -> bool {
    matches!(found.shape(), Shape::Func { linkage, .. } if linkage != Linkage::Static)
}
