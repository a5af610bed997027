//! From an object's bytes to what `BPF_PROG_LOAD` and `BPF_BTF_LOAD` take.
//!
//! [`Linker`] indexes an object once. [`Linker::bind`] brings it together with an [`Environment`]:
//! the maps that were created for it and the kernel's BTF. [`Binding::link`] then gives one entry
//! program with the subprograms it calls behind it, every reference filled in, CO-RE applied, and
//! its debug information re-based. A `Binding` is immutable, so that threads can share it.
//!
//! This room follows libbpf's `src/libbpf.c` and `src/relo_core.c` to the instruction: a program's
//! tag is the one it has when libbpf loads the object. It is pure: it makes no system call, reads no
//! file, and knows nothing of manifests or pins. It panics on no input.

mod attach;
mod contexts;
mod core;
mod core_info;
mod draft;
mod elf;
mod environment;
mod error;
mod exception;
mod externs;
mod function;
mod info;
mod insn;
mod jump_table;
mod kconfig;
mod link;
mod linker;
mod modules;
mod object_btf;
mod poison;
mod reference;
mod sanitize;
mod source_line;
mod struct_ops;

pub use attach::{AttachTarget, find_attach_target};
pub use contexts::Contexts;
pub use core::CoreError;
pub use environment::{Arena, Environment};
pub use error::RelocateError;
pub use insn::Insn;
pub use jump_table::JumpTable;
pub use kconfig::{KconfigKind, KconfigVariable};
pub use link::{LinkedProgram, Unresolved};
pub use linker::{Binding, Linker};
pub use modules::{KernelTypes, Module, Modules, NoModules};
pub use poison::{POISON, poisoned_instruction};
pub use sanitize::{BtfFeature, sanitize_btf};
pub use source_line::SourceLine;
pub use struct_ops::{KernelOp, KernelOps};
