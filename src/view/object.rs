//! What objects declare.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::model::map::MapSpec;
use crate::model::object::ObjectSpec;
use crate::object::Image;

use super::{FORMAT_VERSION, Style};

/// One object as tables of maps, programs, globals and externs.
#[must_use]
pub fn human(image: &Image, style: Style) -> String {
    let spec = &image.spec;
    let license = spec.license.as_deref().unwrap_or("none (non-GPL)");
    let title = style.bold(&image.path.display().to_string());
    let mut text = format!("{title}  sha256 {}  license {license}\n", image.digest);
    let maps = spec.maps.iter().map(map_row).collect();
    table(&mut text, "maps", &["name", "type", "key", "value", "entries", "pinning"], maps, style);
    let programs = spec.programs.iter().map(|program| {
        let kind =
            program.kind.as_ref().map_or("unknown", |kind| kind.program_type.name().unwrap_or("?"));
        vec![program.name.clone(), format!("SEC(\"{}\")", program.section), kind.to_owned()]
    });
    table(&mut text, "programs", &["name", "section", "type"], programs.collect(), style);
    table(&mut text, "globals", &["name", "section", "type", "size"], globals(spec), style);
    let externs = spec.externs.iter().map(|symbol| {
        let weak = if symbol.weak { "weak" } else { "needed" };
        vec![symbol.name.clone(), format!("{:?}", symbol.kind).to_lowercase(), weak.to_owned()]
    });
    table(&mut text, "externs", &["name", "kind", ""], externs.collect(), style);
    for defect in &spec.defects {
        let _ = writeln!(text, "  {}: {defect}", style.red("defect"));
    }
    text
}

fn map_row(map: &MapSpec) -> Vec<String> {
    let typed = |ctype: Option<&crate::model::ctype::CType>, size: u32| match ctype {
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
        pinning,
    ]
}

fn globals(spec: &ObjectSpec) -> Vec<Vec<String>> {
    let row = |global: &crate::model::object::GlobalSpec| {
        let ctype = global.ctype.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
        vec![global.name.clone(), global.section.clone(), ctype, global.size.to_string()]
    };
    spec.globals.iter().map(row).collect()
}

fn table(text: &mut String, title: &str, head: &[&str], rows: Vec<Vec<String>>, style: Style) {
    if rows.is_empty() {
        return;
    }
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let _ = writeln!(text, "\n{}\n  {}", style.bold(title), style.dim(&line(&head)));
    for row in rows {
        let _ = writeln!(text, "  {}", line(&row));
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
