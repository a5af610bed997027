//! Plans and what became of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::model::capability::Capability;
use crate::model::name::Name;
use crate::model::unprintable::is_unprintable;
use crate::plan::{Action, Capabilities, Change, Plan, summarise};

use super::problems::{ProblemJson, plural};
use super::{FORMAT_VERSION, Style, printable};

/// A plan for people: each change with its reason, then a count.
#[must_use]
pub fn human(plan: &Plan, style: Style) -> String {
    let mut text = String::new();
    for change in plan.changes.iter().filter(|change| change.action != Action::NoOp) {
        let _ = writeln!(
            text,
            "  {} {}",
            symbol(change.action, style),
            style.bold(&printable(change.address.as_str()))
        );
        let _ = writeln!(text, "      {}: {}", change.action, printable(&change.reason));
        if let Some(before) = &change.before {
            let _ = writeln!(text, "      {} {}", style.dim("found "), printable(before));
        }
        if let Some(after) = &change.after {
            let _ = writeln!(text, "      {} {}", style.dim("wanted"), printable(after));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "{}", counts(&plan.changes));
    text
}

/// What the deployment takes of capabilities, in one line or two: `Needs CAP_BPF and CAP_NET_ADMIN.`
#[must_use]
pub fn needs(capabilities: &Capabilities) -> String {
    let names = |all: &BTreeMap<Capability, String>| {
        all.keys().map(|one| one.as_str()).collect::<Vec<_>>().join(", ")
    };
    let needed = match names(&capabilities.needed) {
        none if none.is_empty() => "Needs no capability".to_owned(),
        some => format!("Needs {some}"),
    };
    match names(&capabilities.perhaps) {
        none if none.is_empty() => format!("{needed}.\n"),
        some => format!("{needed}; on some hosts {some}.\n"),
    }
}

/// What is not left to the kernel with the rest.
#[must_use]
pub fn not_kept(attachments: usize, style: Style) -> String {
    let warning = style.yellow("warning");
    let these = plural(attachments, "attachment");
    format!(
        "{warning}: not kept: {these} to events, which only a process can hold before Linux 5.15; the \
         next start attaches again\n"
    )
}

/// A plan with whose it is.
#[must_use]
pub fn of_deployment(name: &Name, plan: &Plan, style: Style) -> String {
    let root = plan.after.pin_root.to_string();
    format!("deployment `{name}`, pins below {}\n\n{}", printable(&root), human(plan, style))
}

/// `Plan: 3 to create, 1 to update, 2 unchanged.`
fn counts(changes: &[Change]) -> String {
    let words = summarise(changes).into_iter().map(|(action, count)| match action {
        Action::NoOp => format!("{count} unchanged"),
        Action::Wait => format!("{count} waiting"),
        Action::Refuse => format!("{count} refused"),
        other => format!("{count} to {other}"),
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() {
        "Plan: nothing to do.".to_owned()
    } else {
        format!("Plan: {}.", words.join(", "))
    }
}

/// What a deployment that nobody holds leaves waiting; empty if nothing is.
#[must_use]
pub fn left_waiting(plan: &Plan, style: Style) -> String {
    let waiting: Vec<&str> = plan.waiting().map(|change| change.address.as_str()).collect();
    if waiting.is_empty() {
        return String::new();
    }
    format!(
        "{}: nobody attaches what waits: {}\n  {}: apply again once it is there, or hold the deployment \
         (without `--detach`)\n",
        style.yellow("warning"),
        waiting.join(", "),
        style.bold("help"),
    )
}

fn symbol(action: Action, style: Style) -> String {
    match action {
        Action::NoOp => " ".to_owned(),
        Action::Wait => style.yellow("…"),
        Action::Create => style.green("+"),
        Action::Adopt => style.green("="),
        Action::Update | Action::Migrate => style.yellow("~"),
        Action::Replace => style.yellow("±"),
        Action::Move => style.yellow(">"),
        Action::Delete => style.red("-"),
        Action::Forget => style.dim("."),
        Action::Refuse => style.red("!"),
    }
}

/// A plan as a comment on a pull request: the count, then a table of what is not a no-op.
#[must_use]
pub fn markdown(name: &Name, plan: &Plan, capabilities: &Capabilities) -> String {
    let mut text = format!("### Deployment `{name}`\n\n{}\n", counts(&plan.changes));
    let mut rows = plan.changes.iter().filter(|change| change.action != Action::NoOp).peekable();
    if rows.peek().is_some() {
        text.push_str("\n| | resource | what happens |\n|---|---|---|\n");
    }
    for change in rows {
        let what = format!("{}: {}", change.action, change.reason);
        let found = change.before.iter().map(|before| format!("found {before}"));
        let wanted = change.after.iter().map(|after| format!("wanted {after}"));
        let cell: Vec<String> =
            std::iter::once(what).chain(found).chain(wanted).map(|line| cell(&line)).collect();
        let _ = writeln!(
            text,
            "| {} | `{}` | {} |",
            symbol(change.action, Style::PLAIN),
            printable(change.address.as_str()).replace('|', "\\|").replace('`', "'"),
            cell.join("<br>")
        );
    }
    let _ = write!(text, "\n{}", needs(capabilities).replace('_', "\\_"));
    text
}

/// Text that stays within a cell of a table and means nothing else in Markdown or HTML.
fn cell(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut code = false;
    for character in text.chars() {
        match character {
            '`' => {
                code = !code;
                escaped.push('`');
            }
            '|' => escaped.push_str("\\|"),
            '\n' => escaped.push_str("<br>"),
            '<' if !code => escaped.push_str("&lt;"),
            '*' | '_' | '[' | ']' | '~' if !code => {
                escaped.push('\\');
                escaped.push(character);
            }
            other if is_unprintable(other) => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A plan as one JSON document.
#[must_use]
pub fn json(name: &Name, plan: &Plan, capabilities: &Capabilities) -> Value {
    let of = |all: &BTreeMap<Capability, String>| -> Vec<Value> {
        all.iter().map(|(name, why)| json!({ "name": name, "why": why })).collect()
    };
    json!({
        "format_version": FORMAT_VERSION,
        "name": name,
        "changes": plan.changes,
        "summary": summary(&plan.changes),
        "capabilities": {
            "needed": of(&capabilities.needed),
            "perhaps": of(&capabilities.perhaps),
        },
    })
}

fn summary(changes: &[Change]) -> Map<String, Value> {
    let counts = summarise(changes).into_iter();
    counts.map(|(action, count)| (action.as_str().to_owned(), count.into())).collect()
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The host is as wanted now.
    Applied,
    /// It was already.
    Unchanged,
    /// The deployment has ended.
    Ended,
    /// Its process ends, and it stays in the kernel.
    Kept,
    /// What it left on the host was changed by someone else.
    Drifted,
    /// The host is as it left it, after it was not.
    InSync,
    /// The manifest or an object is invalid; nothing was touched.
    Invalid,
    /// The plan contains something that cannot be done; nothing was touched.
    Refused,
    /// It failed, and the host is as it was before.
    Failed,
    /// It failed, and the host is mixed.
    Stuck,
}

/// The result of `apply` or `destroy`, for [`result_json`].
#[derive(Clone, Debug, Serialize)]
pub struct RunResult<'r> {
    /// The deployment; absent when the manifest is too broken to say.
    pub name: Option<&'r Name>,
    /// What became of it.
    pub outcome: Outcome,
    /// Generation the deployment has now.
    pub generation: Option<u64>,
    /// What was done, or would have been.
    pub changes: &'r [Change],
    /// What was wrong.
    pub problems: Vec<ProblemJson>,
    /// Whether steps were taken and undone.
    pub rolled_back: bool,
}

/// The result of a run that succeeded in one line for people, and what comes next.
#[must_use]
pub fn done(result: &RunResult<'_>, next: Option<&str>) -> String {
    let name = result.name.map_or("", Name::as_str);
    let generation = result.generation.unwrap_or_default();
    let outcome = match result.outcome {
        Outcome::Applied => format!("applied as generation {generation}"),
        Outcome::Unchanged => format!("unchanged at generation {generation}"),
        Outcome::Ended => "has ended".to_owned(),
        Outcome::Kept => format!("stays in the kernel as generation {generation}"),
        Outcome::InSync => format!("is in sync at generation {generation}"),
        Outcome::Drifted
        | Outcome::Invalid
        | Outcome::Refused
        | Outcome::Failed
        | Outcome::Stuck => "is not as wanted".to_owned(),
    };
    let next = next.map(|next| format!("; {next}")).unwrap_or_default();
    format!("deployment `{name}` {outcome}{next}\n")
}

/// The result of `apply` or `destroy` as one JSON document.
#[must_use]
pub fn result_json(result: &RunResult<'_>) -> Value {
    json!({
        "format_version": FORMAT_VERSION,
        "name": result.name,
        "outcome": result.outcome,
        "generation": result.generation,
        "changes": result.changes,
        "problems": result.problems,
        "rolled_back": result.rolled_back,
    })
}
