//! An object opened for linking, and brought together with what it is linked against.

use std::collections::{BTreeMap, BTreeSet};

use crate::btf::{Btf, BtfExt, InfoSection};
use crate::model::kinds::ProgramType;

use super::contexts::Contexts;
use super::core::Targets;
use super::core_info::CoreInfo;
use super::elf::Elf;
use super::environment::Environment;
use super::error::RelocateError;
use super::externs::{Externs, Resolved};
use super::function::Functions;
use super::info;
use super::kconfig::KconfigVariable;
use super::link::{self, LinkedProgram};
use super::object_btf;

/// An object opened for linking: sections, symbols, functions and BTF, indexed once.
pub struct Linker<'a> {
    pub(super) elf: Elf<'a>,
    pub(super) functions: Functions<'a>,
    pub(super) btf: Option<ObjectBtf<'a>>,
    pub(super) externs: Externs<'a>,
}

/// `.BTF` and `.BTF.ext` of an object.
pub(super) struct ObjectBtf<'a> {
    pub(super) types: Btf<'a>,
    pub(super) ext: BtfExt<'a>,
    /// `ext.func_info` by index of section.
    pub(super) func_info: BTreeMap<usize, InfoSection<'a>>,
    /// `ext.line_info` by index of section.
    pub(super) line_info: BTreeMap<usize, InfoSection<'a>>,
}

/// An object and what it is linked against. Linking its programs one by one changes nothing in it.
pub struct Binding<'l, 'a> {
    pub(super) linker: &'l Linker<'a>,
    pub(super) environment: Environment<'l>,
    pub(super) core: CoreInfo,
    pub(super) externs: Resolved,
}

impl<'a> Linker<'a> {
    /// Reads an object.
    pub fn open(bytes: &'a [u8]) -> Result<Self, RelocateError> {
        let elf = Elf::parse(bytes)?;
        let functions = Functions::collect(&elf)?;
        let btf = ObjectBtf::read(&elf)?;
        let externs = Externs::collect(&elf, btf.as_ref().map(|btf| &btf.types));
        Ok(Self { elf, functions, btf, externs })
    }

    /// The names of the entry programs, in the order of sections and places.
    pub fn programs(&self) -> impl Iterator<Item = &'a str> {
        self.functions
            .iter()
            .filter(|function| Some(function.section) != self.elf.text)
            .map(|function| function.name)
    }

    /// The variables of the object's `.kconfig` map, by offset. Whoever creates the map fills them in
    /// and gives its descriptor as `.kconfig`.
    pub fn kconfig(&self) -> impl Iterator<Item = &KconfigVariable> {
        self.externs.kconfig()
    }

    /// BTF id of the data section `.kconfig`, the type of that map's value.
    #[must_use]
    pub fn kconfig_type(&self) -> Option<u32> {
        Some(self.btf.as_ref()?.types.data_section(".kconfig")?.id())
    }

    /// The kernel symbols the object needs the addresses of.
    pub fn kernel_symbols(&self) -> impl Iterator<Item = &'a str> {
        self.externs.symbols()
    }

    /// Whether linking needs [`Environment::kernel`] for typed externs.
    #[must_use]
    pub fn needs_kernel_btf(&self) -> bool {
        self.externs.needs_kernel_btf()
    }

    /// Whether linking needs [`Environment::core_btf`], or else [`Environment::kernel`]: for CO-RE
    /// relocations other than of the object's own type ids.
    #[must_use]
    pub fn needs_core_btf(&self) -> bool {
        self.btf.as_ref().is_some_and(|btf| CoreInfo::needs_kernel_btf(&btf.ext))
    }

    /// The object's BTF made fit for `BPF_BTF_LOAD`: sizes and offsets of data sections filled in
    /// from ELF, hidden functions and variables made static, externs turned into variables (libbpf
    /// `bpf_object_fixup_btf`, `bpf_object__sanitize_and_load_btf`, `bpf_object__collect_externs`).
    /// `None` if the object has none. Ids of types are those of `.BTF`.
    pub fn btf(&self) -> Result<Option<Vec<u8>>, RelocateError> {
        let found = self.btf_for(&BTreeSet::new())?;
        Ok(found.map(|(bytes, _)| bytes))
    }

    /// The same for a kernel that does not know tags of contexts, and programs of those types: with
    /// further types behind the object's, and which of them `func_info` must refer to.
    pub fn btf_for(
        &self,
        programs: &BTreeSet<ProgramType>,
    ) -> Result<Option<(Vec<u8>, Contexts)>, RelocateError> {
        let complete =
            |btf| object_btf::complete(&self.elf, &self.functions, &self.externs, btf, programs);
        self.btf.as_ref().map(complete).transpose()
    }

    /// Brings the object together with what it is linked against. Looks at most twice through the
    /// kernel's types, whatever the number of programs and relocations; and through those of its
    /// modules only for what the kernel's lack.
    #[must_use]
    pub fn bind<'l>(&'l self, environment: Environment<'l>) -> Binding<'l, 'a> {
        let targets = Targets::of(&environment);
        let core = match &self.btf {
            Some(btf) => CoreInfo::resolve(&self.elf, &self.functions, btf, targets),
            None => CoreInfo::default(),
        };
        let externs = self.externs.resolve(self.btf.as_ref().map(|btf| &btf.types), &environment);
        Binding { linker: self, environment, core, externs }
    }
}

impl<'a> ObjectBtf<'a> {
    fn read(elf: &Elf<'a>) -> Result<Option<Self>, RelocateError> {
        let Some(section) = elf.section(".BTF") else { return Ok(None) };
        let wrong = |section| move |source| RelocateError::Btf { section, source };
        let types = Btf::parse(section.data).map_err(wrong(".BTF"))?.with_pointer_size(8);
        let ext = match elf.section(".BTF.ext") {
            Some(section) => BtfExt::parse(section.data).map_err(wrong(".BTF.ext"))?,
            None => BtfExt::default(),
        };
        let func_info = info::by_section(elf, &types, ext.func_info);
        let line_info = info::by_section(elf, &types, ext.line_info);
        Ok(Some(Self { types, ext, func_info, line_info }))
    }
}

impl Binding<'_, '_> {
    /// Descriptors of the modules' BTF that calls of kernel functions refer to by index, for
    /// `fd_array` of `BPF_PROG_LOAD`; empty if there are none.
    #[must_use]
    pub fn descriptors(&self) -> &[i32] {
        self.externs.descriptors()
    }

    /// Links one entry program.
    pub fn link(&self, program: &str) -> Result<LinkedProgram, RelocateError> {
        link::link(self, program)
    }
}
