//! BTF types as [`CType`]s: named as C would write them, and expanded.
//!
//! Bounded in depth, in types per expansion and in types per object, so that no BTF, however
//! crafted, makes it run long or allocate much.

use super::elf::NAME_MAX;
use crate::btf::{Btf, Enumerators, Int, IntEncoding, Kind, List, Member as BtfMember, Shape};
use crate::model::ctype::{CType, CTypeKind, Member};

/// How deep types are followed, as in libbpf's `MAX_RESOLVE_DEPTH`.
const DEPTH_MAX: u32 = 32;
/// Most types expanded for one object.
const OBJECT_NODES_MAX: usize = 64 * CType::NODES_MAX;

/// Expands the types of one object.
pub(super) struct Types<'a> {
    btf: &'a Btf<'a>,
    left: usize,
}

impl<'a> Types<'a> {
    pub(super) fn new(btf: &'a Btf<'a>) -> Self {
        Self { btf, left: OBJECT_NODES_MAX }
    }

    /// The type of that id; `None` for one without a size.
    pub(super) fn expand(&mut self, id: u32) -> Option<CType> {
        self.btf.size_of(id).ok()?;
        let allowance = self.left.min(CType::NODES_MAX);
        let mut expansion = Expansion { btf: self.btf, left: allowance };
        let ctype = expansion.ctype(id, 0);
        self.left -= allowance - expansion.left;
        Some(ctype)
    }

    /// The same without the `const` and `volatile` that belong to a variable, not to its values.
    pub(super) fn expand_unqualified(&mut self, id: u32) -> Option<CType> {
        self.expand(self.btf.resolve_modifiers(id).ok()?.id())
    }
}

/// The types of a map's key and value by their ids in its own BTF; `None` for one without a size.
#[must_use]
pub fn expand_types(btf: &Btf<'_>, ids: [u32; 2]) -> [Option<CType>; 2] {
    let mut types = Types::new(btf);
    ids.map(|id| types.expand_unqualified(id))
}

/// One expansion under way.
struct Expansion<'a> {
    btf: &'a Btf<'a>,
    /// Types that may still be expanded.
    left: usize,
}

impl<'a> Expansion<'a> {
    fn ctype(&mut self, id: u32, depth: u32) -> CType {
        let name = name(self.btf, id);
        let size = self.btf.size_of(id).unwrap_or(0);
        let kind = if depth < DEPTH_MAX && self.take(&name) {
            self.kind(id, depth)
        } else {
            CTypeKind::Opaque
        };
        CType { name, size, kind }
    }

    /// Whether there is allowance for one more; a name that is far too long costs more.
    fn take(&mut self, name: &str) -> bool {
        let cost = 1 + name.len() / 256;
        let enough = cost <= self.left;
        self.left = self.left.saturating_sub(cost);
        enough
    }

    fn kind(&mut self, id: u32, depth: u32) -> CTypeKind {
        let Ok(found) = self.btf.resolve(id) else { return CTypeKind::Opaque };
        match found.shape() {
            Shape::Int(int) => integer(int, found.name()),
            Shape::Float => CTypeKind::Float,
            Shape::Ptr(_) => CTypeKind::Pointer,
            Shape::Enum(constants) | Shape::Enum64(constants) => self.constants(constants),
            Shape::Array(array) => CTypeKind::Array {
                element: Box::new(self.ctype(array.element, depth + 1)),
                count: array.count,
            },
            Shape::Struct(members) => self.members(members, false, depth),
            Shape::Union(members) => self.members(members, true, depth),
            _ => CTypeKind::Opaque,
        }
    }

    fn constants(&mut self, constants: Enumerators<'a>) -> CTypeKind {
        if constants.len() > self.left {
            return CTypeKind::Opaque;
        }
        let mut variants = Vec::with_capacity(constants.len());
        for constant in constants.iter() {
            if !self.take(constant.name) {
                return CTypeKind::Opaque;
            }
            variants.push((constant.name.to_owned(), constant.bits.cast_signed()));
        }
        CTypeKind::Enum { signed: constants.signed, variants }
    }

    fn members(&mut self, members: List<'a, BtfMember<'a>>, union: bool, depth: u32) -> CTypeKind {
        if members.len() > self.left {
            return CTypeKind::Opaque;
        }
        let mut expanded = Vec::with_capacity(members.len());
        for member in members {
            if !self.take(member.name) {
                return CTypeKind::Opaque;
            }
            let (offset, width) = self.place(&member);
            expanded.push(Member {
                name: member.name.to_owned(),
                bit_offset: offset,
                bit_width: width,
                ctype: self.ctype(member.type_id, depth + 1),
            });
        }
        CTypeKind::Struct { union, members: expanded }
    }

    /// Offset and bitfield width of a member. Before the kind flag, a bitfield was told by an
    /// integer type narrower than its storage.
    fn place(&self, member: &BtfMember<'_>) -> (u32, Option<u32>) {
        if member.bit_width > 0 {
            return (member.bit_offset, Some(member.bit_width));
        }
        let narrow = self.btf.resolve(member.type_id).ok().and_then(|found| match found.shape() {
            Shape::Int(int) => {
                (int.bits < found.size()?.saturating_mul(8)).then_some((int.bit_offset, int.bits))
            }
            _ => None,
        });
        match narrow {
            Some((offset, bits)) => (member.bit_offset.saturating_add(offset), Some(bits)),
            None => (member.bit_offset, None),
        }
    }
}

fn integer(int: Int, name: &str) -> CTypeKind {
    match int.encoding {
        IntEncoding::Bool => CTypeKind::Bool,
        // `char` has a sign on BPF; compilers that set this bit leave the sign's out.
        IntEncoding::Char => CTypeKind::Char { signed: true },
        encoding => {
            let signed = encoding == IntEncoding::Signed;
            // Only plain `char` is text: `__u8` is `unsigned char` and holds numbers.
            if name == "char" { CTypeKind::Char { signed } } else { CTypeKind::Int { signed } }
        }
    }
}

/// The type as C would write it: `struct flow_key`, `__u32`, `char[16]`, `void *`. What has no name
/// is written `struct {…}`, a function's parameters `(…)`.
pub(super) fn name(btf: &Btf<'_>, id: u32) -> String {
    declare(btf, id, String::new(), 0)
}

/// Puts the type in front of and around a declarator, as C's syntax asks.
fn declare(btf: &Btf<'_>, id: u32, declarator: String, depth: u32) -> String {
    let Some(found) = btf.get(id).filter(|_| depth < DEPTH_MAX) else {
        return join("…", &declarator);
    };
    let depth = depth + 1;
    match found.shape() {
        Shape::Ptr(target) => {
            let binds_tighter = btf
                .resolve_modifiers(target)
                .is_ok_and(|target| matches!(target.kind(), Kind::Array | Kind::FuncProto));
            let declarator =
                if binds_tighter { format!("(*{declarator})") } else { format!("*{declarator}") };
            declare(btf, target, declarator, depth)
        }
        Shape::Array(array) => {
            declare(btf, array.element, format!("{declarator}[{}]", array.count), depth)
        }
        Shape::FuncProto { returns, .. } => {
            declare(btf, returns, format!("{declarator}(…)"), depth)
        }
        Shape::Const(target) => qualify(btf, "const", target, declarator, depth),
        Shape::Volatile(target) => qualify(btf, "volatile", target, declarator, depth),
        Shape::Restrict(target) => qualify(btf, "restrict", target, declarator, depth),
        Shape::TypeTag(target) => {
            // The macros of the kernel and of libbpf are named after their tags: `__kptr`, `__user`.
            let space = if declarator.is_empty() { "" } else { " " };
            declare(btf, target, format!("__{}{space}{declarator}", found.name()), depth)
        }
        Shape::Var { target, .. } | Shape::DeclTag { target, .. } => {
            declare(btf, target, declarator, depth)
        }
        Shape::Struct(_) | Shape::Fwd { union: false } => {
            tagged("struct", found.name(), &declarator)
        }
        Shape::Union(_) | Shape::Fwd { union: true } => tagged("union", found.name(), &declarator),
        Shape::Enum(_) | Shape::Enum64(_) => tagged("enum", found.name(), &declarator),
        Shape::Void => join("void", &declarator),
        Shape::Int(_)
        | Shape::Float
        | Shape::Typedef(_)
        | Shape::Func { .. }
        | Shape::Datasec(_)
        | Shape::Unknown => join(found.name(), &declarator),
    }
}

fn qualify(btf: &Btf<'_>, qualifier: &str, target: u32, declarator: String, depth: u32) -> String {
    if btf.resolve_modifiers(target).is_ok_and(|target| target.kind() == Kind::Ptr) {
        let space = if declarator.is_empty() { "" } else { " " };
        return declare(btf, target, format!("{qualifier}{space}{declarator}"), depth);
    }
    format!("{qualifier} {}", declare(btf, target, declarator, depth))
}

fn tagged(keyword: &str, name: &str, declarator: &str) -> String {
    let tag = if name.is_empty() { "{…}" } else { name };
    join(&format!("{keyword} {tag}"), declarator)
}

fn join(base: &str, declarator: &str) -> String {
    let base = if base.len() < NAME_MAX { base } else { "…" };
    let space = if declarator.is_empty() || declarator.starts_with('[') { "" } else { " " };
    format!("{base}{space}{declarator}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::test_btf::TestBtf;

    #[test]
    fn declarators_nest_as_in_c() {
        let mut btf = TestBtf::new();
        let int = btf.int();
        let row = btf.array(int, 3);
        let matrix = btf.array(row, 2);
        let to_row = btf.pointer(row);
        let to_int = btf.pointer(int);
        let pointers = btf.array(to_int, 4);
        let constant = btf.add("", Kind::Const, 0, int, &[]);
        let to_constant = btf.pointer(constant);
        let fixed = btf.add("", Kind::Const, 0, to_int, &[]);
        let to_fixed = btf.pointer(fixed);
        let prototype = btf.add("", Kind::FuncProto, 0, int, &[]);
        let callback = btf.pointer(prototype);
        let nothing = btf.pointer(0);
        let named = btf.add("row_t", Kind::Typedef, 0, row, &[]);
        let anonymous = btf.structure(&[]);
        let forward = btf.add("later", Kind::Fwd, 0, 0, &[]);
        let kept = btf.add("kptr", Kind::TypeTag, 0, forward, &[]);
        let to_kept = btf.pointer(kept);
        let bytes = btf.bytes();
        let btf = Btf::parse(&bytes).expect("it is well-formed");
        for (id, expected) in [
            (matrix, "int[2][3]"),
            (to_row, "int (*)[3]"),
            (pointers, "int *[4]"),
            (to_constant, "const int *"),
            (fixed, "int *const"),
            (to_fixed, "int *const *"),
            (callback, "int (*)(…)"),
            (nothing, "void *"),
            (named, "row_t"),
            (anonymous, "struct {…}"),
            (forward, "struct later"),
            (to_kept, "struct later __kptr *"),
        ] {
            assert_eq!(name(&btf, id), expected);
        }
    }

    #[test]
    fn a_struct_of_itself_ends() {
        let mut btf = TestBtf::new();
        let own = 1;
        assert_eq!(btf.structure(&[("a", own), ("b", own)]), own);
        let bytes = btf.bytes();
        let btf = Btf::parse(&bytes).expect("it is well-formed");
        let ctype = Types::new(&btf).expand(own).expect("it has a size");
        assert!(nodes(&ctype) <= CType::NODES_MAX);
    }

    #[test]
    fn an_object_has_one_allowance() {
        let mut btf = TestBtf::new();
        let own = 1;
        btf.structure(&[("a", own), ("b", own)]);
        let bytes = btf.bytes();
        let btf = Btf::parse(&bytes).expect("it is well-formed");
        let mut types = Types::new(&btf);
        let total: usize =
            (0..200).filter_map(|_| types.expand(own)).map(|ctype| nodes(&ctype)).sum();
        assert!(total <= 2 * OBJECT_NODES_MAX, "{total}");
        let last = types.expand(own).expect("it has a size");
        assert_eq!(last.kind, CTypeKind::Opaque);
        assert_eq!(last.size, 16);
    }

    #[test]
    fn a_narrow_integer_is_a_bitfield() {
        let mut btf = TestBtf::new();
        let narrow = btf.add("unsigned int", Kind::Int, 0, 4, &[5 << 16 | 3]);
        let flags = btf.structure(&[("mode", narrow)]);
        let bytes = btf.bytes();
        let btf = Btf::parse(&bytes).expect("it is well-formed");
        let ctype = Types::new(&btf).expand(flags).expect("it has a size");
        let CTypeKind::Struct { members, .. } = ctype.kind else { panic!("{ctype} is no struct") };
        let places: Vec<_> =
            members.iter().map(|member| (member.bit_offset, member.bit_width)).collect();
        assert_eq!(places, [(5, Some(3))]);
    }

    fn nodes(ctype: &CType) -> usize {
        1 + match &ctype.kind {
            CTypeKind::Array { element, .. } => nodes(element),
            CTypeKind::Struct { members, .. } => {
                members.iter().map(|member| nodes(&member.ctype)).sum()
            }
            _ => 0,
        }
    }
}
