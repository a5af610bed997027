//! Holds a document against the schema and finds every problem, not only the first.
//!
//! Understands the JSON-schema keywords our types produce and no others; a test fails on any other.

#[cfg(test)]
mod agreement;
mod node;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::document::Document;
use super::grammar;
use super::path::{KeyPath, Segment};
use super::suggest::{listed, suggest};
use crate::model::code;
use crate::model::problem::Problem;
use node::{Node, Tagged, article, type_of};

/// What a walk finds.
#[derive(Default)]
pub(super) struct Walked {
    /// In no particular order.
    pub(super) problems: Vec<Problem>,
    /// Places that have a problem.
    pub(super) marked: Vec<KeyPath>,
    /// Nodes that the types would refuse.
    pub(super) dropped: Vec<KeyPath>,
}

/// Finds every schema problem of `document`.
pub(super) fn walk(document: &Document<'_>) -> Walked {
    let mut walker = Walker { document, path: KeyPath::default(), found: Walked::default() };
    walker.table(Node::root(), document.table().get_ref(), None);
    walker.found
}

struct Walker<'w> {
    document: &'w Document<'w>,
    path: KeyPath,
    found: Walked,
}

/// Whether the types would take a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Yes,
    No,
}

impl Walker<'_> {
    fn value(&mut self, node: Node, value: &Spanned<DeValue<'_>>) -> Fit {
        if let Some(tagged) = node.tagged() {
            return self.tagged(&tagged, value);
        }
        let types = node.types();
        let found = type_of(value.get_ref());
        if !types.contains(&found) {
            let wanted: Vec<&str> = types.iter().map(|name| article(name)).collect();
            let found = article(found);
            let message = format!("`{}` must be {}, not {found}", self.path, wanted.join(" or "));
            let mut problem = Problem::error(code::WRONG_TYPE, Some(value.span()), message);
            problem.help = otherwise(node, value.get_ref());
            return self.flaw(problem);
        }
        let node = node.of_type(found);
        match value.get_ref() {
            DeValue::String(text) => self.text(node, text, value),
            DeValue::Integer(number) => self.integer(node, number, value),
            DeValue::Float(number) => {
                let text = number.as_str();
                if text.parse().is_ok_and(|number: f64| number.is_finite())
                    || text.contains("inf")
                    || text.contains("nan")
                {
                    return Fit::Yes;
                }
                let message = format!("`{}` is too large for a float", self.path);
                self.flaw(Problem::error(code::BAD_VALUE, Some(value.span()), message))
            }
            DeValue::Array(list) => self.list(node, list, value),
            DeValue::Table(table) => self.table(node, table, None),
            DeValue::Boolean(_) | DeValue::Datetime(_) => Fit::Yes,
        }
    }

    fn text(&mut self, node: Node, text: &str, value: &Spanned<DeValue<'_>>) -> Fit {
        let allowed = node.words();
        if !allowed.is_empty() && !allowed.contains(&text) {
            return self.unknown_word(text, &allowed, value);
        }
        let Err(flaw) = grammar::check(node.definition(), text) else { return Fit::Yes };
        let mut problem = Problem::error(flaw.code, Some(value.span()), flaw.message);
        problem.help = flaw.help;
        self.flaw(problem)
    }

    fn unknown_word(&mut self, text: &str, allowed: &[&str], value: &Spanned<DeValue<'_>>) -> Fit {
        let message = format!("`{}` cannot be {text:?}", self.path);
        let all = listed(allowed.iter().copied());
        let help = match suggest(text, allowed.iter().copied()) {
            Some(near) => format!("did you mean {near:?}? allowed: {all}"),
            None => format!("allowed: {all}"),
        };
        self.flaw(Problem::error(code::BAD_VALUE, Some(value.span()), message).help(help))
    }

    fn integer(&mut self, node: Node, number: &DeInteger<'_>, value: &Spanned<DeValue<'_>>) -> Fit {
        let (low, high) = node.range();
        match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if (low..=high).contains(&number) => Fit::Yes,
            _ if node.definition() == "Version" => {
                let message = format!("version {number} of the manifest's format is not known");
                let problem =
                    Problem::error(code::UNSUPPORTED_VERSION, Some(value.span()), message);
                self.flaw(problem.help(format!("this program reads version {low}")))
            }
            _ => {
                let message =
                    format!("`{}` must be between {low} and {high}, not {number}", self.path);
                self.flaw(Problem::error(code::BAD_VALUE, Some(value.span()), message))
            }
        }
    }

    fn list(&mut self, node: Node, list: &DeArray<'_>, value: &Spanned<DeValue<'_>>) -> Fit {
        if list.len() < node.least_items() {
            let message = format!("`{}` must name at least one", self.path);
            return self.flaw(Problem::error(code::BAD_VALUE, Some(value.span()), message));
        }
        let Some(items) = node.items() else { return Fit::Yes };
        let mut fit = Fit::Yes;
        for (index, element) in list.iter().enumerate() {
            self.path.push(Segment::Index(index));
            if self.value(items, element) == Fit::No {
                if items.tagged().is_some() {
                    // A stand-in takes its place, of which nothing may be concluded.
                    self.found.marked.push(self.path.clone());
                    self.found.dropped.push(self.path.clone());
                } else {
                    fit = Fit::No;
                }
            }
            self.path.pop();
        }
        fit
    }

    fn tagged(&mut self, tagged: &Tagged, value: &Spanned<DeValue<'_>>) -> Fit {
        let tag = tagged.tag;
        let Some(table) = value.get_ref().as_table() else {
            let found = article(type_of(value.get_ref()));
            let message = format!("`{}` must be a table, not {found}", self.path);
            let problem = Problem::error(code::WRONG_TYPE, Some(value.span()), message);
            return self.flaw(problem.help(format!("such as `{{ {tag} = \"…\" }}`")));
        };
        let Some(word) = table.get(tag) else {
            let message = format!("`{}` lacks the key `{tag}`", self.path);
            let help = format!("it says what the other keys mean: {}", listed(tagged.words()));
            return self
                .flaw(Problem::error(code::MISSING_KEY, Some(value.span()), message).help(help));
        };
        let Some(text) = word.get_ref().as_str() else {
            self.path.push(Segment::Key(tag.to_owned()));
            let found = article(type_of(word.get_ref()));
            let message = format!("`{}` must be a string, not {found}", self.path);
            let fit = self.flaw(Problem::error(code::WRONG_TYPE, Some(word.span()), message));
            self.path.pop();
            return fit;
        };
        if let Some(branch) = tagged.branch(text) {
            return self.table(branch, table, Some((tagged, text)));
        }
        self.path.push(Segment::Key(tag.to_owned()));
        let fit = self.unknown_word(text, &tagged.words().collect::<Vec<_>>(), word);
        self.path.pop();
        fit
    }

    fn table(&mut self, node: Node, table: &DeTable<'_>, of: Option<(&Tagged, &str)>) -> Fit {
        let mut fit = Fit::Yes;
        let mut misspelt = Vec::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let legal = self.key(node, key);
            self.path.push(Segment::Key(name.to_owned()));
            let child = match node.property(name).or_else(|| node.other_keys()) {
                Some(_) if of.is_some_and(|(tagged, _)| tagged.tag == name) => Fit::Yes,
                Some(child) => self.value(child, value),
                None => {
                    misspelt.extend(self.unknown_key(node, key, of));
                    Fit::No
                }
            };
            if child == Fit::No || legal == Fit::No {
                self.found.dropped.push(self.path.clone());
                if node.requires(name) {
                    fit = Fit::No;
                }
            }
            self.path.pop();
        }
        for key in node.required().filter(|key| !table.contains_key(*key)) {
            fit = Fit::No;
            if !misspelt.contains(&key) {
                self.missing_key(key, of);
            }
        }
        fit
    }

    /// Checks a key that the user chose.
    fn key(&mut self, node: Node, key: &Spanned<std::borrow::Cow<'_, str>>) -> Fit {
        let Some(names) = node.key_names() else { return Fit::Yes };
        let Err(flaw) = grammar::check(names.definition(), key.get_ref()) else { return Fit::Yes };
        let mut problem = Problem::error(flaw.code, Some(key.span()), flaw.message);
        problem.help = flaw.help;
        self.path.push(Segment::Key(key.get_ref().to_string()));
        let fit = self.flaw(problem);
        self.path.pop();
        fit
    }

    /// Reports the key at the end of the current path, and yields the one that was probably meant.
    fn unknown_key(
        &mut self,
        node: Node,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        of: Option<(&Tagged, &str)>,
    ) -> Option<&'static str> {
        let name: &str = key.get_ref();
        let near = suggest(name, node.properties());
        let message = match of {
            Some((_, hook)) => format!("`{hook}` has no option `{name}`"),
            None => match self.path.parent() {
                Some(above) => format!("`{above}` has no key `{name}`"),
                None => format!("a manifest has no key `{name}`"),
            },
        };
        let known = listed(node.properties());
        let mut help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {known}"),
        };
        if let (None, Some((tagged, _))) = (near, of) {
            let others = listed(tagged.words_with(name));
            if !others.is_empty() {
                help = format!("{help}; `{name}` is an option of {others}");
            }
        }
        self.flaw(Problem::error(code::UNKNOWN_KEY, Some(key.span()), message).help(help));
        // What was meant was said, so its absence is no finding.
        self.found.marked.extend(near.map(|near| self.path.sibling(near)));
        near
    }

    fn missing_key(&mut self, key: &str, of: Option<(&Tagged, &str)>) {
        let message = match of {
            Some((_, hook)) => format!("`{hook}` needs the option `{key}`"),
            None if self.path.segments().is_empty() => {
                format!("the manifest lacks the key `{key}`")
            }
            None => format!("`{}` lacks the key `{key}`", self.path),
        };
        let mut problem =
            Problem::error(code::MISSING_KEY, self.document.key_span(&self.path), message);
        if self.path.segments().is_empty() {
            problem.help = match key {
                "version" => Some("put `version = 1` on the first line".to_owned()),
                "name" => Some("the deployment's, such as `name = \"edge\"`".to_owned()),
                _ => None,
            };
        }
        self.found.problems.push(problem);
        self.found.marked.push(self.path.key(key));
    }

    /// Reports a problem of the node at the current path.
    fn flaw(&mut self, problem: Problem) -> Fit {
        let span = self.document.clamp(problem.span.clone());
        self.found.problems.push(Problem { span, ..problem });
        self.found.marked.push(self.path.clone());
        Fit::No
    }
}

/// How a value of the wrong type was probably meant.
fn otherwise(node: Node, value: &DeValue<'_>) -> Option<String> {
    let types = node.types();
    let takes = |name: &str| types.contains(&name);
    match value {
        DeValue::String(text)
            if (takes("integer") && text.parse::<i64>().is_ok())
                || (takes("boolean") && matches!(&**text, "true" | "false")) =>
        {
            Some(format!("without quotes: `{text}`"))
        }
        DeValue::Array(_) if takes("object") && node.other_keys().is_some() => {
            Some("its keys are names: `[….NAME]` with one pair of brackets for each".to_owned())
        }
        DeValue::Array(_) if takes("object") => {
            Some("a table stands in one pair of brackets: `[…]`".to_owned())
        }
        DeValue::String(text) if takes("object") => {
            let key = node.required().next()?;
            Some(format!("such as `{{ {key} = {text:?} }}`"))
        }
        _ if !node.words().is_empty() => Some(format!("allowed: {}", listed(node.words()))),
        _ if types == ["array"] => Some("a list stands in brackets: `[…]`".to_owned()),
        _ => None,
    }
}
