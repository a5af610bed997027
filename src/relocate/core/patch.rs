//! Putting a value into an instruction (libbpf `bpf_core_patch_insn`).

use super::super::insn::{Class, Insn, join, split};
use super::super::poison;
use super::CoreError;
use super::value::{Adjustment, Outcome};

impl Outcome {
    /// Applies it to the instruction `at` of `code`; whether that was poisoned.
    pub(in crate::relocate) fn apply(
        &self,
        code: &mut [Insn],
        at: usize,
    ) -> Result<bool, CoreError> {
        let Some((insn, second)) = code.get_mut(at..).and_then(|rest| {
            let (insn, rest) = rest.split_first_mut()?;
            Some((insn, rest.first_mut()))
        }) else {
            return Err(CoreError::Instruction(0));
        };
        let poisoned = match self {
            Self::Poison => true,
            Self::Adjust(adjustment) => match insn.class() {
                Class::Arithmetic => adjustment.arithmetic(insn)?,
                Class::Memory => adjustment.memory(insn)?,
                Class::Load => adjustment.load(insn, second)?,
                Class::Jump => return Err(CoreError::Instruction(insn.code())),
            },
        };
        if poisoned {
            poison::poison(code, at);
        }
        Ok(poisoned)
    }
}

impl Adjustment {
    fn check(&self, found: i64) -> Result<(), CoreError> {
        if self.validate && found.cast_unsigned() != self.old {
            return Err(CoreError::Unexpected { found, expected: self.old.cast_signed() });
        }
        Ok(())
    }

    /// `rX = imm`, `rX += imm`
    fn arithmetic(&self, insn: &mut Insn) -> Result<bool, CoreError> {
        if insn.takes_register() {
            return Err(CoreError::Instruction(insn.code()));
        }
        self.check(insn.imm().into())?;
        *insn = insn.with_imm(split(self.new).0);
        Ok(false)
    }

    /// `rX = *(T *)(rY + off)`, `*(T *)(rX + off) = rY`, `*(T *)(rX + off) = imm`
    fn memory(&self, insn: &mut Insn) -> Result<bool, CoreError> {
        self.check(insn.off().into())?;
        let off = i16::try_from(self.new).ok().ok_or(CoreError::OffsetTooLarge(self.new))?;
        if self.unsafe_size {
            return Ok(true);
        }
        let mut adjusted = insn.with_off(off);
        if self.old_size != self.new_size {
            let wrong = |found| CoreError::AccessSize { found, expected: self.old_size };
            if insn.access_size() != self.old_size {
                return Err(wrong(insn.access_size()));
            }
            adjusted =
                adjusted.with_access_size(self.new_size).ok_or_else(|| wrong(self.new_size))?;
        }
        *insn = adjusted;
        Ok(false)
    }

    /// `rX = imm64`
    fn load(&self, insn: &mut Insn, second: Option<&mut Insn>) -> Result<bool, CoreError> {
        let wrong = CoreError::Instruction(insn.code());
        let Some(second) = second else { return Err(wrong) };
        let is_plain = insn.is_ldimm64()
            && (insn.src(), insn.off()) == (0, 0)
            && second.with_imm(0) == Insn::default();
        if !is_plain {
            return Err(wrong);
        }
        self.check(join(insn.imm(), second.imm()).cast_signed())?;
        let (low, high) = split(self.new);
        *insn = insn.with_imm(low);
        *second = second.with_imm(high);
        Ok(false)
    }
}
