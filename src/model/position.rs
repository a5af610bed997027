//! Lines and columns of a text, as editors and compilers count them.

use std::ops::Range;

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in Unicode characters (scalar values): not bytes, and not the UTF-16
    /// units of the Language Server Protocol.
    pub column: usize,
}

/// A text with its lines indexed, so that many places are found in it quickly.
#[derive(Clone, Debug)]
pub struct Lines<'t> {
    text: &'t str,
    /// Where each line begins, in bytes.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Indexes a text. A line ends at its line feed, which belongs to it.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after).collect() }
    }

    /// Where the character at `offset` (in bytes) stands. An offset beyond the text is its end, and
    /// one inside a character stands for it.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset.min(self.text.len()));
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }

    /// Where a range of bytes begins, and where the character after it stands.
    #[must_use]
    pub fn range(&self, span: &Range<usize>) -> (Position, Position) {
        (self.position(span.start), self.position(span.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_characters_count_from_one() {
        let lines = Lines::new("a = 1\r\nvä = 2\n");
        let at = |offset| {
            let Position { line, column } = lines.position(offset);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(6), (1, 7), "the line feed is on its line");
        assert_eq!(at(7), (2, 1));
        assert_eq!(at(8), (2, 2), "the first byte of `ä`");
        assert_eq!(at(9), (2, 2), "its second byte");
        assert_eq!(at(11), (2, 4));
        assert_eq!(at(15), (3, 1));
        assert_eq!(at(99), (3, 1));
        assert_eq!(Lines::new("").position(0), Position { line: 1, column: 1 });
    }
}
