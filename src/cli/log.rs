//! What is logged goes to standard error.
//!
//! A run that succeeds logs nothing, so what formats an event is made when there is one: a registry of
//! spans alone takes as much memory as a small manifest with all that it describes.

use std::io::{self, Write};
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;

use super::journal::{self, Priority, with_priority};
use super::terminal;

use crate::view;

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
        let colour = self.colour;
        self.formatter.get_or_init(|| {
            let formatter = tracing_subscriber::fmt()
                .with_max_level(self.level)
                .with_writer(StandardError { journal: self.journal, colour })
                .with_ansi(self.colour)
                .with_target(false)
                .without_time()
                .finish();
            Box::new(formatter)
        })
    }
}

/// Standard error, one event in one line: names and paths are in it that others chose.
struct StandardError {
    journal: bool,
    colour: bool,
}

/// A line on its way, with its priority if the journal takes it.
struct Line {
    priority: Option<Priority>,
    colour: bool,
}

impl MakeWriter<'_> for StandardError {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { priority: None, colour: self.colour }
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Line {
        let priority = self.journal.then(|| metadata.level().into());
        Line { priority, colour: self.colour }
    }
}

impl Write for Line {
    /// Is handed each event as a whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut line = line(event, self.colour);
        if let Some(priority) = self.priority {
            line = with_priority(&line, priority);
        }
        terminal::erase();
        io::stderr().lock().write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// An event without what a terminal obeys or a log takes for another event.
fn line(event: &[u8], colour: bool) -> String {
    let text = String::from_utf8_lossy(event);
    let text = text.trim_end_matches('\n').replace('\n', "; ");
    format!("{}\n", view::outlet(&text, colour))
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

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn an_event_is_one_line() {
        let event = b"\x1b[33m WARN\x1b[0m record ignored path=/a\n::error::b\x1b[2J\xff\n";
        assert_eq!(
            line(event, true),
            "\x1b[33m WARN\x1b[0m record ignored path=/a; ::error::b�[2J�\n"
        );
        assert!(!line(event, false).contains('\x1b'));
    }
}
