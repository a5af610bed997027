//! What an object is linked against.

use std::collections::BTreeMap;

use crate::btf::Btf;

use super::modules::KernelTypes;

/// The arena that holds an object's variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arena {
    /// Descriptor of the map.
    pub descriptor: i32,
    /// Where in it the variables begin, in bytes.
    pub offset: u32,
}

/// What an object is linked against.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'e> {
    /// File descriptors of the object's maps: by full ELF name, and by section name for data
    /// sections (`.rodata`, `.bss.x`, `.kconfig`).
    pub maps: &'e BTreeMap<String, i32>,
    /// The object's arena, if it has variables in one.
    pub arena: Option<Arena>,
    /// The types of the running kernel and of its modules. Needed for kernel functions and variables,
    /// and for CO-RE.
    pub kernel: Option<KernelTypes<'e>>,
    /// Other types for CO-RE to adjust to than the running kernel's, if it does not tell them
    /// (libbpf's `btf_custom_path`). Modules do not count then.
    pub core_btf: Option<&'e Btf<'e>>,
    /// Addresses of kernel symbols that are used without a type (`extern const void x __ksym`), from
    /// `/proc/kallsyms`; 0 for one that is hidden.
    pub kernel_symbols: &'e BTreeMap<String, u64>,
}
