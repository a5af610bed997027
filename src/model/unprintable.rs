//! Characters that do not stand for themselves.

/// Whether a character does something else than being seen: a control (C0, DEL, C1), a mark that
/// turns the direction of what is beside it (Unicode UAX #9, explicit formatting), a separator of
/// lines or paragraphs, or one without a width that hides in a name.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}
