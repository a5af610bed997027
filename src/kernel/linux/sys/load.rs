//! Making objects: BTF, maps and programs.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::abi::{self, Command, NAME_LEN};
use super::{Answer, address, address_mut, bpf, bpf_charged, flags, length, map_info, number, own};
use crate::model::kinds::{AttachType, MapType, ProgramType};
use crate::model::map::MapShape;
use crate::relocate::Insn;

/// How often a load is tried again when the kernel answers `EAGAIN` (libbpf's
/// `PROG_LOAD_ATTEMPTS`): the verifier gives up when a signal is pending.
const LOAD_ATTEMPTS: usize = 5;

/// What `BPF_MAP_CREATE` takes.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::linux) struct MapAttributes<'a> {
    pub(in crate::kernel::linux) shape: MapShape,
    /// At most 15 bytes count.
    pub(in crate::kernel::linux) name: &'a str,
    pub(in crate::kernel::linux) numa_node: Option<u32>,
    pub(in crate::kernel::linux) inner: Option<BorrowedFd<'a>>,
    pub(in crate::kernel::linux) types: Option<MapTypes<'a>>,
    /// Type in the kernel's BTF of a value of struct ops; 0 for none.
    pub(in crate::kernel::linux) kernel_value: u32,
    /// Descriptor of the module's BTF which that type is in (Linux 6.9); 0 for the kernel's own.
    pub(in crate::kernel::linux) kernel_value_btf: i32,
}

impl MapAttributes<'_> {
    /// A map of that shape, without a name, types or anything else.
    pub(in crate::kernel::linux) fn new(shape: MapShape) -> Self {
        Self {
            shape,
            name: "",
            numa_node: None,
            inner: None,
            types: None,
            kernel_value: 0,
            kernel_value_btf: 0,
        }
    }
}

/// The BTF types of a map's key and value.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::linux) struct MapTypes<'a> {
    pub(in crate::kernel::linux) btf: BorrowedFd<'a>,
    pub(in crate::kernel::linux) key: u32,
    pub(in crate::kernel::linux) value: u32,
}

/// What `BPF_PROG_LOAD` takes.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::linux) struct ProgramAttributes<'a> {
    pub(in crate::kernel::linux) program_type: ProgramType,
    /// At most 15 bytes count.
    pub(in crate::kernel::linux) name: &'a str,
    pub(in crate::kernel::linux) instructions: &'a [Insn],
    pub(in crate::kernel::linux) license: &'a CStr,
    /// `LINUX_VERSION_CODE`, which kernels before 5.0 want for kprobes.
    pub(in crate::kernel::linux) kernel_version: u32,
    pub(in crate::kernel::linux) flags: u32,
    /// 0 where the section fixes none.
    pub(in crate::kernel::linux) attach_type: u32,
    /// Type in the kernel's BTF the program attaches to; 0 for none.
    pub(in crate::kernel::linux) attach_btf_id: u32,
    /// Descriptor of the module's BTF which that type is in, or of the program whose function it is; 0
    /// for the kernel's own.
    pub(in crate::kernel::linux) attach_object: i32,
    /// Descriptors of the modules' BTF that calls of kernel functions refer to by index.
    pub(in crate::kernel::linux) descriptors: &'a [i32],
    pub(in crate::kernel::linux) btf: Option<ProgramBtf<'a>>,
}

/// What a program's BTF says of its functions and lines.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernel::linux) struct ProgramBtf<'a> {
    pub(in crate::kernel::linux) btf: BorrowedFd<'a>,
    pub(in crate::kernel::linux) functions: &'a [u8],
    /// Bytes of a record in `functions`.
    pub(in crate::kernel::linux) function_size: u32,
    pub(in crate::kernel::linux) lines: &'a [u8],
    /// Bytes of a record in `lines`.
    pub(in crate::kernel::linux) line_size: u32,
}

pub(in crate::kernel::linux) fn load_btf(bytes: &[u8]) -> Answer<OwnedFd> {
    let mut attr =
        abi::BtfLoad { btf: address(bytes), btf_size: length(bytes)?, ..abi::BtfLoad::default() };
    // SAFETY: `BtfLoad` is what `BPF_BTF_LOAD` takes; `bytes` are `btf_size` readable bytes.
    let fd = unsafe { bpf(Command::BtfLoad, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

pub(in crate::kernel::linux) fn create_map(attributes: &MapAttributes<'_>) -> Answer<OwnedFd> {
    let MapAttributes { shape, name, numa_node, inner, types, kernel_value, kernel_value_btf } =
        *attributes;
    let of_module = if kernel_value_btf == 0 { 0 } else { flags::VALUE_TYPE_BTF };
    let mut attr = abi::MapCreate {
        map_type: shape.map_type.0,
        key_size: shape.key_size,
        value_size: shape.value_size,
        max_entries: shape.max_entries,
        map_flags: shape.map_flags | of_module,
        inner_map_fd: inner.map_or(0, number),
        numa_node: numa_node.unwrap_or(0),
        map_name: name_field(name),
        btf_fd: types.map_or(0, |types| number(types.btf)),
        btf_key_type_id: types.map_or(0, |types| types.key),
        btf_value_type_id: types.map_or(0, |types| types.value),
        btf_vmlinux_value_type_id: kernel_value,
        map_extra: shape.map_extra,
        value_type_btf_obj_fd: kernel_value_btf.unsigned_abs(),
        ..abi::MapCreate::default()
    };
    // SAFETY: `MapCreate` is what `BPF_MAP_CREATE` takes; it holds no address.
    let fd = unsafe { bpf_charged(Command::MapCreate, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { own(fd) })
}

/// Writes the only value of an array map with one entry.
///
/// `EINVAL` unless it is an array with keys of 4 bytes and values of exactly `value`'s length.
pub(in crate::kernel::linux) fn set_array_value(map: BorrowedFd<'_>, value: &[u8]) -> Answer<()> {
    let shape = map_info(map)?.shape;
    if shape.map_type != MapType::ARRAY || shape.key_size != 4 || shape.value_size != length(value)?
    {
        return Err(Errno::INVAL);
    }
    let key = [0_u8; 4];
    let mut attr = abi::MapElement {
        map_fd: number(map),
        key: address(&key),
        value: address(value),
        ..abi::MapElement::default()
    };
    // SAFETY: `MapElement` is what `BPF_MAP_UPDATE_ELEM` takes; the kernel reads `key_size` bytes
    // of the key and, as the map is no per-CPU one, `value_size` of the value: both were checked.
    unsafe { bpf(Command::MapUpdateElem, &mut attr) }.map(drop)
}

/// Puts a program into a slot of a prog array, or a map into one of a map-in-map.
///
/// `EINVAL` unless `map` is one of those, with keys of 4 bytes.
pub(in crate::kernel::linux) fn set_slot(
    map: BorrowedFd<'_>,
    index: u32,
    content: BorrowedFd<'_>,
) -> Answer<()> {
    let shape = map_info(map)?.shape;
    let types = [MapType::PROG_ARRAY, MapType::ARRAY_OF_MAPS, MapType::HASH_OF_MAPS];
    if !types.contains(&shape.map_type) || shape.key_size != 4 || shape.value_size != 4 {
        return Err(Errno::INVAL);
    }
    let (key, value) = ([index], [number(content)]);
    let mut attr = abi::MapElement {
        map_fd: number(map),
        key: address(&key),
        value: address(&value),
        ..abi::MapElement::default()
    };
    // SAFETY: `MapElement` is what `BPF_MAP_UPDATE_ELEM` takes; the kernel reads a key of 4 bytes and
    // a value of 4 bytes, as was checked.
    unsafe { bpf(Command::MapUpdateElem, &mut attr) }.map(drop)
}

/// Bytes of `struct bpf_insn_array_value`.
pub(in crate::kernel::linux) const JUMP_TARGET_SIZE: u32 = 16;

/// Puts an instruction into a table of places to jump to.
///
/// `EINVAL` unless `map` is such a table.
pub(in crate::kernel::linux) fn set_jump_target(
    map: BorrowedFd<'_>,
    index: u32,
    instruction: u32,
) -> Answer<()> {
    let shape = map_info(map)?.shape;
    if shape.map_type != MapType::INSN_ARRAY || shape.value_size != JUMP_TARGET_SIZE {
        return Err(Errno::INVAL);
    }
    // `orig_off`; the kernel fills the others in.
    let (key, value) = ([index], [instruction, 0, 0, 0]);
    let mut attr = abi::MapElement {
        map_fd: number(map),
        key: address(&key),
        value: address(&value),
        ..abi::MapElement::default()
    };
    // SAFETY: `MapElement` is what `BPF_MAP_UPDATE_ELEM` takes; the kernel reads a key of 4 bytes, which
    // is what this type has, and a value of 16 bytes, as was checked.
    unsafe { bpf(Command::MapUpdateElem, &mut attr) }.map(drop)
}

pub(in crate::kernel::linux) fn freeze_map(map: BorrowedFd<'_>) -> Answer<()> {
    let mut attr = abi::MapFreeze { map_fd: number(map) };
    // SAFETY: `MapFreeze` is what `BPF_MAP_FREEZE` takes; it holds no address.
    unsafe { bpf(Command::MapFreeze, &mut attr) }.map(drop)
}

/// Verifies and loads a program. The verifier writes into `log` if that is not empty.
pub(in crate::kernel::linux) fn load_program(
    attributes: &ProgramAttributes<'_>,
    log: &mut [u8],
) -> Answer<OwnedFd> {
    let mut attr = abi::ProgLoad {
        prog_type: attributes.program_type.0,
        insn_cnt: length(attributes.instructions)?,
        insns: address(attributes.instructions),
        license: address(attributes.license.to_bytes_with_nul()),
        kern_version: attributes.kernel_version,
        prog_flags: attributes.flags,
        prog_name: name_field(attributes.name),
        expected_attach_type: attributes.attach_type,
        attach_btf_id: attributes.attach_btf_id,
        attach_object_fd: attributes.attach_object.unsigned_abs(),
        ..abi::ProgLoad::default()
    };
    if !log.is_empty() {
        attr.log_level = 1;
        attr.log_size = length(log)?;
        attr.log_buf = address_mut(log);
    }
    if let Some(btf) = attributes.btf {
        attr.prog_btf_fd = number(btf.btf);
        (attr.func_info, attr.func_info_cnt, attr.func_info_rec_size) =
            records(btf.functions, btf.function_size)?;
        (attr.line_info, attr.line_info_cnt, attr.line_info_rec_size) =
            records(btf.lines, btf.line_size)?;
    }
    if !attributes.descriptors.is_empty() {
        attr.fd_array = address(attributes.descriptors);
    }
    let mut answer = Err(Errno::AGAIN);
    for _ in 0..LOAD_ATTEMPTS {
        // SAFETY: `ProgLoad` is what `BPF_PROG_LOAD` takes. Every address in it is that of a slice
        // that outlives the call, with the slice's own length; only `log` is written, and that is
        // borrowed exclusively.
        answer = unsafe { bpf_charged(Command::ProgLoad, &mut attr) };
        if answer != Err(Errno::AGAIN) {
            break;
        }
    }
    // SAFETY: the kernel has just made this descriptor for us.
    answer.map(|fd| unsafe { own(fd) })
}

/// Makes a program hold a map that its code does not refer to (Linux 5.10).
pub(in crate::kernel::linux) fn bind_map(
    program: BorrowedFd<'_>,
    map: BorrowedFd<'_>,
) -> Answer<()> {
    let mut attr = abi::ProgBindMap { prog_fd: number(program), map_fd: number(map), flags: 0 };
    // SAFETY: `ProgBindMap` is what `BPF_PROG_BIND_MAP` takes; it holds no address.
    unsafe { bpf(Command::ProgBindMap, &mut attr) }.map(drop)
}

/// Whether programs of tracepoints may ask for their cookie (libbpf `probe_kern_bpf_cookie`).
pub(in crate::kernel::linux) fn has_attach_cookie() -> bool {
    /// `call bpf_get_attach_cookie`, `exit`
    const CODE: [Insn; 2] = [Insn(174 << 32 | 0x85), Insn(0x95)];
    let attributes = ProgramAttributes {
        program_type: ProgramType::TRACEPOINT,
        name: "",
        instructions: &CODE,
        license: c"GPL",
        kernel_version: 0,
        flags: 0,
        attach_type: 0,
        attach_btf_id: 0,
        attach_object: 0,
        descriptors: &[],
        btf: None,
    };
    load_program(&attributes, &mut []).is_ok()
}

/// Loads the smallest program for links of several functions, to ask whether the kernel has them.
pub(in crate::kernel::linux) fn load_multi_probe(attach_type: AttachType) -> Answer<OwnedFd> {
    load_smallest(ProgramType::KPROBE, attach_type.0)
}

/// Loads the smallest program that links to events take.
pub(in crate::kernel::linux) fn load_event_program() -> Answer<OwnedFd> {
    load_smallest(ProgramType::TRACEPOINT, 0)
}

/// Loads the smallest program that maps of sockets take.
pub(in crate::kernel::linux) fn load_socket_program() -> Answer<OwnedFd> {
    load_smallest(ProgramType::SK_MSG, AttachType::SK_MSG_VERDICT.0)
}

fn load_smallest(program_type: ProgramType, attach_type: u32) -> Answer<OwnedFd> {
    /// `r0 = 0`, `exit`
    const CODE: [Insn; 2] = [Insn(0xb7), Insn(0x95)];
    let attributes = ProgramAttributes {
        program_type,
        name: "",
        instructions: &CODE,
        license: c"GPL",
        // Before Linux 5.0 probes had to state it; those have no such links, and refuse.
        kernel_version: 0,
        flags: 0,
        attach_type,
        attach_btf_id: 0,
        attach_object: 0,
        descriptors: &[],
        btf: None,
    };
    load_program(&attributes, &mut [])
}

/// Address, count and record size of a table; all zero for an empty one.
fn records(table: &[u8], size: u32) -> Answer<(u64, u32, u32)> {
    if table.is_empty() {
        return Ok((0, 0, 0));
    }
    let bytes = length(table)?;
    match bytes.checked_rem(size) {
        Some(0) => Ok((address(table), bytes / size, size)),
        _ => Err(Errno::INVAL),
    }
}

/// A name as the kernel takes it: cut, and with what it would refuse replaced by `_`, as libbpf does
/// (`bpf_obj_name_cpy` in `kernel/bpf/syscall.c` takes letters, digits, `_` and `.`).
fn name_field(name: &str) -> [u8; NAME_LEN] {
    let mut field = [0; NAME_LEN];
    for (place, byte) in field.iter_mut().take(NAME_LEN - 1).zip(name.bytes()) {
        let legal = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
        *place = if legal { byte } else { b'_' };
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_cleaned() {
        assert_eq!(&name_field("flows"), b"flows\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(&name_field("a_very_long_map_name_here"), b"a_very_long_map\0");
        assert_eq!(&name_field("a-b.c"), b"a_b.c\0\0\0\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn tables_are_whole_records() {
        assert_eq!(records(&[], 0), Ok((0, 0, 0)));
        assert_eq!(records(&[0; 16], 8).map(|(_, count, size)| (count, size)), Ok((2, 8)));
        assert_eq!(records(&[0; 9], 8), Err(Errno::INVAL));
        assert_eq!(records(&[0; 8], 0), Err(Errno::INVAL));
    }
}
