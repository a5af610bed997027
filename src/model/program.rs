//! Programs as an object declares them.

use serde::Serialize;

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
