//! An object as it is patched and checked: the whole of it but its managed fields.
//!
//! They say who wrote which field last, are often half of an object, and nothing of ours has to do with them: what a patch
//! would change in them does not apply to this document, and what it would add there is found as not ours.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// Decodes an object.
pub(super) fn decode(text: &str) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let object = deserializer.deserialize_map(Members::OfObject);
    // What has no metadata that is an object, or is none itself, has no managed fields either.
    object.or_else(|_| serde_json::from_str(text))
}

/// Whose members are decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Members {
    OfObject,
    OfMetadata,
}

impl<'de> Visitor<'de> for Members {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = match (self, key.as_str()) {
                (Self::OfObject, "metadata") => access.next_value_seed(Self::OfMetadata)?,
                (Self::OfMetadata, "managedFields") => {
                    access.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => access.next_value()?,
            };
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

impl<'de> DeserializeSeed<'de> for Members {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}
