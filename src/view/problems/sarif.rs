//! SARIF 2.1.0 (OASIS), which code scanning services take.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Place, Report, Sources, word};
use crate::model::code;
use crate::model::problem::Problem;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// All problems as one run of this program.
#[must_use]
pub fn sarif(reports: &[Report<'_>]) -> Value {
    let sources = Sources::new(reports);
    let found = |code: &str| {
        reports.iter().flat_map(|report| report.problems).any(|problem| problem.code == code)
    };
    let rules: Vec<_> = code::ALL.iter().filter(|(code, _)| found(code)).collect();
    let described = rules.iter().map(|(code, summary)| {
        let mut summary = (*summary).to_owned();
        if let Some(first) = summary.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        json!({ "id": code, "shortDescription": { "text": format!("{summary}.") } })
    });
    let results = reports.iter().flat_map(|report| {
        let result = |problem: &Problem| {
            let rule = rules.iter().position(|(code, _)| *code == problem.code);
            result(report, problem, rule, &sources)
        };
        report.problems.iter().map(result).collect::<Vec<_>>()
    });
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "ebpf-apply",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": described.collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

fn result(
    report: &Report<'_>,
    problem: &Problem,
    rule: Option<usize>,
    sources: &Sources<'_>,
) -> Value {
    let mut text = format!("{}.", problem.message);
    if let Some(help) = &problem.help {
        let end = if help.ends_with('?') { "" } else { "." };
        let _ = write!(text, "\nHelp: {help}{end}");
    }
    let place = sources.of_problem(report, problem);
    let mut result = json!({
        "ruleId": problem.code,
        "level": word(problem.severity),
        "message": { "text": text },
        "locations": [{ "physicalLocation": location(report.file, place.as_ref()) }],
    });
    if let Some(rule) = rule {
        result["ruleIndex"] = rule.into();
    }
    let related = problem.related.iter().filter_map(|related| sources.of_related(report, related));
    let related: Vec<Value> = related
        .enumerate()
        .map(|(id, (said, place))| {
            json!({
                "id": id,
                "physicalLocation": location(place.file, Some(&place)),
                "message": { "text": said },
            })
        })
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = related.into();
    }
    result
}

fn location(file: &str, place: Option<&Place<'_>>) -> Value {
    let mut location = json!({ "artifactLocation": { "uri": uri(file) } });
    if let Some(Place { start, end, .. }) = place {
        location["region"] = json!({
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        });
    }
    location
}

/// A path as a URI: relative to where the program was run, or absolute (RFC 3986, RFC 8089).
fn uri(path: &str) -> String {
    let mut uri = String::new();
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.strip_prefix("./").unwrap_or(path).bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
