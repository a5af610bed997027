//! What every command shares: where output goes and how, and where records are.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tracing::level_filters::LevelFilter;

use crate::apply::{ApplyError, Host, StateDirectory};
use crate::kernel::Kernel;
use crate::model::name::Name;
use crate::validate::Desired;
use crate::view::{self, Style, problems::Report};

use super::ExitStatus;
use super::args::{Colour, Format, GlobalArgs};
use super::checked::Checked;

/// What every command shares.
pub(super) struct Context {
    pub(super) state: StateDirectory,
    pub(super) format: Format,
    lock_timeout: Duration,
    out: Style,
    err: Style,
}

impl Context {
    pub(super) fn new(args: &GlobalArgs) -> Self {
        let level = match args.verbose {
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            _ => LevelFilter::DEBUG,
        };
        let err = style(args.color, io::stderr().is_terminal());
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(io::stderr)
            .with_ansi(err.colour)
            .with_target(false)
            .without_time()
            .init();
        Self {
            state: StateDirectory::new(&args.state_dir),
            format: args.format,
            lock_timeout: args.lock_timeout,
            out: style(args.color, io::stdout().is_terminal()),
            err,
        }
    }

    /// The host that a command acts on.
    pub(super) fn host<'h, K: Kernel>(&'h self, kernel: &'h K) -> Host<'h, K> {
        Host { kernel, state: &self.state, lock_timeout: self.lock_timeout }
    }

    /// Prints a result in the form asked for.
    pub(super) fn result(&self, human: impl FnOnce(Style) -> String, json: impl FnOnce() -> Value) {
        match self.format {
            Format::Human => self.print(&human(self.out)),
            Format::Json => self.print(&format!("{}\n", json())),
        }
    }

    /// Prints text that only people want.
    pub(super) fn remark(&self, human: impl FnOnce(Style) -> String) {
        if self.format == Format::Human {
            self.print(&human(self.out));
        }
    }

    /// Writes to standard output. A reader that went away is no failure: what is left unsaid is
    /// lost, and the work goes on.
    #[expect(clippy::unused_self, reason = "output belongs to the context")]
    pub(super) fn print(&self, text: &str) {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            tracing::warn!(%error, "standard output");
        }
    }

    /// Writes to standard error.
    #[expect(clippy::unused_self, reason = "output belongs to the context")]
    pub(super) fn complain(&self, text: &str) {
        // There is no third place to report to.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// Says that a manifest cannot even be read.
    pub(super) fn unreadable(&self, manifest: &Path, error: &io::Error) -> ExitStatus {
        let error_word = self.err.red("error");
        let text = format!("{error_word}: cannot read manifest {}: {error}\n", manifest.display());
        self.complain(&text);
        ExitStatus::Invalid
    }

    /// Says why a run failed.
    pub(super) fn failed(&self, error: &ApplyError) -> ExitStatus {
        self.complain(&view::failure::human(error, self.err));
        error.into()
    }

    /// The name of a manifest's deployment. Its objects need not exist any more.
    pub(super) fn name(&self, manifest: &Path) -> Result<Name, ExitStatus> {
        let source = match std::fs::read_to_string(manifest) {
            Ok(source) => source,
            Err(error) => return Err(self.unreadable(manifest, &error)),
        };
        let parsed = crate::manifest::parse(&source);
        if parsed.problems.is_empty() {
            return Ok(parsed.manifest.name);
        }
        let file = manifest.display().to_string();
        let report = Report { file: &file, source: &source, problems: &parsed.problems };
        self.complain(&view::problems::human(&report, self.err));
        Err(ExitStatus::Invalid)
    }

    /// The desired state of a manifest. Problems are shown; where they are errors, the status to
    /// exit with is returned instead.
    pub(super) fn desired(&self, manifest: &Path) -> Result<(Checked, Desired), Rejected> {
        let mut checked = match Checked::read(manifest) {
            Ok(checked) => checked,
            Err(error) => return Err(Rejected::Unreadable(self.unreadable(manifest, &error))),
        };
        if !checked.validation.problems.is_empty() {
            self.complain(&view::problems::human(&checked.report(), self.err));
        }
        match checked.validation.desired.take() {
            Some(desired) => Ok((checked, desired)),
            None => Err(Rejected::Invalid(Box::new(checked))),
        }
    }
}

/// A manifest that cannot be used; why was shown.
pub(super) enum Rejected {
    /// It could not be read.
    Unreadable(ExitStatus),
    /// It is invalid.
    Invalid(Box<Checked>),
}

impl From<&Rejected> for ExitStatus {
    fn from(rejected: &Rejected) -> Self {
        match rejected {
            Rejected::Unreadable(status) => *status,
            Rejected::Invalid(_) => Self::Invalid,
        }
    }
}

fn style(colour: Colour, terminal: bool) -> Style {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let colour = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => terminal && !set("NO_COLOR"),
    };
    let width = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col);
    Style { colour, width: if width == 0 { Style::PLAIN.width } else { usize::from(width) } }
}
