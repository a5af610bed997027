//! What an object needs of the running kernel by name, and the loader supplies: values of the
//! configuration as a map of their own, and addresses of symbols.

mod config;
mod kallsyms;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use super::super::{KernelError, Result};
use super::sys::{self, MapAttributes, MapTypes};
use crate::model::kinds::MapType;
use crate::model::map::{MapShape, section_map_name};
use crate::object::Image;
use crate::relocate::{KconfigVariable, Linker};
use values::Virtual;

/// The section whose variables are values of the kernel's configuration, and the map's name.
pub(super) const KCONFIG: &str = ".kconfig";
/// `BPF_F_RDONLY_PROG | BPF_F_MMAPABLE`
const FLAGS: u32 = 0x80 | 0x400;

/// Creates the map of an object's `.kconfig` variables, filled and frozen; `None` if it has none
/// (libbpf `bpf_object__init_kconfig_map`, `bpf_object__resolve_externs`). The programs that use it
/// keep it.
pub(super) fn kconfig_map(
    image: &Image,
    linker: &Linker<'_>,
    btf: Option<BorrowedFd<'_>>,
) -> Result<Option<OwnedFd>> {
    let variables: Vec<&KconfigVariable> = linker.kconfig().collect();
    if variables.is_empty() {
        return Ok(None);
    }
    let operation = || {
        format!("supply what object `{}` reads of the kernel's configuration", image.path.display())
    };
    let refuse = |reason: String| KernelError::reason(operation(), reason);
    let value = values::fill(&variables, virtual_value, config::text).map_err(refuse)?;
    let shape = MapShape {
        map_type: MapType::ARRAY,
        key_size: 4,
        value_size: u32::try_from(value.len()).unwrap_or(u32::MAX),
        max_entries: 1,
        map_flags: FLAGS,
        map_extra: 0,
    };
    let types = btf.zip(linker.kconfig_type()).map(|(btf, value)| MapTypes { btf, key: 0, value });
    let attributes = MapAttributes {
        name: &section_map_name(image.name(), KCONFIG),
        types,
        ..MapAttributes::new(shape)
    };
    let failed = |errno| KernelError::errno(operation(), errno);
    let map = sys::create_map(&attributes)
        .or_else(|_with_types| sys::create_map(&MapAttributes { types: None, ..attributes }))
        .map_err(failed)?;
    sys::set_array_value(map.as_fd(), &value).map_err(failed)?;
    sys::freeze_map(map.as_fd()).map_err(failed)?;
    Ok(Some(map))
}

/// The addresses of the kernel symbols that the objects name without a type, 0 for one that is
/// hidden; all looked up in one pass.
pub(super) fn kernel_symbols<'l, 'a: 'l>(
    linkers: impl Iterator<Item = &'l Linker<'a>>,
) -> Result<BTreeMap<String, u64>> {
    let wanted: BTreeSet<&str> = linkers.flat_map(Linker::kernel_symbols).collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    kallsyms::look_up(&wanted)
        .map_err(|reason| KernelError::reason("look up kernel symbols", reason).at(kallsyms::PATH))
}

/// What the loader itself finds out.
fn virtual_value(what: Virtual) -> std::result::Result<u64, String> {
    match what {
        Virtual::KernelVersion => aya::util::KernelVersion::current()
            .map(|version| u64::from(version.code()))
            .map_err(|error| error.to_string()),
        // Before 6.1 the helper was not there for every type; libbpf asks for tracepoints.
        Virtual::BpfCookie => Ok(u64::from(sys::has_attach_cookie())),
        Virtual::SyscallWrapper => kallsyms::has_syscall_wrapper().map(u64::from),
    }
}
