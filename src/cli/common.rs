//! The options of every command, which stand before its name or after it.
//!
//! Not clap's own global options: it copies those into each command, whether it is run or not, and
//! carries their values from one to the other, which takes as long as checking a small manifest.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use crate::apply::StateDirectory;

use super::ExitStatus;
use super::context::Context;

// A command's own options, and those of every command. No doc comments here: they would become the help
// of each command.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct With<A: Offer> {
    #[command(flatten)]
    pub(super) args: A,

    #[command(flatten)]
    common: CommonArgs<A>,
}

impl<A: Offer> With<A> {
    /// Runs the command; `before` stood before its name.
    pub(super) fn run(
        &self,
        before: &CommonArgs,
        run: impl FnOnce(&A, &Context) -> ExitStatus,
    ) -> ExitStatus {
        run(&self.args, &Context::new(&self.common(before)))
    }

    /// What holds for it.
    pub(super) fn common(&self, before: &CommonArgs) -> Common {
        Common::default().with(before).with(&self.common)
    }
}

// What was typed of them.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct CommonArgs<A: Offer = NoArgs> {
    /// Where the records of what deployments own are kept [default: /run/ebpf-apply]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Form of the result on standard output [default: human]
    #[arg(long, value_parser = one_of(A::FORMATS))]
    format: Option<Format>,

    /// Whether to colour output; `auto` heeds `NO_COLOR` and `CLICOLOR_FORCE` [default: auto]
    #[arg(long, value_enum, value_name = "WHEN")]
    color: Option<Colour>,

    /// Say more on standard error; twice for every step
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,

    /// How long to wait for another run's lock, in seconds [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    lock_timeout: Option<Duration>,

    /// Act on a manifest and objects that others than root and the user could change
    #[arg(long)]
    allow_insecure_permissions: bool,

    #[arg(skip)]
    offered_by: PhantomData<A>,
}

/// What holds for a command, said or not.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) state_dir: PathBuf,
    pub(super) format: Format,
    pub(super) color: Colour,
    pub(super) verbose: u8,
    pub(super) lock_timeout: Duration,
    pub(super) allow_insecure_permissions: bool,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            state_dir: PathBuf::from(StateDirectory::DEFAULT),
            format: Format::Human,
            color: Colour::Auto,
            verbose: 0,
            lock_timeout: Duration::from_secs(10),
            allow_insecure_permissions: false,
        }
    }
}

impl Common {
    /// The same, but for what was said later.
    pub(super) fn with<A: Offer>(self, said: &CommonArgs<A>) -> Self {
        Self {
            state_dir: said.state_dir.clone().unwrap_or(self.state_dir),
            format: said.format.unwrap_or(self.format),
            color: said.color.unwrap_or(self.color),
            verbose: self.verbose.saturating_add(said.verbose),
            lock_timeout: said.lock_timeout.unwrap_or(self.lock_timeout),
            allow_insecure_permissions: self.allow_insecure_permissions
                || said.allow_insecure_permissions,
        }
    }
}

/// The forms that a command's result has.
pub(super) trait Offer: Args {
    const FORMATS: &'static [Format] = &[Format::Human, Format::Json];
}

// A command that has none but those of every command.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct NoArgs {}

impl Offer for NoArgs {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    #[value(alias = "full")]
    Human,
    Json,
    Concise,
    Github,
    Sarif,
    Markdown,
    Prometheus,
}

/// A time in whole seconds.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: u64 = text.parse().map_err(|error| format!("{error}"))?;
    Ok(Duration::from_secs(seconds))
}

/// Takes some of the formats.
fn one_of(formats: &'static [Format]) -> impl TypedValueParser<Value = Format> {
    let known = formats.iter().filter_map(Format::to_possible_value);
    PossibleValuesParser::new(known).try_map(|name| Format::from_str(&name, false))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    Auto,
    Always,
    Never,
}

#[cfg(test)]
mod tests {
    use clap::builder::PossibleValue;
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::args::{Cli, Command};

    /// What holds after these words.
    fn common(words: &str) -> Result<Common, clap::Error> {
        let cli = Cli::try_parse_from(words.split(' '))?;
        Ok(match cli.command {
            Some(Command::Status(it)) => it.common(&cli.common),
            Some(Command::Validate(it)) => it.common(&cli.common),
            Some(Command::Apply(it)) => it.common(&cli.common),
            None => Common::default().with(&cli.common),
            Some(other) => panic!("{other:?} is not tested"),
        })
    }

    #[test]
    fn they_stand_before_and_after_a_command() {
        for words in ["ebpf-apply --format json status", "ebpf-apply status --format json"] {
            assert_eq!(common(words).expect("legal").format, Format::Json, "{words}");
        }
        let said =
            common("ebpf-apply -v --state-dir a --lock-timeout 3 apply m.toml --state-dir b -v");
        let said = said.expect("legal");
        assert_eq!((said.state_dir, said.verbose), (PathBuf::from("b"), 2), "the last, and both");
        assert_eq!(said.lock_timeout, Duration::from_secs(3));
        let said = common("ebpf-apply m.toml --color never --allow-insecure-permissions");
        let said = said.expect("legal");
        assert!(said.color == Colour::Never && said.allow_insecure_permissions);
    }

    #[test]
    fn some_commands_have_more_formats() {
        let format = |words| common(words).map(|common| common.format);
        let sarif = format("ebpf-apply validate edge.toml --format sarif").expect("legal");
        assert_eq!(sarif, Format::Sarif);
        let json = format("ebpf-apply --format json validate edge.toml").expect("legal");
        assert_eq!(json, Format::Json);
        assert!(format("ebpf-apply validate edge.toml --format full").is_ok(), "another name");
        assert!(format("ebpf-apply status --format sarif").is_err());
        assert!(
            format("ebpf-apply --format sarif validate edge.toml").is_err(),
            "as it always was"
        );
    }

    #[test]
    fn the_help_names_the_defaults() {
        let help = Cli::command().render_help().to_string();
        let Common { state_dir, format, color, lock_timeout, .. } = Common::default();
        let name = |value: Option<PossibleValue>| value.expect("shown").get_name().to_owned();
        for default in [
            state_dir.display().to_string(),
            name(format.to_possible_value()),
            name(color.to_possible_value()),
            lock_timeout.as_secs().to_string(),
        ] {
            assert!(help.contains(&format!("[default: {default}]")), "{default}");
        }
    }
}
