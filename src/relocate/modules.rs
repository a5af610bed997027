//! The running kernel's types: its own, and those of its modules, which are looked at only where its
//! own lack something.

use std::fmt;

use crate::btf::{Btf, Kind, Type};

/// A kernel module.
#[derive(Clone, Debug)]
pub struct Module<'a> {
    /// Its name.
    pub name: String,
    /// Its types, which continue the kernel's.
    pub types: Btf<'a>,
}

/// Where the types of modules come from.
pub trait Modules: fmt::Debug + Sync {
    /// The modules that have types, in the order in which they were loaded; read when this is asked
    /// for the first time.
    fn all(&self) -> &[Module<'_>];

    /// The descriptor of a module's BTF, by which the kernel is told that an id is one of that
    /// module; or why there is none.
    fn descriptor(&self, module: &Module<'_>) -> Result<i32, String>;
}

/// A kernel without modules.
#[derive(Clone, Copy, Debug)]
pub struct NoModules;

impl Modules for NoModules {
    fn all(&self) -> &[Module<'_>] {
        &[]
    }

    fn descriptor(&self, module: &Module<'_>) -> Result<i32, String> {
        Err(format!("there is no module `{}`", module.name))
    }
}

/// The types of the running kernel.
#[derive(Clone, Copy, Debug)]
pub struct KernelTypes<'k> {
    /// Those of `vmlinux`.
    pub own: &'k Btf<'k>,
    /// Those of its modules.
    pub modules: &'k dyn Modules,
}

/// A type of the kernel or of one of its modules.
#[derive(Clone, Copy, Debug)]
pub(super) struct KernelType<'k> {
    /// The types among which it is.
    pub(super) among: &'k Btf<'k>,
    pub(super) found: Type<'k>,
    /// Whose it is, if not the kernel's own.
    pub(super) module: Option<&'k Module<'k>>,
}

impl<'k> KernelTypes<'k> {
    /// The first of each `(name, kind)`: the kernel's own, else that of the module loaded first
    /// (libbpf `find_ksym_btf_id`).
    pub(super) fn find_all(self, wanted: &[(&str, Kind)]) -> Vec<Option<KernelType<'k>>> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let own = self.own.find_all(wanted).into_iter().zip(wanted);
        own.map(|(found, (name, kind))| match found {
            Some(found) => Some(KernelType { among: self.own, found, module: None }),
            None => self.find_in_modules(None, name, *kind),
        })
        .collect()
    }

    /// The first of that name and kind in modules; only in the one named, if one is.
    pub(super) fn find_in_modules(
        self,
        only: Option<&str>,
        name: &str,
        kind: Kind,
    ) -> Option<KernelType<'k>> {
        let modules = self.modules.all().iter();
        modules.filter(|module| only.is_none_or(|only| only == module.name)).find_map(|module| {
            let found = module.types.find(name, kind)?;
            Some(KernelType { among: &module.types, found, module: Some(module) })
        })
    }

    /// The descriptor that goes with an id of `found`; 0 for the kernel's own.
    pub(super) fn descriptor(self, found: &KernelType<'_>) -> Result<i32, String> {
        found.module.map_or(Ok(0), |module| self.modules.descriptor(module))
    }
}
