//! CO-RE between types made by hand: the rules no compiler at hand can be made to show.

use crate::btf::writer::{FLAG, Writer};
use crate::btf::{Btf, CoreRelo, Kind};

use super::super::insn::Insn;
use super::super::modules::{Module, Modules};
use super::kind::ReloKind;
use super::{CoreError, Outcome, Resolver, Targets};

/// `rX = *(u64 *)(rY + off)`, `…u32…`, `…u8…`, `rX = imm`, `rX = imm64`
const LDX_DW: u64 = 0x79;
const LDX_W: u64 = 0x61;
const MOV: u64 = 0xb7;
const LDIMM64: u64 = 0x18;

/// Two sides of a relocation.
struct Sides {
    local: Writer,
    kernel: Writer,
    module: Option<Writer>,
}

/// The modules that are loaded.
#[derive(Debug)]
struct Loaded<'m>(Vec<Module<'m>>);

impl Modules for Loaded<'_> {
    fn all(&self) -> &[Module<'_>] {
        &self.0
    }

    fn descriptor(&self, _: &Module<'_>) -> Result<i32, String> {
        panic!("CO-RE needs none")
    }
}

/// Modules that must not be looked at.
#[derive(Debug)]
struct Closed;

impl Modules for Closed {
    fn all(&self) -> &[Module<'_>] {
        panic!("the kernel's own types have everything")
    }

    fn descriptor(&self, _: &Module<'_>) -> Result<i32, String> {
        panic!("CO-RE needs none")
    }
}

/// Both with `unsigned long` as type 1 and `int` as type 2.
fn sides() -> Sides {
    let side = || {
        let mut writer = Writer::default();
        writer.int("long unsigned int", 64, false);
        writer.int("int", 32, true);
        writer
    };
    Sides { local: side(), kernel: side(), module: None }
}

impl Sides {
    /// Resolves accesses into local types, one after the other.
    fn resolve(
        mut self,
        accesses: &[(u32, &str, ReloKind)],
    ) -> Vec<(String, Result<Outcome, CoreError>)> {
        let relocations: Vec<_> = accesses
            .iter()
            .map(|(type_id, access, kind)| CoreRelo {
                insn_off: 0,
                type_id: *type_id,
                access_str_off: self.local.name(access),
                kind: *kind as u32,
            })
            .collect();
        let (local, kernel) = (self.local.finish(), self.kernel.finish());
        let (local, kernel) = (Btf::parse(&local).unwrap(), Btf::parse(&kernel).unwrap());
        let module = self.module.map(Writer::finish);
        let modules = module.iter().map(|bytes| Btf::parse_split(bytes, &kernel).unwrap());
        let named = |types| Module { name: "tun".to_owned(), types };
        let modules = Loaded(modules.map(named).collect());
        let targets = Targets { kernel: &kernel, modules: Some(&modules) };
        let mut resolver = Resolver::new(&local, Some(targets), relocations.iter().copied());
        relocations
            .into_iter()
            .map(|relocation| resolver.resolve(relocation))
            .map(|resolved| (resolved.access, resolved.result))
            .collect()
    }

    fn resolve_one(
        self,
        type_id: u32,
        access: &str,
        kind: ReloKind,
    ) -> (String, Result<Outcome, CoreError>) {
        self.resolve(&[(type_id, access, kind)]).remove(0)
    }
}

/// The value that lands in `mov`.
fn value(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Adjust(adjustment) => adjustment.new,
        Outcome::Poison => panic!("poisoned"),
    }
}

fn apply(outcome: &Outcome, code: &mut [Insn]) -> Result<bool, CoreError> {
    outcome.apply(code, 0)
}

#[test]
fn a_member_is_found_through_anonymous_structs() {
    let mut sides = sides();
    let root = sides.local.structure("sample", 16, &[("gone", 1, 0), ("b", 1, 64)]);
    let inner = sides.kernel.structure("", 16, &[("a", 1, 0), ("b", 1, 64)]);
    let union = sides.kernel.composite(Kind::Union, "", 16, 0, &[("x", 1, 0), ("", inner, 0)]);
    sides.kernel.structure("sample", 24, &[("first", 1, 0), ("", union, 64)]);
    let (access, result) = sides.resolve_one(root, "0:1", ReloKind::FieldByteOffset);
    assert_eq!(access, "struct sample.b");
    let outcome = result.unwrap();
    let mut code = [Insn(LDX_DW).with_off(8)];
    assert_eq!(apply(&outcome, &mut code), Ok(false));
    assert_eq!(code[0].off(), 16);
}

#[test]
fn an_instruction_that_holds_something_else_is_refused() {
    let mut sides = sides();
    let root = sides.local.structure("sample", 8, &[("b", 1, 0)]);
    sides.kernel.structure("sample", 16, &[("a", 1, 0), ("b", 1, 64)]);
    let (_, result) = sides.resolve_one(root, "0:0", ReloKind::FieldByteOffset);
    let mut code = [Insn(LDX_DW).with_off(4)];
    let refused = apply(&result.unwrap(), &mut code);
    assert_eq!(refused, Err(CoreError::Unexpected { found: 4, expected: 0 }));
}

#[test]
fn a_narrower_unsigned_member_narrows_the_load() {
    let mut sides = sides();
    let root = sides.local.structure("sample", 8, &[("b", 1, 0)]);
    let narrow = sides.kernel.int("unsigned int", 32, false);
    sides.kernel.structure("sample", 8, &[("a", narrow, 0), ("b", narrow, 32)]);
    let (_, result) = sides.resolve_one(root, "0:0", ReloKind::FieldByteOffset);
    let mut code = [Insn(LDX_DW)];
    assert_eq!(apply(&result.unwrap(), &mut code), Ok(false));
    assert_eq!(code[0], Insn(LDX_W).with_off(4));
}

#[test]
fn a_signed_member_of_another_width_poisons_the_load_but_not_an_addition() {
    let mut sides = sides();
    let wide = sides.local.int("long int", 64, true);
    let root = sides.local.structure("sample", 8, &[("b", wide, 0)]);
    sides.kernel.structure("sample", 8, &[("a", 2, 0), ("b", 2, 32)]);
    let (_, result) = sides.resolve_one(root, "0:0", ReloKind::FieldByteOffset);
    let outcome = result.unwrap();
    assert_eq!(apply(&outcome, &mut [Insn(LDX_DW)]), Ok(true));
    let mut code = [Insn(MOV)];
    assert_eq!(apply(&outcome, &mut code), Ok(false));
    assert_eq!(code[0].imm(), 4);
}

#[test]
fn what_is_nowhere_poisons_or_is_zero() {
    let mut sides = sides();
    let root = sides.local.structure("sample", 8, &[("b", 1, 0)]);
    sides.kernel.structure("sample", 8, &[("a", 1, 0)]);
    let results = sides.resolve(&[
        (root, "0:0", ReloKind::FieldByteOffset),
        (root, "0:0", ReloKind::FieldExists),
        (root, "0", ReloKind::TypeExists),
        (root, "0", ReloKind::TypeSize),
    ]);
    assert_eq!(results[0].1, Ok(Outcome::Poison));
    let values: Vec<_> =
        results[1..].iter().map(|(_, result)| value(result.as_ref().unwrap())).collect();
    assert_eq!(values, [0, 1, 8]);
}

#[test]
fn a_flexible_array_has_no_end_but_an_ordinary_one_has() {
    let mut sides = sides();
    let flexible = sides.local.array(1, 0);
    let fixed = sides.local.array(1, 4);
    let root = sides.local.structure("sample", 40, &[("fixed", fixed, 0), ("rest", flexible, 256)]);
    let flexible = sides.kernel.array(1, 0);
    let fixed = sides.kernel.array(1, 2);
    sides.kernel.structure("sample", 24, &[("fixed", fixed, 64), ("rest", flexible, 192)]);
    let results = sides.resolve(&[
        (root, "0:1:100", ReloKind::FieldByteOffset),
        (root, "0:0:1", ReloKind::FieldByteOffset),
        (root, "0:0:3", ReloKind::FieldByteOffset),
        (root, "0:0:4", ReloKind::FieldByteOffset),
    ]);
    assert_eq!(results[0].0, "struct sample.rest[100]");
    assert_eq!(value(results[0].1.as_ref().unwrap()), 24 + 800);
    assert_eq!(value(results[1].1.as_ref().unwrap()), 8 + 8);
    assert_eq!(results[2].1, Ok(Outcome::Poison));
    assert!(matches!(results[3].1, Err(CoreError::Access { .. })));
}

#[test]
fn bitfields_are_read_with_the_smallest_load_that_holds_them() {
    let mut sides = sides();
    let (low, high) = (3 << 24, (7 << 24) + 30);
    let root =
        sides.local.composite(Kind::Struct, "sample", 8, FLAG, &[("a", 2, low), ("b", 2, 40)]);
    sides.kernel.composite(Kind::Struct, "sample", 8, FLAG, &[("b", 2, 2 << 24), ("a", 2, high)]);
    let results = sides.resolve(&[
        (root, "0:0", ReloKind::FieldByteOffset),
        (root, "0:0", ReloKind::FieldByteSize),
        (root, "0:0", ReloKind::FieldLshiftU64),
        (root, "0:0", ReloKind::FieldRshiftU64),
        (root, "0:0", ReloKind::FieldSigned),
    ]);
    let values: Vec<_> =
        results.iter().map(|(_, result)| value(result.as_ref().unwrap())).collect();
    // Bits 30 to 36: no 32-bit load holds them.
    assert_eq!(values, [0, 8, 64 - 37, 64 - 7, 1]);
}

#[test]
fn candidates_that_disagree_are_refused_and_those_that_agree_are_one() {
    let mut sides = sides();
    let root = sides.local.structure("sample", 16, &[("a", 1, 0), ("b", 1, 64)]);
    let first = sides.kernel.structure("sample", 24, &[("a", 1, 64), ("b", 1, 128)]);
    let second = sides.kernel.structure("sample___2", 24, &[("a", 1, 64), ("b", 1, 0)]);
    let results = sides.resolve(&[
        (root, "0:0", ReloKind::FieldByteOffset),
        (root, "0:1", ReloKind::FieldByteOffset),
    ]);
    assert_eq!(value(results[0].1.as_ref().unwrap()), 8);
    assert_eq!(results[1].1, Err(CoreError::Ambiguous { first, second }));
}

#[test]
fn a_candidate_that_did_not_match_is_out_for_good() {
    let mut sides = sides();
    let root = sides.local.structure("sample", 16, &[("a", 1, 0), ("b", 1, 64)]);
    sides.kernel.structure("sample", 24, &[("a", 1, 64), ("b", 1, 128)]);
    sides.kernel.structure("sample", 24, &[("other", 1, 64), ("b", 1, 0)]);
    let results = sides.resolve(&[
        (root, "0:0", ReloKind::FieldByteOffset),
        (root, "0:1", ReloKind::FieldByteOffset),
    ]);
    assert_eq!(value(results[1].1.as_ref().unwrap()), 16);
}

#[test]
fn constants_are_found_by_name_in_enums_of_either_width() {
    let mut sides = sides();
    let root = sides.local.enumeration("level", 0, &[("LOW", 1), ("HIGH___local", 2)]);
    let negative = sides.local.enumeration("sign", FLAG, &[("MINUS", u32::MAX)]);
    sides.kernel.enumeration64("level", &[("HIGH", 1 << 40 | 5), ("LOW", 0)]);
    sides.kernel.enumeration("sign", FLAG, &[("MINUS", u32::MAX - 1)]);
    let results = sides.resolve(&[
        (root, "1", ReloKind::EnumvalValue),
        (negative, "0", ReloKind::EnumvalValue),
        (root, "1", ReloKind::EnumvalExists),
        (root, "2", ReloKind::EnumvalValue),
    ]);
    assert_eq!(results[0].0, "enum level::HIGH___local");
    let mut code = [Insn(LDIMM64).with_imm(2), Insn::default()];
    assert_eq!(apply(results[0].1.as_ref().unwrap(), &mut code), Ok(false));
    assert_eq!((code[0].imm(), code[1].imm()), (5, 1 << 8));
    let mut code = [Insn(MOV).with_imm(-1)];
    assert_eq!(apply(results[1].1.as_ref().unwrap(), &mut code), Ok(false));
    assert_eq!(code[0].imm(), -2);
    assert_eq!(value(results[2].1.as_ref().unwrap()), 1);
    assert!(matches!(results[3].1, Err(CoreError::Access { .. })));
}

#[test]
fn a_type_matches_if_the_kernel_has_all_of_its_members() {
    let mut sides = sides();
    // Behind a pointer the name decides, and a declaration will do.
    let declared = sides.local.add("other", Kind::Fwd, 0, 0, &[]);
    let pointer = sides.local.pointer(declared);
    let fits = sides.local.structure("sample", 16, &[("a", 1, 0), ("p", pointer, 64)]);
    let wrong_type = sides.local.structure("sample___wrong", 8, &[("a", 2, 0)]);
    let too_much = sides.local.structure("sample___more", 8, &[("a", 1, 0), ("z", 1, 64)]);
    let level = sides.local.enumeration("level", 0, &[("HIGH", 9)]);
    let other = sides.kernel.structure("other", 8, &[("x", 1, 0)]);
    let pointer = sides.kernel.pointer(other);
    sides.kernel.structure("sample", 24, &[("n", 2, 0), ("p", pointer, 64), ("a", 1, 128)]);
    sides.kernel.enumeration("level", 0, &[("LOW", 0), ("HIGH", 1)]);
    let asked = [fits, wrong_type, too_much, level].map(|id| (id, "0", ReloKind::TypeMatches));
    let results = sides.resolve(&asked);
    let values: Vec<_> =
        results.iter().map(|(_, result)| value(result.as_ref().unwrap())).collect();
    assert_eq!(values, [1, 0, 0, 1]);
}

#[test]
fn local_ids_need_no_kernel_and_kernel_ids_are_not_checked() {
    let mut sides = sides();
    let root = sides.local.structure("sample", 8, &[("a", 1, 0)]);
    sides.kernel.int("char", 8, true);
    let target = sides.kernel.structure("sample", 8, &[("a", 1, 0)]);
    assert_ne!(root, target);
    let results =
        sides.resolve(&[(root, "0", ReloKind::TypeIdLocal), (root, "0", ReloKind::TypeIdTarget)]);
    let mut code = [Insn(MOV).with_imm(99)];
    assert_eq!(apply(results[0].1.as_ref().unwrap(), &mut code), Ok(false));
    assert_eq!(code[0].imm(), root.cast_signed());
    assert_eq!(apply(results[1].1.as_ref().unwrap(), &mut code), Ok(false));
    assert_eq!(code[0].imm(), target.cast_signed());
}

#[test]
fn what_the_kernel_lacks_is_found_in_its_modules() {
    let mut sides = sides();
    let both = sides.local.structure("both", 8, &[("a", 1, 0)]);
    let only = sides.local.structure("only___local", 8, &[("a", 1, 0)]);
    let nowhere = sides.local.structure("nowhere", 8, &[("a", 1, 0)]);
    sides.kernel.structure("both", 16, &[("n", 1, 0), ("a", 1, 64)]);
    let mut module = Writer::behind(&mut sides.kernel);
    module.structure("both", 24, &[("n", 1, 0), ("m", 1, 64), ("a", 1, 128)]);
    let theirs = module.structure("only", 32, &[("a", 1, 192)]);
    sides.module = Some(module);
    let results = sides.resolve(&[
        (both, "0:0", ReloKind::FieldByteOffset),
        (only, "0:0", ReloKind::FieldByteOffset),
        (only, "0", ReloKind::TypeIdTarget),
        (nowhere, "0", ReloKind::TypeExists),
    ]);
    let values: Vec<_> =
        results.iter().map(|(_, result)| value(result.as_ref().unwrap())).collect();
    assert_eq!(values, [8, 24, u64::from(theirs), 0]);
}

#[test]
fn modules_are_not_looked_at_without_need() {
    let mut types = Writer::default();
    let int = types.int("int", 32, true);
    let sample = types.structure("sample", 4, &[("a", int, 0)]);
    let access_str_off = types.name("0:0");
    let bytes = types.finish();
    let kernel = Btf::parse(&bytes).unwrap();
    let kind = ReloKind::FieldByteOffset as u32;
    let relocation = CoreRelo { insn_off: 0, type_id: sample, access_str_off, kind };
    let targets = Targets { kernel: &kernel, modules: Some(&Closed) };
    let mut resolver = Resolver::new(&kernel, Some(targets), [relocation].into_iter());
    assert_eq!(value(&resolver.resolve(relocation).result.unwrap()), 0);
}

#[test]
fn a_type_that_holds_itself_ends() {
    let mut sides = sides();
    let root = sides.local.structure("sample", 8, &[("b", 1, 0)]);
    // Two anonymous members, each the struct that holds them.
    let id = root;
    sides.kernel.structure("sample", 8, &[("", id, 0), ("", id, 0)]);
    let (_, result) = sides.resolve_one(root, "0:0", ReloKind::FieldByteOffset);
    assert_eq!(result, Err(CoreError::TooDeep));
}

#[test]
fn nonsense_in_place_of_an_access_is_named() {
    let mut sides = sides();
    let root = sides.local.structure("sample", 8, &[("b", 1, 0)]);
    let anonymous = sides.local.structure("", 8, &[("b", 1, 0)]);
    let results = sides.resolve(&[
        (root, "", ReloKind::FieldExists),
        (root, "0:x", ReloKind::FieldExists),
        (root, "0:7", ReloKind::FieldExists),
        (root, "0:0:0", ReloKind::FieldExists),
        (root, "0:0", ReloKind::TypeExists),
        (77, "0", ReloKind::FieldExists),
        (anonymous, "0:0", ReloKind::FieldExists),
    ]);
    assert!(results.iter().all(|(_, result)| result.is_err()));
    assert_eq!(results[6].1, Err(CoreError::Anonymous));
    assert_eq!(results[5].0, "type 77");
}
