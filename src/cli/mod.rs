//! The command line: one file a command, each from arguments to an exit status.
//!
//! The composition root: it chooses the real kernel and the directory of records, reads files, and
//! hands results to [`view`](crate::view). It formats nothing itself.

mod adopt;
mod apply;
mod args;
mod arrivals;
mod checked;
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
use std::io::{self, Write as _};

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::view;
use args::{Cli, Command};
use context::Context;
pub use exit::ExitStatus;

/// Runs the program with the process's arguments.
#[must_use]
pub fn run() -> ExitStatus {
    // What is made here, on bpffs too, is for its owner, whatever the caller's mask: the kernel gives
    // a pin 0600 less the mask, and a mask that hid it from ourselves would be no help either.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let context = Context::new(&cli.global);
    match (cli.command, cli.apply) {
        (Some(_), Some(args)) => {
            let manifest = args.manifest.unwrap_or_default();
            let manifest = manifest.display();
            context.misused(&format!("`{manifest}` and a command cannot stand together"))
        }
        (Some(Command::Apply(args)), None) | (None, Some(args)) => apply::run(&args, &context),
        (Some(Command::Adopt(args)), None) => adopt::run(args, &context),
        (Some(Command::Validate(args)), None) => validate::run(&args, &context),
        (Some(Command::Plan(args)), None) => plan::run(&args, &context),
        (Some(Command::Status(args)), None) => status::run(&args, &context),
        (Some(Command::Destroy(args)), None) => destroy::run(&args, &context),
        (Some(Command::Inspect(args)), None) => inspect::run(&args, &context),
        (Some(Command::Explain(args)), None) => explain::run(&args, &context),
        (Some(Command::Init(args)), None) => init::run(&args, &context),
        (Some(Command::Schema), None) => {
            context.print(crate::manifest::SCHEMA);
            ExitStatus::Ok
        }
        (Some(Command::Completions(args)), None) => completions::run(&args, &context),
        (Some(Command::Man(args)), None) => man::run(&args, &context),
        (None, None) => {
            context.misused("a manifest or a command is needed; see `ebpf-apply --help`")
        }
    }
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
