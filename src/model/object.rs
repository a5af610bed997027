//! What an ELF object declares, known without any kernel.

use serde::Serialize;

use super::ctype::CType;
use super::map::MapSpec;
use super::program::ProgramSpec;

/// Everything `inspect` finds in an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectSpec {
    /// Text of the `license` section up to its first NUL; `None` without such a section, which
    /// means non-GPL.
    pub license: Option<String>,
    /// Maps: those of `.maps` in the order of their variables, then data sections in the order of
    /// the section table.
    pub maps: Vec<MapSpec>,
    /// Programs, in the order of the section table and then of their offsets.
    pub programs: Vec<ProgramSpec>,
    /// Functions that programs call, by place in `.text`.
    pub functions: Vec<FunctionSpec>,
    /// Global variables in data sections, by section and offset.
    pub globals: Vec<GlobalSpec>,
    /// Symbols that the kernel or its configuration must supply.
    pub externs: Vec<ExternSpec>,
    /// Whether loading must read the kernel's BTF: CO-RE relocations, programs attached by BTF id,
    /// or externs with a type.
    pub needs_kernel_btf: bool,
    /// Whether the object has BTF of its own.
    pub has_btf: bool,
    /// What is wrong with parts of the object; the rest is described all the same.
    pub defects: Vec<Defect>,
}

/// A function that programs call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionSpec {
    /// Its name.
    pub name: String,
    /// Whether the verifier takes it by itself, so that it can be replaced: neither static nor hidden.
    pub global: bool,
}

/// A global variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GlobalSpec {
    /// The variable's name.
    pub name: String,
    /// The data section it lies in, as in [`MapSpec::name`].
    pub section: String,
    /// Distance from the beginning of the section, in bytes.
    pub offset: u32,
    /// In bytes.
    pub size: u32,
    /// Its type, where the object has BTF for it.
    pub ctype: Option<CType>,
}

/// A symbol the object uses and does not define.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExternSpec {
    /// The symbol's name.
    pub name: String,
    /// What must supply it.
    pub kind: ExternKind,
    /// Whether the object can do without it (`__weak`).
    pub weak: bool,
}

/// What supplies an extern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExternKind {
    /// A kernel function (`__ksym` function).
    Kfunc,
    /// A kernel variable (`__ksym` variable), typed or not.
    Ksym,
    /// A value of the kernel's configuration (`__kconfig`).
    Kconfig,
    /// Undefined without a section that says where it comes from.
    Undefined,
}

/// Something wrong with one part of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{part}: {message}")]
pub struct Defect {
    /// The part.
    pub part: Part,
    /// What is wrong and, where possible, what to do.
    pub message: String,
}

/// A part of an object that a [`Defect`] is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// A map by name: it cannot be created as declared.
    Map(String),
    /// A program by name: it cannot be loaded.
    Program(String),
    /// A section by name.
    Section(String),
    /// The whole object.
    Object,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Map(name) => write!(f, "map `{name}`"),
            Self::Program(name) => write!(f, "program `{name}`"),
            Self::Section(name) => write!(f, "section `{name}`"),
            Self::Object => f.write_str("object"),
        }
    }
}

impl ObjectSpec {
    /// The map of that name.
    #[must_use]
    pub fn map(&self, name: &str) -> Option<&MapSpec> {
        self.maps.iter().find(|map| map.name == name)
    }

    /// The program of that name.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<&ProgramSpec> {
        self.programs.iter().find(|program| program.name == name)
    }

    /// The global of that name.
    #[must_use]
    pub fn global(&self, name: &str) -> Option<&GlobalSpec> {
        self.globals.iter().find(|global| global.name == name)
    }
}
