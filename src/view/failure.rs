//! Failures of runs: what, where, why, and what to do.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::apply::ApplyError;
use crate::model::name::Name;
use crate::model::problem::Severity;

use super::problems::ProblemJson;
use super::{Style, printable};

/// How much of the verifier's log is shown.
const LOG_LINES: usize = 20;

/// A failure for people.
#[must_use]
pub fn human(error: &ApplyError, style: Style) -> String {
    let mut text = self::error(&error.to_string(), style);
    if let ApplyError::Refused(plan) = error {
        for change in plan.refusals() {
            let what = format!("{}: {}", change.address, change.reason);
            let _ = writeln!(text, "  {}", printable(&what));
        }
    }
    if let Some(log) = error.verifier_log() {
        let (tail, lines) = log.tail(LOG_LINES);
        let cut = if lines > LOG_LINES {
            format!(
                " (the last {LOG_LINES} of {lines} lines; `apply --verifier-log DIR` keeps all)"
            )
        } else {
            String::new()
        };
        let _ = writeln!(text, "  the verifier says{cut}:");
        for line in tail.lines() {
            let _ = writeln!(text, "    | {}", printable(line));
        }
    }
    if let ApplyError::Stuck { stuck, .. } = error {
        text.push_str("  what could not be undone:\n");
        for error in stuck {
            let _ = writeln!(text, "    {}", printable(&error.to_string()));
        }
    }
    if let Some(advice) = error.advice() {
        let _ = writeln!(text, "  {}: {}", style.bold("help"), printable(&advice));
    }
    let _ = writeln!(text, "  {}", consequence(error));
    text
}

/// What is wrong, in one line.
#[must_use]
pub fn error(what: &str, style: Style) -> String {
    format!("{}: {}\n", style.red("error"), printable(what))
}

/// That a failed reload leaves what ran before.
#[must_use]
pub fn goes_on(name: &Name, generation: u64, style: Style) -> String {
    let generation = style.bold(&format!("generation {generation}"));
    format!("deployment `{name}` goes on as {generation}\n")
}

/// Where the verifier's log was written, or why not.
#[must_use]
pub fn kept(path: &Path, written: &io::Result<()>, style: Style) -> String {
    let path = path.display().to_string();
    let path = printable(&path);
    match written {
        Ok(()) => format!("the verifier's log is in {path}\n"),
        Err(error) => {
            let warning = style.yellow("warning");
            let error = error.to_string();
            format!("{warning}: cannot write the verifier's log to {path}: {}\n", printable(&error))
        }
    }
}

fn consequence(error: &ApplyError) -> &'static str {
    match error {
        ApplyError::Stuck { .. } => "the host is neither as before nor as wanted",
        error if error.rolled_back() => "every step was undone: the host is as before",
        _ => "nothing was changed",
    }
}

/// A failure for JSON: one problem, or one a refusal.
#[must_use]
pub fn problems_json(error: &ApplyError) -> Vec<ProblemJson> {
    let problem = |code: &str, message: String, help: Option<String>| ProblemJson {
        code: code.to_owned(),
        severity: Severity::Error,
        message,
        help,
        file: None,
        span: None,
        related: Vec::new(),
    };
    match error {
        ApplyError::Refused(plan) => plan
            .refusals()
            .map(|change| {
                problem("refused", format!("{}: {}", change.address, change.reason), None)
            })
            .collect(),
        ApplyError::Stuck { error, stuck } => {
            let mut all = problems_json(error);
            all.extend(stuck.iter().map(|error| problem("not-undone", error.to_string(), None)));
            all
        }
        other => {
            let mut message = other.to_string();
            if let Some(log) = other.verifier_log() {
                let _ = write!(message, "\n{}", log.tail(LOG_LINES).0);
            }
            vec![problem(code(other), message, other.advice())]
        }
    }
}

fn code(error: &ApplyError) -> &'static str {
    match error {
        ApplyError::Refused(_) => "refused",
        ApplyError::Stale(_) => "stale-plan",
        ApplyError::Failed(_) => "step-failed",
        ApplyError::Observe(_) => "observe-failed",
        ApplyError::Unverified(_) => "unverified",
        ApplyError::Unrecorded(_) | ApplyError::Store(_) => "record-failed",
        ApplyError::OtherNamespace { .. } => "other-network-namespace",
        ApplyError::Lock(_) => "locked",
        ApplyError::GivenUp(_) => "capabilities-given-up",
        ApplyError::Unknown(_) => "unknown-deployment",
        ApplyError::Stuck { .. } => "stuck",
    }
}
