//! The published JSON schema of the manifest; the walker follows it too, as a
//! [`Tree`](super::tree::Tree).
//!
//! The file in `schema/` is made from the types; `UPDATE_SCHEMA=1 cargo test schema` writes it anew.

/// The schema's text (JSON Schema draft-07).
pub const SCHEMA: &str = include_str!("../../schema/ebpf-apply-v1.schema.json");

/// The schema's `$id`, which names the version of the format: the address it has in the `SchemaStore`
/// once it is there (`schema/README.md`).
pub const SCHEMA_ID: &str = "https://www.schemastore.org/ebpf-apply-v1.json";

#[cfg(test)]
mod tests {
    use schemars::Schema;
    use schemars::generate::SchemaSettings;
    use schemars::transform::{Transform, transform_subschemas};
    use serde_json::Value;

    use super::{SCHEMA, SCHEMA_ID};
    use crate::manifest::Manifest;

    /// Takes `null` out: TOML has none, an absent key is all there is.
    #[derive(Clone)]
    struct WithoutNull;

    impl Transform for WithoutNull {
        fn transform(&mut self, schema: &mut Schema) {
            if let Some(Value::Array(types)) = schema.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    schema.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(branches)) = schema.get("anyOf")
                && let [Value::Object(one), Value::Object(null)] = branches.as_slice()
                && null.get("type").is_some_and(|name| name == "null")
            {
                let one = one.clone();
                schema.remove("anyOf");
                for (keyword, value) in one {
                    schema.insert(keyword, value);
                }
            }
            if schema.get("default").is_some_and(Value::is_null) {
                schema.remove("default");
            }
            transform_subschemas(self, schema);
        }
    }

    /// Says the bounds of integers in words of the standard; `format: uint32` is schemars' own.
    #[derive(Clone)]
    struct Bounds;

    impl Transform for Bounds {
        fn transform(&mut self, schema: &mut Schema) {
            let format = schema.get("format").and_then(Value::as_str).map(str::to_owned);
            let bounds: Option<(i64, u64)> = match format.as_deref() {
                Some("uint16") => Some((0, u16::MAX.into())),
                Some("uint32") => Some((0, u32::MAX.into())),
                Some("uint64") => Some((0, u64::MAX)),
                Some("int32") => Some((i32::MIN.into(), i32::MAX.unsigned_abs().into())),
                Some(other) => panic!("the bounds of `{other}` are not known here"),
                None => None,
            };
            if let Some((low, high)) = bounds {
                schema.remove("format");
                for (keyword, bound) in [("minimum", low.into()), ("maximum", high.into())] {
                    if schema.get(keyword).is_none() {
                        schema.insert(keyword.to_owned(), bound);
                    }
                }
            }
            transform_subschemas(self, schema);
        }
    }

    /// Describes the key that tells the branches of a `oneOf` apart as its branch is described.
    #[derive(Clone)]
    struct DescribedTags;

    impl Transform for DescribedTags {
        fn transform(&mut self, schema: &mut Schema) {
            let description = schema.get("description").cloned();
            if let (Some(description), Some(Value::Object(properties))) =
                (description, schema.get_mut("properties"))
            {
                let tags = properties.values_mut().filter_map(Value::as_object_mut);
                for tag in tags.filter(|tag| tag.contains_key("const")) {
                    tag.insert("description".to_owned(), description.clone());
                }
            }
            transform_subschemas(self, schema);
        }
    }

    fn generate() -> String {
        let settings = SchemaSettings::draft07().with(|settings| {
            settings.transforms.insert(0, Box::new(WithoutNull));
            settings.transforms.push(Box::new(Bounds));
            settings.transforms.push(Box::new(DescribedTags));
        });
        let mut schema = settings.into_generator().into_root_schema_for::<Manifest>();
        schema.insert("$id".to_owned(), SCHEMA_ID.into());
        schema.insert("title".to_owned(), "ebpf-apply manifest, version 1".into());
        let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
        text.push('\n');
        text
    }

    #[test]
    fn the_checked_in_schema_is_current() {
        let generated = generate();
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/ebpf-apply-v1.schema.json");
            std::fs::write(path, &generated).expect("the schema can be written");
            return;
        }
        assert!(
            SCHEMA == generated,
            "the types changed: run `UPDATE_SCHEMA=1 cargo test --lib schema` and commit the result"
        );
    }

    /// Each schema in the schema, with the keyword it is under.
    fn each<'s>(schema: &'s Value, under: &str, visit: &mut impl FnMut(&'s Value, &str)) {
        visit(schema, under);
        let Value::Object(keywords) = schema else { return };
        for (keyword, value) in keywords {
            let inner: Vec<&Value> = match (keyword.as_str(), value) {
                ("properties" | "definitions", Value::Object(named)) => named.values().collect(),
                ("oneOf" | "anyOf" | "allOf", Value::Array(list)) => list.iter().collect(),
                ("items" | "additionalProperties" | "propertyNames", Value::Object(_)) => {
                    vec![value]
                }
                _ => Vec::new(),
            };
            for schema in inner {
                each(schema, keyword, visit);
            }
        }
    }

    fn schema() -> Value {
        serde_json::from_str(SCHEMA).expect("the schema is JSON")
    }

    #[test]
    fn no_null_is_left() {
        assert!(!SCHEMA.contains("null"), "TOML has no null");
    }

    #[test]
    fn it_is_a_schema() {
        let schema = schema();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        let known = jsonschema::draft7::meta::validate(&schema);
        assert!(known.is_ok(), "{known:?}");
        let wrong = serde_json::json!({ "type": "nonesuch" });
        assert!(jsonschema::draft7::meta::validate(&wrong).is_err(), "it requires something");
        assert!(jsonschema::draft7::new(&schema).is_ok(), "every `$ref` leads somewhere");
    }

    #[test]
    fn editors_have_a_word_on_everything() {
        let mut count = 0;
        each(&schema(), "", &mut |schema, under| {
            let is_choice = under == "oneOf" || schema.get("const").is_some();
            if is_choice || ["", "properties", "definitions"].contains(&under) {
                let description = schema.get("description").and_then(Value::as_str);
                let description = description.unwrap_or_default();
                assert!(description.len() > 4, "without a description: {schema:#}");
                assert!(!description.trim_end().ends_with(':'), "{description}");
                count += 1;
            }
        });
        assert!(count > 200, "{count} descriptions");
    }

    /// What Ajv's strict mode asks for, in which the `SchemaStore` checks (ajv.js.org/strict-mode.html),
    /// and the rules of its `CONTRIBUTING.md`.
    #[test]
    fn it_is_as_strict_as_the_schemastore_asks_for() {
        let schema = schema();
        let mut known = Vec::new();
        each(&schema, "", &mut |schema, _| {
            let Value::Object(keywords) = schema else { panic!("not a table: {schema}") };
            let name = keywords.get("type").map(|name| name.as_str().expect("no union of types"));
            assert!(!keywords.contains_key("format"), "unknown to others: {schema}");
            let of = |keyword: &str| match keyword {
                "properties" | "required" | "additionalProperties" | "propertyNames" => {
                    Some("object")
                }
                "items" | "minItems" => Some("array"),
                "pattern" => Some("string"),
                _ => None,
            };
            for wanted in keywords.keys().filter_map(|keyword| of(keyword)) {
                assert_eq!(name, Some(wanted), "{schema}");
            }
            for number in ["minimum", "maximum"].iter().filter_map(|bound| keywords.get(*bound)) {
                assert!(number.is_i64() || number.is_u64(), "{schema}");
                assert_eq!(name, Some("integer"), "{schema}");
            }
            if let Some(properties) = keywords.get("properties") {
                assert!(keywords.contains_key("additionalProperties"), "open: {schema}");
                let required = keywords.get("required").and_then(Value::as_array);
                for key in required.into_iter().flatten().filter_map(Value::as_str) {
                    assert!(properties.get(key).is_some(), "{key} is required and unknown");
                }
            }
            known.extend(keywords.get("$ref").and_then(Value::as_str).map(str::to_owned));
        });
        for name in schema["definitions"].as_object().expect("a table").keys() {
            assert!(known.contains(&format!("#/definitions/{name}")), "{name} is not used");
        }
    }

    #[test]
    fn the_entry_for_the_catalog_is_as_the_schemastore_wants_it() {
        let page = include_str!("../../schema/README.md");
        let (_, rest) = page.split_once("```json\n").expect("a piece of JSON");
        let (text, _) = rest.split_once("```").expect("its end");
        let entry: Value = serde_json::from_str(text).expect("the entry is JSON");
        assert_eq!(entry["url"], SCHEMA_ID);
        for field in ["name", "description"] {
            let said = entry[field].as_str().expect("text").to_lowercase();
            assert!(!said.contains("schema") && !said.ends_with(['.', ',', '-', ' ']), "{said}");
        }
        let patterns = entry["fileMatch"].as_array().expect("a list");
        assert!(!patterns.is_empty());
        for pattern in patterns.iter().map(|pattern| pattern.as_str().expect("text")) {
            assert_eq!(pattern.rsplit('.').next(), Some("toml"), "{pattern}");
            assert!(!pattern.contains('/') || pattern.starts_with("**/"), "{pattern}");
        }
    }
}
