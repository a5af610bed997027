//! One map definition: the struct of a variable in `.maps`, field by field.
//!
//! Source: `parse_btf_map_def` in libbpf's `src/libbpf.c`, which stops at the first mistake; here
//! each is reported and the rest is read all the same.

use super::ctypes;
use super::elf::NAME_MAX;
use crate::btf::{Btf, Kind, List, Member, Shape, Type};
use crate::model::kinds::MapType;

/// The fields of a definition; those it does not have are `None`.
#[derive(Default)]
pub(super) struct Definition {
    pub(super) map_type: Option<u32>,
    pub(super) key: Part,
    pub(super) value: Part,
    pub(super) max_entries: Option<u32>,
    pub(super) map_flags: Option<u32>,
    pub(super) numa_node: Option<u32>,
    pub(super) pinning: Option<u32>,
    pub(super) map_extra: Option<u64>,
    /// Of the `values` member.
    pub(super) values: Option<Values>,
    /// What is wrong, in the order of the fields.
    pub(super) problems: Vec<String>,
}

/// What a definition says about keys, or about values.
#[derive(Default)]
pub(super) struct Part {
    /// In bytes, from the type or from `key_size`.
    pub(super) size: Option<u32>,
    /// BTF id of the type, if there is one.
    pub(super) type_id: Option<u32>,
}

/// The `values` member: initialised slots of a prog array or map-in-map.
pub(super) struct Values {
    /// Where the slots begin in the variable, in bytes.
    pub(super) offset: u32,
    /// The definition of inner maps, of a map-in-map.
    pub(super) inner: Option<Box<Definition>>,
}

/// Most fields read of one definition, which has no use for more than there are.
const FIELDS_MAX: usize = 32;
/// All that a definition can say, for suggestions.
const FIELDS: [&str; 11] = [
    "type",
    "key",
    "key_size",
    "value",
    "value_size",
    "max_entries",
    "map_flags",
    "numa_node",
    "pinning",
    "map_extra",
    "values",
];

impl Definition {
    /// Reads a definition and, one level deep, that of its inner maps.
    pub(super) fn read(btf: &Btf<'_>, members: List<'_, Member<'_>>) -> Self {
        let mut reader = Reader { btf, definition: Self::default(), is_inner: false };
        reader.members(members);
        reader.definition
    }

    fn is(&self, types: &[MapType]) -> bool {
        self.map_type.is_some_and(|number| types.contains(&MapType(number)))
    }
}

struct Reader<'b, 'a> {
    btf: &'b Btf<'a>,
    definition: Definition,
    is_inner: bool,
}

impl Reader<'_, '_> {
    fn members(&mut self, members: List<'_, Member<'_>>) {
        if members.len() > FIELDS_MAX {
            self.report(format!(
                "has {} fields, of which the first {FIELDS_MAX} are read",
                members.len()
            ));
        }
        for member in members.iter().take(FIELDS_MAX) {
            self.member(&member);
        }
        if self.definition.map_type.unwrap_or(0) == 0 {
            self.report("map type isn't specified; add `__uint(type, BPF_MAP_TYPE_…);`");
        }
        // Last, because what `values` may be depends on the type.
        let last = members.len().saturating_sub(1);
        for (index, member) in members.iter().enumerate().take(FIELDS_MAX) {
            if member.name == "values" {
                self.values(&member, index == last);
            }
        }
    }

    fn member(&mut self, member: &Member<'_>) {
        match member.name {
            "type" => self.definition.map_type = self.number(member),
            "max_entries" => self.definition.max_entries = self.number(member),
            "map_flags" => self.definition.map_flags = self.number(member),
            "numa_node" => self.definition.numa_node = self.number(member),
            "map_extra" => self.definition.map_extra = self.long(member),
            "pinning" if self.is_inner => self.report(
                "inner def can't be pinned; remove `pinning` from it, or pin the outer map",
            ),
            "pinning" => self.definition.pinning = self.number(member),
            "key" => self.sized_type(member, |definition| &mut definition.key),
            "value" => self.sized_type(member, |definition| &mut definition.value),
            "key_size" => self.plain_size(member, |definition| &mut definition.key),
            "value_size" => self.plain_size(member, |definition| &mut definition.value),
            "values" => {}
            "" => self.report("has a field without a name"),
            long if long.len() >= NAME_MAX => self.report("has a field with an endless name"),
            unknown => self.report(unknown_field(unknown)),
        }
    }

    /// `__uint(field, N)`: a pointer to an array of N (libbpf `get_map_field_int`).
    fn number(&mut self, member: &Member<'_>) -> Option<u32> {
        let name = member.name;
        let Ok(found) = self.btf.resolve(member.type_id) else {
            self.report(format!("attr '{name}': its type cannot be read"));
            return None;
        };
        let Shape::Ptr(target) = found.shape() else {
            self.report(format!(
                "attr '{name}': expected PTR, got {}; write `__uint({name}, …);`",
                found.kind()
            ));
            return None;
        };
        match self.btf.get(target).map(Type::shape) {
            Some(Shape::Array(array)) => Some(array.count),
            Some(_) => {
                self.report(format!("attr '{name}': expected ARRAY; write `__uint({name}, …);`"));
                None
            }
            None => {
                self.report(format!("attr '{name}': type [{target}] not found"));
                None
            }
        }
    }

    /// `__ulong(field, N)`: an enum of one constant, or what `number` takes (libbpf
    /// `get_map_field_long`).
    fn long(&mut self, member: &Member<'_>) -> Option<u64> {
        let name = member.name;
        match self.btf.resolve(member.type_id).map(Type::shape) {
            Ok(Shape::Enum(constants) | Shape::Enum64(constants)) => {
                if constants.len() != 1 {
                    self.report(format!(
                        "attr '{name}': invalid __ulong; write `__ulong({name}, …);`"
                    ));
                    return None;
                }
                constants.get(0).map(|constant| constant.bits)
            }
            Ok(Shape::Ptr(_)) => self.number(member).map(u64::from),
            _ => {
                self.report(format!(
                    "attr '{name}': expected ENUM or ENUM64; write `__ulong({name}, …);`"
                ));
                None
            }
        }
    }

    /// `__type(key, T)`: a pointer to T.
    fn sized_type(&mut self, member: &Member<'_>, part: fn(&mut Definition) -> &mut Part) {
        let what = member.name;
        let Some(found) = self.btf.get(member.type_id) else {
            self.report(format!("{what} type [{}] not found", member.type_id));
            return;
        };
        let Shape::Ptr(target) = found.shape() else {
            self.report(format!(
                "{what} spec is not PTR: {}; write `__type({what}, …);`",
                found.kind()
            ));
            return;
        };
        let Ok(size) = self.btf.size_of(target) else {
            self.report(format!(
                "can't determine {what} size for type `{}`; it must be complete where the map is defined",
                ctypes::name(self.btf, target)
            ));
            return;
        };
        part(&mut self.definition).type_id = Some(target);
        self.size(what, size, part);
    }

    fn plain_size(&mut self, member: &Member<'_>, part: fn(&mut Definition) -> &mut Part) {
        if let Some(size) = self.number(member) {
            self.size(member.name.trim_end_matches("_size"), size, part);
        }
    }

    fn size(&mut self, what: &str, size: u32, part: fn(&mut Definition) -> &mut Part) {
        // As in libbpf, a size of 0 said first is no size.
        match part(&mut self.definition).size.replace(size) {
            Some(earlier) if earlier != 0 && earlier != size => self.report(format!(
                "conflicting {what} size {earlier} != {size}: `{what}_size` and the type of `{what}` disagree; remove `{what}_size`"
            )),
            _ => {}
        }
    }

    /// `__array(values, T)`: an array of no fixed length of pointers to T.
    fn values(&mut self, member: &Member<'_>, is_last: bool) {
        if self.is_inner {
            self.report("multi-level inner maps not supported; an inner map cannot have `values`");
            return;
        }
        if !is_last {
            self.report("'values' member should be last");
        }
        let is_outer = self.definition.is(&[MapType::ARRAY_OF_MAPS, MapType::HASH_OF_MAPS]);
        if !is_outer && !self.definition.is(&[MapType::PROG_ARRAY]) {
            self.report("has `values`, but should be map-in-map or prog-array for that");
            return;
        }
        match self.definition.value.size.replace(4) {
            None | Some(0 | 4) => {}
            Some(size) => self.report(format!(
                "conflicting value size {size} != 4; the values of a {} are ids of 4 bytes",
                if is_outer { "map-in-map" } else { "prog-array" }
            )),
        }
        let inner = self.slot_type(member, is_outer).unwrap_or_else(|problem| {
            self.report(problem);
            None
        });
        self.definition.values = Some(Values { offset: member.bit_offset / 8, inner });
    }

    /// The inner definition of a map-in-map, or a check that slots hold functions.
    fn slot_type(
        &mut self,
        member: &Member<'_>,
        is_outer: bool,
    ) -> Result<Option<Box<Definition>>, String> {
        let what = if is_outer { "map-in-map inner" } else { "prog-array value" };
        let array = match self.btf.get(member.type_id).map(Type::shape) {
            Some(Shape::Array(array)) if array.count == 0 => array,
            _ => {
                return Err(format!(
                    "{what} spec is not a zero-sized array; use `__array(values, …)`"
                ));
            }
        };
        let unexpected = |kind: Kind| format!("{what} def is of unexpected kind {kind}");
        let unreadable = |_| format!("{what} type cannot be read");
        let slot = self.btf.resolve(array.element).map_err(unreadable)?;
        let Shape::Ptr(target) = slot.shape() else { return Err(unexpected(slot.kind())) };
        let target = self.btf.resolve(target).map_err(unreadable)?;
        match target.shape() {
            Shape::Struct(members) if is_outer => {
                let mut reader =
                    Reader { btf: self.btf, definition: Definition::default(), is_inner: true };
                reader.members(members);
                let inner = &mut reader.definition;
                let problems = std::mem::take(&mut inner.problems);
                let prefixed = problems.into_iter().map(|problem| format!("inner map: {problem}"));
                self.definition.problems.extend(prefixed);
                Ok(Some(Box::new(reader.definition)))
            }
            Shape::FuncProto { .. } if !is_outer => Ok(None),
            _ => Err(unexpected(target.kind())),
        }
    }

    fn report(&mut self, problem: impl Into<String>) {
        self.definition.problems.push(problem.into());
    }
}

fn unknown_field(name: &str) -> String {
    let advice = match name {
        "id" | "size_key" | "size_value" | "max_elem" | "pinning_path" | "inner_id"
        | "inner_idx" => {
            "this is iproute2's or an older dialect; see libbpf's `bpf_helpers.h`".to_owned()
        }
        "inner_map_idx" | "inner_map_fd" => {
            "say what inner maps look like with `__array(values, struct { … })`".to_owned()
        }
        _ => {
            let close = |field: &&&str| strsim::damerau_levenshtein(name, field) <= 2;
            match FIELDS.iter().find(close) {
                Some(field) => format!("did you mean `{field}`?"),
                None => format!("a map has only {}", FIELDS.join(", ")),
            }
        }
    };
    format!("unknown field '{name}'; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::test_btf::TestBtf;

    fn read(build: impl FnOnce(&mut TestBtf) -> u32) -> Definition {
        let mut btf = TestBtf::new();
        let id = build(&mut btf);
        let bytes = btf.bytes();
        let btf = Btf::parse(&bytes).expect("it is well-formed");
        let members = btf.get(id).expect("it was added").members();
        Definition::read(&btf, members)
    }

    /// `__uint(type, BPF_MAP_TYPE_HASH)`.
    fn hash(btf: &mut TestBtf) -> u32 {
        let int = btf.int();
        let array = btf.array(int, MapType::HASH.0);
        btf.pointer(array)
    }

    #[test]
    fn map_extra_may_have_64_bits() {
        let definition = read(|btf| {
            let kind = hash(btf);
            let name = btf.string("value");
            let wide = btf.add("", Kind::Enum64, 1, 8, &[name, 0x89ab_cdef, 0x0123_4567]);
            btf.structure(&[("type", kind), ("map_extra", wide)])
        });
        assert_eq!(definition.map_extra, Some(0x0123_4567_89ab_cdef));
        assert!(definition.problems.is_empty());
    }

    #[test]
    fn map_extra_may_be_a_plain_number() {
        let definition = read(|btf| {
            let kind = hash(btf);
            btf.structure(&[("type", kind), ("map_extra", kind)])
        });
        assert_eq!(definition.map_extra, Some(1));
    }

    #[test]
    fn sizes_agree_in_either_order() {
        for (first, second) in [("key", "key_size"), ("key_size", "key")] {
            let definition = read(|btf| {
                let kind = hash(btf);
                let int = btf.int();
                let four = btf.array(int, 4);
                let (typed, sized) = (btf.pointer(int), btf.pointer(four));
                let of = |field| if field == "key" { typed } else { sized };
                btf.structure(&[("type", kind), (first, of(first)), (second, of(second))])
            });
            assert_eq!(definition.key.size, Some(4));
            assert!(definition.key.type_id.is_some());
            assert!(definition.problems.is_empty());
        }
    }

    #[test]
    fn a_field_whose_type_is_missing_is_reported() {
        let definition = read(|btf| {
            let kind = hash(btf);
            let dangling = btf.pointer(99);
            btf.structure(&[("type", kind), ("max_entries", dangling), ("key", 98), ("", kind)])
        });
        assert_eq!(
            definition.problems,
            [
                "attr 'max_entries': type [99] not found",
                "key type [98] not found",
                "has a field without a name",
            ]
        );
    }

    #[test]
    fn fields_are_not_read_without_end() {
        let definition = read(|btf| {
            let kind = hash(btf);
            btf.structure(&[("odd", kind); 100])
        });
        assert_eq!(definition.problems.len(), 2 + FIELDS_MAX);
        let long = "x".repeat(NAME_MAX);
        let definition = read(|btf| {
            let kind = hash(btf);
            btf.structure(&[("type", kind), (&long, kind)])
        });
        assert_eq!(definition.problems, ["has a field with an endless name"]);
    }
}
