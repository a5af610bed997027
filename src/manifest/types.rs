//! The manifest's types. Their doc comments become the schema's descriptions, which editors show.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::hook::Hook;
use super::value::GlobalValue;
use crate::model::digest::Digest;
use crate::model::kinds::MapType;
use crate::model::name::Name;
use crate::model::pin::{OnMismatch, PinPolicy, PinRoot, SubPath};

/// An ebpf-apply manifest: the eBPF objects a host runs, where their maps are pinned and where
/// their programs are attached.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Version of the manifest's format; 1.
    pub version: Version,
    /// The deployment's identity on its host. Two manifests of one name are two states of one
    /// deployment; applying the second replaces what the first set up.
    pub name: Name,
    /// Directory on bpffs below which everything is pinned: absolute, no `.` in its last name.
    /// Default: `/sys/fs/bpf/ebpf-apply/<name>`.
    pub pin_root: Option<PinRoot>,
    /// The BPF objects, by a name of your choice.
    #[serde(default)]
    #[schemars(
        with = "BTreeMap<String, ObjectEntry>",
        extend("propertyNames" = { "$ref": "#/definitions/Name" })
    )]
    pub objects: BTreeMap<Name, ObjectEntry>,
}

/// One compiled BPF object and what to do with it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ObjectEntry {
    /// The ELF file; a relative path begins at the manifest's directory.
    pub path: PathBuf,
    /// SHA-256 digest of the file; any other bytes are refused.
    pub sha256: Option<Digest>,
    /// Directory for this object's pins, below `pin-root`. Keeps the maps of two objects apart.
    pub subpath: Option<SubPath>,
    /// Which of the object's programs are loaded.
    #[serde(default)]
    pub load: Load,
    /// Settings of the object's maps, by the map's name in C. A map not mentioned here follows its
    /// definition: pinned by name if that has the `pinning` attribute.
    #[serde(default)]
    pub maps: BTreeMap<String, MapEntry>,
    /// Initial values of global variables, by their names in C.
    #[serde(default)]
    pub globals: BTreeMap<String, GlobalValue>,
    /// Settings of the object's programs, by the function's name in C; and of `struct_ops` maps to be
    /// registered, by the variable's name.
    #[serde(default)]
    pub programs: BTreeMap<String, ProgramEntry>,
}

impl ObjectEntry {
    /// The file, the directory of the manifest in front.
    #[must_use]
    pub fn file(&self, manifest: &Path) -> PathBuf {
        manifest.parent().unwrap_or(Path::new("")).join(&self.path)
    }
}

/// Which programs of an object are loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// All but those whose section begins with `?`; one of those is loaded when it is named.
    #[default]
    All,
    /// Only those named under `programs`.
    Listed,
}

/// Settings of one map.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MapEntry {
    /// What becomes of the map's pin. `by-name` and `persist-on-exit` need
    /// `__uint(pinning, LIBBPF_PIN_BY_NAME);` in the map's definition.
    pub pin: Option<PinPolicy>,
    /// Directory for this map's pin, below `pin-root`; replaces the object's `subpath`.
    pub subpath: Option<SubPath>,
    /// Most entries (bytes for a ring buffer); overrides the object.
    pub max_entries: Option<NonZeroU32>,
    /// What to do about an existing pin of another shape. Default: `fail`.
    pub on_mismatch: Option<OnMismatch>,
    /// The map belongs to someone else: it must exist at its path and is never created, replaced or
    /// unpinned.
    #[serde(default)]
    pub external: bool,
    /// Pins the map although its definition lacks the `pinning` attribute; for objects that cannot
    /// be rebuilt.
    #[serde(default)]
    pub allow_undeclared: bool,
    /// What the object must declare for this map.
    pub expect: Option<Expect>,
}

/// What an object must declare for a map; anything else is refused.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// The map's type.
    #[serde(rename = "type")]
    pub map_type: Option<MapTypeName>,
    /// The key's type as C writes it: `struct flow_key`, `__u32`; or its members, whose layout is
    /// compared: `struct { __u32 addr; __u16 port; }`.
    pub key: Option<String>,
    /// The value's type as C writes it, or its members.
    pub value: Option<String>,
}

/// Settings of one program.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProgramEntry {
    /// What becomes of the program's pin. Default: `none`. A program's pin lies in the object's
    /// `subpath` and carries the program's name.
    pub pin: Option<PinPolicy>,
    /// Where the program is attached; a program that is not attached anywhere is only loaded.
    #[serde(default)]
    pub attach: Vec<Hook>,
}

impl Default for Manifest {
    /// The manifest of which nothing could be read.
    fn default() -> Self {
        Self {
            version: Version,
            name: super::grammar::stand_in(),
            pin_root: None,
            objects: BTreeMap::new(),
        }
    }
}

/// The version of the manifest's format; there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version;

impl Version {
    /// Its number.
    pub const NUMBER: u32 = 1;
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            Self::NUMBER => Ok(Self),
            other => Err(de::Error::custom(format!("unsupported version {other}"))),
        }
    }
}

/// A map type by the name libbpf gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapTypeName(pub MapType);

impl<'de> Deserialize<'de> for MapTypeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = MapType::from_name(&text).filter(|kind| *kind != MapType::UNSPEC);
        known.map(Self).ok_or_else(|| de::Error::custom(format!("unknown map type `{text}`")))
    }
}

/// One name, or a list of at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name or a list of names")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Names, E> {
        Ok(Names(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element()? {
            names.push(name);
        }
        if names.is_empty() { Err(de::Error::invalid_length(0, &self)) } else { Ok(Names(names)) }
    }
}
