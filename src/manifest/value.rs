//! Values of global variables: any TOML but dates, checked later against the variable's C type.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A value as TOML writes it.
#[derive(Clone, Debug, PartialEq)]
pub enum GlobalValue {
    /// `true` or `false`.
    Bool(bool),
    /// An integer; wide enough for every integer type of C.
    Integer(i128),
    /// A number with a fraction or exponent.
    Float(f64),
    /// Text.
    String(String),
    /// A list.
    Array(Vec<GlobalValue>),
    /// A table.
    Table(BTreeMap<String, GlobalValue>),
}

impl GlobalValue {
    /// What it is, with its article.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

impl<'de> Deserialize<'de> for GlobalValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

/// The key under which `toml` hides a date in a table.
const DATE: &str = "$__toml_private_datetime";

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = GlobalValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a boolean, number, string, array or table")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<GlobalValue, E> {
        Ok(GlobalValue::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<GlobalValue, E> {
        Ok(GlobalValue::Integer(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<GlobalValue, E> {
        Ok(GlobalValue::Integer(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<GlobalValue, E> {
        Ok(GlobalValue::Integer(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<GlobalValue, E> {
        Ok(GlobalValue::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<GlobalValue, E> {
        Ok(GlobalValue::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<GlobalValue, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(GlobalValue::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<GlobalValue, A::Error> {
        let mut values = BTreeMap::new();
        while let Some(key) = table.next_key::<String>()? {
            if key == DATE {
                return Err(de::Error::invalid_type(de::Unexpected::Other("date"), &self));
            }
            values.insert(key, table.next_value()?);
        }
        Ok(GlobalValue::Table(values))
    }
}
