//! Types by name.

use super::kind::Kind;
use super::parts::SecVar;
use super::reader::Btf;
use super::types::{Shape, Type};

impl<'a> Btf<'a> {
    /// The first type of its own of that name and kind (libbpf `btf__find_by_name_kind_own`).
    ///
    /// Looks at every type in turn: a millisecond in the kernel's BTF. Whoever needs many names
    /// should ask once with [`Btf::find_all`].
    #[must_use]
    pub fn find(&self, name: &str, kind: Kind) -> Option<Type<'a>> {
        self.types().find(|candidate| candidate.kind() == kind && candidate.is_named(name))
    }

    /// The first type of its own for each `(name, kind)`, in one pass.
    #[must_use]
    pub fn find_all(&self, wanted: &[(&str, Kind)]) -> Vec<Option<Type<'a>>> {
        let mut found = vec![None; wanted.len()];
        let mut left = wanted.len();
        for candidate in self.types() {
            if left == 0 {
                break;
            }
            for (slot, (name, kind)) in found.iter_mut().zip(wanted) {
                if slot.is_none() && candidate.kind() == *kind && candidate.is_named(name) {
                    *slot = Some(candidate);
                    left -= 1;
                }
            }
        }
        found
    }

    /// The data section of that name.
    #[must_use]
    pub fn data_section(&self, name: &str) -> Option<Type<'a>> {
        self.find(name, Kind::Datasec)
    }

    /// The variables of a data section: each with its `VAR` type.
    pub fn variables(&self, section: Type<'a>) -> impl Iterator<Item = (SecVar, Type<'a>)> + '_ {
        let list = match section.shape() {
            Shape::Datasec(list) => Some(list),
            _ => None,
        };
        list.into_iter()
            .flatten()
            .filter_map(|variable| Some((variable, self.get(variable.type_id)?)))
    }
}
