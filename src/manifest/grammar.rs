//! The strings and numbers that have a grammar of their own: how the schema describes them, and how
//! the walker checks them.

use std::borrow::Cow;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::types::{MapTypeName, Names, Version};
use super::value::GlobalValue;
use crate::model::code;
use crate::model::digest::Digest;
use crate::model::kinds::MapType;
use crate::model::name::{NAME_MAX, Name, NameError};
use crate::model::pin::{PinRoot, SUBPATH_MAX_DEPTH, SubPath, SubPathError};

/// What is wrong with a text.
pub(super) struct Flaw {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Flaw {
    fn new(code: &'static str, error: &impl ToString, help: Option<String>) -> Self {
        Self { code, message: error.to_string(), help }
    }
}

/// Checks `text` against the grammar that the schema's definition of that name stands for; a
/// definition without a grammar takes any text.
pub(super) fn check(definition: &str, text: &str) -> Result<(), Flaw> {
    match definition {
        "Name" => name(text),
        "SubPath" => subpath(text),
        "PinRoot" => PinRoot::new(Path::new(text))
            .map(drop)
            .map_err(|error| Flaw::new(code::BAD_PIN_ROOT, &error, None)),
        "Digest" => text.parse::<Digest>().map(drop).map_err(|error| {
            let help = "`sha256sum FILE` prints it".to_owned();
            Flaw::new(code::BAD_DIGEST, &error, Some(help))
        }),
        _ => Ok(()),
    }
}

fn name(text: &str) -> Result<(), Flaw> {
    Name::new(text).map(drop).map_err(|error| {
        let help = rename(text, &error);
        Flaw::new(code::BAD_NAME, &error, help)
    })
}

fn subpath(text: &str) -> Result<(), Flaw> {
    SubPath::new(text).map(drop).map_err(|error| {
        let help = match &error {
            SubPathError::Absolute => Some("drop the leading `/`".to_owned()),
            SubPathError::Component { component, reason: NameError::Character('.') } => {
                Some(format!(
                    "bpffs refuses a `.` in any name; `{}` would do",
                    component.replace('.', "-")
                ))
            }
            SubPathError::Component { reason: NameError::Empty, .. } if text.is_empty() => {
                Some("leave `subpath` out for pins directly below the pin root".to_owned())
            }
            SubPathError::Component { reason: NameError::Empty, .. } => {
                Some("one `/` between two names, and none at the end".to_owned())
            }
            SubPathError::Component { component, reason } => rename(component, reason),
            SubPathError::Traversal | SubPathError::TooDeep(_) => None,
        };
        Flaw::new(code::BAD_SUBPATH, &error, help)
    })
}

/// A legal name near `text`, if only characters are wrong with it.
fn rename(text: &str, error: &NameError) -> Option<String> {
    let NameError::Character(_) = error else { return None };
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let near: String = text.chars().take(NAME_MAX).map(legal).collect();
    let near = near.trim_matches('-');
    (!near.is_empty()).then(|| format!("`{near}` would do"))
}

/// The name of a deployment whose manifest does not say one.
pub(super) fn stand_in() -> Name {
    match Name::new("unnamed") {
        Ok(name) => name,
        Err(error) => unreachable!("`unnamed` follows the grammar: {error}"),
    }
}

/// What maps of a type are for (`Documentation/bpf/map_*.rst` of the kernel).
fn purpose(map_type: MapType) -> &'static str {
    match map_type {
        MapType::HASH => "A hash table.",
        MapType::ARRAY => "An array, all of whose entries exist from the start.",
        MapType::PROG_ARRAY => "Programs for tail calls.",
        MapType::PERF_EVENT_ARRAY => "Perf events, one a CPU: counters, or buffers to user space.",
        MapType::PERCPU_HASH => "A hash table with a value for each CPU.",
        MapType::PERCPU_ARRAY => "An array with a value for each CPU.",
        MapType::STACK_TRACE => "Stack traces by their ids.",
        MapType::CGROUP_ARRAY => "Cgroups, to ask whether a task or packet belongs to one.",
        MapType::LRU_HASH => "A hash table that evicts what was used least recently.",
        MapType::LRU_PERCPU_HASH => "As `lru_hash`, with a value for each CPU.",
        MapType::LPM_TRIE => "Prefixes, of which the longest that matches is found.",
        MapType::ARRAY_OF_MAPS => "An array of maps of one shape.",
        MapType::HASH_OF_MAPS => "A hash table of maps of one shape.",
        MapType::DEVMAP => "Interfaces by index, for XDP to redirect to.",
        MapType::SOCKMAP => "Sockets by index, for programs that redirect between them.",
        MapType::CPUMAP => "CPUs for XDP to redirect to.",
        MapType::XSKMAP => "AF_XDP sockets for XDP to redirect to.",
        MapType::SOCKHASH => "Sockets by key, for programs that redirect between them.",
        MapType::CGROUP_STORAGE => {
            "Data of a cgroup and an attached program; older than `cgrp_storage`."
        }
        MapType::REUSEPORT_SOCKARRAY => "Sockets of a reuseport group to choose from.",
        MapType::PERCPU_CGROUP_STORAGE => "As `cgroup_storage`, with a value for each CPU.",
        MapType::QUEUE => "A queue: first in, first out.",
        MapType::STACK => "A stack: last in, first out.",
        MapType::SK_STORAGE => "Data of a socket, gone with it.",
        MapType::DEVMAP_HASH => "Interfaces by key, for XDP to redirect to.",
        MapType::STRUCT_OPS => "Operations that the kernel calls.",
        MapType::RINGBUF => "A ring buffer to user space; entries are its bytes.",
        MapType::INODE_STORAGE => "Data of an inode, gone with it.",
        MapType::TASK_STORAGE => "Data of a task, gone with it.",
        MapType::BLOOM_FILTER => "A set that tells whether a value may be in it.",
        MapType::USER_RINGBUF => "A ring buffer from user space; entries are its bytes.",
        MapType::CGRP_STORAGE => "Data of a cgroup, gone with it.",
        MapType::ARENA => "Memory shared with user space; entries are its pages.",
        MapType::INSN_ARRAY => "Instructions for jumps by table.",
        MapType::RHASH => {
            "A hash table that grows and shrinks with its entries; not yet for programs of probes and tracepoints."
        }
        _ => "",
    }
}

macro_rules! schema_of {
    ($($type:ty as $name:literal => $schema:expr;)*) => {
        $(impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })*
    };
}

schema_of! {
    Name as "Name" => json_schema!({
        "description": "Letters, digits, `_` and `-`.",
        "type": "string",
        "pattern": format!("^[A-Za-z0-9_-]{{1,{NAME_MAX}}}$"),
    });
    SubPath as "SubPath" => {
        let (name, more) = (format!("[A-Za-z0-9_-]{{1,{NAME_MAX}}}"), SUBPATH_MAX_DEPTH - 1);
        json_schema!({
            "description": "Names separated by `/`.",
            "type": "string",
            "pattern": format!("^{name}(/{name}){{0,{more}}}$"),
        })
    };
    PinRoot as "PinRoot" => json_schema!({
        "description": "An absolute path on bpffs.",
        "type": "string",
        "pattern": "^/",
    });
    Digest as "Digest" => json_schema!({
        "description": "64 hexadecimal digits.",
        "type": "string",
        "pattern": "^[0-9A-Fa-f]{64}$",
    });
    Version as "Version" => json_schema!({
        "description": "The only version there is.",
        "type": "integer",
        "const": Version::NUMBER,
    });
    MapTypeName as "MapTypeName" => {
        let known = MapType::KNOWN.iter().filter(|(number, _)| *number != MapType::UNSPEC);
        let words = known.map(|(number, name)| {
            json_schema!({ "description": purpose(*number), "type": "string", "const": name })
        });
        json_schema!({
            "description": "A map type, as libbpf names it.",
            "oneOf": words.collect::<Vec<_>>(),
        })
    };
    Names as "Names" => json_schema!({
        "description": "A name, or a list of names.",
        "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        ],
    });
    GlobalValue as "GlobalValue" => {
        let inner = json_schema!({ "$ref": "#/definitions/GlobalValue" });
        json_schema!({
            "description": "A value that fits the variable's C type: a boolean, a number, a string \
                            for text or for the name of an enum's value, an array, or a table for a \
                            struct.",
            "anyOf": [
                { "type": "boolean" },
                { "type": "integer" },
                { "type": "number" },
                { "type": "string" },
                { "type": "array", "items": inner },
                { "type": "object", "additionalProperties": inner },
            ],
        })
    };
}
