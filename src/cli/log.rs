//! What is logged goes to standard error.
//!
//! A run that succeeds logs nothing, so what formats an event is made when there is one: a registry of
//! spans alone takes as much memory as a small manifest with all that it describes.

use std::io;
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;

use super::journal::{self, Priority, with_priority};

/// Logs what is of that level or a more severe one, from now on.
pub(super) fn start(level: LevelFilter, colour: bool) {
    let journal = journal::receives(io::stderr());
    let subscriber = Late { level, colour, journal, formatter: OnceLock::new() };
    // Of two, the first is the process's.
    let _second = tracing::subscriber::set_global_default(subscriber);
}

/// A subscriber that is made with its first event.
struct Late {
    level: LevelFilter,
    colour: bool,
    journal: bool,
    formatter: OnceLock<Box<dyn Subscriber + Send + Sync>>,
}

impl Late {
    fn formatter(&self) -> &(dyn Subscriber + Send + Sync) {
        self.formatter.get_or_init(|| {
            let formatter = tracing_subscriber::fmt()
                .with_max_level(self.level)
                .with_writer(StandardError { journal: self.journal })
                .with_ansi(self.colour)
                .with_target(false)
                .without_time()
                .finish();
            Box::new(formatter)
        })
    }
}

impl Subscriber for Late {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.formatter().new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.formatter().record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.formatter().record_follows_from(span, follows);
    }

    fn event(&self, event: &Event<'_>) {
        self.formatter().event(event);
    }

    fn enter(&self, span: &Id) {
        self.formatter().enter(span);
    }

    fn exit(&self, span: &Id) {
        self.formatter().exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.formatter().clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        self.formatter().try_close(span)
    }
}

/// Where lines go.
struct StandardError {
    journal: bool,
}

/// A line on its way, with its priority if the journal takes it.
struct Line(Option<Priority>);

impl MakeWriter<'_> for StandardError {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line(None)
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Line {
        Line(self.journal.then(|| metadata.level().into()))
    }
}

impl io::Write for Line {
    /// A line is written as a whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.0 {
            None => io::stderr().write_all(line)?,
            Some(priority) => {
                let text = with_priority(&String::from_utf8_lossy(line), priority);
                io::stderr().write_all(text.as_bytes())?;
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
