//! What an object is linked against.

use std::collections::BTreeMap;

use crate::btf::Btf;

/// What an object is linked against.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'e> {
    /// File descriptors of the object's maps: by full ELF name, and by section name for data
    /// sections (`.rodata`, `.bss.x`, `.kconfig`).
    pub maps: &'e BTreeMap<String, i32>,
    /// The running kernel's BTF. Needed for kernel functions and variables.
    pub kernel_btf: Option<&'e Btf<'e>>,
    /// The types CO-RE adjusts to: those of the running kernel, which may come from elsewhere if it
    /// does not tell them.
    pub core_btf: Option<&'e Btf<'e>>,
    /// Addresses of kernel symbols that are used without a type (`extern const void x __ksym`), from
    /// `/proc/kallsyms`; 0 for one that is hidden.
    pub kernel_symbols: &'e BTreeMap<String, u64>,
}
