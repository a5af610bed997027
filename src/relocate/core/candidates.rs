//! Types of the kernel that a local type may stand for: those of the same essential name and kind
//! (libbpf `bpf_core_add_cands`).

use std::collections::{BTreeMap, BTreeSet};

use crate::btf::{Btf, Kind};

use super::kind::essential;

/// Candidates by the id of the local type.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidates(BTreeMap<u32, Vec<u32>>);

impl Candidates {
    /// Finds those of all `roots` in one pass over the kernel's types.
    pub(super) fn find(
        local: &Btf<'_>,
        kernel: &Btf<'_>,
        roots: impl Iterator<Item = u32>,
    ) -> Self {
        let mut wanted: BTreeMap<(Kind, &[u8]), Vec<u32>> = BTreeMap::new();
        for id in roots.collect::<BTreeSet<_>>() {
            let Some(root) = local.get(id).filter(|root| !root.is_anonymous()) else { continue };
            let name = essential(root.name_bytes());
            wanted.entry((comparable(root.kind()), name)).or_default().push(id);
        }
        if wanted.is_empty() {
            return Self::default();
        }
        let kinds: BTreeSet<Kind> = wanted.keys().map(|(kind, _)| *kind).collect();
        let mut found: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for candidate in kernel.types() {
            let kind = comparable(candidate.kind());
            if !kinds.contains(&kind) {
                continue;
            }
            if let Some(ids) = wanted.get(&(kind, essential(candidate.name_bytes()))) {
                for id in ids {
                    found.entry(*id).or_default().push(candidate.id());
                }
            }
        }
        Self(found)
    }

    /// Those of a local type, by id.
    pub(super) fn of(&self, local: u32) -> &[u32] {
        self.0.get(&local).map_or(&[], Vec::as_slice)
    }

    /// Strikes all but `matching`.
    pub(super) fn keep(&mut self, local: u32, matching: Vec<u32>) {
        self.0.insert(local, matching);
    }
}

/// The kind, both widths of enums taken for one (libbpf `btf_kind_core_compat`).
pub(super) fn comparable(kind: Kind) -> Kind {
    if kind == Kind::Enum64 { Kind::Enum } else { kind }
}
