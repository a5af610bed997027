//! Whether an existing map can serve as the declared one: every difference, with both values.

use std::fmt::Write as _;

use crate::model::ctype::CType;
use crate::model::digest::Digest;
use crate::model::host::HostFacts;
use crate::model::kinds::MapType;
use crate::model::layout::layout_difference;
use crate::model::live::LiveMap;
use crate::model::map::{MapShape, MapSpec};
use crate::model::map_flags::{MapFlags, RDONLY_PROG};
use crate::model::shape::has_numbers_for_keys;

/// One property in which two maps differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The property, as `.maps` names it.
    pub field: &'static str,
    /// What the object declares.
    pub declared: String,
    /// What the pin holds.
    pub found: String,
}

/// Every difference between what `spec` declares and the map `found`; none means that it can be
/// used. The fields are those of libbpf's `map_is_reuse_compat`, and the layout of key and value:
/// by type where the map's BTF may be read, otherwise by `recorded`, the digest on record.
#[must_use]
pub fn mismatches(
    spec: &MapSpec,
    found: &LiveMap,
    recorded: Option<Digest>,
    host: &HostFacts,
) -> Vec<Mismatch> {
    let declared = spec.shape.reported(host);
    let mut live = found.shape;
    if matches!(live.map_type, MapType::DEVMAP | MapType::DEVMAP_HASH) {
        // Set by the kernel (`kernel/bpf/devmap.c`), never by the creator.
        live.map_flags &= !RDONLY_PROG;
    }
    let mut all = Vec::new();
    let mut compare = |field, declared: String, found: String| {
        if declared != found {
            all.push(Mismatch { field, declared, found });
        }
    };
    compare("type", declared.map_type.to_string(), live.map_type.to_string());
    compare("key_size", declared.key_size.to_string(), live.key_size.to_string());
    compare("value_size", declared.value_size.to_string(), live.value_size.to_string());
    compare("max_entries", declared.max_entries.to_string(), live.max_entries.to_string());
    let flags = |shape: &MapShape| MapFlags(shape.map_flags).to_string();
    compare("map_flags", flags(&declared), flags(&live));
    compare("map_extra", format!("{:#x}", declared.map_extra), format!("{:#x}", live.map_extra));
    if found.key.is_none() && found.value.is_none() {
        let sizes = |shape: &MapShape| (shape.key_size, shape.value_size);
        let changed = sizes(&declared) == sizes(&live) && differs_from_record(spec, recorded);
        all.extend(changed.then(|| Mismatch {
            field: "layout of key and value",
            declared: "changed since it was pinned".to_owned(),
            found: "as recorded".to_owned(),
        }));
        return all;
    }
    if !has_numbers_for_keys(spec.shape.map_type) {
        all.extend(layout("key", spec.key.as_ref(), found.key.as_ref()));
    }
    all.extend(layout("value", spec.value.as_ref(), found.value.as_ref()));
    all
}

/// Whether the layouts on record are known to be others than the declared ones.
pub(super) fn differs_from_record(spec: &MapSpec, recorded: Option<Digest>) -> bool {
    recorded.zip(layout_digest(spec)).is_some_and(|(one, other)| one != other)
}

/// Whether nothing says how key and value of the map lie in memory, so that only sizes were
/// compared.
#[must_use]
pub fn layout_is_unknown(spec: &MapSpec, found: &LiveMap, recorded: Option<Digest>) -> bool {
    let declared = spec.key.is_some() || spec.value.is_some();
    declared && found.key.is_none() && found.value.is_none() && recorded.is_none()
}

/// Digest of the layouts of a declared map's key and value; `None` unless both are known.
#[must_use]
pub fn layout_digest(spec: &MapSpec) -> Option<Digest> {
    let (key, value) = (spec.key.as_ref()?, spec.value.as_ref()?.layout());
    let numbers = has_numbers_for_keys(spec.shape.map_type);
    let key = if numbers { Digest::of(b"number") } else { key.layout() };
    Some(Digest::of_parts([key.to_string().as_bytes(), value.to_string().as_bytes()]))
}

/// The same size with another inside reinterprets every entry, so it is a difference too.
fn layout(
    field: &'static str,
    declared: Option<&CType>,
    found: Option<&CType>,
) -> Option<Mismatch> {
    let (declared, found) = (declared?, found?);
    let difference = layout_difference(declared, found)?;
    Some(Mismatch {
        field,
        declared: format!("{declared} ({difference})"),
        found: found.to_string(),
    })
}

/// A shape in one line: `hash, key 4, value 8, 1024 entries`.
#[must_use]
pub fn describe(shape: &MapShape) -> String {
    let mut text = format!(
        "{}, key {}, value {}, {} entries",
        shape.map_type, shape.key_size, shape.value_size, shape.max_entries
    );
    if shape.map_flags != 0 {
        let _ = write!(text, ", {}", MapFlags(shape.map_flags));
    }
    if shape.map_extra != 0 {
        let _ = write!(text, ", map_extra {:#x}", shape.map_extra);
    }
    text
}
