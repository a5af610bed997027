//! The command line: one file a command, each from arguments to an exit status.
//!
//! The composition root: it chooses the real kernel and the directory of records, reads files, and
//! hands results to [`view`](crate::view). It formats nothing itself.

mod adopt;
mod apply;
mod args;
mod arrivals;
mod checked;
mod common;
mod completions;
mod context;
mod destroy;
mod drift;
mod end;
mod exit;
mod explain;
mod failure;
mod files;
mod hold;
mod init;
mod inspect;
mod journal;
mod kernel;
mod log;
mod man;
mod manager;
mod pace;
mod plan;
mod privileges;
mod progress;
mod reader;
mod replace;
mod saved;
mod session;
mod signals;
mod status;
mod terminal;
mod terms;
mod validate;

use std::borrow::Cow;
use std::env;
use std::io::{self, Write as _};
use std::mem::ManuallyDrop;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};

use crate::view;
use args::{Cli, Command};
use common::Common;
use context::Context;
pub use exit::ExitStatus;

/// Runs the program with the process's arguments.
#[must_use]
pub fn run() -> ExitStatus {
    // What is made here, on bpffs too, is for its owner, whatever the caller's mask: the kernel gives
    // a pin 0600 less the mask, and a mask that hid it from ourselves would be no help either.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let before = &cli.common;
    match (cli.command, cli.apply) {
        (Some(command), None) => match command {
            Command::Apply(it) => it.run(before, apply::run),
            Command::Adopt(it) => it.run(before, adopt::run),
            Command::Validate(it) => it.run(before, validate::run),
            Command::Plan(it) => it.run(before, plan::run),
            Command::Status(it) => it.run(before, status::run),
            Command::Destroy(it) => it.run(before, destroy::run),
            Command::Inspect(it) => it.run(before, inspect::run),
            Command::Explain(it) => it.run(before, explain::run),
            Command::Init(it) => it.run(before, init::run),
            Command::Schema(it) => it.run(before, |_, context| {
                context.print(crate::manifest::SCHEMA);
                ExitStatus::Ok
            }),
            Command::Completions(it) => it.run(before, completions::run),
            Command::Man(it) => it.run(before, man::run),
        },
        (None, Some(args)) => apply::run(&args, &Context::new(&Common::default().with(before))),
        (command, args) => {
            let context = Context::new(&Common::default().with(before));
            let manifest = args.and_then(|args| args.manifest).unwrap_or_default();
            context.misused(&if command.is_some() {
                format!("`{}` and a command cannot stand together", manifest.display())
            } else {
                "a manifest or a command is needed; see `ebpf-apply --help`".to_owned()
            })
        }
    }
}

/// What was typed. clap's definition of it stays until the process ends: to take its hundreds of pieces
/// apart would cost a tenth of a small apply's own work.
fn parse() -> Result<Cli, clap::Error> {
    let mut definition = ManuallyDrop::new(Cli::command());
    let mut matches = ManuallyDrop::new(definition.try_get_matches_from_mut(env::args_os())?);
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut definition))
}

/// clap's own status for a usage error is 2, which is "changes present" here.
fn usage(error: &clap::Error) -> ExitStatus {
    let wanted = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let plain = error.render().to_string();
    let safe = view::outlet(&plain, false);
    // Nothing can be done about an output that is closed.
    let _ = match safe {
        Cow::Borrowed(_) => error.print(),
        // What was typed, or a script put there, is among its words.
        Cow::Owned(safe) => io::stderr().lock().write_all(safe.as_bytes()),
    };
    if wanted { ExitStatus::Ok } else { ExitStatus::Usage }
}
