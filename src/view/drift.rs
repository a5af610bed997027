//! What has changed behind a held deployment's back.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::model::name::Name;
use crate::plan::ResourceStatus;

use super::plan::{RunResult, result_json};
use super::{Style, printable};

/// What has drifted for people, and what is done about it; or that nothing has any more.
#[must_use]
pub fn human(name: &Name, drifted: &[ResourceStatus], heals: bool, style: Style) -> String {
    if drifted.is_empty() {
        return format!("deployment `{name}` is in sync again\n");
    }
    let mut text = format!("{}: deployment `{name}` has drifted\n", style.yellow("warning"));
    for resource in drifted {
        let address = printable(resource.address.as_str());
        let _ = write!(text, "  {address} is {}", resource.state.as_str());
        let pin = resource.pin.iter().map(|pin| format!("pin {pin}"));
        let why: Vec<String> = resource.detail.iter().cloned().chain(pin).collect();
        let _ = writeln!(
            text,
            "{}",
            if why.is_empty() {
                String::new()
            } else {
                format!(" ({})", printable(&why.join("; ")))
            }
        );
    }
    if heals {
        text.push_str("  it is applied again\n");
    } else {
        let help = style.bold("help");
        let _ =
            writeln!(text, "  {help}: SIGHUP applies again; `--on-drift heal` does so by itself");
    }
    text
}

/// The same as one JSON document: a result with the resources that have drifted.
#[must_use]
pub fn json(result: &RunResult<'_>, drifted: &[ResourceStatus]) -> Value {
    let mut document = result_json(result);
    document["resources"] = json!(drifted);
    document
}
