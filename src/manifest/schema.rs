//! The published JSON schema of the manifest; the walker follows it too, as a
//! [`Tree`](super::tree::Tree).
//!
//! The file in `schema/` is made from the types; `UPDATE_SCHEMA=1 cargo test schema` writes it anew.

/// The schema's text (JSON Schema draft-07).
pub const SCHEMA: &str = include_str!("../../schema/ebpf-apply-v1.schema.json");

/// The schema's `$id`, which names the version of the format.
pub const SCHEMA_ID: &str = "urn:ebpf-apply:manifest:v1";

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

    fn generate() -> String {
        let settings = SchemaSettings::draft07()
            .with(|settings| settings.transforms.insert(0, Box::new(WithoutNull)));
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

    #[test]
    fn no_null_is_left() {
        assert!(!SCHEMA.contains("null"), "TOML has no null");
    }
}
