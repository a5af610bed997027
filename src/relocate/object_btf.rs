//! An object's BTF made fit for the kernel.
//!
//! Compilers leave open what only the linker knows: where variables lie in their sections. And the
//! kernel takes no extern declarations, and verifies global functions more strictly than hidden ones
//! deserve. The work is done on a copy of the records; ids of types stay what they were.

use std::collections::{BTreeMap, BTreeSet};

use crate::btf::{Kind, Linkage, SecVar, Shape, Type};
use crate::model::kinds::ProgramType;

use super::contexts::{self, Contexts};
use super::draft::{Draft, INFO, PARAM, SEC_VAR, SIZE_OR_TYPE, TAIL};
use super::elf::Elf;
use super::error::RelocateError;
use super::externs::Externs;
use super::function::Functions;
use super::linker::ObjectBtf;

/// `BTF_VAR_STATIC`, `BTF_FUNC_STATIC`
const STATIC: u32 = 0;
/// `BTF_VAR_GLOBAL_ALLOCATED`, `BTF_FUNC_GLOBAL`
const GLOBAL: u32 = 1;

/// The BTF to be loaded, with what describes contexts to programs of those types.
pub(super) fn complete(
    elf: &Elf<'_>,
    functions: &Functions<'_>,
    externs: &Externs<'_>,
    btf: &ObjectBtf<'_>,
    programs: &BTreeSet<ProgramType>,
) -> Result<(Vec<u8>, Contexts), RelocateError> {
    let types = &btf.types;
    let mut draft = Draft::new(types);
    let hidden = functions
        .iter()
        .filter(|function| function.hidden && Some(function.section) == elf.text)
        .map(|function| function.name);
    let hidden: BTreeSet<&str> = hidden.collect();
    draft.make_static(hidden.clone());
    for section in types.types().filter(|section| section.kind() == Kind::Datasec) {
        let variables = match section.name() {
            ".ksyms" => draft.kernel_symbols(section),
            ".kconfig" => draft.kconfig(section, externs),
            _ => draft.variables(section, elf)?,
        };
        draft.put_variables(section, variables);
    }
    let contexts = contexts::add(&mut draft, programs, &hidden);
    let bytes = draft.finish().map_err(|source| RelocateError::Btf { section: ".BTF", source })?;
    Ok((bytes, contexts))
}

impl<'a> Draft<'_, 'a> {
    /// Makes global functions static for the verifier: of each name, the first.
    fn make_static(&mut self, mut names: BTreeSet<&str>) {
        for candidate in self.btf.types() {
            if names.is_empty() {
                break;
            }
            if matches!(candidate.shape(), Shape::Func { linkage: Linkage::Global, .. })
                && names.remove(candidate.name())
            {
                self.put(candidate.id(), INFO, (Kind::Func as u32) << 24 | STATIC);
            }
        }
    }

    /// The variables of a data section of the object, placed by their symbols (libbpf
    /// `btf_fixup_datasec`). What a static linker has placed already stays.
    fn variables(
        &mut self,
        section: Type<'a>,
        elf: &Elf<'_>,
    ) -> Result<Vec<SecVar>, RelocateError> {
        let name = section.name();
        let wrong = |reason: &str| RelocateError::DataSection {
            section: name.to_owned(),
            reason: reason.to_owned(),
        };
        let placed = section.size().is_some_and(|size| size != 0);
        if !placed {
            let size = elf.section(name).and_then(|section| u32::try_from(section.size).ok());
            let size = size.filter(|size| *size != 0);
            let size = size.ok_or_else(|| wrong("there is no such ELF section, or it is empty"))?;
            self.put(section.id(), SIZE_OR_TYPE, size);
        }
        let mut variables = Vec::new();
        for mut variable in entries(section) {
            let declared = self.btf.get(variable.type_id).filter(|var| var.kind() == Kind::Var);
            let declared = declared.ok_or_else(|| wrong("it has an entry that is no variable"))?;
            let Shape::Var { linkage, .. } = declared.shape() else { continue };
            if linkage != Linkage::Static && linkage != Linkage::Extern {
                let symbol = elf.variable(declared.name()).ok_or_else(|| {
                    wrong(&format!("variable `{}` has no ELF symbol", declared.name()))
                })?;
                if !placed {
                    variable.offset = u32::try_from(symbol.value).unwrap_or(u32::MAX);
                }
                if symbol.hidden {
                    self.put(declared.id(), TAIL, STATIC);
                }
            }
            variables.push(variable);
        }
        Ok(variables)
    }

    /// The externs of `.ksyms`, turned into `int` variables one after the other: the kernel wants
    /// variables there, and does not look at them.
    fn kernel_symbols(&mut self, section: Type<'a>) -> Vec<SecVar> {
        let mut variables = entries(section);
        let (mut size, mut dummy, mut int) = (0, None, None);
        let mut named = BTreeSet::new();
        for variable in &mut variables {
            let Some(declared) = self.btf.get(variable.type_id) else { continue };
            if let Shape::Func { prototype, .. } = declared.shape() {
                let (dummy, name) = *dummy.get_or_insert_with(|| self.add_dummy());
                if named.insert(prototype) {
                    self.name_params(prototype, name);
                }
                self.put(declared.id(), INFO, (Kind::Func as u32) << 24 | GLOBAL);
                variable.type_id = dummy;
            } else {
                let int = *int.get_or_insert_with(|| self.int());
                self.put(declared.id(), SIZE_OR_TYPE, int);
                self.put(declared.id(), TAIL, GLOBAL);
            }
            (variable.offset, variable.size) = (size, 4);
            size += 4;
        }
        self.put(section.id(), SIZE_OR_TYPE, size);
        variables
    }

    /// The externs of `.kconfig`, placed as in the map that holds their values.
    fn kconfig(&mut self, section: Type<'a>, externs: &Externs<'_>) -> Vec<SecVar> {
        let mut variables = entries(section);
        let offsets: BTreeMap<_, _> =
            externs.kconfig().map(|known| (known.name.as_str(), known.offset)).collect();
        for variable in &mut variables {
            let Some(declared) = self.btf.get(variable.type_id) else { continue };
            self.put(declared.id(), TAIL, GLOBAL);
            if let Some(offset) = offsets.get(declared.name()) {
                variable.offset = *offset;
            }
        }
        let size = externs.kconfig().map(|known| known.offset.saturating_add(known.size)).max();
        self.put(section.id(), SIZE_OR_TYPE, size.unwrap_or_default());
        variables
    }

    /// Writes the variables of a section back, by offset as the kernel demands.
    fn put_variables(&mut self, section: Type<'a>, mut variables: Vec<SecVar>) {
        variables.sort_by_key(|variable| variable.offset);
        for (index, variable) in variables.iter().enumerate() {
            let start = TAIL + index * SEC_VAR;
            self.put(section.id(), start, variable.type_id);
            self.put(section.id(), start + 4, variable.offset);
            self.put(section.id(), start + 8, variable.size);
        }
    }

    /// Gives the parameters of a kernel function names, without which the kernel refuses them.
    fn name_params(&mut self, prototype: u32, name: u32) {
        let Some(Shape::FuncProto { params, .. }) = self.btf.get(prototype).map(Type::shape) else {
            return;
        };
        for (index, param) in params.iter().enumerate() {
            if param.name.is_empty() && param.type_id != 0 {
                self.put(prototype, TAIL + index * PARAM, name);
            }
        }
    }

    /// Adds the variable that stands for every kernel function, and gives its id and name.
    fn add_dummy(&mut self) -> (u32, u32) {
        let int = self.int();
        let name = self.add_string("dummy_ksym");
        (self.add(name, (Kind::Var as u32) << 24, int, GLOBAL), name)
    }

    /// An integer of 32 bits.
    fn int(&mut self) -> u32 {
        let found = self
            .btf
            .types()
            .find(|candidate| matches!(candidate.shape(), Shape::Int(int) if int.bits == 32));
        if let Some(int) = found {
            return int.id();
        }
        let name = self.add_string("int");
        // Signed, 32 bits.
        self.add(name, (Kind::Int as u32) << 24, 4, 1 << 24 | 32)
    }
}

/// The variables of a data section as they are.
fn entries(section: Type<'_>) -> Vec<SecVar> {
    match section.shape() {
        Shape::Datasec(list) => list.iter().collect(),
        _ => Vec::new(),
    }
}
