//! One node of the schema, with its references followed.

use toml::de::DeValue;

use crate::manifest::tree::Tree;

/// Keywords this module understands or may pass over.
#[cfg(test)]
pub(super) const KEYWORDS: &[&str] = &[
    "$id",
    "$ref",
    "$schema",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "default",
    "definitions",
    "description",
    "items",
    "maximum",
    "minItems",
    "minimum",
    "oneOf",
    "pattern",
    "properties",
    "propertyNames",
    "required",
    "title",
    "type",
];

/// A schema that a value is held against.
#[derive(Clone, Copy)]
pub(super) struct Node {
    at: Tree,
    definition: &'static str,
}

impl Node {
    pub(super) fn root() -> Self {
        Self { at: Tree::schema(), definition: "" }
    }

    fn of(at: Tree) -> Self {
        Self { at, definition: "" }.resolved()
    }

    /// Follows `$ref`, also inside the `allOf` that draft-07 needs beside other keywords. Our
    /// references are at most two deep.
    fn resolved(self) -> Self {
        let only = self.at.get("allOf").and_then(|all| all.list().next()).unwrap_or(self.at);
        let target = only.get("$ref").and_then(Tree::text);
        let name = target.and_then(|target| target.strip_prefix("#/definitions/"));
        let found =
            name.and_then(|name| Some((name, Tree::schema().get("definitions")?.get(name)?)));
        found.map_or(self, |(definition, at)| Self { at, definition })
    }

    /// Name of the definition this node is, or "".
    pub(super) fn definition(self) -> &'static str {
        self.definition
    }

    /// The alternatives of a value that may be of several types, each of one.
    fn alternatives(self) -> impl Iterator<Item = Self> {
        self.at.get("anyOf").into_iter().flat_map(Tree::list).map(move |at| Self { at, ..self })
    }

    /// What a value of that type is held against.
    pub(super) fn of_type(self, name: &str) -> Self {
        self.alternatives().find(|node| node.types().contains(&name)).unwrap_or(self)
    }

    /// Names of the types a value may have; empty means none was said.
    pub(super) fn types(self) -> Vec<&'static str> {
        match self.at.get("type").and_then(Tree::text) {
            Some(name) => vec![name],
            _ if !self.words().is_empty() => vec!["string"],
            _ => self.alternatives().flat_map(Self::types).collect(),
        }
    }

    /// The words a string must be one of; empty for any.
    pub(super) fn words(self) -> Vec<&'static str> {
        let branches = self.at.get("oneOf").into_iter().flat_map(Tree::list);
        let constants = branches.filter_map(|branch| branch.get("const"));
        constants.filter_map(Tree::text).collect()
    }

    /// Least and greatest value of an integer.
    pub(super) fn range(self) -> (i128, i128) {
        let bound = |keyword| self.at.get(keyword).and_then(Tree::number);
        if let Some(constant) = bound("const") {
            return (constant, constant);
        }
        (bound("minimum").unwrap_or(i128::MIN), bound("maximum").unwrap_or(i128::MAX))
    }

    pub(super) fn least_items(self) -> usize {
        let least = self.at.get("minItems").and_then(Tree::number);
        least.and_then(|least| usize::try_from(least).ok()).unwrap_or(0)
    }

    pub(super) fn items(self) -> Option<Self> {
        self.at.get("items").map(Self::of)
    }

    /// The schema of a key's value, if the key is known.
    pub(super) fn property(self, key: &str) -> Option<Self> {
        self.at.get("properties")?.get(key).map(Self::of)
    }

    /// The known keys.
    pub(super) fn properties(self) -> impl Iterator<Item = &'static str> {
        self.at.get("properties").into_iter().flat_map(Tree::table).map(|(key, _)| key)
    }

    /// The schema of the values under keys the user chooses, where there are such.
    pub(super) fn other_keys(self) -> Option<Self> {
        let others = self.at.get("additionalProperties")?;
        others.is_table().then(|| Self::of(others))
    }

    /// The grammar of keys the user chooses.
    pub(super) fn key_names(self) -> Option<Self> {
        self.at.get("propertyNames").map(Self::of)
    }

    pub(super) fn required(self) -> impl Iterator<Item = &'static str> {
        self.at.get("required").into_iter().flat_map(Tree::list).filter_map(Tree::text)
    }

    pub(super) fn requires(self, key: &str) -> bool {
        self.required().any(|required| required == key)
    }

    /// The alternatives, if this is a table told apart by one of its keys.
    pub(super) fn tagged(self) -> Option<Tagged> {
        let branches = self.at.get("oneOf")?;
        let first = branches.list().next()?.get("properties")?;
        let tag = first.table().find(|(_, property)| property.get("const").is_some());
        tag.map(|(tag, _)| Tagged { tag, branches })
    }
}

/// A table whose keys depend on the word under one of them.
pub(super) struct Tagged {
    /// The key.
    pub(super) tag: &'static str,
    branches: Tree,
}

impl Tagged {
    /// The words that key can have.
    pub(super) fn words(&self) -> impl Iterator<Item = &'static str> {
        let tag = self.tag;
        self.branches.list().filter_map(move |branch| word(branch, tag))
    }

    /// The words that go together with the key `option`.
    pub(super) fn words_with(&self, option: &str) -> impl Iterator<Item = &'static str> {
        let tag = self.tag;
        let has = move |branch: &Tree| {
            branch.get("properties").is_some_and(|properties| properties.get(option).is_some())
        };
        self.branches.list().filter(has).filter_map(move |branch| word(branch, tag))
    }

    /// The schema of the whole table for one of the words.
    pub(super) fn branch(&self, text: &str) -> Option<Node> {
        let branch = self.branches.list().find(|branch| word(*branch, self.tag) == Some(text));
        branch.map(Node::of)
    }
}

fn word(branch: Tree, tag: &str) -> Option<&'static str> {
    branch.get("properties")?.get(tag)?.get("const")?.text()
}

/// The schema's name for what a value is; TOML alone has dates.
pub(super) fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

/// A type as a sentence names it.
pub(super) fn article(name: &str) -> &'static str {
    match name {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a float",
        "boolean" => "a boolean",
        "date" => "a date",
        "array" => "an array",
        _ => "a table",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::manifest::SCHEMA;

    fn check(schema: &Value) {
        let Value::Object(keywords) = schema else { return };
        for (keyword, value) in keywords {
            assert!(KEYWORDS.contains(&keyword.as_str()), "the walker does not know `{keyword}`");
            match (keyword.as_str(), value) {
                ("properties" | "definitions", Value::Object(inner)) => {
                    inner.values().for_each(check);
                }
                ("oneOf" | "allOf" | "anyOf", Value::Array(inner)) => inner.iter().for_each(check),
                ("items" | "additionalProperties" | "propertyNames", inner) => check(inner),
                _ => {}
            }
        }
    }

    #[test]
    fn the_schema_has_only_keywords_the_walker_knows() {
        let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
        check(&schema);
        let root = Node::root();
        assert_eq!(root.property("name").map(Node::definition), Some("Name"));
        let hook = Tree::schema()
            .get("definitions")
            .and_then(|all| all.get("Hook"))
            .expect("a definition");
        let hook = Node::of(hook);
        assert_eq!(hook.tagged().map(|tagged| tagged.tag), Some("hook"));
    }
}
