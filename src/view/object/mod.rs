//! What objects declare.

mod c;
mod table;

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{FORMAT_VERSION, Style, printable};
use crate::model::ctype::CType;
use crate::model::map::MapSpec;
use crate::model::object::{ExternSpec, GlobalSpec, ObjectSpec};
use crate::model::program::ProgramSpec;
use crate::object::Image;
use table::table;

/// One object as tables of maps, programs, globals and externs, and the types of its maps as C
/// declares them.
#[must_use]
pub fn human(image: &Image, style: Style) -> String {
    let spec = &image.spec;
    let license = printable(spec.license.as_deref().unwrap_or("none (non-GPL)"));
    let title = style.bold(&printable(&image.path.display().to_string()));
    let mut text = format!("{title}  sha256 {}  license {license}\n", image.digest);
    let maps: Vec<_> = spec.maps.iter().map(map_row).collect();
    let head = ["name", "type", "key", "value", "entries", "flags", "pinning"];
    table(&mut text, "maps", &head, &maps, style);
    let programs: Vec<_> = spec.programs.iter().map(program_row).collect();
    let head = ["name", "section", "type", "instructions"];
    table(&mut text, "programs", &head, &programs, style);
    let head = ["name", "section", "type", "size"];
    table(&mut text, "globals", &head, &globals(spec), style);
    let externs: Vec<_> = spec.externs.iter().map(extern_row).collect();
    table(&mut text, "externs", &["name", "kind", ""], &externs, style);
    types(&mut text, spec, style);
    for defect in &spec.defects {
        let _ = writeln!(text, "\n{}: {}", style.red("defect"), printable(&defect.to_string()));
    }
    text
}

fn map_row(map: &MapSpec) -> Vec<String> {
    let typed = |ctype: Option<&CType>, size: u32| match ctype {
        Some(ctype) => format!("{ctype} ({size})"),
        None => size.to_string(),
    };
    let pinning = match map.pinning {
        Some(1) => "by name".to_owned(),
        Some(0) | None => String::new(),
        Some(other) => format!("invalid ({other})"),
    };
    vec![
        map.name.clone(),
        map.shape.map_type.to_string(),
        typed(map.key.as_ref(), map.shape.key_size),
        typed(map.value.as_ref(), map.shape.value_size),
        map.shape.max_entries.to_string(),
        flags(map.shape.map_flags),
        pinning,
    ]
}

/// Creation flags by their names without `BPF_F_` (`include/uapi/linux/bpf.h`).
fn flags(flags: u32) -> String {
    const NAMES: &[(u32, &str)] = &[
        (0, "NO_PREALLOC"),
        (1, "NO_COMMON_LRU"),
        (2, "NUMA_NODE"),
        (3, "RDONLY"),
        (4, "WRONLY"),
        (5, "STACK_BUILD_ID"),
        (6, "ZERO_SEED"),
        (7, "RDONLY_PROG"),
        (8, "WRONLY_PROG"),
        (9, "CLONE"),
        (10, "MMAPABLE"),
        (11, "PRESERVE_ELEMS"),
        (12, "INNER_MAP"),
        (13, "LINK"),
    ];
    let named = NAMES.iter().filter(|(bit, _)| flags & 1 << bit != 0);
    let mut words: Vec<String> = named.map(|(_, name)| (*name).to_owned()).collect();
    let rest = NAMES.iter().fold(flags, |rest, (bit, _)| rest & !(1 << bit));
    if rest != 0 {
        words.push(format!("{rest:#x}"));
    }
    words.join(" | ")
}

fn program_row(program: &ProgramSpec) -> Vec<String> {
    let kind = program.kind.as_ref();
    let kind = kind.map_or("unknown", |kind| kind.program_type.name().unwrap_or("?"));
    vec![
        program.name.clone(),
        format!("SEC(\"{}\")", program.section),
        kind.to_owned(),
        program.instructions.to_string(),
    ]
}

fn globals(spec: &ObjectSpec) -> Vec<Vec<String>> {
    let row = |global: &GlobalSpec| {
        let ctype = global.ctype.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
        vec![global.name.clone(), global.section.clone(), ctype, global.size.to_string()]
    };
    spec.globals.iter().map(row).collect()
}

fn extern_row(symbol: &ExternSpec) -> Vec<String> {
    let weak = if symbol.weak { "weak" } else { "needed" };
    vec![symbol.name.clone(), format!("{:?}", symbol.kind).to_lowercase(), weak.to_owned()]
}

/// What keys and values of the object's own maps are made of.
fn types(text: &mut String, spec: &ObjectSpec, style: Style) {
    let mut known = Vec::new();
    for map in spec.maps.iter().filter(|map| map.is_declared()) {
        for ctype in map.key.iter().chain(&map.value) {
            c::define(ctype, &mut known);
        }
    }
    if !known.is_empty() {
        let _ = writeln!(text, "\n{}", style.bold("types"));
    }
    for line in known.iter().flat_map(|(_, definition)| definition.lines()) {
        let _ = writeln!(text, "  {}", printable(line));
    }
}

/// An object, or why it could not be inspected.
pub type Inspected = Result<Image, String>;

/// Objects as one JSON document, with the problems of those that could not be inspected.
#[must_use]
pub fn json(inspected: &[Inspected]) -> Value {
    let object = |image: &Image| json!({ "path": image.path, "sha256": image.digest, "declares": image.spec });
    let problem = |message: &String| json!({ "code": "object-invalid", "severity": "error", "message": message });
    let objects: Vec<Value> = inspected.iter().flatten().map(object).collect();
    let problems: Vec<Value> =
        inspected.iter().filter_map(|one| one.as_ref().err()).map(problem).collect();
    json!({ "format_version": FORMAT_VERSION, "objects": objects, "problems": problems })
}
