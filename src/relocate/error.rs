//! Why an object or one of its programs cannot be linked.

use crate::btf::BtfError;

use super::core::CoreError;

/// Why an object or a program cannot be linked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelocateError {
    /// Not an ELF object for BPF.
    #[error("not a BPF object: {0}")]
    Elf(String),
    /// `.BTF` or `.BTF.ext` cannot be read.
    #[error("section `{section}`: {source}")]
    Btf {
        /// The section.
        section: &'static str,
        /// What is wrong with it.
        source: BtfError,
    },
    /// A function whose bounds make no sense.
    #[error("section `{section}`: function `{function}` {reason}")]
    Function {
        /// Its section.
        section: String,
        /// Its name.
        function: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A data section of the object's BTF that does not agree with its ELF sections and symbols.
    #[error("the BTF of section `{section}` cannot be completed: {reason}")]
    DataSection {
        /// The section.
        section: String,
        /// What is wrong.
        reason: String,
    },
    /// The object has no entry program of that name.
    #[error("there is no program `{0}`")]
    NoSuchProgram(String),
    /// A relocation that the linker cannot make sense of.
    #[error("program `{program}`, instruction {instruction} of `{function}`: {reason}")]
    Relocation {
        /// The entry program.
        program: String,
        /// The function it is in: the program or one it calls.
        function: String,
        /// The instruction, counted from the beginning of `function`.
        instruction: usize,
        /// What is wrong.
        reason: String,
    },
    /// A CO-RE relocation that failed; not one that has no match, which only poisons its
    /// instruction.
    #[error(
        "program `{program}`, instruction {instruction} of `{function}`: CO-RE relocation of \
         `{access}` ({kind}): {source}"
    )]
    Core {
        /// The entry program.
        program: String,
        /// The function it is in: the program or one it calls.
        function: String,
        /// The instruction, counted from the beginning of `function`.
        instruction: usize,
        /// The access as C would write it: `struct task_struct.pid`.
        access: String,
        /// What was asked, by libbpf's name: `byte_off`.
        kind: &'static str,
        /// Why it failed.
        source: Box<CoreError>,
    },
    /// The program uses a map that was not created.
    #[error("program `{program}` uses map `{map}`, which was not created")]
    MapMissing {
        /// The entry program.
        program: String,
        /// The map's name; the section's for a data section.
        map: String,
    },
    /// The program uses an extern that cannot be had.
    #[error("program `{program}` uses extern `{name}`: {reason}")]
    Extern {
        /// The entry program.
        program: String,
        /// The extern.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A struct of operations that does not fit the running kernel's.
    #[error("struct ops `{map}`: {reason}")]
    StructOps {
        /// Its variable.
        map: String,
        /// Why not.
        reason: String,
    },
    /// Debug information covers the program but not a function it calls.
    #[error("program `{program}`: function `{function}` has no {table} in .BTF.ext")]
    InfoMissing {
        /// The entry program.
        program: String,
        /// The function it calls.
        function: String,
        /// `func_info` or `line_info`.
        table: &'static str,
    },
    /// More instructions than any kernel takes.
    #[error("program `{program}` has more than {max} instructions with the functions it calls")]
    TooLarge {
        /// The entry program.
        program: String,
        /// The most there may be.
        max: usize,
    },
    /// Neither the kernel's BTF nor that of a module has what to attach to.
    #[error("{} {kind} `{name}` in its BTF", lacks(module.as_deref()))]
    NoAttachTarget {
        /// Its name with the prefix of the kind of attachment.
        name: String,
        /// What it would be.
        kind: crate::btf::Kind,
        /// The only module it may be in, if one was named.
        module: Option<String>,
    },
    /// What is needed is in a module whose BTF cannot be opened.
    #[error("{0}")]
    ModuleTypes(String),
}

fn lacks(module: Option<&str>) -> String {
    match module {
        Some(module) => format!("module `{module}` is not loaded, or has no"),
        None => "neither the running kernel nor a module that is loaded has a".to_owned(),
    }
}
