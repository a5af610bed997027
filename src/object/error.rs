//! Why a file cannot be inspected at all. What is wrong with only a part of an object is a
//! [`Defect`](crate::model::object::Defect) instead.

use super::elf::machine_name;

/// The file is no BPF object, or not a whole one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// No bytes.
    #[error("the file is empty (half-written? compile it again)")]
    Empty,
    /// Does not begin as an ELF file does.
    #[error(
        "not an ELF file; a BPF object comes from `clang -g -O2 -target bpf -c prog.bpf.c -o prog.bpf.o`"
    )]
    NotElf,
    /// Text that looks like a source file.
    #[error(
        "this is source text, not an object; compile it with `clang -g -O2 -target bpf -c` and name the .o file"
    )]
    Source,
    /// An ELF file of 32 bits; BPF objects have 64.
    #[error("a 32-bit ELF file; BPF objects are 64-bit: compile with `clang -target bpf`")]
    Not64Bit,
    /// An object for big-endian machines.
    #[error(
        "a big-endian object, which only a big-endian machine can load; compile with `clang -target bpfel`"
    )]
    BigEndian,
    /// Built for a processor.
    #[error("an ELF file for {}, not for BPF; compile with `clang -target bpf`", machine_name(*.0))]
    NotBpf(
        /// `e_machine`.
        u16,
    ),
    /// Linked into something that is no longer a relocatable object.
    #[error(
        "an ELF file of type {0}, not a relocatable object; compile with `clang -target bpf -c`, and join objects with `bpftool gen object`"
    )]
    NotRelocatable(
        /// `e_type`.
        u16,
    ),
    /// The file ends before what its header announces.
    #[error("the file has {actual} bytes, its header announces {expected} (half-written?)")]
    Truncated {
        /// Bytes the header announces, at least.
        expected: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// No table of sections, so nothing can be found.
    #[error("the ELF file has no section table (half-written, or stripped of it?)")]
    NoSections,
    /// The header or the section table contradicts itself.
    #[error("the ELF file is malformed: {0}")]
    Malformed(&'static str),
}
