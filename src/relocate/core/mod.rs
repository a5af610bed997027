//! CO-RE: instructions compiled against one kernel's types, adjusted to another's.
//!
//! A relocation names a local type and an access into it (`spec`); types of the same essential name
//! in the kernel are its candidates (`candidates`); each is matched (`matching`, with `compat` and
//! `type_match`), and from both sides a value is calculated (`value`) and put into the instruction
//! (`patch`). All candidates that match must agree. The rules are those of libbpf's
//! `src/relo_core.c`, to the letter: what links there links here, with the same result.
//!
//! Everything here is pure, and bounded: BTF that refers to itself without end runs into [`Fuel`].

mod candidates;
mod compat;
mod kind;
mod matching;
mod patch;
mod spec;
mod type_match;
mod value;

use std::cell::Cell;

use crate::btf::{Btf, BtfError, CoreRelo};

pub(super) use compat::{At, types_are_compatible};
pub(super) use kind::{ReloKind, essential};
pub(super) use value::Outcome;

use super::environment::Environment;
use super::modules::Modules;
use candidates::Candidates;
use spec::Spec;

/// Why a CO-RE relocation failed.
///
/// A relocation without a match is no failure: its instruction is poisoned, and only if the
/// verifier can reach it the program is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoreError {
    /// A kind newer than this program.
    #[error("kind {0} is unknown")]
    UnknownKind(u32),
    /// The record does not describe an access into its type.
    #[error("the access `{access}` does not fit the type: {reason}")]
    Access {
        /// As it is in `.BTF.ext`.
        access: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// The type has no name by which a candidate could be found.
    #[error("the type has no name to look for in the kernel")]
    Anonymous,
    /// There is no BTF of the kernel.
    #[error("the kernel's BTF is needed and not there")]
    NoKernelBtf,
    /// Two types of the kernel match and lead to different results.
    #[error("types {first} and {second} of the kernel both match, and disagree")]
    Ambiguous {
        /// Id of one.
        first: u32,
        /// Id of the other.
        second: u32,
    },
    /// A question about a type that has no answer.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// A bitfield that crosses a boundary of 8 bytes.
    #[error("the bitfield cannot be read with one load")]
    Bitfield,
    /// The relocation asks for something its access does not have.
    #[error("an element of an array has no such property")]
    ArrayProperty,
    /// Nested too deeply, or too much to compare.
    #[error("the types are nested too deeply")]
    TooDeep,
    /// The instruction does not hold what the compiler should have put there.
    #[error("the instruction holds {found} where the object's own types say {expected}")]
    Unexpected {
        /// What it holds.
        found: i64,
        /// What it should hold.
        expected: i64,
    },
    /// An offset that does not fit into a load or store.
    #[error("offset {0} does not fit into the instruction")]
    OffsetTooLarge(u64),
    /// A load or store of another width than the field.
    #[error("the instruction accesses {found} bytes of a field of {expected}")]
    AccessSize {
        /// Bytes it accesses.
        found: u32,
        /// Bytes of the field.
        expected: u32,
    },
    /// No kind of instruction that can be relocated.
    #[error("an instruction of code {0:#04x} cannot be relocated")]
    Instruction(u8),
}

/// How many steps of comparison one relocation may take: thousands of times what real types need.
pub(super) struct Fuel(Cell<u32>);

impl Fuel {
    pub(super) fn new() -> Self {
        Self(Cell::new(4_000_000))
    }

    fn burn(&self) -> Result<(), CoreError> {
        self.0.set(self.0.get().checked_sub(1).ok_or(CoreError::TooDeep)?);
        Ok(())
    }
}

/// The types that relocations adjust to.
#[derive(Clone, Copy)]
pub(super) struct Targets<'k> {
    /// The kernel's own.
    pub(super) kernel: &'k Btf<'k>,
    /// Those of its modules, for what the kernel's lack; `None` if the kernel's come from elsewhere.
    pub(super) modules: Option<&'k dyn Modules>,
}

impl<'k> Targets<'k> {
    pub(super) fn of(environment: &Environment<'k>) -> Option<Self> {
        match (environment.core_btf, environment.kernel) {
            (Some(kernel), _) => Some(Self { kernel, modules: None }),
            (None, Some(kernel)) => {
                Some(Self { kernel: kernel.own, modules: Some(kernel.modules) })
            }
            (None, None) => None,
        }
    }
}

/// One relocation resolved: what is to be done, and what it was about.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    /// As C would write the access.
    pub(super) access: String,
    /// What was asked.
    pub(super) kind: &'static str,
    pub(super) result: Result<Outcome, CoreError>,
}

/// Resolves the relocations of an object in their order.
///
/// The order matters as it does in libbpf: a relocation that finds a match strikes the candidates
/// of its type that did not match, for all that follow.
pub(super) struct Resolver<'r, 'a, 'k> {
    local: &'r Btf<'a>,
    /// `None` without types to adjust to.
    candidates: Option<Candidates<'k>>,
}

impl<'r, 'a, 'k> Resolver<'r, 'a, 'k> {
    /// Looks once through the kernel's types for the candidates of all `relocations`, and through its
    /// modules' for those that have none there.
    pub(super) fn new(
        local: &'r Btf<'a>,
        targets: Option<Targets<'k>>,
        relocations: impl Iterator<Item = CoreRelo>,
    ) -> Self {
        let roots = relocations
            .filter(|relocation| relocation.kind != ReloKind::TypeIdLocal as u32)
            .map(|relocation| relocation.type_id);
        let candidates = targets.map(|targets| Candidates::find(local, targets, roots));
        Self { local, candidates }
    }

    /// Resolves one.
    pub(super) fn resolve(&mut self, relocation: CoreRelo) -> Resolved {
        let kind = ReloKind::of(relocation.kind);
        let spec = kind
            .ok_or(CoreError::UnknownKind(relocation.kind))
            .and_then(|kind| Spec::parse(self.local, kind, relocation));
        let access = match &spec {
            Ok(spec) => spec.to_string(),
            Err(_) => spec::root_text(self.local, relocation.type_id),
        };
        Resolved {
            access,
            kind: kind.map_or("unknown", ReloKind::name),
            result: spec.and_then(|spec| self.calculate(&spec)),
        }
    }

    /// libbpf `bpf_core_calc_relo_insn`.
    fn calculate(&mut self, local: &Spec<'_, '_>) -> Result<Outcome, CoreError> {
        if local.kind == ReloKind::TypeIdLocal {
            return Ok(Outcome::local_type_id(local.root));
        }
        if self.local.type_of(local.root)?.is_anonymous() {
            return Err(CoreError::Anonymous);
        }
        let candidates = self.candidates.as_mut().ok_or(CoreError::NoKernelBtf)?;
        let fuel = Fuel::new();
        let mut matching = Vec::new();
        let mut agreed: Option<(Outcome, u32, u32)> = None;
        for candidate in candidates.of(local.root) {
            let Some(target) = matching::find(local, *candidate, &fuel)? else { continue };
            let outcome = value::calculate(local, Some(&target))?;
            match &agreed {
                None => agreed = Some((outcome, target.bit_offset, candidate.id)),
                Some((first, bit_offset, first_id)) => {
                    if *bit_offset != target.bit_offset || !first.agrees_with(&outcome) {
                        return Err(CoreError::Ambiguous {
                            first: *first_id,
                            second: candidate.id,
                        });
                    }
                }
            }
            matching.push(*candidate);
        }
        match agreed {
            Some((outcome, ..)) => {
                candidates.keep(local.root, matching);
                Ok(outcome)
            }
            None => value::calculate(local, None),
        }
    }
}

#[cfg(test)]
mod tests;
