//! `ebpf-apply validate`

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::model::code;
use crate::model::problem::Problem;
use crate::validate::{Demands, OBJECT_MAX, Validator, manifests_in};
use crate::view::problems::{Report, concise, full, github, json, sarif};
use crate::view::{json_line, json_pretty};

use super::ExitStatus;
use super::args::{Deny, ValidateArgs};
use super::common::Format;
use super::context::Context;
use super::reader::{Exposed, Reader};
use super::terms::Terms;

/// Stands for standard input.
const STDIN: &str = "-";

pub(super) fn run(args: &ValidateArgs, context: &Context) -> ExitStatus {
    let (manifests, unreadable) = expand(&args.manifests);
    let stdin = if manifests.iter().any(|path| path == Path::new(STDIN)) {
        standard_input()
    } else {
        Ok(Vec::new())
    };
    let read = |path: &Path| match &stdin {
        Ok(text) if path == Path::new(STDIN) => Ok(text.clone()),
        Err(error) if path == Path::new(STDIN) => {
            Err(io::Error::new(error.kind(), error.to_string()))
        }
        _ => Reader::default().read(path, OBJECT_MAX),
    };
    let Terms { demands, .. } = match Terms::of(&args.trust, Exposed::Ignored, context) {
        Ok(terms) => terms,
        Err(status) => return status,
    };
    let demands = Demands { kernel: args.kernel, ..demands };
    let mut report = Validator::with_reader(&read).demanding(demands).check(manifests);
    if args.deny == Some(Deny::Warnings) {
        report = report.deny_warnings();
    }
    let checked = report.manifests.iter().map(|manifest| {
        (manifest.path.display().to_string(), manifest.source.as_str(), &manifest.problems)
    });
    let unreadable =
        unreadable.iter().map(|(path, problems)| (path.display().to_string(), "", problems));
    let named: Vec<_> = unreadable.chain(checked).collect();
    let reports: Vec<Report<'_>> =
        named.iter().map(|(file, source, problems)| Report { file, source, problems }).collect();
    let text = match context.format {
        // The others are not among this command's formats.
        Format::Human | Format::Markdown | Format::Prometheus => full(&reports, context.style()),
        Format::Concise => concise(&reports, context.style()),
        Format::Github => github(&reports),
        Format::Json => json_line(&json(&reports)),
        Format::Sarif => json_pretty(&sarif(&reports)),
    };
    context.print(&text);
    let unreadable = reports.len() > report.manifests.len();
    if report.is_valid() && !unreadable { ExitStatus::Ok } else { ExitStatus::Invalid }
}

/// The manifests that arguments stand for, each file once; and the directories that yield none.
fn expand(arguments: &[PathBuf]) -> (Vec<PathBuf>, Vec<(PathBuf, Vec<Problem>)>) {
    let mut manifests = Vec::new();
    let mut unreadable = Vec::new();
    let mut seen = BTreeSet::new();
    for argument in arguments {
        let found =
            if argument.is_dir() { directory(argument) } else { Ok(vec![argument.clone()]) };
        match found {
            Ok(found) => {
                // One file under two names is not two deployments.
                let once = |path: &PathBuf| {
                    seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone()))
                };
                manifests.extend(found.into_iter().filter(once));
            }
            Err(problem) => unreadable.push((argument.clone(), vec![*problem])),
        }
    }
    (manifests, unreadable)
}

/// The manifests of a directory. That there are none is most likely a mistake, and passing it over
/// would make a check that checks nothing.
fn directory(path: &Path) -> Result<Vec<PathBuf>, Box<Problem>> {
    let unreadable = |message: String| Problem::error(code::MANIFEST_UNREADABLE, None, message);
    match manifests_in(path) {
        Ok(found) if found.is_empty() => {
            let problem = unreadable(
                "the directory has no manifest: no file in it ends in `.toml`".to_owned(),
            );
            let help = "directories below it are not entered; name each: one is for one host";
            Err(Box::new(problem.help(help)))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(Box::new(unreadable(format!("the directory cannot be read: {error}")))),
    }
}

fn standard_input() -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    io::stdin().lock().take(OBJECT_MAX as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}
