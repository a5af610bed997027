//! What comes from manifests, objects, paths and the kernel, as text that commands nobody: neither a
//! terminal nor a log that takes a line for a command, and that reads in the order it is stored in.
//!
//! Each view puts the words of others through [`printable`]. [`outlet`] is the last gate before
//! standard output and standard error.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

use crate::model::unprintable::is_unprintable;

/// Words of others within a line: each unprintable character becomes `�`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(is_unprintable) {
        Cow::Owned(text.chars().map(|c| if is_unprintable(c) { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// The text of a file without what would command a terminal; every byte offset in it stays as it was.
pub(super) fn printable_source(text: &str) -> String {
    let mut rest = text.chars().peekable();
    let mut printable = String::with_capacity(text.len());
    while let Some(c) = rest.next() {
        let ends_line = c == '\n' || (c == '\r' && rest.peek() == Some(&'\n'));
        match c {
            c if !is_unprintable(c) || c == '\t' || ends_line => printable.push(c),
            c => printable.push_str(stand_in(c.len_utf8())),
        }
    }
    printable
}

/// A visible character, or several, of that many bytes.
fn stand_in(bytes: usize) -> &'static str {
    match bytes {
        1 => "?",
        2 => "¿",
        3 => "\u{fffd}",
        _ => "\u{fffd}?",
    }
}

/// A JSON document in one line. What a terminal could obey is written as `\u` and four digits, which
/// every reader of JSON takes for the same.
#[must_use]
pub fn json_line(document: &Value) -> String {
    format!("{}\n", json_escaped(&document.to_string()))
}

/// A JSON document for people to look at, too, see [`json_line`].
#[must_use]
pub fn json_pretty(document: &Value) -> String {
    format!("{}\n", json_escaped(&format!("{document:#}")))
}

/// Outside of strings, JSON has line breaks and no other such character.
fn json_escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_unprintable(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unprintable(c) && c != '\n' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Output as it may leave: with line breaks and tabs, with colours if `colour` says so (ECMA-48 SGR),
/// and with nothing else that a terminal obeys.
#[must_use]
pub fn outlet(text: &str, colour: bool) -> Cow<'_, str> {
    let refused = |c: char| is_unprintable(c) && !matches!(c, '\n' | '\t');
    if !text.contains(refused) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(refused) {
        let (before, from) = rest.split_at(at);
        safe.push_str(before);
        let colours = if colour { sgr(from) } else { None };
        rest = if let Some(end) = colours {
            safe.push_str(&from[..end]);
            &from[end..]
        } else {
            safe.push('\u{fffd}');
            &from[from.chars().next().map_or(0, char::len_utf8)..]
        };
    }
    safe.push_str(rest);
    Cow::Owned(safe)
}

/// Where a sequence that sets colours ends, if the text begins with one.
fn sgr(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    parameters[end..].starts_with('m').then_some(text.len() - parameters.len() + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str =
        "a\x1b[2J\u{9b}1mb\rc\nd\u{202e}e\u{2066}f\u{2028}g\u{7f}h\u{e0041}\u{feff}";

    #[test]
    fn nothing_is_left_that_commands() {
        assert_eq!(printable("flows"), "flows");
        assert_eq!(printable("naïve ✓ 流"), "naïve ✓ 流");
        assert_eq!(printable(HOSTILE), "a�[2J�1mb�c�d�e�f�g�h��");
    }

    #[test]
    fn offsets_in_a_source_stay() {
        let source = format!("x = \"{HOSTILE}\"\r\n\ty = 1\n");
        let shown = printable_source(&source);
        assert_eq!(shown.len(), source.len());
        assert_eq!(shown.find("y = 1"), source.find("y = 1"));
        assert!(!shown.contains(|c| is_unprintable(c) && !"\r\n\t".contains(c)), "{shown:?}");
        assert_eq!(shown.matches('\r').count(), 1, "only the one that ends a line");
    }

    #[test]
    fn json_says_the_same_without_the_characters() {
        let document = serde_json::json!({ "name": HOSTILE, "list": [1, "é"] });
        for text in [json_line(&document), json_pretty(&document)] {
            assert!(!text.contains(|c| is_unprintable(c) && c != '\n'), "{text:?}");
            let read: Value = serde_json::from_str(&text).expect("still JSON");
            assert_eq!(read, document);
        }
        assert_eq!(json_line(&document).lines().count(), 1);
    }

    #[test]
    fn colours_leave_and_nothing_else() {
        let text = "\x1b[1;31merror\x1b[0m: \x1b[2J\x1b]0;title\x07\t\u{9b}31m\x1b[\n";
        assert_eq!(outlet(text, true), "\x1b[1;31merror\x1b[0m: �[2J�]0;title�\t�31m�[\n");
        assert_eq!(outlet(text, false), "�[1;31merror�[0m: �[2J�]0;title�\t�31m�[\n");
        assert!(matches!(outlet("plain\n\ttext", false), Cow::Borrowed(_)));
    }
}
