//! Values as text: for people and as JSON. Decides nothing, reads nothing, prints nothing.

pub mod drift;
pub mod explain;
pub mod failure;
pub mod metrics;
pub mod object;
pub mod plan;
pub mod problems;
pub mod status;
mod style;

pub use style::Style;
use style::wrap;

/// Version of every JSON document that this program prints.
pub const FORMAT_VERSION: u32 = 1;

/// Text of an object or a manifest without what would command a terminal, or begin a line that a log
/// takes for a command.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The text of a file without what would command a terminal; every byte offset in it stays as it was.
fn printable_source(text: &str) -> String {
    let mut rest = text.chars().peekable();
    let mut printable = String::with_capacity(text.len());
    while let Some(c) = rest.next() {
        let ends_line = c == '\n' || (c == '\r' && rest.peek() == Some(&'\n'));
        printable.push(match c {
            c if !c.is_control() || c == '\t' || ends_line => c,
            c if c.len_utf8() == 1 => '?',
            _ => '¿',
        });
    }
    printable
}
