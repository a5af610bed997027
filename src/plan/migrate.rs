//! Whether the entries of an existing map can be carried over into the declared one, decided before
//! anything changes. How many there are is not known here: a copy that finds no room fails before
//! anything is visible.

use crate::model::ctype::CType;
use crate::model::digest::Digest;
use crate::model::entries::{EntryKind, Transfer};
use crate::model::host::HostFacts;
use crate::model::kinds::MapType;
use crate::model::layout::{appended, layout_difference};
use crate::model::live::LiveMap;
use crate::model::map::{MapShape, MapSpec};
use crate::model::shape::has_numbers_for_keys;

use super::compat;

/// A migration that is possible as far as the plan can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Migration {
    pub(super) transfer: Transfer,
    /// What happens to entries, and what cannot be promised.
    pub(super) terms: String,
}

/// Decides whether entries go from `found` into a map as `spec` declares it; an error says why not.
pub(super) fn migration(
    spec: &MapSpec,
    found: &LiveMap,
    recorded: Option<Digest>,
    host: HostFacts,
) -> Result<Migration, String> {
    let kind = spec.entry_kind()?;
    let (declared, live) = (spec.shape.reported(&host), found.shape);
    if EntryKind::of(live.map_type) != Ok(kind) {
        return Err(format!(
            "entries of type {} do not fit into type {}",
            live.map_type, declared.map_type
        ));
    }
    if live.map_type == MapType::RHASH {
        // `rhashtable_next_key`: while it resizes, which it does on its own, any number may be skipped.
        return Err("going over a table that resizes may leave entries out".to_owned());
    }
    if let Some(owned) = found.value.as_ref().and_then(CType::kernel_owned) {
        return Err(format!("its value has {owned}, which only the kernel can write"));
    }
    if declared.key_size != live.key_size {
        return Err("its keys are of another size".to_owned());
    }
    if !has_numbers_for_keys(live.map_type)
        && let Some(difference) = difference(spec.key.as_ref(), found.key.as_ref())
    {
        return Err(format!("of its key, {difference}"));
    }
    let mut terms = vec![format!("up to {} entries are copied", live.max_entries)];
    let kept = kept(spec, found, recorded, &mut terms)?;
    terms.extend(capacity(kind, &declared, &live));
    if compat::layout_is_unknown(spec, found, recorded) {
        terms.push(
            "only sizes could be compared, since its BTF may not be read (CAP_SYS_ADMIN)"
                .to_owned(),
        );
    }
    terms.push(
        "what is written meanwhile is carried over, but not to entries that the new programs have \
         written by then"
            .to_owned(),
    );
    let locked = spec.value.as_ref().is_some_and(CType::has_spin_lock);
    Ok(Migration { transfer: Transfer { kind, kept, locked }, terms: terms.join("; ") })
}

/// How many bytes of an old value the new one begins with.
fn kept(
    spec: &MapSpec,
    found: &LiveMap,
    recorded: Option<Digest>,
    terms: &mut Vec<String>,
) -> Result<u32, String> {
    let (declared, live) = (spec.shape.value_size, found.shape.value_size);
    if let (Some(new), Some(old)) = (&spec.value, &found.value) {
        let Some(difference) = layout_difference(new, old) else { return Ok(live) };
        let grown = appended(old, new).ok_or_else(|| format!("of its value, {difference}"))?;
        let members: Vec<String> = grown.members.iter().map(|name| format!("`{name}`")).collect();
        terms.push(format!("new in each value and zero at first: {}", members.join(", ")));
        return Ok(grown.kept);
    }
    if declared != live {
        return Err("its values are of another size, and its BTF, which would tell what they \
                    have in common, cannot be read (CAP_SYS_ADMIN)"
            .to_owned());
    }
    if found.key.is_none() && compat::differs_from_record(spec, recorded) {
        return Err("key or value lie in memory otherwise than when it was pinned".to_owned());
    }
    Ok(live)
}

/// What is to be said of how many entries the new map takes.
fn capacity(kind: EntryKind, declared: &MapShape, live: &MapShape) -> Vec<String> {
    let mut terms = Vec::new();
    let most = declared.max_entries;
    if most < live.max_entries && kind.is_indexed() {
        terms.push(format!("fails, with nothing changed, if one from index {most} on is not zero"));
    } else if most < live.max_entries {
        terms.push(format!("fails, with nothing changed, if there are more than {most}"));
    }
    if matches!(declared.map_type, MapType::LRU_HASH | MapType::LRU_PERCPU_HASH) {
        terms.push(
            "their order of use is lost, and the kernel may evict some to have free ones"
                .to_owned(),
        );
    }
    terms
}

fn difference(declared: Option<&CType>, found: Option<&CType>) -> Option<String> {
    layout_difference(declared?, found?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ctype::{CTypeKind, Member};
    use crate::model::map::MapOrigin;

    const HOST: HostFacts = HostFacts { possible_cpus: 4, page_size: 4096 };

    fn shape(map_type: MapType, value_size: u32, max_entries: u32) -> MapShape {
        MapShape { map_type, key_size: 4, value_size, max_entries, map_flags: 0, map_extra: 0 }
    }

    fn declared(shape: MapShape, value: Option<CType>) -> MapSpec {
        MapSpec {
            name: "m".to_owned(),
            origin: MapOrigin::Declared,
            shape,
            numa_node: None,
            pinning: Some(1),
            key: None,
            value,
            key_type_id: 0,
            value_type_id: 0,
            inner: None,
            slots: Vec::new(),
        }
    }

    fn live(shape: MapShape, value: Option<CType>) -> LiveMap {
        LiveMap { id: 1, name: "m".to_owned(), shape, key: None, value }
    }

    fn stats(members: &[&str]) -> CType {
        let size = 8 * u32::try_from(members.len()).expect("few");
        let number = CTypeKind::Int { signed: false };
        let number = CType { name: "__u64".to_owned(), size: 8, kind: number };
        let members = members.iter().zip(0..).map(|(name, index)| Member {
            name: (*name).to_owned(),
            bit_offset: 64 * index,
            bit_width: None,
            ctype: number.clone(),
        });
        let kind = CTypeKind::Struct { union: false, members: members.collect() };
        CType { name: "struct stats".to_owned(), size, kind }
    }

    fn decide(spec: &MapSpec, found: &LiveMap) -> Result<Migration, String> {
        migration(spec, found, None, HOST)
    }

    /// From one type to another of the same sizes.
    fn between(old: MapType, new: MapType) -> Result<Migration, String> {
        decide(&declared(shape(new, 8, 64), None), &live(shape(old, 8, 64), None))
    }

    #[test]
    fn entries_stay_among_types_of_their_kind() {
        let kinds: [&[MapType]; 5] = [
            &[MapType::HASH, MapType::LRU_HASH, MapType::RHASH],
            &[MapType::PERCPU_HASH, MapType::LRU_PERCPU_HASH],
            &[MapType::ARRAY],
            &[MapType::PERCPU_ARRAY],
            &[MapType::LPM_TRIE],
        ];
        let mut possible = 0;
        for (old, _) in MapType::KNOWN {
            for (new, _) in MapType::KNOWN {
                let same = kinds.iter().any(|kind| kind.contains(old) && kind.contains(new));
                let expected = same && *old != MapType::RHASH;
                assert_eq!(between(*old, *new).is_ok(), expected, "{old} to {new}");
                possible += usize::from(expected);
            }
        }
        assert_eq!(possible, 6 + 4 + 3);
        let why = between(MapType::QUEUE, MapType::QUEUE).expect_err("a queue");
        assert_eq!(why, "its type is queue: reading an entry takes it out");
    }

    #[test]
    fn values_may_grow_at_their_end() {
        let map = |members: &[&str]| {
            let value = stats(members);
            (shape(MapType::HASH, value.size, 64), Some(value))
        };
        let (two, three) = (map(&["packets", "bytes"]), map(&["packets", "bytes", "drops"]));
        let turned = map(&["drops", "packets", "bytes"]);
        let grown = decide(&declared(three.0, three.1.clone()), &live(two.0, two.1.clone()));
        let grown = grown.expect("a member was appended");
        assert_eq!(grown.transfer, Transfer { kind: EntryKind::Hash, kept: 16, locked: false });
        assert!(grown.terms.contains("zero at first: `drops`"), "{}", grown.terms);
        let why = decide(&declared(turned.0, turned.1), &live(two.0, two.1.clone()));
        assert_eq!(why, Err("of its value, `drops` is where the other has `packets`".to_owned()));
        let why = decide(&declared(two.0, two.1), &live(three.0, three.1));
        assert_eq!(why, Err("of its value, `drops` is missing".to_owned()));
    }

    #[test]
    fn where_types_are_unknown_sizes_and_the_record_decide() {
        let value = stats(&["packets"]);
        let spec = declared(shape(MapType::HASH, 8, 64), Some(value.clone()));
        let found = live(shape(MapType::HASH, 8, 32), None);
        let unsure = decide(&spec, &found).expect("of the same size");
        assert!(unsure.terms.contains("only sizes could be compared"), "{}", unsure.terms);
        let smaller = live(shape(MapType::HASH, 4, 32), None);
        assert!(decide(&spec, &smaller).expect_err("of another size").contains("CAP_SYS_ADMIN"));

        let spec = MapSpec { key: Some(value), ..spec };
        let recorded = compat::layout_digest(&spec).expect("both are known");
        let sure = migration(&spec, &found, Some(recorded), HOST).expect("as recorded");
        assert!(!sure.terms.contains("only sizes"), "{}", sure.terms);
        let other = Some(Digest::of(b"another"));
        assert!(migration(&spec, &found, other, HOST).is_err());
    }

    #[test]
    fn what_only_the_kernel_can_write_stays_where_it_is() {
        let holding = |name: &str, kind| {
            let inner = CType { name: name.to_owned(), size: 8, kind };
            let mut value = stats(&["inner"]);
            if let CTypeKind::Struct { members, .. } = &mut value.kind {
                members[0].ctype = inner;
            }
            (declared(shape(MapType::HASH, 8, 64), Some(value.clone())), value)
        };
        let opaque = || CTypeKind::Opaque;
        let old = shape(MapType::HASH, 8, 32);
        for (name, kind, said) in [
            ("struct bpf_timer", opaque(), "a `bpf_timer`"),
            ("struct task_struct __kptr *", CTypeKind::Pointer, "a `__kptr`"),
        ] {
            let (spec, value) = holding(name, kind);
            let why = decide(&spec, &live(old, None)).expect_err(name);
            assert_eq!(why, format!("its value has {said}, which only the kernel can write"));
            let plain = declared(shape(MapType::HASH, 8, 64), None);
            assert_eq!(decide(&plain, &live(old, Some(value))), Err(why), "in the old one alone");
        }
        let (spec, value) = holding("struct task_struct *", CTypeKind::Pointer);
        assert!(decide(&spec, &live(old, Some(value))).is_ok(), "a plain pointer is a number");
        let (spec, value) = holding("struct bpf_spin_lock", opaque());
        assert!(decide(&spec, &live(old, Some(value))).expect("copied under it").transfer.locked);
        let mut spec = declared(shape(MapType::HASH, 8, 64), None);
        spec.shape.map_flags = 1 << 3;
        assert!(decide(&spec, &live(old, None)).expect_err("read-only").contains("user space"));
    }

    #[test]
    fn what_cannot_be_promised_is_said() {
        let shrunk = |map_type| {
            let spec = declared(shape(map_type, 8, 16), None);
            decide(&spec, &live(shape(map_type, 8, 64), None)).expect("possible").terms
        };
        assert!(shrunk(MapType::HASH).contains("if there are more than 16"));
        assert!(shrunk(MapType::ARRAY).contains("if one from index 16 on is not zero"));
        assert!(shrunk(MapType::LRU_HASH).contains("order of use is lost"));
    }
}
