//! JSON Schema of the file, for editors and for the reference. Made from the same types that read it.

use serde_json::{Value as Json, json};

use super::Config;

/// Keys of the whole file that must be given. serde has a default for them, so that their absence doesn't hide the
/// mistakes in the rest.
const REQUIRED: [&str; 2] = ["listeners", "hosts"];

/// The schema as the types give it, less what the reader doesn't take.
pub(super) fn of_types() -> Json {
    let mut schema = schemars::schema_for!(Config).to_value();
    without_null(&mut schema);
    schema["required"] = json!(REQUIRED);
    for key in REQUIRED {
        if let Some(property) = schema["properties"][key].as_object_mut() {
            property.shift_remove("default");
        }
    }
    schema
}

/// The schema as it is published: JSON Schema 2020-12.
pub fn schema() -> Json {
    let mut published = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:sekisho:config",
        "title": "Configuration of Sekisho",
    });
    if let (Json::Object(published), Json::Object(types)) = (&mut published, of_types()) {
        for (key, value) in types {
            published.entry(key).or_insert(value);
        }
    }
    published
}

/// The schema as it stands in `config/sekisho.schema.json`.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

/// What may be absent may not be null: the reader refuses a key with nothing behind it.
fn without_null(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            if let Some(Json::Array(kinds)) = object.get_mut("anyOf") {
                kinds.retain(|kind| kind["type"] != "null");
                if let [Json::Object(only)] = kinds.as_slice() {
                    let only = only.clone();
                    object.shift_remove("anyOf");
                    for (key, value) in only {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            if let Some(Json::Array(kinds)) = object.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [only] = kinds.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            object.values_mut().for_each(without_null);
        }
        Json::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_is_current() {
        let committed = include_str!("../../config/sekisho.schema.json");
        assert!(
            committed == schema_text(),
            "renew it: cargo run --release -- schema > config/sekisho.schema.json"
        );
    }

    #[test]
    fn nothing_may_be_null() {
        assert!(!schema_text().contains("null"));
        let mut optional = json!({ "a": { "type": ["string", "null"] }, "b": { "anyOf": [{ "$ref": "x" }, { "type": "null" }], "description": "d" } });
        without_null(&mut optional);
        assert_eq!(optional, json!({ "a": { "type": "string" }, "b": { "$ref": "x", "description": "d" } }));
    }

    #[test]
    fn the_schema_opens_with_its_name() {
        let schema = schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["$id"], "urn:sekisho:config");
        assert_eq!(schema["title"], "Configuration of Sekisho");
        assert_eq!(schema["required"], json!(["listeners", "hosts"]));
    }
}
