//! `ebpf-apply completions`

use clap::CommandFactory as _;

use super::ExitStatus;
use super::args::{Cli, CompletionsArgs};
use super::context::Context;

pub(super) fn run(args: &CompletionsArgs, context: &Context) -> ExitStatus {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ebpf-apply", &mut script);
    context.print(&String::from_utf8_lossy(&script));
    ExitStatus::Ok
}
