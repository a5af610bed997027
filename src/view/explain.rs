//! What the codes of problems mean.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::model::code;
use crate::model::problem::Severity;

use super::{FORMAT_VERSION, Style};

/// A page in Markdown for a terminal: headings stand out, code is indented.
#[must_use]
pub fn page(markdown: &str, style: Style) -> String {
    let mut text = String::new();
    let mut in_code = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        } else if in_code {
            text.push_str(if line.is_empty() { "" } else { "    " });
            text.push_str(line);
            text.push('\n');
        } else if let Some(title) = line.strip_prefix("# ") {
            let _ = writeln!(text, "{} ({})", style.bold(title), severity(title));
        } else if let Some(title) = line.strip_prefix("## ") {
            let _ = writeln!(text, "{}", style.bold(title));
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// All codes, each with its severity and what it stands for.
#[must_use]
pub fn list(style: Style) -> String {
    let width = code::ALL.iter().map(|(code, _)| code.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (code, summary) in code::ALL {
        let name = style.bold(&format!("{code:<width$}"));
        let _ = writeln!(text, "{name}  {:<7}  {summary}", severity(code));
    }
    text
}

/// A page as JSON.
#[must_use]
pub fn page_json(code: &str, markdown: &str) -> Value {
    let summary = code::ALL.iter().find(|(known, _)| *known == code).map(|(_, summary)| *summary);
    json!({
        "format_version": FORMAT_VERSION,
        "code": code,
        "severity": severity(code),
        "summary": summary,
        "page": markdown,
    })
}

/// All codes as JSON.
#[must_use]
pub fn list_json() -> Value {
    let one = |(code, summary): &(&str, &str)| json!({ "code": code, "severity": severity(code), "summary": summary });
    let codes: Vec<Value> = code::ALL.iter().map(one).collect();
    json!({ "format_version": FORMAT_VERSION, "codes": codes })
}

/// `either` where it depends on what was found.
fn severity(code: &str) -> &'static str {
    match code::severity(code) {
        Some(Severity::Error) => "error",
        Some(Severity::Warning) => "warning",
        None => "either",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_page_as_it_is() {
        let page = page_json("no-effect", "# no-effect\n");
        assert_eq!(page["severity"], "warning");
        assert_eq!(page["page"], "# no-effect\n");
        let list = list_json();
        let codes = list["codes"].as_array().expect("a list");
        assert_eq!(codes.len(), code::ALL.len());
        assert!(
            codes.iter().any(|one| one["code"] == "kernel-too-old" && one["severity"] == "either")
        );
    }

    #[test]
    fn fences_go_and_code_stays() {
        let markdown =
            "# no-effect\n\nText.\n\n## Example\n\n```toml\npin = \"none\"\n\na = 1\n```\n";
        assert_eq!(
            page(markdown, Style::PLAIN),
            "no-effect (warning)\n\nText.\n\nExample\n\n    pin = \"none\"\n\n    a = 1\n"
        );
    }
}
