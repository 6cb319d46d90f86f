//! Keys of the configuration, held against its schema: in pieces of YAML, and by their names.

use regex::Regex;
use serde_json::{Map, Value};

use super::pages;
use crate::deploy::text;

fn schema() -> Value {
    serde_json::from_str(&text("config/sekisho.schema.json")).unwrap()
}

/// What this part of the schema can stand for: what it refers to, its alternatives, and what its lists hold.
fn forms<'a>(schema: &'a Value, part: &'a Value) -> Vec<&'a Value> {
    let mut forms = vec![part];
    if let Some(pointer) = part["$ref"].as_str() {
        let there = schema.pointer(pointer.trim_start_matches('#')).unwrap();
        forms.extend(self::forms(schema, there));
    }
    let parts = ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| part[*key].as_array()).flatten();
    for part in parts.chain(part.get("items")) {
        forms.extend(self::forms(schema, part));
    }
    forms
}

/// The parts of the schema below a key of this one; a name of the bank's own, `<name>`, is any, and `*` is all of them.
fn below<'a>(schema: &'a Value, part: &'a Value, key: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    for form in forms(schema, part) {
        let names = form["patternProperties"].as_object().into_iter().flat_map(Map::values);
        found.extend(names.chain(form["properties"].get(key)));
        if key == "*" {
            found.extend(form["properties"].as_object().into_iter().flat_map(Map::values));
        }
    }
    found
}

/// The first key of a piece of YAML that the schema doesn't have, with those above it.
fn unknown(schema: &Value, parts: &[&Value], yaml: &Value) -> Option<String> {
    match yaml {
        Value::Array(items) => items.iter().find_map(|item| unknown(schema, parts, item)),
        Value::Object(keys) => keys.iter().find_map(|(key, value)| {
            let next: Vec<&Value> = parts.iter().flat_map(|part| below(schema, part, key)).collect();
            if next.is_empty() {
                return Some(key.clone());
            }
            unknown(schema, &next, value).map(|rest| format!("{key}.{rest}"))
        }),
        _ => None,
    }
}

/// What a piece is about: the whole file, or one of these in it.
const PLACES: [&[&str]; 3] = [&[], &["routes"], &["upstreams", "<name>"]];

#[test]
fn every_piece_of_yaml_has_keys_that_exist() {
    let schema = schema();
    // Of other programs' files.
    let others = ["rule_files", "route", "alert"];
    let mut seen = 0;
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.language == "yaml") {
            // A key with `…` behind it is no YAML: it stands for more.
            let whole = block.text.replace(", …", "");
            let piece: Value = serde_saphyr::from_str(&whole)
                .unwrap_or_else(|error| panic!("{}: {error}\n{whole}", page.file));
            let first = piece.as_array().and_then(|items| items.first()).unwrap_or(&piece);
            if others.iter().any(|key| first.get(key).is_some()) {
                continue;
            }
            let wrong = PLACES.map(|place| {
                let parts = place.iter().fold(vec![&schema], |parts, key| {
                    parts.iter().flat_map(|part| below(&schema, part, key)).collect()
                });
                unknown(&schema, &parts, &piece)
            });
            assert!(wrong.contains(&None), "{}: no such keys: {wrong:?}\n{whole}", page.file);
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

/// Every part of the schema that has keys.
fn all_parts<'a>(part: &'a Value, found: &mut Vec<&'a Value>) {
    let inner: Vec<&Value> = match part {
        Value::Object(keys) => keys.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => return,
    };
    if part["properties"].is_object() {
        found.push(part);
    }
    inner.into_iter().for_each(|part| all_parts(part, found));
}

/// `trust.crl.grace`, or from anywhere below: `identity.assertion`.
#[test]
fn every_key_that_a_page_names_exists() {
    let schema = schema();
    let mut parts = Vec::new();
    all_parts(&schema, &mut parts);
    let name = Regex::new(
        r"^([a-z][a-z0-9_]*(?:\[\])?(?:\.(?:[a-z][a-z0-9_]*(?:\[\])?|<name>|NAME|\*))+)(?:: .*)?$",
    )
    .unwrap();
    // Names of files look the same.
    let file = Regex::new(r"\.(db|head|html|json|key|log|md|pem|py|rs|service|socket|yaml)$").unwrap();
    let mut seen = 0;
    for page in pages() {
        for code in page.code() {
            let Some(found) = name.captures(&code) else { continue };
            let keys: Vec<&str> = found[1].split('.').map(|key| key.trim_end_matches("[]")).collect();
            let is_key = parts.iter().any(|part| part["properties"].get(keys[0]).is_some());
            if !is_key {
                continue;
            }
            let end = keys.iter().fold(parts.clone(), |parts, key| {
                parts.iter().flat_map(|part| below(&schema, part, key)).collect()
            });
            // Spans have attributes that look the same.
            let is_attribute =
                || include_str!("../../../src/edge/trace.rs").contains(&format!("{:?}", &found[1]));
            let is_good = !end.is_empty() || file.is_match(&found[1]) || is_attribute();
            assert!(is_good, "{}: no key {}", page.file, &found[1]);
            seen += 1;
        }
    }
    assert!(seen > 300, "{seen}");
}

/// Each key of a reference's tables, with its default where that is a value, in their order.
fn reference(file: &str) -> Vec<(String, Option<String>)> {
    let rows = text(file);
    let rows = rows.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let value = |cell: &str| Some(cell.to_owned()).filter(|cell| cell.starts_with('`'));
    cells.filter(|cells| cells.len() > 4).map(|cells| (cells[1].to_owned(), value(cells[3]))).collect()
}

/// The English one is made from the types that read the file; nobody makes the Japanese one.
#[test]
fn the_japanese_reference_has_every_key_in_its_place_with_its_default() {
    let (english, japanese) = (reference("docs/configuration.md"), reference("docs/ja/configuration.md"));
    assert!(english.len() > 200, "{}", english.len());
    for (english, japanese) in english.iter().zip(&japanese) {
        assert_eq!(english, japanese);
    }
    assert_eq!(english.len(), japanese.len());
}
