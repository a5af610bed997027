//! An access into a type: `struct sample.a[3]` (libbpf `struct bpf_core_spec`).

use std::fmt;

use crate::btf::{Btf, CoreRelo, Enumerators, Kind, Shape, Type};

use super::CoreError;
use super::kind::{ReloKind, Subject};

/// Most steps of an access (libbpf `BPF_CORE_SPEC_MAX_LEN`).
pub(super) const STEPS_MAX: usize = 64;

/// An access, spelled out in the types of one BTF.
#[derive(Clone, Debug)]
pub(super) struct Spec<'b, 'a> {
    pub(super) btf: &'b Btf<'a>,
    pub(super) kind: ReloKind,
    /// Id of the type it begins with.
    pub(super) root: u32,
    /// Named fields, array elements, or the one constant of an enum.
    pub(super) steps: Vec<Step<'a>>,
    /// How many indices lead there, those through anonymous structs included.
    pub(super) raw_len: usize,
    /// From the beginning of the root, in bits.
    pub(super) bit_offset: u32,
}

/// One step of an access.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    /// Id of the struct, union or enum; of the element for an array.
    pub(super) type_id: u32,
    /// Which member, constant or element.
    pub(super) index: u32,
    /// Of the member or constant; `None` for an element.
    pub(super) name: Option<&'a str>,
}

impl<'b, 'a> Spec<'b, 'a> {
    /// An access of no steps yet.
    pub(super) fn new(btf: &'b Btf<'a>, kind: ReloKind, root: u32) -> Self {
        Self { btf, kind, root, steps: Vec::new(), raw_len: 0, bit_offset: 0 }
    }

    /// Reads an access string such as `0:1:2` (libbpf `bpf_core_parse_spec`).
    pub(super) fn parse(
        btf: &'b Btf<'a>,
        kind: ReloKind,
        relocation: CoreRelo,
    ) -> Result<Self, CoreError> {
        let text = btf.string(relocation.access_str_off).unwrap_or_default();
        let wrong = |reason| CoreError::Access { access: text.to_owned(), reason };
        let mut spec = Self::new(btf, kind, relocation.type_id);
        btf.type_of(relocation.type_id)?;
        if kind.subject() == Subject::Type {
            return if text == "0" { Ok(spec) } else { Err(wrong("a type has no parts")) };
        }
        let indices = text
            .split(':')
            .map(|index| index.parse::<u32>().ok().filter(|index| i32::try_from(*index).is_ok()))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| wrong("it is no list of numbers"))?;
        let Some((first, rest)) = indices.split_first().filter(|_| indices.len() <= STEPS_MAX)
        else {
            return Err(wrong("it has too many steps"));
        };
        spec.raw_len = indices.len();
        let root = btf.resolve(relocation.type_id)?;
        if kind.subject() == Subject::Enumerator {
            let constant = enumerators(root)
                .filter(|_| rest.is_empty())
                .and_then(|list| list.get(*first as usize))
                .ok_or_else(|| wrong("there is no such constant"))?;
            let name = Some(constant.name);
            spec.steps.push(Step { type_id: root.id(), index: *first, name });
            return Ok(spec);
        }
        spec.steps.push(Step { type_id: root.id(), index: *first, name: None });
        spec.advance_elements(root.id(), *first)?;
        let mut current = root.id();
        for index in rest {
            let container = btf.resolve(current)?;
            match container.shape() {
                Shape::Struct(members) | Shape::Union(members) => {
                    let member = members
                        .get(*index as usize)
                        .ok_or_else(|| wrong("there is no such member"))?;
                    spec.advance(member.bit_offset)?;
                    if !member.name.is_empty() {
                        let (type_id, name) = (container.id(), Some(member.name));
                        spec.steps.push(Step { type_id, index: *index, name });
                    }
                    current = member.type_id;
                }
                Shape::Array(array) => {
                    let element = btf.resolve(array.element)?.id();
                    let flexible = is_flexible(btf, spec.steps.last(), array.count);
                    if !flexible && *index >= array.count {
                        return Err(wrong("there is no such element"));
                    }
                    spec.steps.push(Step { type_id: element, index: *index, name: None });
                    spec.advance_elements(element, *index)?;
                    current = element;
                }
                _ => return Err(wrong("it leads into something without parts")),
            }
        }
        Ok(spec)
    }

    /// Moves on by `bits`.
    pub(super) fn advance(&mut self, bits: u32) -> Result<(), CoreError> {
        self.bit_offset = self.bit_offset.checked_add(bits).ok_or(CoreError::TooDeep)?;
        Ok(())
    }

    /// Moves on by `count` elements of a type.
    pub(super) fn advance_elements(&mut self, type_id: u32, count: u32) -> Result<(), CoreError> {
        let size = self.btf.size_of(type_id)?;
        let bits = count.checked_mul(size).and_then(|bytes| bytes.checked_mul(8));
        self.advance(bits.ok_or(CoreError::TooDeep)?)
    }
}

/// The constants of an enum of either width.
pub(super) fn enumerators(of: Type<'_>) -> Option<Enumerators<'_>> {
    match of.shape() {
        Shape::Enum(list) | Shape::Enum64(list) => Some(list),
        _ => None,
    }
}

/// Whether an array of `count` elements is the flexible one at the end of the struct that `step`
/// is a member of (libbpf `is_flex_arr`).
pub(super) fn is_flexible(btf: &Btf<'_>, step: Option<&Step<'_>>, count: u32) -> bool {
    let Some(step) = step.filter(|step| step.name.is_some() && count == 0) else { return false };
    btf.get(step.type_id)
        .is_some_and(|container| step.index.checked_add(1) == Some(container.vlen()))
}

/// A type as C would write it: `struct task_struct`.
pub(super) fn root_text(btf: &Btf<'_>, id: u32) -> String {
    let Some(root) = btf.get(id) else { return format!("type {id}") };
    let name = match root.name() {
        "" => "<anonymous>",
        name => name,
    };
    match root.kind() {
        Kind::Enum | Kind::Enum64 => format!("enum {name}"),
        Kind::Union => format!("union {name}"),
        Kind::Fwd if root.flag() => format!("union {name}"),
        Kind::Struct | Kind::Fwd => format!("struct {name}"),
        _ => name.to_owned(),
    }
}

impl fmt::Display for Spec<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&root_text(self.btf, self.root))?;
        let separator = if self.kind.subject() == Subject::Enumerator { "::" } else { "." };
        for (position, step) in self.steps.iter().enumerate() {
            match step.name {
                Some(name) => write!(f, "{separator}{name}")?,
                None if position > 0 || step.index > 0 => write!(f, "[{}]", step.index)?,
                None => {}
            }
        }
        Ok(())
    }
}
