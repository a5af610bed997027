//! What can be typed. The doc comments are the help text.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::release::Release;
use crate::model::since::FIRST;
use crate::plan::Adoption;
use crate::watch;

use super::common::{CommonArgs, Format, NoArgs, Offer, With, seconds};

/// A declarative eBPF loader: a TOML manifest says what is loaded, pinned and attached.
///
/// `ebpf-apply M.toml` is the same as `ebpf-apply apply M.toml`.
#[derive(Debug, Parser)]
#[command(name = "ebpf-apply", version, subcommand_negates_reqs = true)]
#[command(subcommand_precedence_over_arg = true, disable_help_subcommand = true)]
#[command(override_usage = USAGE, after_help = EXIT_HELP)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    #[command(flatten)]
    pub(super) apply: Option<ApplyArgs>,

    #[command(flatten)]
    pub(super) common: CommonArgs,
}

const USAGE: &str = "ebpf-apply [OPTIONS] <MANIFEST>\n       ebpf-apply [OPTIONS] <COMMAND>";

const EXIT_HELP: &str = "\
Exit status:
  0   done, or a held deployment ended on SIGINT or SIGTERM
  1   failed; the host is unchanged or was rolled back
  2   `plan --detailed-exitcode`: there are changes
  3   the manifest or an object is invalid; nothing was touched
  4   failed, and something could not be undone
  5   another process holds the deployment or its lock
  6   the saved plan is stale; nothing was touched
  64  the command line was wrong";

// Deferred: the options of the commands that are not run need not be built.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum Command {
    /// Bring the host to what the manifest declares, and hold it until SIGINT or SIGTERM
    Apply(With<ApplyArgs>),
    /// Report everything wrong with manifests that can be known without a kernel
    ///
    /// Needs no privileges, no kernel and no network. The manifests are taken to be for one host, where
    /// no two deployments can have one name, one pin or one exclusive hook.
    ///
    /// Formats: `human` draws each problem at its place, `concise` is `file:line:column:
    /// severity[code]: message`, `json` one document, `github` annotations of GitHub Actions, `sarif`
    /// SARIF 2.1.0. Lines and columns count from 1, columns in Unicode characters.
    Validate(With<ValidateArgs>),
    /// Show what apply would do, and why; changes nothing
    Plan(With<PlanArgs>),
    /// Show each deployment's resources against the kernel
    ///
    /// With what programs have run and use, and how many entries maps have. The kernel counts runs only
    /// while `sysctl kernel.bpf_stats_enabled` is 1. `--format prometheus` prints all of it as metrics.
    Status(With<StatusArgs>),
    /// Apply and exit as `apply --detach` does, and take over pins and links of someone else's
    ///
    /// A pin of the right shape that is not on record as this deployment's becomes its own. A link at
    /// the place of an attachment gets the attachment's program, and is pinned: at XDP whichever is
    /// there, at tcx and cgroups the one whose program has the same name. `plan --adopt` shows each of
    /// them beforehand.
    Adopt(With<AdoptArgs>),
    /// End a deployment by its pin policies
    Destroy(With<DestroyArgs>),
    /// Show what objects declare: maps, programs, globals, externs
    Inspect(With<InspectArgs>),
    /// Say what a problem's code means, and how to mend it in C and in the manifest
    Explain(With<ExplainArgs>),
    /// Write a commented manifest for objects, to begin with
    ///
    /// It is valid, and what needs a target, such as an interface, is commented out. Paths are relative
    /// to the working directory, or to that of FILE.
    Init(With<InitArgs>),
    /// Print the manifest's JSON schema
    Schema(With<NoArgs>),
    /// Print what a shell needs to complete this program's command line
    Completions(With<CompletionsArgs>),
    /// Print this program's manual page, or write those of all its commands into a directory
    Man(With<ManArgs>),
}

// Whose word counts for what a manifest says. Not a doc comment: it would become the help of each
// command. `ApplyArgs` has the same two of its own: clap does not tell whether a structure that flattens
// another one is there.
#[derive(Clone, Debug, Default, Args)]
#[group(skip)]
pub(super) struct TrustArgs {
    /// Refuse objects without a `sha256` in the manifest
    #[arg(long)]
    pub(super) require_digests: bool,

    /// Look only at a manifest that this key has signed, in MANIFEST.minisig; implies `--require-digests`
    #[arg(long = "trusted-key", value_name = "KEY")]
    pub(super) trusted_keys: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The manifest
    #[arg(value_name = "MANIFEST", required_unless_present = "plan")]
    pub(super) manifest: Option<PathBuf>,

    /// Refuse objects without a `sha256` in the manifest
    #[arg(long)]
    pub(super) require_digests: bool,

    /// Look only at a manifest that this key has signed, in MANIFEST.minisig; implies `--require-digests`
    #[arg(long = "trusted-key", value_name = "KEY")]
    pub(super) trusted_keys: Vec<OsString>,

    /// Do what a saved plan says, if nothing else would be done now; it names the manifest
    #[arg(long, value_name = "FILE", conflicts_with_all = ["manifest", "watch"])]
    pub(super) plan: Option<PathBuf>,

    /// Apply and exit; programs, links and pins stay in the kernel
    #[arg(long)]
    pub(super) detach: bool,

    /// Apply again when the manifest or an object changes; what runs goes on if that fails
    #[arg(long, conflicts_with = "detach")]
    pub(super) watch: bool,

    /// How changes are found; `auto` polls where inotify(7) cannot tell everything
    #[arg(long, value_enum, default_value_t = WatchMethod::Auto, value_name = "METHOD")]
    #[arg(requires = "watch")]
    pub(super) watch_method: WatchMethod,

    /// How often to look at the files when polling, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = interval)]
    #[arg(requires = "watch")]
    pub(super) poll_interval: Duration,

    /// What is done when someone else changes what was applied: say it, or say it and apply again
    #[arg(long, value_enum, default_value_t = OnDrift::Report, value_name = "WHAT")]
    #[arg(requires = "watch")]
    pub(super) on_drift: OnDrift,

    /// What SIGINT and SIGTERM do: end the deployment by pin policy, or leave it to the next start
    #[arg(long, value_enum, default_value_t = OnExit::End, value_name = "WHAT")]
    #[arg(conflicts_with = "detach")]
    pub(super) on_exit: OnExit,

    /// Types of the running kernel, if it does not tell them: raw BTF, or an ELF file with `.BTF`
    #[arg(long, value_name = "FILE")]
    pub(super) btf: Option<PathBuf>,

    /// Write all that the verifier says of a program it refuses to DIR/OBJECT.PROGRAM.log
    #[arg(long, value_name = "DIR")]
    pub(super) verifier_log: Option<PathBuf>,
}

impl ApplyArgs {
    /// Whose word counts.
    pub(super) fn trust(&self) -> TrustArgs {
        TrustArgs { require_digests: self.require_digests, trusted_keys: self.trusted_keys.clone() }
    }

    /// `apply --detach`.
    pub(super) fn detached() -> Self {
        Self {
            manifest: None,
            require_digests: false,
            trusted_keys: Vec::new(),
            plan: None,
            detach: true,
            watch: false,
            watch_method: WatchMethod::Auto,
            poll_interval: Duration::ZERO,
            on_drift: OnDrift::Report,
            on_exit: OnExit::Keep,
            btf: None,
            verifier_log: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum WatchMethod {
    Auto,
    Inotify,
    Poll,
}

impl From<WatchMethod> for watch::Method {
    fn from(method: WatchMethod) -> Self {
        match method {
            WatchMethod::Auto => Self::Auto,
            WatchMethod::Inotify => Self::Inotify,
            WatchMethod::Poll => Self::Poll,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnDrift {
    Report,
    Heal,
}

/// Who heals takes back what is ours at every apply, whatever the reason for it.
impl From<OnDrift> for Adoption {
    fn from(on_drift: OnDrift) -> Self {
        match on_drift {
            OnDrift::Report => Self::Never,
            OnDrift::Heal => Self::Drifted,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnExit {
    End,
    Keep,
}

#[derive(Debug, Args)]
pub(super) struct AdoptArgs {
    /// The manifest
    #[arg(value_name = "MANIFEST")]
    pub(super) manifest: PathBuf,

    #[command(flatten)]
    pub(super) trust: TrustArgs,

    /// Types of the running kernel, if it does not tell them: raw BTF, or an ELF file with `.BTF`
    #[arg(long, value_name = "FILE")]
    pub(super) btf: Option<PathBuf>,
    /// Write all that the verifier says of a program it refuses to DIR/OBJECT.PROGRAM.log
    #[arg(long, value_name = "DIR")]
    pub(super) verifier_log: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// Manifests; directories, for the files `*.toml` in them; `-` for standard input
    #[arg(required = true, value_name = "MANIFEST")]
    pub(super) manifests: Vec<PathBuf>,

    /// Treat warnings as errors
    #[arg(long, value_name = "WHAT")]
    pub(super) deny: Option<Deny>,

    /// Check that this release of Linux has all that is needed: `5.15`, or what `uname -r` prints
    #[arg(long, value_name = "RELEASE", value_parser = release)]
    pub(super) kernel: Option<Release>,

    #[command(flatten)]
    pub(super) trust: TrustArgs,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The code of a problem, such as `pin-attribute-missing`; without it, all codes are listed
    #[arg(value_name = "CODE")]
    pub(super) code: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Deny {
    Warnings,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// The manifest
    #[arg(value_name = "MANIFEST")]
    pub(super) manifest: PathBuf,

    #[command(flatten)]
    pub(super) trust: TrustArgs,

    /// Show what `adopt` would do instead
    #[arg(long)]
    pub(super) adopt: bool,

    /// Exit with 2 if there are changes
    #[arg(long)]
    pub(super) detailed_exitcode: bool,

    /// Save the plan, for `apply --plan FILE`
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,

    /// Types of the running kernel, if it does not tell them: raw BTF, or an ELF file with `.BTF`
    #[arg(long, value_name = "FILE")]
    pub(super) btf: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Show only this manifest's deployment
    #[arg(value_name = "MANIFEST")]
    pub(super) manifest: Option<PathBuf>,

    /// Show only the deployment of that name, whatever has become of its manifest
    #[arg(long, conflicts_with = "manifest")]
    pub(super) name: Option<String>,

    /// Exit with 2 unless every deployment shown is ready
    #[arg(long)]
    pub(super) detailed_exitcode: bool,

    /// Show it again every so many seconds, until a signal ends it
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    #[arg(value_parser = interval, conflicts_with_all = ["detailed_exitcode", "out"])]
    pub(super) watch: Option<Duration>,

    /// Write to FILE, in its place at once, instead of standard output: for the textfile collector of `node_exporter`
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct DestroyArgs {
    /// The manifest of the deployment to end
    #[arg(value_name = "MANIFEST", required_unless_present = "name", conflicts_with = "name")]
    pub(super) manifest: Option<PathBuf>,

    /// The name of the deployment to end
    #[arg(long)]
    pub(super) name: Option<String>,

    /// Remove pins that are meant to persist, too
    #[arg(long)]
    pub(super) purge: bool,
}

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The objects
    #[arg(required = true, value_name = "OBJECT")]
    pub(super) objects: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Where to write a page for each command; it must exist
    #[arg(value_name = "DIR")]
    pub(super) directory: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The objects
    #[arg(required = true, value_name = "OBJECT")]
    pub(super) objects: Vec<PathBuf>,

    /// The deployment's name; by default that of the first object
    #[arg(long)]
    pub(super) name: Option<String>,

    /// Write to FILE, which must not exist, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

impl Offer for AdoptArgs {}
impl Offer for ApplyArgs {}
impl Offer for CompletionsArgs {}
impl Offer for DestroyArgs {}
impl Offer for ExplainArgs {}
impl Offer for InitArgs {}
impl Offer for InspectArgs {}
impl Offer for ManArgs {}

impl Offer for ValidateArgs {
    const FORMATS: &'static [Format] =
        &[Format::Human, Format::Json, Format::Concise, Format::Github, Format::Sarif];
}

impl Offer for StatusArgs {
    const FORMATS: &'static [Format] = &[Format::Human, Format::Json, Format::Prometheus];
}

impl Offer for PlanArgs {
    const FORMATS: &'static [Format] = &[Format::Human, Format::Json, Format::Markdown];
}

fn release(text: &str) -> Result<Release, String> {
    let release: Release = text.parse().map_err(|error| format!("{error}"))?;
    if release >= FIRST {
        return Ok(release);
    }
    Err(format!("it is older than Linux {FIRST}, which ebpf-apply itself needs"))
}

fn interval(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        Duration::ZERO => Err("at least 1".to_owned()),
        interval => Ok(interval),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"ebpf-apply").chain(words))
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_bare_manifest_is_applied() {
        let cli = parse(&["edge.toml", "--detach"]).expect("legal");
        let apply = cli.apply.expect("apply");
        assert!(cli.command.is_none() && apply.detach);
        assert_eq!(apply.manifest, Some(PathBuf::from("edge.toml")));
    }

    #[test]
    fn what_only_a_watched_or_a_held_deployment_has_is_refused_for_others() {
        for words in [
            &["apply", "edge.toml", "--watch", "--detach"][..],
            &["apply", "edge.toml", "--watch-method", "poll"],
            &["apply", "edge.toml", "--poll-interval", "2"],
            &["apply", "edge.toml", "--on-drift", "heal"],
            &["apply", "edge.toml", "--watch", "--poll-interval", "0"],
            &["apply", "edge.toml", "--on-exit", "keep", "--detach"],
            &["apply", "edge.toml", "--plan", "edge.plan"],
            &["apply", "--plan", "edge.plan", "--watch"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        let cli = parse(&["edge.toml", "--watch", "--poll-interval", "7"]).expect("legal");
        let apply = cli.apply.expect("apply");
        assert!(apply.watch && apply.poll_interval == Duration::from_secs(7));
        assert!(parse(&["edge.toml", "--detach"]).is_ok(), "defaults are not asked for");
    }

    #[test]
    fn a_command_without_its_manifest_is_an_error() {
        for words in [&["apply"][..], &["plan"], &["validate"], &["destroy"], &[]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
