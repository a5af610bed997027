//! What an object uses and the kernel must supply.
//!
//! Source: `bpf_object__collect_externs` in libbpf's `src/libbpf.c`.

use std::collections::BTreeMap;

use object::elf::{STB_GLOBAL, STB_WEAK, STT_NOTYPE};

use super::elf::Symbol;
use super::input::Input;
use crate::btf::{Btf, Kind, Linkage, Shape};
use crate::model::object::{Defect, ExternKind, ExternSpec, Part};

/// The externs of an object.
pub(super) struct Externs {
    /// In the order of the symbol table.
    pub(super) list: Vec<ExternSpec>,
    /// Whether one of them has a type that must be looked up in the kernel's BTF.
    pub(super) any_typed: bool,
}

/// Reads the undefined symbols and what BTF says about each.
pub(super) fn externs(input: &Input<'_>, defects: &mut Vec<Defect>) -> Externs {
    let declared = input.btf.as_ref().map(declarations).unwrap_or_default();
    let mut externs = Externs { list: Vec::new(), any_typed: false };
    for symbol in input.elf.symbols.iter().filter(|symbol| is_extern(symbol)) {
        let declaration = declared.get(symbol.name);
        let kind = declaration.map_or(ExternKind::Undefined, |declaration| declaration.kind);
        if kind == ExternKind::Undefined {
            defects.push(undefined(symbol.name, input.btf.is_some()));
        }
        externs.any_typed |= declaration.is_some_and(|declaration| declaration.typed);
        externs.list.push(ExternSpec {
            name: symbol.name.to_owned(),
            kind,
            weak: symbol.binding == STB_WEAK,
        });
    }
    externs
}

/// libbpf `sym_is_extern`.
fn is_extern(symbol: &Symbol<'_>) -> bool {
    symbol.is_undefined()
        && matches!(symbol.binding, STB_GLOBAL | STB_WEAK)
        && symbol.kind == STT_NOTYPE
        && !symbol.name.is_empty()
}

/// How BTF declares an extern.
#[derive(Clone, Copy)]
struct Declaration {
    kind: ExternKind,
    typed: bool,
}

/// The extern variables and functions of the sections that say where externs come from.
fn declarations<'a>(btf: &Btf<'a>) -> BTreeMap<&'a str, Declaration> {
    let mut declared = BTreeMap::new();
    for (section, kind) in [(".kconfig", ExternKind::Kconfig), (".ksyms", ExternKind::Ksym)] {
        let Some(section) = btf.data_section(section) else { continue };
        for (_, entry) in btf.variables(section) {
            let declaration = match entry.shape() {
                Shape::Func { linkage: Linkage::Extern, .. } if kind == ExternKind::Ksym => {
                    Declaration { kind: ExternKind::Kfunc, typed: true }
                }
                Shape::Var { linkage: Linkage::Extern, target } => {
                    let is_void = btf.resolve(target).is_ok_and(|found| found.kind() == Kind::Void);
                    Declaration { kind, typed: kind == ExternKind::Ksym && !is_void }
                }
                _ => continue,
            };
            declared.insert(entry.name(), declaration);
        }
    }
    declared
}

fn undefined(name: &str, has_btf: bool) -> Defect {
    let advice = if has_btf {
        "declare it with `__ksym` or `__kconfig`, or join the object with the one that defines it (`bpftool gen object`)"
    } else {
        "where it comes from is said by BTF, which this object lacks; compile with `clang -g`"
    };
    Defect { part: Part::Object, message: format!("`{name}` is used and not defined; {advice}") }
}
