//! A source that is drawn many times: its lines are counted once.

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// A file with where its lines begin. What miette makes of a string begins at the string's start for
/// each problem.
#[derive(Debug)]
pub(super) struct Source {
    name: String,
    text: String,
    starts: Vec<usize>,
}

impl Source {
    pub(super) fn new(name: impl Into<String>, text: String) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(after).collect();
        Self { name: name.into(), text, starts }
    }

    /// The number of the line, from 0, that holds a byte.
    fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at) - 1
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        // A line more on either side, so that the piece is cut as the whole would be.
        let first = self.line(span.offset()).saturating_sub(before + 1);
        let last = self.line(span.offset() + span.len()) + after + 2;
        let base = self.starts[first];
        let end = self.starts.get(last).copied().unwrap_or(self.text.len());
        let piece = self.text.get(base..end).ok_or(MietteError::OutOfBounds)?;
        let within = SourceSpan::new((span.offset() - base).into(), span.len());
        let found = piece.read_span(&within, before, after)?;
        let span = SourceSpan::new((found.span().offset() + base).into(), found.span().len());
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            found.data(),
            span,
            found.line() + first,
            found.column(),
            // Counted from the beginning, as miette does: it decides what is drawn in one frame.
            found.line_count() + first,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_what_is_found_in_the_whole() {
        let text = "one\n\ntwo = 2\nthree\r\nfour\nfive\n";
        let source = Source::new("file", text.to_owned());
        for offset in 0..=text.len() {
            for len in 0..=text.len() - offset {
                for context in [0, 1, 2] {
                    let span = SourceSpan::new(offset.into(), len);
                    let whole = text.read_span(&span, context, context);
                    let piece = source.read_span(&span, context, context);
                    let told = |found: Result<Box<dyn SpanContents<'_> + '_>, MietteError>| {
                        let found = found.ok()?;
                        let data = String::from_utf8_lossy(found.data()).into_owned();
                        let (line, column) = (found.line(), found.column());
                        Some((data, *found.span(), line, column, found.line_count()))
                    };
                    assert_eq!(told(piece), told(whole), "{offset} {len} {context}");
                }
            }
        }
    }
}
