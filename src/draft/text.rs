//! What objects say, as TOML: names and values in quotes where they need them, comments in one line.

use std::fmt::Write as _;

use crate::model::unprintable::is_unprintable;

/// A key of a table.
pub(super) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

/// A basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if is_unprintable(c) => {
                let _ = match u32::from(c) {
                    low @ ..=0xffff => write!(quoted, "\\u{low:04X}"),
                    high => write!(quoted, "\\U{high:08X}"),
                };
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Text that can stand in a comment.
pub(super) fn comment(text: &str) -> String {
    text.chars().map(|c| if is_unprintable(c) { '?' } else { c }).collect()
}
