//! A manifest's text with the place of every key and value, and which of them have a problem.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::path::{KeyPath, Segment};
use crate::model::code;
use crate::model::problem::Problem;

/// Where things stand in a manifest.
#[derive(Debug)]
pub struct Document<'s> {
    source: &'s str,
    table: Spanned<DeTable<'s>>,
    /// Lines with a syntax error, each as the range of its bytes.
    garbled: Vec<Range<usize>>,
    marked: BTreeSet<KeyPath>,
}

/// A key with its place and its value's.
type Entry<'d, 's> = (Option<Range<usize>>, &'d Spanned<DeValue<'s>>);

impl<'s> Document<'s> {
    pub(super) fn new(source: &'s str, table: Spanned<DeTable<'s>>) -> Self {
        Self { source, table, garbled: Vec::new(), marked: BTreeSet::new() }
    }

    /// The manifest's text.
    #[must_use]
    pub fn source(&self) -> &'s str {
        self.source
    }

    pub(super) fn table(&self) -> &Spanned<DeTable<'s>> {
        &self.table
    }

    /// Where the key at the end of `path` stands; for a list element, where the element stands.
    #[must_use]
    pub fn key_span(&self, path: &KeyPath) -> Option<Range<usize>> {
        let (key, value) = self.entry(path)?;
        self.clamp(key.or(Some(value.span())))
    }

    /// Where the value stands; for a table with a header, where the header stands.
    #[must_use]
    pub fn value_span(&self, path: &KeyPath) -> Option<Range<usize>> {
        self.entry(path).and_then(|(_, value)| self.clamp(Some(value.span())))
    }

    /// Where the nearest part of `path` stands that the manifest has.
    #[must_use]
    pub fn nearest_span(&self, path: &KeyPath) -> Option<Range<usize>> {
        path.with_ancestors().find_map(|path| self.key_span(&path))
    }

    /// Whether something at `path`, or something that contains it, has a problem already, so that
    /// a further finding could be a mere consequence.
    #[must_use]
    pub fn is_marked(&self, path: &KeyPath) -> bool {
        path.with_ancestors().any(|path| self.marked.contains(&path))
    }

    /// Whether something at `path`, above or below has a problem already.
    #[must_use]
    pub fn is_touched(&self, path: &KeyPath) -> bool {
        let below = self.marked.range(path..).next();
        self.is_marked(path) || below.is_some_and(|marked| path.contains(marked))
    }

    /// Whether `span` lies on a line with a syntax error, where the parser guesses.
    #[must_use]
    pub fn is_garbled(&self, span: Option<&Range<usize>>) -> bool {
        span.is_some_and(|span| {
            self.garbled.iter().any(|line| span.start <= line.end && line.start <= span.end)
        })
    }

    /// Whether text was lost to syntax errors, so that nothing can be called missing.
    #[must_use]
    pub fn has_syntax_errors(&self) -> bool {
        !self.garbled.is_empty()
    }

    pub(super) fn mark(&mut self, paths: impl IntoIterator<Item = KeyPath>) {
        self.marked.extend(paths);
    }

    /// Turns the parser's errors into problems and remembers their lines.
    pub(super) fn note_syntax(&mut self, errors: &[toml::de::Error]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for error in errors {
            let span = self.clamp(error.span());
            self.garbled.push(self.line(span.as_ref()));
            problems.push(self.syntax_problem(error.message(), span));
        }
        // Of a key with several letters that it may not have, each was an error.
        problems
            .dedup_by(|later, first| later.span == first.span && later.message == first.message);
        let first =
            problems.iter_mut().min_by_key(|problem| problem.span.as_ref().map(|s| s.start));
        if let (Some(first), Some(language)) = (first, other_language(self.source)) {
            first.help =
                Some(format!("this looks like {language}; a manifest is TOML: `version = 1`"));
        }
        problems
    }

    fn syntax_problem(&self, message: &str, span: Option<Range<usize>>) -> Problem {
        if message == "duplicate key" {
            return self.duplicate(span);
        }
        if message.starts_with("cannot recurse further") {
            let message = "values and tables nest too deep for a manifest";
            return Problem::error(code::TOML_SYNTAX, span, message);
        }
        if let Some((key, span)) = span
            .as_ref()
            .filter(|_| message.starts_with("invalid unquoted key"))
            .and_then(|span| self.bare_key(span))
        {
            let message = format!("the key `{key}` must stand in quotes");
            return Problem::error(code::TOML_SYNTAX, Some(span), message)
                .help("without quotes, a key has letters of ASCII, digits, `-` and `_` only");
        }
        let text = span.clone().and_then(|span| self.source.get(span)).unwrap_or_default();
        let is_word = |c: char| c.is_alphanumeric() || "_-./".contains(c);
        if text.starts_with(char::is_alphabetic) && text.chars().all(is_word) {
            let message = format!("`{text}` is no value");
            return Problem::error(code::TOML_SYNTAX, span, message)
                .help(format!("text stands in quotes: \"{text}\""));
        }
        let (message, expected) = message.split_once(", expected ").unwrap_or((message, ""));
        let span = if text.is_empty() { self.open_string(span, expected) } else { span };
        let label =
            if expected.is_empty() { String::new() } else { format!("expected {expected}") };
        Problem::error(code::TOML_SYNTAX, span, message).label(label)
    }

    /// The key without quotes that holds `span`.
    fn bare_key(&self, span: &Range<usize>) -> Option<(&'s str, Range<usize>)> {
        let line = self.line(Some(span));
        let ends = |c: char| c.is_whitespace() || "=.[]{},\"'#".contains(c);
        let before = self.source.get(line.start..span.start)?;
        let start = before
            .rfind(ends)
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let after = self.source.get(span.start..line.end)?;
        let end = after.find(ends).unwrap_or(after.len());
        let whole = line.start + start..span.start + end;
        let key = self.source.get(whole.clone()).filter(|key| !key.is_empty())?;
        Some((key, whole))
    }

    /// From the quote that is never closed to the end of the line, where the parser points.
    fn open_string(&self, span: Option<Range<usize>>, expected: &str) -> Option<Range<usize>> {
        let quote = match expected {
            "`\"`" => '"',
            "`'`" => '\'',
            _ => return span,
        };
        let end = span.as_ref()?.start;
        let line = self.line(span.as_ref());
        let opened = self.source.get(line.start..end).and_then(|before| before.rfind(quote));
        opened.map_or(span, |at| Some(line.start + at..end))
    }

    fn duplicate(&self, span: Option<Range<usize>>) -> Problem {
        let key = span.clone().and_then(|span| self.source.get(span)).unwrap_or_default();
        let first = span.as_ref().and_then(|span| self.first_of(key, span));
        Problem::error(code::DUPLICATE_KEY, span, format!("`{key}` is there twice"))
            .label("again here")
            .related(first, "first here")
            .help("a key stands once in its table, and a table has one header")
    }

    /// Where the key that is repeated at `span` stood first: the parser does not say, so it is the
    /// same header further up, or the only other key of that name.
    fn first_of(&self, key: &str, span: &Range<usize>) -> Option<Range<usize>> {
        let line = self.line(Some(span));
        let header = self.source.get(line.clone())?.trim();
        if header.starts_with('[') {
            let start = self.source.get(..line.start)?.find(header)?;
            return Some(start..start + header.len());
        }
        let mut found = Vec::new();
        keys_named(key, self.table.get_ref(), &mut found);
        found.retain(|other| other.start < span.start);
        if let [only] = found.as_slice() { self.clamp(Some(only.clone())) } else { None }
    }

    /// The line `span` begins on; all of the text without a span.
    fn line(&self, span: Option<&Range<usize>>) -> Range<usize> {
        let Some(span) = span else { return 0..self.source.len() };
        let (before, after) = self.source.split_at(span.start);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = after.find('\n').map_or(self.source.len(), |at| span.start + at);
        start..end
    }

    /// `span` cut to the text and widened to whole characters.
    pub(super) fn clamp(&self, span: Option<Range<usize>>) -> Option<Range<usize>> {
        let span = span?;
        let start = self.source.floor_char_boundary(span.start.min(self.source.len()));
        let end = self.source.ceil_char_boundary(span.end.min(self.source.len()));
        Some(start..end.max(start))
    }

    fn entry<'d>(&'d self, path: &KeyPath) -> Option<Entry<'d, 's>> {
        let (end, above) = path.segments().split_last()?;
        let mut table = self.table.get_ref();
        let mut list = None;
        for segment in above {
            let (_, value) = step(table, list, segment)?;
            match value.get_ref() {
                DeValue::Table(inner) => (table, list) = (inner, None),
                DeValue::Array(inner) => list = Some(inner),
                _ => return None,
            }
        }
        step(table, list, end)
    }
}

/// Places of all keys of that name. The parser bounds how deep tables nest.
fn keys_named(name: &str, table: &DeTable<'_>, found: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        if key.get_ref() == name {
            found.push(key.span());
        }
        if let DeValue::Table(inner) = value.get_ref() {
            keys_named(name, inner, found);
        }
    }
}

fn step<'d, 's>(
    table: &'d DeTable<'s>,
    list: Option<&'d toml::de::DeArray<'s>>,
    segment: &Segment,
) -> Option<Entry<'d, 's>> {
    match (segment, list) {
        (Segment::Key(key), None) => {
            let (key, value) = table.get_key_value(key.as_str())?;
            Some((Some(key.span()), value))
        }
        (Segment::Index(index), Some(list)) => Some((None, list.get(*index)?)),
        _ => None,
    }
}

/// What a text without TOML's assignments begins like.
fn other_language(source: &str) -> Option<&'static str> {
    let mut lines = source.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.find(|line| !line.starts_with('#'))?;
    let key = first.split_once(':').map(|(key, _)| key);
    let is_key = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || "_-\"".contains(c));
    match first {
        _ if first.starts_with('{') => Some("JSON"),
        "---" => Some("YAML"),
        _ if key.is_some_and(is_key) => Some("YAML"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::manifest::{KeyPath, parse};

    const TEXT: &str = "version = 1\nname = \"é\"\n[objects.fw.maps.flows]\npin = \"none\"\n\
                        [objects.fw.programs.drop]\nattach = [{ hook = \"xdp\", interface = \"e\" }]\n";

    fn path(keys: &str) -> KeyPath {
        KeyPath::of(keys.split('.'))
    }

    #[test]
    fn keys_and_values_have_places() {
        let parsed = parse(TEXT);
        let text = |span: Option<std::ops::Range<usize>>| span.and_then(|span| TEXT.get(span));
        let document = &parsed.document;
        assert_eq!(text(document.key_span(&path("objects.fw.maps.flows.pin"))), Some("pin"));
        assert_eq!(text(document.value_span(&path("objects.fw.maps.flows.pin"))), Some("\"none\""));
        assert_eq!(
            text(document.value_span(&path("objects.fw.maps.flows"))),
            Some("[objects.fw.maps.flows]")
        );
        let hook = path("objects.fw.programs.drop.attach").index(0);
        assert_eq!(text(document.value_span(&hook.key("interface"))), Some("\"e\""));
        assert_eq!(document.key_span(&hook.key("mode")), None);
        assert_eq!(text(document.nearest_span(&hook.key("mode"))), text(document.key_span(&hook)));
        assert_eq!(document.key_span(&KeyPath::default()), None);
    }

    #[test]
    fn duplicates_label_both_places() {
        let twice = "name = \"a\"\nname = \"b\"\n[objects.fw]\n[objects.fw]\n";
        let places: Vec<_> = parse(twice)
            .problems
            .iter()
            .map(|problem| problem.related.first().and_then(|first| twice.get(first.span.clone())))
            .collect();
        assert_eq!(places, [Some("name"), Some("[objects.fw]")]);
    }

    #[test]
    fn a_key_with_other_letters_is_told_once_and_as_a_whole() {
        let text = "version = 1\nnämé = 1\n[objects.größe.programs.\"ä\"]\nλ=2\n";
        let told = parse(text).problems.into_iter().map(|problem| {
            let span = problem.span.expect("a place");
            (text.get(span).expect("whole characters"), problem.message)
        });
        let told: Vec<_> = told.collect();
        let expected = ["nämé", "größe", "λ"];
        let expected = expected.map(|key| (key, format!("the key `{key}` must stand in quotes")));
        assert_eq!(told, expected);
    }

    #[test]
    fn depth_is_told_once() {
        let text = format!("version = 1\nname = {}1{}\n", "[".repeat(200), "]".repeat(200));
        let told: Vec<_> =
            parse(&text).problems.into_iter().map(|problem| problem.message).collect();
        assert_eq!(told, ["values and tables nest too deep for a manifest"]);
    }

    #[test]
    fn problems_mark_their_places() {
        let parsed = parse(TEXT);
        let pin = path("objects.fw.maps.flows.pin");
        assert!(!parsed.document.is_marked(&pin));
        assert!(parsed.document.is_marked(&path("name")));
        assert!(!parsed.document.is_marked(&path("version")));
        assert!(parsed.document.is_marked(&path("name.below")));
        assert!(parsed.document.is_touched(&path("name")));
        assert!(parsed.document.is_touched(&path("objects.fw")), "its path is missing");
    }
}
