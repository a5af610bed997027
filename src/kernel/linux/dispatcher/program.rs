//! A dispatcher, made here: its instructions, its BTF, and the map of constants that tells others what
//! it calls.
//!
//! libxdp compiles one for ten programs, of which the verifier cuts off what is not used. Here it has
//! as many functions as it calls, and the actions stand in its instructions; from outside both look
//! the same, and others read the map only.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::super::super::{KernelError, Result};
use super::super::capability;
use super::super::sys::{
    self, Answer, MapAttributes, ProgramAttributes, ProgramBtf, flags as sys_flags,
};
use super::NAME;
use super::config::Calls;
use crate::btf::Kind;
use crate::model::dispatch::PROGRAMS_MAX;
use crate::model::kinds::{AttachType, MapType, ProgramType};
use crate::model::map::MapShape;
use crate::relocate::Insn;

const OPERATION: &str = "load a dispatcher for XDP programs";

/// What a function that nothing replaces returns (`XDP_DISPATCHER_RETVAL`): every program goes on
/// after it.
pub(super) const RETVAL: u32 = 31;

/// Id of the dispatcher itself in its BTF.
const MAIN: u32 = 5;

/// `BPF_F_RDONLY_PROG`, which libxdp looks for.
const READ_ONLY: u32 = 1 << 7;

/// Bytes of the verifier's log that are kept of a refusal.
const LOG: usize = 64 * 1024;

/// Loads a dispatcher that calls so many programs, which have yet to replace its functions. What it
/// is loaded with is what `calls` says then.
pub(super) fn load(calls: &mut Calls) -> Result<OwnedFd> {
    let refused = |errno| {
        let error = KernelError::errno(OPERATION, errno);
        match errno {
            Errno::PERM => {
                error.advice(capability::advice(CapabilitySet::BPF | CapabilitySet::NET_ADMIN))
            }
            _ => error,
        }
    };
    let types = Types::new();
    let btf = sys::load_btf(&types.bytes).map_err(refused)?;
    calls.frags = calls.all_take_frags();
    loop {
        let map = constants(calls).map_err(refused)?;
        let (code, functions) = code(calls, map.as_raw_fd());
        let attributes = ProgramAttributes {
            program_type: ProgramType::XDP,
            name: NAME,
            instructions: &code,
            license: c"Dual MIT/GPL",
            kernel_version: 0,
            flags: if calls.frags { sys_flags::XDP_HAS_FRAGS } else { 0 },
            attach_type: AttachType::XDP.0,
            attach_btf_id: 0,
            attach_object: 0,
            descriptors: &[],
            btf: Some(ProgramBtf {
                btf: btf.as_fd(),
                functions: &functions,
                function_size: 8,
                lines: &[],
                line_size: 0,
            }),
        };
        match sys::load_program(&attributes, &mut []) {
            Ok(program) => return Ok(program),
            // Linux has packets of several buffers since 5.18.
            Err(Errno::INVAL) if calls.frags => calls.frags = false,
            Err(errno) => {
                let mut log = vec![0; LOG];
                let _again = sys::load_program(&attributes, &mut log);
                tracing::debug!(log = sys::text(&log), "the dispatcher was refused");
                return Err(refused(errno));
            }
        }
    }
}

/// The function that the program in a slot replaces, by its id in the BTF of the dispatcher. A
/// program that is alone replaces the dispatcher (`xdp_multiprog__link_prog`).
pub(super) fn function(slot: usize, of: usize) -> u32 {
    if of == 1 { MAIN } else { MAIN + 1 + u32::try_from(slot).unwrap_or_default() }
}

/// The map of constants, filled and frozen.
fn constants(calls: &Calls) -> Answer<OwnedFd> {
    let value = calls.encode();
    let shape = MapShape {
        map_type: MapType::ARRAY,
        key_size: 4,
        value_size: u32::try_from(value.len()).map_err(|_beyond| Errno::TOOBIG)?,
        max_entries: 1,
        map_flags: READ_ONLY,
        map_extra: 0,
    };
    let map =
        sys::create_map(&MapAttributes { name: "xdp_disp.rodata", ..MapAttributes::new(shape) })?;
    sys::set_array_value(map.as_fd(), &value)?;
    sys::freeze_map(map.as_fd())?;
    Ok(map)
}

/// One instruction (`struct bpf_insn`).
fn insn(code: u8, dst: u8, src: u8, off: i16, imm: u32) -> Insn {
    Insn(
        u64::from(code)
            | u64::from(dst) << 8
            | u64::from(src) << 12
            | u64::from(off.cast_unsigned()) << 16
            | u64::from(imm) << 32,
    )
}

/// The instructions, and the records that say where which function begins (`struct bpf_func_info`).
fn code(calls: &Calls, map: i32) -> (Vec<Insn>, Vec<u8>) {
    /// Instructions of a call and of what follows it.
    const CALL: u32 = 6;
    /// Instructions before the first call.
    const HEAD: u32 = 4;
    const STUB: u32 = 4;
    const EXIT: (u8, u8, u8, i16, u32) = (0x95, 0, 0, 0, 0);

    let count = u32::try_from(calls.slots.len()).unwrap_or_default();
    let stub = |slot: u32| HEAD + CALL * count + 2 + STUB * slot;
    let mut all = vec![
        // r6 = context
        (0xbf, 6, 1, 0, 0),
        // r1 = the constants: who uses the map keeps it, and others find it so
        (0x18, 1, 2, 0, map.cast_unsigned()),
        (0, 0, 0, 0, 0),
        (0x71, 0, 1, 2, 0),
    ];
    for (slot, call) in (0..count).zip(&calls.slots) {
        let next = u32::try_from(all.len()).unwrap_or_default() + 2;
        all.extend([
            (0xbf, 1, 6, 0, 0),
            (0x85, 0, 1, 0, stub(slot) - next),
            // if 1 << its answer is not among the actions: that is the answer
            (0xb4, 1, 0, 0, 1),
            (0x6c, 1, 0, 0, 0),
            (0x45, 1, 0, 1, call.actions | 1 << RETVAL),
            EXIT,
        ]);
    }
    // XDP_PASS
    all.extend([(0xb7, 0, 0, 0, 2), EXIT]);
    for _ in 0..count {
        // The verifier lets only programs that may move the end of a packet replace a function that
        // does: `bpf_xdp_adjust_tail(ctx, 0)`.
        all.extend([(0xb7, 2, 0, 0, 0), (0x85, 0, 0, 0, 65), (0xb7, 0, 0, 0, RETVAL), EXIT]);
    }
    let code = all.into_iter().map(|(code, dst, src, off, imm)| insn(code, dst, src, off, imm));
    let begins =
        std::iter::once((0, MAIN)).chain((0..count).map(|slot| (stub(slot), MAIN + 1 + slot)));
    let records = begins.flat_map(|(at, id)| [at, id]).flat_map(u32::to_ne_bytes);
    (code.collect(), records.collect())
}

/// The BTF of a dispatcher, the same for all.
struct Types {
    bytes: Vec<u8>,
}

impl Types {
    fn new() -> Self {
        let mut types = TypeWriter::default();
        let int = types.add("int", Kind::Int, 0, 4, &[1 << 24 | 32]);
        let context = types.add("xdp_md", Kind::Struct, 0, 24, &[]);
        let pointer = types.add("", Kind::Ptr, 0, context, &[]);
        let name = types.name("ctx");
        let proto = types.add("", Kind::FuncProto, 1, int, &[name, pointer]);
        // A function has its linkage where others have their length: global.
        types.add(NAME, Kind::Func, 1, proto, &[]);
        for slot in 0..PROGRAMS_MAX {
            types.add(&format!("prog{slot}"), Kind::Func, 1, proto, &[]);
        }
        // `__uint(dispatcher_version, 2)`, by which libxdp before 1.3 sees that it is none of its own.
        let version = types.add("", Kind::Array, 0, 0, &[int, int, 2]);
        let version = types.add("", Kind::Ptr, 0, version, &[]);
        let version = types.add("dispatcher_version", Kind::Var, 0, version, &[1]);
        types.add("xdp_metadata", Kind::Datasec, 1, 8, &[version, 0, 8]);
        Self { bytes: types.finish() }
    }
}

/// Records and names, one after the other.
struct TypeWriter {
    types: Vec<u32>,
    names: Vec<u8>,
    count: u32,
}

impl Default for TypeWriter {
    fn default() -> Self {
        Self { types: Vec::new(), names: vec![0], count: 0 }
    }
}

impl TypeWriter {
    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = u32::try_from(self.names.len()).unwrap_or_default();
        self.names.extend_from_slice(name.as_bytes());
        self.names.push(0);
        at
    }

    /// Adds a type and gives its id.
    fn add(&mut self, name: &str, kind: Kind, length: u32, size: u32, tail: &[u32]) -> u32 {
        let name = self.name(name);
        self.types.extend([name, (kind as u32) << 24 | length, size]);
        self.types.extend_from_slice(tail);
        self.count += 1;
        self.count
    }

    /// `struct btf_header` with what it tells of.
    fn finish(self) -> Vec<u8> {
        const HEADER: u32 = 24;
        let types: Vec<u8> = self.types.into_iter().flat_map(u32::to_ne_bytes).collect();
        let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or_default();
        let header = [HEADER, 0, size(&types), size(&types), size(&self.names)];
        let magic = 0xeb9f_u16.to_ne_bytes().into_iter().chain([1, 0]);
        magic
            .chain(header.into_iter().flat_map(u32::to_ne_bytes))
            .chain(types)
            .chain(self.names)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Slot;
    use super::*;
    use crate::btf::{Btf, Linkage, Shape};

    fn calls(count: usize) -> Calls {
        let slot = Slot { actions: 1 << 2, priority: 50, flags: 0 };
        Calls { version: 2, slots: vec![slot; count], frags: false }
    }

    #[test]
    fn every_call_leads_to_the_function_of_its_slot() {
        for count in 1..=PROGRAMS_MAX {
            let (code, functions) = code(&calls(count), 3);
            let begins: Vec<(u32, u32)> = functions
                .chunks(8)
                .map(|record| {
                    let word = |at: usize| {
                        u32::from_ne_bytes(record[at..at + 4].try_into().expect("four bytes"))
                    };
                    (word(0), word(4))
                })
                .collect();
            let called: Vec<u32> = code
                .iter()
                .enumerate()
                .filter(|(_, insn)| insn.code() == 0x85 && insn.src() == 1)
                .map(|(at, insn)| u32::try_from(at).unwrap() + 1 + insn.imm().cast_unsigned())
                .collect();
            let stubs: Vec<u32> = begins.iter().skip(1).map(|(at, _)| *at).collect();
            assert_eq!(called, stubs);
            assert_eq!(begins.first(), Some(&(0, MAIN)));
            // Each ends where the next begins.
            assert_eq!(u32::try_from(code.len()).unwrap(), stubs.last().unwrap() + 4);
            assert!(stubs.iter().all(|at| code[*at as usize - 1].code() == 0x95));
        }
    }

    #[test]
    fn the_functions_have_the_ids_that_are_counted_on() {
        let types = Types::new();
        let btf = Btf::parse(&types.bytes).expect("BTF");
        let global = |name: &str| {
            let found = btf.find(name, Kind::Func).expect("a function");
            assert!(matches!(found.shape(), Shape::Func { linkage: Linkage::Global, .. }));
            found.id()
        };
        assert_eq!(global(NAME), MAIN);
        assert_eq!(function(0, 1), MAIN);
        for slot in 0..PROGRAMS_MAX {
            assert_eq!(global(&format!("prog{slot}")), function(slot, PROGRAMS_MAX));
        }
    }
}
