//! Programs as an object declares them.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::dispatch::Run;
use super::helper::Helper;
use super::kinds::{AttachType, ProgramType};

/// One program (entry point) of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramSpec {
    /// The function's name.
    pub name: String,
    /// Its section as written, with any `?` in front.
    pub section: String,
    /// What the section says, by libbpf's section table; `None` for a section libbpf does not know.
    pub kind: Option<ProgramKind>,
    /// `false` for a section with `?`: loaded only when the manifest names the program.
    pub autoload: bool,
    /// Size of its own code, without the functions it calls, in instructions of 8 bytes.
    pub instructions: u32,
    /// What it asks of the kernel, in its own code and in the functions it calls.
    #[serde(skip)]
    pub uses: Uses,
    /// When and how a dispatcher of libxdp shall call it, where the object says so (`.xdp_run_config`).
    #[serde(skip)]
    pub xdp_run: Option<Run>,
}

/// What code asks of the kernel, whether or not it is ever reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// The helpers that it calls.
    pub helpers: BTreeSet<Helper>,
    /// Instructions that the first kernels did not have.
    pub instructions: BTreeSet<Instruction>,
    /// Whether one of the kernel functions that it calls must be there: not all of them are `__weak`.
    pub needs_kernel_functions: bool,
}

/// Instructions by the extension of the instruction set that brought them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Instruction {
    /// A call of another function of the program.
    Call,
    /// A jump that compares 32 bits (`BPF_JMP32`; `-mcpu=v3`).
    Jump32,
    /// An atomic operation that yields the old value, or other than an addition (`-mcpu=v3`).
    AtomicFetch,
    /// Sign extension, unconditional byte swap, signed division or a long jump (`-mcpu=v4`).
    Version4,
    /// `BPF_JCOND`, of the loops of `can_loop` and `cond_break`.
    MayGoto,
    /// A pointer that changes between the address spaces of an arena and the program.
    AddressSpaceCast,
    /// An atomic load or store with ordering.
    LoadAcquire,
    /// A function passed as a value, to be called back.
    Callback,
    /// A call of a kernel function.
    KernelFunction,
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "calls of functions",
            Self::Jump32 => "jumps that compare 32 bits (`-mcpu=v3`)",
            Self::AtomicFetch => "atomic operations that yield a value (`-mcpu=v3`)",
            Self::Version4 => "instructions of `-mcpu=v4`",
            Self::MayGoto => "`may_goto` (`can_loop`, `cond_break`)",
            Self::AddressSpaceCast => "casts between address spaces (arenas)",
            Self::LoadAcquire => "loads and stores with ordering",
            Self::Callback => "callbacks",
            Self::KernelFunction => "calls of kernel functions",
        })
    }
}

/// What a section name means (libbpf's `section_defs`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags of libbpf's section table")]
pub struct ProgramKind {
    /// Program type for `BPF_PROG_LOAD`.
    pub program_type: ProgramType,
    /// `expected_attach_type`, where the section fixes one.
    pub attach_type: Option<AttachType>,
    /// Whether `expected_attach_type` may be left 0 on kernels that do not know it (libbpf's
    /// `SEC_EXP_ATTACH_OPT`).
    pub attach_type_optional: bool,
    /// What follows the section's prefix: `syscalls/sys_enter_execve` of
    /// `tp/syscalls/sys_enter_execve`. `None` if nothing follows.
    pub target: Option<String>,
    /// `.s` sections: `BPF_F_SLEEPABLE`.
    pub sleepable: bool,
    /// `xdp.frags`: `BPF_F_XDP_HAS_FRAGS`.
    pub xdp_frags: bool,
    /// Whether loading needs the BTF id of `target` in the kernel (`SEC_ATTACH_BTF`: `tp_btf`,
    /// `fentry`, `lsm`, `iter`…).
    pub needs_attach_btf: bool,
}

impl ProgramKind {
    /// As which an XDP program is loaded that a dispatcher shall call: it replaces a function of that,
    /// which has the attach type and takes packets in several buffers, or does not.
    #[must_use]
    pub fn called_by_dispatcher(&self) -> Self {
        Self {
            program_type: ProgramType::EXT,
            attach_type: None,
            xdp_frags: false,
            needs_attach_btf: true,
            ..self.clone()
        }
    }
}
