//! One object of the manifest beside what its file declares: what every rule looks at.

use std::sync::Arc;

use super::findings::Spot;
use crate::manifest::{Hook, KeyPath, Load, ObjectEntry};
use crate::model::map::{MapOrigin, MapSpec};
use crate::model::name::Name;
use crate::model::object::ObjectSpec;
use crate::model::program::ProgramSpec;
use crate::object::Image;

/// An object as the manifest has it and as it is.
#[derive(Clone, Debug)]
pub(super) struct Subject<'m> {
    pub(super) name: &'m Name,
    pub(super) entry: &'m ObjectEntry,
    pub(super) image: &'m Arc<Image>,
    at: KeyPath,
}

impl<'m> Subject<'m> {
    pub(super) fn new(name: &'m Name, entry: &'m ObjectEntry, image: &'m Arc<Image>) -> Self {
        Self { name, entry, image, at: KeyPath::of(["objects", name.as_str()]) }
    }

    pub(super) fn spec(&self) -> &'m ObjectSpec {
        &self.image.spec
    }

    /// Whether a program is loaded: libbpf's autoload rule, and the manifest's choice. One whose section
    /// says nothing is left out unless it is named. A program of struct ops is loaded with the maps it is in (libbpf `bpf_object_adjust_struct_ops_autoload`).
    pub(super) fn loads(&self, program: &ProgramSpec) -> bool {
        if self.entry.programs.contains_key(&program.name) {
            return true;
        }
        let is_in = |map: &&MapSpec| map.slots.iter().any(|(_, name)| *name == program.name);
        let mut ops = self.spec().maps.iter().filter(|map| is_ops(map)).filter(is_in).peekable();
        if ops.peek().is_some() {
            return ops.any(|map| self.creates(map));
        }
        self.entry.load == Load::All && program.autoload && program.kind.is_some()
    }

    /// Whether a program is left out only because its section says nothing.
    pub(super) fn cannot_load(&self, program: &ProgramSpec) -> bool {
        self.entry.load == Load::All
            && program.autoload
            && !self.loads(program)
            && program.kind.is_none()
    }

    /// Whether a map is created: all are, but those of `?.struct_ops` only if the manifest names
    /// them.
    pub(super) fn creates(&self, map: &MapSpec) -> bool {
        match map.origin {
            MapOrigin::StructOps { autocreate, .. } => {
                autocreate
                    || self.entry.maps.contains_key(&map.name)
                    || self.entry.programs.contains_key(&map.name)
            }
            _ => true,
        }
    }

    /// Where the manifest says which file the object is.
    pub(super) fn path(&self) -> KeyPath {
        self.at.key("path")
    }

    pub(super) fn key(&self, key: &str) -> KeyPath {
        self.at.key(key)
    }

    pub(super) fn map(&self, name: &str) -> KeyPath {
        self.at.key("maps").key(name)
    }

    pub(super) fn program(&self, name: &str) -> KeyPath {
        self.at.key("programs").key(name)
    }

    pub(super) fn global(&self, name: &str) -> KeyPath {
        self.at.key("globals").key(name)
    }

    /// The first element of a program's `attach` that is such a hook.
    pub(super) fn hook(&self, program: &str, is_such: impl Fn(&Hook) -> bool) -> Option<KeyPath> {
        let hooks = &self.entry.programs.get(program)?.attach;
        let index = hooks.iter().position(is_such)?;
        Some(self.program(program).key("attach").index(index))
    }

    /// What to point at for a map: its entry, or the file if it has none.
    pub(super) fn map_spot(&self, name: &str) -> Spot {
        let named = self.entry.maps.contains_key(name);
        if named { Spot::Key(self.map(name)) } else { Spot::Value(self.path()) }
    }

    /// As [`Subject::map_spot`], for a program.
    pub(super) fn program_spot(&self, name: &str) -> Spot {
        let named = self.entry.programs.contains_key(name);
        if named { Spot::Key(self.program(name)) } else { Spot::Value(self.path()) }
    }
}

/// Whether it is a struct of operations.
pub(super) fn is_ops(map: &MapSpec) -> bool {
    matches!(map.origin, MapOrigin::StructOps { .. })
}
