//! What the kernel keeps for programs whose license is compatible with the GPL: some types of programs,
//! and kernel functions. Helpers are in [`helper`](super::helper).

use super::kinds::ProgramType;
use super::program::{Instruction, ProgramSpec};

/// The licenses that the kernel counts as compatible with the GPL, word by word.
pub const GPL_COMPATIBLE: [&str; 6] =
    ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/// Whether the kernel counts a license as compatible with the GPL (`license_is_gpl_compatible` in
/// `include/linux/license.h`).
#[must_use]
pub fn is_gpl_compatible(license: &str) -> bool {
    GPL_COMPATIBLE.contains(&license)
}

/// Why a program is for GPL-compatible objects only, whichever helpers it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Its type, whatever it does (`bpf_lsm_verify_prog` in `kernel/bpf/bpf_lsm.c`, and
    /// `check_struct_ops_btf_id` in `kernel/bpf/verifier.c`, there since 12aa8a9467b3 of Linux 5.12).
    Type,
    /// It calls functions of the kernel, which is refused even where the call is never reached
    /// (`add_kfunc_call` in `kernel/bpf/verifier.c`).
    Functions,
    /// It calls functions of the kernel if there are such. Where there are none, the call is gone by
    /// the time that the verifier looks.
    WeakFunctions,
}

/// Why a program is for GPL-compatible objects only; `None` if its type and its kernel functions do not
/// make it so. `tests/kernel/layer/licenses.rs` asks the verifier.
#[must_use]
pub fn reserved(program: &ProgramSpec) -> Option<Reserved> {
    let kind = program.kind.as_ref()?;
    let uses = &program.uses;
    if matches!(kind.program_type, ProgramType::LSM | ProgramType::STRUCT_OPS) {
        Some(Reserved::Type)
    } else if uses.needs_kernel_functions {
        Some(Reserved::Functions)
    } else {
        uses.instructions.contains(&Instruction::KernelFunction).then_some(Reserved::WeakFunctions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licenses_are_compared_word_by_word() {
        assert!(is_gpl_compatible("Dual MIT/GPL") && is_gpl_compatible("GPL"));
        assert!(
            !is_gpl_compatible("GPL-2.0") && !is_gpl_compatible("MIT") && !is_gpl_compatible("")
        );
    }
}
