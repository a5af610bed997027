//! Types of the kernel that a local type may stand for: those of the same essential name and kind
//! (libbpf `bpf_core_find_cands`, `bpf_core_add_cands`).

use std::collections::{BTreeMap, BTreeSet};

use crate::btf::{Btf, Kind};

use super::Targets;
use super::compat::At;
use super::kind::essential;

/// Candidates by the id of the local type.
#[derive(Clone, Default)]
pub(super) struct Candidates<'k>(BTreeMap<u32, Vec<At<'k, 'k>>>);

/// Local types whose candidates are looked for, by comparable kind and essential name.
type Wanted<'l> = BTreeMap<(Kind, &'l [u8]), Vec<u32>>;

impl<'k> Candidates<'k> {
    /// Finds those of all `roots`, in one pass over the kernel's types. Those of its modules count
    /// only for a root that has none there, and are not even read without such a root.
    pub(super) fn find(
        local: &Btf<'_>,
        targets: Targets<'k>,
        roots: impl Iterator<Item = u32>,
    ) -> Self {
        let mut wanted = Wanted::new();
        for id in roots.collect::<BTreeSet<_>>() {
            let Some(root) = local.get(id).filter(|root| !root.is_anonymous()) else { continue };
            let name = essential(root.name_bytes());
            wanted.entry((comparable(root.kind()), name)).or_default().push(id);
        }
        let mut candidates = Self::default();
        candidates.add(&wanted, targets.kernel);
        wanted.retain(|_, ids| !ids.iter().any(|id| candidates.0.contains_key(id)));
        if let Some(modules) = targets.modules.filter(|_| !wanted.is_empty()) {
            for module in modules.all() {
                candidates.add(&wanted, &module.types);
            }
        }
        candidates
    }

    fn add(&mut self, wanted: &Wanted<'_>, kernel: &'k Btf<'k>) {
        let kinds: BTreeSet<Kind> = wanted.keys().map(|(kind, _)| *kind).collect();
        if kinds.is_empty() {
            return;
        }
        for candidate in kernel.types() {
            let kind = comparable(candidate.kind());
            if !kinds.contains(&kind) {
                continue;
            }
            if let Some(ids) = wanted.get(&(kind, essential(candidate.name_bytes()))) {
                for id in ids {
                    self.0.entry(*id).or_default().push(At { btf: kernel, id: candidate.id() });
                }
            }
        }
    }

    /// Those of a local type.
    pub(super) fn of(&self, local: u32) -> &[At<'k, 'k>] {
        self.0.get(&local).map_or(&[], Vec::as_slice)
    }

    /// Strikes all but `matching`.
    pub(super) fn keep(&mut self, local: u32, matching: Vec<At<'k, 'k>>) {
        self.0.insert(local, matching);
    }
}

/// The kind, both widths of enums taken for one (libbpf `btf_kind_core_compat`).
pub(super) fn comparable(kind: Kind) -> Kind {
    if kind == Kind::Enum64 { Kind::Enum } else { kind }
}
