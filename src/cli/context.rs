//! What every command shares: where output goes and how, and where records are.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tracing::level_filters::LevelFilter;

use crate::apply::{Host, Keeper, StateDirectory};
use crate::kernel::Kernel;
use crate::model::name::Name;
use crate::validate::Desired;
use crate::view::{self, Style};

use super::ExitStatus;
use super::checked::Checked;
use super::common::{Colour, Common, Format};
use super::failure;
use super::journal::{self, Priority, with_priority};
use super::log;
use super::progress::Shown;
use super::reader::Exposed;
use super::terminal;
use super::terms::Terms;

/// Puts the cursor at the top left and clears what is below it (ECMA-48 CUP, ED).
const HOME_AND_CLEAR: &[u8] = b"\x1b[H\x1b[J";

/// What every command shares.
pub(super) struct Context {
    pub(super) state: StateDirectory,
    pub(super) format: Format,
    pub(super) shown: Shown,
    lock_timeout: Duration,
    exposed: Exposed,
    out: Style,
    err: Style,
}

impl Context {
    pub(super) fn new(args: &Common) -> Self {
        let level = match args.verbose {
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            _ => LevelFilter::DEBUG,
        };
        let err = style(args.color, &io::stderr());
        log::start(level, err.colour);
        Self {
            state: StateDirectory::new(&args.state_dir),
            format: args.format,
            shown: Shown::new(),
            lock_timeout: args.lock_timeout,
            exposed: if args.allow_insecure_permissions {
                Exposed::Ignored
            } else {
                Exposed::Refused
            },
            out: style(args.color, &io::stdout()),
            err,
        }
    }

    /// The host that a command acts on, which shows what lasts; `keeper` is for one that goes on
    /// afterwards.
    pub(super) fn host<'h, K: Kernel>(
        &'h self,
        kernel: &'h K,
        keeper: Option<&'h Keeper<K>>,
    ) -> Host<'h, K> {
        Host { keeper, observer: self, ..Host::new(kernel, &self.state, self.lock_timeout) }
    }

    /// What it means for a command that acts that others could change the files it reads.
    pub(super) fn exposed(&self) -> Exposed {
        self.exposed
    }

    /// Prints a result in the form asked for.
    pub(super) fn result(&self, human: impl FnOnce(Style) -> String, json: impl FnOnce() -> Value) {
        match self.format {
            Format::Json => self.print(&view::json_line(&json())),
            _ => self.print(&human(self.out)),
        }
    }

    /// How standard output is laid out for people.
    pub(super) fn style(&self) -> Style {
        self.out
    }

    /// The same for what is searched by lines when it is piped: none is broken then.
    pub(super) fn line_style(&self) -> Style {
        let width = if io::stdout().is_terminal() { self.out.width } else { usize::MAX };
        Style { width, ..self.out }
    }

    /// What is printed next takes the place of what a terminal shows.
    #[expect(clippy::unused_self, reason = "output belongs to the context")]
    pub(super) fn anew(&self) {
        terminal::erase();
        if io::stdout().is_terminal() {
            // What cannot be cleared is followed by what is new.
            let _ = io::stdout().lock().write_all(HOME_AND_CLEAR);
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
    pub(super) fn print(&self, text: &str) {
        terminal::erase();
        let mut out = io::stdout().lock();
        let text = view::outlet(text, self.out.colour);
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            tracing::warn!(%error, "standard output");
        }
    }

    /// Says on standard error what went wrong.
    pub(super) fn complain(&self, text: impl FnOnce(Style) -> String) {
        self.say(Priority::Error, text);
    }

    /// Writes to standard error.
    pub(super) fn say(&self, priority: Priority, text: impl FnOnce(Style) -> String) {
        let mut text = text(self.err);
        if journal::receives(io::stderr()) {
            text = with_priority(&text, priority);
        }
        // There is no third place to report to.
        let text = view::outlet(&text, self.err.colour);
        terminal::erase();
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// The deployment that the command line names.
    pub(super) fn deployment(&self, name: &str) -> Result<Name, ExitStatus> {
        let refused = |error| self.misused(&format!("`{name}` names no deployment: {error}"));
        Name::new(name).map_err(refused)
    }

    /// Says that a word of the command line is wrong.
    pub(super) fn misused(&self, what: &str) -> ExitStatus {
        self.error(what);
        ExitStatus::Usage
    }

    /// Says what is wrong with an object or a manifest.
    pub(super) fn invalid(&self, what: &str) -> ExitStatus {
        self.error(what);
        ExitStatus::Invalid
    }

    /// Says what of the process's own surroundings could not be had.
    pub(super) fn failed(&self, what: &str) -> ExitStatus {
        self.error(what);
        ExitStatus::Failed
    }

    fn error(&self, what: &str) {
        self.complain(|style| view::failure::error(what, style));
    }

    /// The desired state of a manifest. Warnings are shown; if it is invalid, that is said.
    pub(super) fn desired(&self, manifest: &Path, terms: &Terms) -> Result<Desired, ExitStatus> {
        self.accept(Checked::read(manifest, terms), None)
    }

    /// The desired state of a manifest that was read, see [`Context::desired`]; `name` is the
    /// deployment's, if that is known without it.
    pub(super) fn accept(
        &self,
        mut checked: Checked,
        name: Option<&Name>,
    ) -> Result<Desired, ExitStatus> {
        let Some(desired) = checked.desired.take() else {
            return Err(failure::invalid(name, &checked, self));
        };
        if !checked.report().problems.is_empty() {
            let warnings = |style| view::problems::human(&checked.report(), style);
            self.say(Priority::Warning, warnings);
        }
        Ok(desired)
    }
}

/// For people only on terminals; `NO_COLOR` and `CLICOLOR_FORCE` as no-color.org and
/// bixense.com/clicolors have them.
fn style(colour: Colour, stream: &(impl IsTerminal + AsFd)) -> Style {
    let terminal = stream.is_terminal();
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let colour = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto if set("NO_COLOR").is_some() => false,
        Colour::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        Colour::Auto => terminal && set("TERM").is_none_or(|value| value != "dumb"),
    };
    let width = rustix::termios::tcgetwinsize(stream).map_or(0, |size| size.ws_col);
    Style { colour, width: if width == 0 { Style::PLAIN.width } else { usize::from(width) } }
}
