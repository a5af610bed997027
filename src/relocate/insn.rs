//! One instruction of eight bytes (`struct bpf_insn`), and the codes the linker must know.

use std::fmt;

/// `struct bpf_insn` as the number its eight little-endian bytes make, so that a slice of them is
/// what `BPF_PROG_LOAD` takes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Insn(pub u64);

/// `src_reg` of a `ldimm64` that loads a map's descriptor.
pub(super) const PSEUDO_MAP_FD: u8 = 1;
/// `src_reg` of a `ldimm64` that loads an address within the value of an array map.
pub(super) const PSEUDO_MAP_VALUE: u8 = 2;
/// `src_reg` of a `ldimm64` that loads the address of a kernel variable by BTF id.
pub(super) const PSEUDO_BTF_ID: u8 = 3;
/// `src_reg` of a `ldimm64` that loads the address of a subprogram.
pub(super) const PSEUDO_FUNC: u8 = 4;
/// `src_reg` of a call of a subprogram.
pub(super) const PSEUDO_CALL: u8 = 1;
/// `src_reg` of a call of a kernel function by BTF id.
pub(super) const PSEUDO_KFUNC_CALL: u8 = 2;

/// `BPF_JMP | BPF_CALL`
const CALL: u8 = 0x85;
/// `BPF_LD | BPF_IMM | BPF_DW`
const LDIMM64: u8 = 0x18;

/// `BPF_CLASS` of an instruction's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `BPF_LD`
    Load,
    /// `BPF_LDX`, `BPF_ST`, `BPF_STX`
    Memory,
    /// `BPF_ALU`, `BPF_ALU64`
    Arithmetic,
    /// `BPF_JMP`, `BPF_JMP32`
    Jump,
}

impl Insn {
    /// Bytes of an instruction.
    pub const SIZE: usize = 8;

    /// Decodes code; bytes that make no whole instruction at the end are dropped.
    pub(super) fn decode(code: &[u8]) -> impl Iterator<Item = Self> + '_ {
        let (chunks, _) = code.as_chunks::<{ Self::SIZE }>();
        chunks.iter().map(|bytes| Self(u64::from_le_bytes(*bytes)))
    }

    /// The instruction at `index`.
    pub(super) fn at(code: &[u8], index: usize) -> Option<Self> {
        let bytes = code.get(index.checked_mul(Self::SIZE)?..)?.first_chunk()?;
        Some(Self(u64::from_le_bytes(*bytes)))
    }

    /// A call of the helper `number`.
    pub(super) fn helper_call(number: i32) -> Self {
        Self(u64::from(CALL)).with_imm(number)
    }

    /// The eight bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        self.0.to_le_bytes()
    }

    /// Operation code.
    #[must_use]
    pub fn code(self) -> u8 {
        self.to_bytes()[0]
    }

    /// Destination register.
    #[must_use]
    pub fn dst(self) -> u8 {
        self.to_bytes()[1] & 0x0f
    }

    /// Source register.
    #[must_use]
    pub fn src(self) -> u8 {
        self.to_bytes()[1] >> 4
    }

    /// Offset.
    #[must_use]
    pub fn off(self) -> i16 {
        let [_, _, low, high, ..] = self.to_bytes();
        i16::from_le_bytes([low, high])
    }

    /// Immediate.
    #[must_use]
    pub fn imm(self) -> i32 {
        let [.., a, b, c, d] = self.to_bytes();
        i32::from_le_bytes([a, b, c, d])
    }

    /// The same with another code.
    pub(super) fn with_code(self, code: u8) -> Self {
        Self(self.0 & !0xff | u64::from(code))
    }

    /// The same with another source register.
    pub(super) fn with_src(self, src: u8) -> Self {
        Self(self.0 & !0xf000 | u64::from(src & 0x0f) << 12)
    }

    /// The same with another offset.
    pub(super) fn with_off(self, off: i16) -> Self {
        Self(self.0 & !0xffff_0000 | u64::from(off.cast_unsigned()) << 16)
    }

    /// The same with another immediate.
    pub(super) fn with_imm(self, imm: i32) -> Self {
        Self(self.0 & 0xffff_ffff | u64::from(imm.cast_unsigned()) << 32)
    }

    pub(super) fn class(self) -> Class {
        match self.code() & 0x07 {
            0 => Class::Load,
            1..=3 => Class::Memory,
            4 | 7 => Class::Arithmetic,
            _ => Class::Jump,
        }
    }

    /// Whether an arithmetic instruction takes a register instead of the immediate.
    pub(super) fn takes_register(self) -> bool {
        self.code() & 0x08 != 0
    }

    pub(super) fn is_call(self) -> bool {
        self.code() == CALL
    }

    pub(super) fn is_ldimm64(self) -> bool {
        self.code() == LDIMM64
    }

    /// libbpf `insn_is_subprog_call`.
    pub(super) fn is_subprogram_call(self) -> bool {
        self.is_call() && self.src() == PSEUDO_CALL && self.dst() == 0 && self.off() == 0
    }

    /// libbpf `insn_is_pseudo_func`.
    pub(super) fn is_subprogram_address(self) -> bool {
        self.is_ldimm64() && self.src() == PSEUDO_FUNC
    }

    /// Bytes a memory instruction accesses.
    pub(super) fn access_size(self) -> u32 {
        match self.code() & 0x18 {
            0x00 => 4,
            0x08 => 2,
            0x10 => 1,
            _ => 8,
        }
    }

    /// The same memory instruction for an access of 1, 2, 4 or 8 bytes.
    pub(super) fn with_access_size(self, bytes: u32) -> Option<Self> {
        let size = match bytes {
            8 => 0x18,
            4 => 0x00,
            2 => 0x08,
            1 => 0x10,
            _ => return None,
        };
        Some(self.with_code(self.code() & !0x18 | size))
    }
}

/// The immediates by which the two places of a `ldimm64` hold a number: low, high.
pub(super) fn split(number: u64) -> (i32, i32) {
    let word = |bits: u64| u32::try_from(bits & 0xffff_ffff).unwrap_or_default().cast_signed();
    (word(number), word(number >> 32))
}

/// The number that two such immediates hold.
pub(super) fn join(low: i32, high: i32) -> u64 {
    u64::from(high.cast_unsigned()) << 32 | u64::from(low.cast_unsigned())
}

impl fmt::Debug for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:02x} r{} r{} {} {}",
            self.code(),
            self.dst(),
            self.src(),
            self.off(),
            self.imm()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Insn, join, split};

    #[test]
    fn fields_are_where_the_kernel_has_them() {
        let code = [0x79, 0x61, 0xf8, 0xff, 0x02, 0, 0, 0x80];
        let insn = Insn::decode(&code).next().unwrap();
        assert_eq!((insn.code(), insn.dst(), insn.src()), (0x79, 1, 6));
        assert_eq!((insn.off(), insn.imm()), (-8, i32::MIN + 2));
        assert_eq!(insn.access_size(), 8);
        assert_eq!(insn.with_off(insn.off()).with_imm(insn.imm()).with_src(6), insn);
        assert_eq!(insn.with_access_size(2).unwrap().code(), 0x69);
        assert_eq!(insn.with_access_size(3), None);
        assert_eq!(insn.with_imm(-1).to_bytes(), [0x79, 0x61, 0xf8, 0xff, 255, 255, 255, 255]);
    }

    #[test]
    fn wide_numbers_are_split() {
        assert_eq!(split(0x8000_0001_ffff_fffe), (-2, i32::MIN + 1));
        assert_eq!(join(-2, i32::MIN + 1), 0x8000_0001_ffff_fffe);
    }
}
