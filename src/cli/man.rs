//! `ebpf-apply man`

use std::io;

use clap::CommandFactory as _;
use clap_mangen::Man;

use super::ExitStatus;
use super::args::{Cli, ManArgs};
use super::context::Context;

pub(super) fn run(args: &ManArgs, context: &Context) -> ExitStatus {
    let done = match &args.directory {
        Some(directory) => clap_mangen::generate_to(Cli::command(), directory).map_err(|error| {
            format!("cannot write manual pages to {}: {error}", directory.display())
        }),
        None => page(Cli::command())
            .map(|text| context.print(&text))
            .map_err(|error| format!("cannot make the manual page: {error}")),
    };
    match done {
        Ok(()) => ExitStatus::Ok,
        Err(what) => context.failed(&what),
    }
}

fn page(command: clap::Command) -> io::Result<String> {
    let mut text = Vec::new();
    Man::new(command).render(&mut text)?;
    String::from_utf8(text).map_err(io::Error::other)
}
