//! One object of the manifest beside what its file declares: what every rule looks at.

use std::sync::Arc;

use super::findings::Spot;
use crate::manifest::{KeyPath, Load, ObjectEntry};
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

    /// Whether a program is loaded: libbpf's autoload rule, and the manifest's choice.
    pub(super) fn loads(&self, program: &ProgramSpec) -> bool {
        let named = self.entry.programs.contains_key(&program.name);
        named || (self.entry.load == Load::All && program.autoload)
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
