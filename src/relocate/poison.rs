//! Instructions made invalid on purpose, and how a verifier's log tells of them.
//!
//! An access that the kernel's types do not have, or a call of a weak function that the kernel does
//! not have, may be guarded by a check that makes it unreachable. So it is no error to link it: it becomes a call of a helper that does not exist, and
//! only if the verifier reaches it the program is refused.

use super::insn::Insn;

/// The helper that does not exist: reads as "bad relo" (libbpf `bpf_core_poison_insn`).
pub const POISON: i32 = 0x0bad_2310;

/// The first of the helpers that stand for kernel functions (libbpf `POISON_CALL_KFUNC_BASE`).
const MISSING_FUNCTION: i32 = 2_002_000_000;
const MISSING_FUNCTIONS: std::ops::Range<i32> = MISSING_FUNCTION..2_003_000_000;

/// Makes the instruction `at` invalid, both halves of one that takes two places.
pub(super) fn poison(code: &mut [Insn], at: usize) {
    let places = match code.get(at) {
        Some(insn) if insn.is_ldimm64() => 2,
        _ => 1,
    };
    for insn in code.iter_mut().skip(at).take(places) {
        *insn = Insn::helper_call(POISON);
    }
}

/// A call of a helper that does not exist, in place of one of a weak kernel function that does not
/// either; `index` is that of the extern in libbpf's order.
pub(super) fn missing_function(index: i32) -> Insn {
    Insn::helper_call(MISSING_FUNCTION.saturating_add(index))
}

/// The poisoned instruction that a verifier's log ends with, counted from the beginning of the
/// program; `None` if the program was refused for another reason. What it stood for,
/// [`LinkedProgram::unresolved`](super::LinkedProgram::unresolved) knows.
///
/// The log has a line such as `42: (85) call unknown#195896080`, followed by `invalid func
/// unknown#195896080` (libbpf `fixup_verifier_log`).
#[must_use]
pub fn poisoned_instruction(log: &str) -> Option<usize> {
    log.lines().rev().find_map(|line| {
        let (index, rest) = line.trim_start().split_once(": ")?;
        let digits = rest.strip_prefix("(85) call unknown#")?;
        let end = digits.find(|character: char| !character.is_ascii_digit());
        let number: i32 = digits.get(..end.unwrap_or(digits.len()))?.parse().ok()?;
        let poisoned = number == POISON || MISSING_FUNCTIONS.contains(&number);
        poisoned.then(|| index.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_tells_of_a_poisoned_instruction() {
        let log = "0: R1=ctx() R10=fp0\n1: (b7) r0 = 0\n\
                   12: (85) call unknown#195896080\ninvalid func unknown#195896080\n\
                   processed 3 insns\n";
        assert_eq!(poisoned_instruction(log), Some(12));
        assert_eq!(poisoned_instruction("1: (85) call unknown#7\n"), None);
        assert_eq!(poisoned_instruction("3: (85) call unknown#2002000009\n"), Some(3));
    }

    #[test]
    fn both_halves_of_a_wide_load_are_poisoned() {
        let load = Insn(0x18);
        let mut code = [load, Insn::default(), Insn(0x95)];
        poison(&mut code, 0);
        let call = Insn::helper_call(POISON);
        assert_eq!(code, [call, call, Insn(0x95)]);
    }
}
