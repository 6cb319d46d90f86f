//! `docs/configuration.md`: every key with its kind, default and meaning, made from the schema.

use std::fmt::Write;

use serde_json::Value as Json;

use super::schema::schema;
use super::suggest::any_of;

const OPENING: &str = "\
# The configuration file, key by key

Made from the types that read the file. Don't edit: `sekisho schema --markdown > docs/configuration.md`.

One YAML file holds everything; `config/sekisho.yaml` is a complete example. Relative paths are relative to the file.
Unknown keys, keys given twice, and keys with nothing behind them are mistakes. Anchors, aliases, merge keys and tags are
not supported. `sekisho check --config sekisho.yaml` reports every mistake at once, and with `--print` shows the file with
all its defaults. In the names of keys below, `<name>` is a name of your choice and `[]` stands for each item of a list.
";

/// One key of the file.
struct Key<'s> {
    /// `hosts.<name>.tls.certificate`
    path: String,
    kind: String,
    required: bool,
    schema: &'s Json,
}

/// The reference in Markdown, as it stands in `docs/configuration.md`.
pub fn reference() -> String {
    let schema = schema();
    let mut text = OPENING.to_owned();
    for section in Walk(&schema).properties("", &schema) {
        let mut facts = vec![section.kind.clone()];
        facts.extend(default(&section, &schema).map(|default| format!("default: {default}")));
        facts.extend(section.required.then(|| "required".to_owned()));
        let meaning = meaning(&schema, section.schema).replacen("<br>", "\n\n- ", 1).replace("<br>", "\n- ");
        let _ = write!(text, "\n## `{}`\n\nKind: {}.\n\n{meaning}\n", section.path, facts.join("; "));
        let keys = Walk(&schema).below(&section.path, section.schema);
        if !keys.is_empty() {
            text.push_str("\n| Key | Kind | Default | Meaning |\n|---|---|---|---|\n");
        }
        for key in keys {
            let default = match default(&key, &schema) {
                _ if key.required => "required".to_owned(),
                default => default.unwrap_or_default(),
            };
            let meaning = self::meaning(&schema, key.schema);
            let cells = [format!("`{}`", key.path), key.kind, default, meaning];
            let _ = writeln!(text, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
        }
    }
    text.push_str("\n## Kinds of values\n\n| Kind | Form |\n|---|---|\n");
    let kinds = schema["$defs"].as_object().into_iter().flatten().filter(|(_, def)| is_leaf(def));
    for (name, def) in kinds {
        let form = def["description"].as_str().unwrap_or_default().replace('|', "\\|");
        let _ = writeln!(text, "| {} | {form} |", words(name));
    }
    text
}

/// A walk through the schema; holds its root, where references lead.
struct Walk<'s>(&'s Json);

impl<'s> Walk<'s> {
    /// All keys below `path`, parents first.
    fn below(&self, path: &str, schema: &'s Json) -> Vec<Key<'s>> {
        let schema = resolve(self.0, schema);
        let deeper = |keys: Vec<Key<'s>>| {
            let with_children = |key: Key<'s>| {
                let below = self.below(&key.path, key.schema);
                std::iter::once(key).chain(below)
            };
            keys.into_iter().flat_map(with_children).collect()
        };
        if let Some(named) = schema["patternProperties"].as_object().and_then(|named| named.values().next()) {
            return self.below(&format!("{path}.<name>"), named);
        }
        if schema["type"] == "array" {
            return self.below(&format!("{path}[]"), &schema["items"]);
        }
        // One mapping, or a list of them: the keys are the same.
        let one = choices(schema).into_iter().flatten().map(|choice| resolve(self.0, choice));
        let schema = one.clone().find(|choice| choice["properties"].is_object()).unwrap_or(schema);
        deeper(self.properties(&format!("{path}."), schema))
    }

    /// The keys of one mapping.
    fn properties(&self, prefix: &str, schema: &'s Json) -> Vec<Key<'s>> {
        let required = |name: &str| {
            schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name))
        };
        let properties = schema["properties"].as_object().into_iter().flatten();
        let key = |(name, schema): (&String, &'s Json)| Key {
            path: format!("{prefix}{name}"),
            kind: self.kind(schema),
            required: required(name),
            schema,
        };
        properties.map(key).collect()
    }

    /// What kind of value a key takes, in a few words.
    fn kind(&self, schema: &Json) -> String {
        let resolved = resolve(self.0, schema);
        if let Some(name) = name(schema).filter(|_| is_leaf(resolved)) {
            return words(name);
        }
        if let Some(choices) = choices(resolved) {
            let (named, others): (Vec<_>, Vec<_>) =
                choices.iter().partition(|choice| !choice["const"].is_null());
            let named: Vec<_> = named.iter().filter_map(|choice| choice["const"].as_str()).collect();
            let others: Vec<_> = others.iter().map(|choice| self.kind(choice)).collect();
            return match (named.is_empty(), others.is_empty()) {
                (false, true) => any_of(&named),
                (true, _) => others.join(" or "),
                (false, false) => {
                    let named: Vec<_> = named.iter().map(|name| format!("`{name}`")).collect();
                    format!("{} or {}", named.join(", "), others.join(" or "))
                }
            };
        }
        match resolved["type"].as_str() {
            Some("integer") => match resolved["minimum"].as_u64() {
                Some(least) => format!("whole number from {least}"),
                None => "whole number".to_owned(),
            },
            Some("number") => "number".to_owned(),
            Some("string") => "text".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("array") => match self.kind(&resolved["items"]) {
                words if words.ends_with('`') => format!("list of {words}"),
                noun => format!("list of {noun}s"),
            },
            Some("object") if resolved.get("patternProperties").is_some() => "mappings by name".to_owned(),
            _ => "mapping".to_owned(),
        }
    }
}

fn name(schema: &Json) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/$defs/")
}

fn resolve<'s>(root: &'s Json, schema: &'s Json) -> &'s Json {
    name(schema).map_or(schema, |name| &root["$defs"][name])
}

fn choices(schema: &Json) -> Option<&Vec<Json>> {
    schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())
}

/// Whether a definition is a value of our own, explained once below.
fn is_leaf(def: &Json) -> bool {
    let has_form = |schema: &Json| schema["pattern"].is_string();
    has_form(def) || choices(def).is_some_and(|choices| choices.iter().any(has_form))
}

/// `HostName` → `host name`
fn words(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

fn default(key: &Key<'_>, root: &Json) -> Option<String> {
    match &key.schema["default"] {
        Json::Null => None,
        // Where it is given, its keys have to be.
        Json::Object(keys) if !resolve(root, key.schema)["required"].is_null() => {
            let keys = keys.iter().map(|(key, value)| {
                value.as_str().map_or_else(|| format!("{key}: {value}"), |text| format!("{key}: {text}"))
            });
            Some(format!("`{{ {} }}`", keys.collect::<Vec<_>>().join(", ")))
        }
        // Its keys have defaults of their own.
        Json::Object(_) if !resolve(root, key.schema)["properties"].is_null() => None,
        Json::String(text) => Some(format!("`{text}`")),
        Json::Object(_) => Some("none".to_owned()),
        Json::Array(items) if items.is_empty() => Some("none".to_owned()),
        other => Some(format!("`{other}`")),
    }
}

/// The description of a key, and of the words that it takes.
fn meaning(root: &Json, schema: &Json) -> String {
    let own = |schema: &Json| schema["description"].as_str().unwrap_or_default().replace('\n', " ");
    let mut text = own(schema);
    let def = resolve(root, schema);
    let more = own(def);
    // Often the key says it already, or the first of it.
    if name(schema).is_some() && def["type"] == "object" {
        for sentence in more.split_inclusive(". ").map(|sentence| sentence.trim().trim_end_matches('.')) {
            if !text.contains(sentence) {
                text = format!("{text} {sentence}.");
            }
        }
    }
    for choice in choices(def).into_iter().flatten().filter(|choice| choice["const"].is_string()) {
        let _ = write!(text, "<br>`{}`: {}", choice["const"].as_str().unwrap_or_default(), own(choice));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    #[test]
    fn the_reference_is_current() {
        let committed = include_str!("../../docs/configuration.md");
        assert!(
            committed == reference(),
            "renew it: cargo run --release -- schema --markdown > docs/configuration.md"
        );
    }

    #[test]
    fn every_key_has_a_meaning() {
        let schema = schema();
        for section in Walk(&schema).properties("", &schema) {
            assert!(!meaning(&schema, section.schema).is_empty(), "{}", section.path);
            for key in Walk(&schema).below(&section.path, section.schema) {
                assert!(!meaning(&schema, key.schema).is_empty(), "{}", key.path);
            }
        }
    }

    /// The example with its other choices: keys in comments are real, and the choices that they go with are made.
    fn other_choices(text: &str, (keys, without): (&str, &str)) -> String {
        let source = format!("keys: {keys}");
        let commented = regex::Regex::new("(?m)^( *)# ( *[a-z0-9_]+:( .*)?)$").unwrap();
        let mut text = commented.replace_all(text, "$1$2").into_owned();
        for (choice, other) in [
            ("verifier: directory", "verifier: http"),
            ("keys: process", &source),
            (without, "  #"),
            ("url: sqlite:data/sekisho.db", "url: postgres://sekisho@db.internal/sekisho"),
            ("url: embedded:data/state.db", "url: rediss://sekisho@redis.internal"),
            ("  key: secrets/bank-ca.key", "  #"),
            ("  passphrase_file:", "  #"),
            ("      body: \"User", "      #"),
        ] {
            assert_eq!(text.matches(choice).count(), 1, "{choice}");
            text = text.replace(choice, other);
        }
        text
    }

    #[test]
    fn the_example_is_good_and_has_every_key() {
        let text = include_str!("../../config/sekisho.yaml");
        let pointers = |text: &str| -> Vec<String> {
            let example =
                parse(Path::new("sekisho.yaml"), text).unwrap_or_else(|problems| panic!("{problems}"));
            example.source.nodes().iter().filter_map(|node| node.pointer.clone()).collect()
        };
        let sources = [("files", "  secret_file:"), ("state", "  files:")];
        let others = sources.map(|source| pointers(&other_choices(text, source)));
        let written = [pointers(text), others.concat()].concat();
        let schema = schema();
        for section in Walk(&schema).properties("", &schema) {
            let mut paths = vec![section.path.clone()];
            paths.extend(Walk(&schema).below(&section.path, section.schema).into_iter().map(|key| key.path));
            for path in paths {
                let form = path.replace('.', "/").replace("[]", "/[0-9]+").replace("<name>", "[^/]+");
                let form = regex::Regex::new(&format!("^/{form}$")).unwrap();
                assert!(
                    written.iter().any(|pointer| form.is_match(pointer)),
                    "config/sekisho.yaml lacks `{path}`"
                );
            }
        }
    }
}
