//! The reference of the manifest, made from its schema.

use std::fmt::Write as _;

use ebpf_apply::manifest::SCHEMA;
use serde_json::{Map, Value};

use super::is_current;

/// The tables of a manifest: the definition of each, and its header.
const TABLES: &[(&str, &str, &str)] = &[
    ("ObjectEntry", "Objects", "[objects.OBJECT]"),
    ("MapEntry", "Maps", "[objects.OBJECT.maps.MAP]"),
    ("Expect", "What a map must be", "[objects.OBJECT.maps.MAP.expect]"),
    ("ProgramEntry", "Programs", "[objects.OBJECT.programs.PROGRAM]"),
];

const BEGINNING: &str = "\
# Manifest reference

<!-- Made from schema/ebpf-apply-v1.schema.json: `UPDATE_BOOK=1 cargo test --test book`. -->

A manifest is TOML. Keys that are not listed here are errors, so that a mistyped one is not overlooked. `ebpf-apply schema`
prints the JSON schema that this page is made from; with `#:schema` in the first line, editors complete and check by it.
";

/// The schema, with its definitions.
struct Schema<'s> {
    definitions: &'s Map<String, Value>,
}

type Node = Map<String, Value>;

impl<'s> Schema<'s> {
    /// What a node stands for: schemars puts a reference with a description of its own into `allOf`.
    fn resolve(&self, node: &'s Value) -> &'s Node {
        let node = node.as_object().expect("a schema is an object");
        let inner = node.get("allOf").and_then(|all| all.get(0)).and_then(Value::as_object);
        let reference = inner.unwrap_or(node).get("$ref").and_then(Value::as_str);
        let Some(reference) = reference else { return node };
        let name = reference.trim_start_matches("#/definitions/");
        self.definitions[name].as_object().expect("a schema is an object")
    }

    /// What a value may be, in a cell of a table.
    fn kind(&self, node: &'s Value) -> String {
        let resolved = self.resolve(node);
        if let Some(choices) = resolved.get("oneOf").and_then(Value::as_array) {
            let constants = choices.iter().filter_map(|choice| choice.get("const"));
            let constants: Vec<String> = constants.map(code).collect();
            return if constants.is_empty() { "table".to_owned() } else { constants.join(", ") };
        }
        if let Some(kinds) = resolved.get("anyOf").and_then(Value::as_array) {
            let kinds: Vec<String> = kinds.iter().map(|kind| self.kind(kind)).collect();
            return if kinds.len() > 2 { "value".to_owned() } else { kinds.join(" or ") };
        }
        if let Some(constant) = resolved.get("const") {
            return code(constant);
        }
        match resolved.get("type") {
            Some(Value::String(kind)) => match &**kind {
                "array" => {
                    let items = self.kind(&resolved["items"]);
                    // Words are listed as they are.
                    let s = if items.ends_with('`') { "" } else { "s" };
                    format!("array of {items}{s}")
                }
                "object" => "table".to_owned(),
                "integer" => integer(
                    node.as_object().filter(|own| own.contains_key("type")).unwrap_or(resolved),
                ),
                kind => kind.to_owned(),
            },
            _ => panic!("no type: {resolved:?}"),
        }
    }

    /// A row for each key.
    fn table(&self, text: &mut String, node: &'s Node) {
        let Some(properties) = node.get("properties").and_then(Value::as_object) else { return };
        let required = node.get("required").and_then(Value::as_array);
        let is_required =
            |key: &str| required.is_some_and(|keys| keys.iter().any(|one| one == key));
        let shown = properties.iter().filter(|(key, _)| *key != "hook");
        let mut rows = shown.peekable();
        if rows.peek().is_none() {
            return;
        }
        text.push_str("\n| key | value | |\n|---|---|---|\n");
        for (key, property) in rows {
            let mut remark = description(property.as_object().expect("a schema"));
            if is_required(key) {
                remark.push_str(" **Required.**");
            }
            if let Some(default) = property.get("default").filter(|default| **default != false) {
                let _ = write!(remark, " Default: {}.", code(default));
            }
            let _ = writeln!(text, "| `{key}` | {} | {remark} |", self.kind(property));
        }
    }

    /// The values of a word, each with what it means.
    fn words(&self, text: &mut String, name: &str, node: &'s Node) {
        let choices = node.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        let mut words = choices.filter(|choice| choice.get("const").is_some()).peekable();
        if words.peek().is_none() {
            return;
        }
        let users = self.users(name).join(", ");
        let _ = write!(text, "\n### {users}\n\n{}\n\n| value | |\n|---|---|\n", description(node));
        for word in words {
            let meaning = description(word.as_object().expect("a schema"));
            let _ = writeln!(text, "| {} | {meaning} |", code(&word["const"]));
        }
    }

    /// The keys whose value is of that definition.
    fn users(&self, name: &str) -> Vec<String> {
        let wanted = format!("#/definitions/{name}");
        let mut users = Vec::new();
        let hooks = self.definitions["Hook"]["oneOf"].as_array().into_iter().flatten();
        for table in self.definitions.values().chain(hooks) {
            let properties = table.get("properties").and_then(Value::as_object);
            for (key, property) in properties.into_iter().flatten() {
                let key = format!("`{key}`");
                let reference =
                    property.pointer("/allOf/0/$ref").or_else(|| property.pointer("/items/$ref"));
                if reference.is_some_and(|found| *found == wanted) && !users.contains(&key) {
                    users.push(key);
                }
            }
        }
        assert!(!users.is_empty(), "{name} is the value of no key");
        users
    }
}

fn code(value: &Value) -> String {
    format!("`{value}`")
}

fn integer(node: &Node) -> String {
    match (node.get("minimum"), node.get("maximum")) {
        (Some(least), Some(most)) => format!("integer, {least} to {most}"),
        (Some(least), None) if *least != 0 => format!("integer, at least {least}"),
        _ => "integer".to_owned(),
    }
}

fn description(node: &Node) -> String {
    let text = node.get("description").and_then(Value::as_str).unwrap_or_default();
    text.replace('\n', " ").replace('|', "\\|")
}

fn generate() -> String {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let root = schema.as_object().expect("a schema");
    let definitions = root["definitions"].as_object().expect("definitions");
    let schema = Schema { definitions };
    let mut text = BEGINNING.to_owned();
    schema.table(&mut text, root);
    for (name, title, header) in TABLES {
        let node = definitions[*name].as_object().expect("a schema");
        let _ = write!(text, "\n## {title}\n\n`{header}`. {}\n", description(node));
        schema.table(&mut text, node);
    }
    let hooks = definitions["Hook"]["oneOf"].as_array().expect("hooks");
    text.push_str("\n## Hooks\n\nThe entries of `attach`; `hook` says which, and what else an entry may have.\n");
    for hook in hooks {
        let name = hook["properties"]["hook"]["const"].as_str().expect("its name");
        let hook = hook.as_object().expect("a schema");
        let _ = write!(text, "\n### {name}\n\n{}\n", description(hook));
        schema.table(&mut text, hook);
    }
    text.push_str("\n## Words\n\nWhat the words mean that a key takes.\n");
    for (name, node) in definitions.iter().filter(|(name, _)| *name != "Hook") {
        schema.words(&mut text, name, node.as_object().expect("a schema"));
    }
    text
}

#[test]
fn the_reference_is_current() {
    is_current("manifest.md", &generate());
}

#[test]
fn every_definition_is_in_the_reference() {
    let text = generate();
    for key in ["pin-root", "sha256", "on-mismatch", "allow-undeclared", "cookie", "wait"] {
        assert!(text.contains(&format!("| `{key}` |")), "{key}");
    }
    for hook in ["xdp", "tcx", "struct-ops", "section"] {
        assert!(text.contains(&format!("### {hook}\n")), "{hook}");
    }
    assert!(text.contains("| `\"persist-on-exit\"` | Pinned, and left pinned"));
}
