//! `deploy/helm`: values, their schema, the templates and the gate's own configuration agree. What Helm itself makes of the
//! templates, and Kubernetes of that, is looked at by `deploy/helm/verify`, which needs more than Debian has.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use regex::Regex;
use serde_json::Value;

use super::{path, text, yaml};
use crate::support::process::{run, sekisho};
use crate::support::write_secret;

const CHART: &str = "deploy/helm/sekisho";

fn schema() -> Value {
    serde_json::from_str(&text(&format!("{CHART}/values.schema.json"))).unwrap()
}

fn values() -> Value {
    yaml(&text(&format!("{CHART}/values.yaml")))
}

/// The example, as Helm lays it over the defaults.
fn example() -> Value {
    let mut values = values();
    lay_over(&mut values, yaml(&text("deploy/helm/values.example.yaml")));
    values
}

fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay_over(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

/// What the schema says of these values: nothing if they are good.
fn complaints(values: &Value) -> String {
    let script = "import json, sys, jsonschema
schema, values = json.loads(sys.argv[1]), json.loads(sys.argv[2])
jsonschema.Draft7Validator.check_schema(schema)
for error in jsonschema.Draft7Validator(schema).iter_errors(values):
    print('/'.join(map(str, error.path)) + ': ' + error.message)";
    let (schema, values) = (schema().to_string(), values.to_string());
    run("/usr/bin/python3", &["-Ic", script, &schema, &values]).good()
}

#[test]
fn the_schema_takes_the_example_and_no_mistakes() {
    assert_eq!(complaints(&example()), "");
    let with = |pointer: &str, value: Value| {
        let mut values = example();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        values.pointer_mut(parent).unwrap()[key] = value;
        complaints(&values)
    };
    for (pointer, value, told) in [
        ("/replica", 3.into(), ": Additional properties are not allowed ('replica' was unexpected)\n"),
        ("/shutdown/drainSeconds", 0.into(), "shutdown/drainSeconds: 0 is less than the minimum of 1\n"),
        ("/ports/https", 443.into(), "ports/https: 443 is less than the minimum of 1024\n"),
        (
            "/storage/size",
            "lots".into(),
            "storage/size: 'lots' does not match '^[0-9]+(\\\\.[0-9]+)?(Mi|Gi|Ti)$'\n",
        ),
        ("/secrets/keys", 1.into(), "secrets/keys: 1 is not of type 'string'\n"),
    ] {
        assert_eq!(with(pointer, value), told, "{pointer}");
    }
    // The defaults alone are no installation, and say so.
    assert!(complaints(&values()).contains("config: 'listeners' is a required property"));
}

/// Every key of the values, as far down as the schema names them.
fn keys(schema: &Value, values: &Value, at: &str, found: &mut (BTreeSet<String>, BTreeSet<String>)) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (key, inner) in properties {
        let here = format!("{at}.{key}");
        // Helm's own, and what is the gate's.
        if here == ".global" || here.starts_with(".config.") || here.starts_with(".resources.") {
            continue;
        }
        found.0.insert(here.clone());
        keys(inner, &values[key], &here, found);
    }
    for key in values.as_object().into_iter().flatten().map(|(key, _)| key) {
        if !(at == ".config" || at == ".resources") {
            found.1.insert(format!("{at}.{key}"));
        }
    }
}

#[test]
fn values_schema_and_templates_name_the_same_keys() {
    let mut found = (BTreeSet::new(), BTreeSet::new());
    keys(&schema(), &values(), "", &mut found);
    let (of_schema, of_values) = found;
    assert_eq!(of_schema, of_values);
    let mut templates = String::new();
    for entry in fs::read_dir(path(&format!("{CHART}/templates"))).unwrap() {
        templates += &fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    let reference = Regex::new(r"\.Values((?:\.[a-zA-Z]+)+)").unwrap();
    let used: BTreeSet<&str> =
        reference.captures_iter(&templates).map(|found| found.get(1).unwrap().as_str()).collect();
    for key in &used {
        assert!(of_schema.contains(*key) || key.starts_with(".config."), "a template uses .Values{key}");
    }
    for key in &of_schema {
        let is_used = used.iter().any(|used| {
            used == key || key.starts_with(&format!("{used}.")) || used.starts_with(&format!("{key}."))
        });
        assert!(is_used, "no template uses .Values{key}");
    }
}

#[test]
fn the_configuration_of_the_example_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let ca = |words: &[&str]| sekisho(root, &[&["ca", "--dir", "pki"], words].concat()).good();
    ca(&["init"]);
    for (mount, host) in [("tls-www", "www.mihonbank.example"), ("tls-cert", "cert.mihonbank.example")] {
        ca(&["server", host, "--name", mount]);
        fs::create_dir(root.join(mount)).unwrap();
        for (from, to) in [("pem", "tls.crt"), ("key", "tls.key")] {
            fs::copy(root.join(format!("pki/servers/{mount}.{from}")), root.join(mount).join(to)).unwrap();
        }
        // As Kubernetes mounts a Secret: root's, and readable by the pod's group.
        fs::set_permissions(root.join(mount).join("tls.key"), fs::Permissions::from_mode(0o440)).unwrap();
    }
    for name in ["keys", "trust"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    for name in ["bank-ca.pem", "internal-ca.pem"] {
        fs::copy(root.join("pki/ca.pem"), root.join("trust").join(name)).unwrap();
    }
    let secret = |name: &str, text: &str| write_secret(&root.join("keys").join(name), text.as_bytes());
    secret("pepper", &sekisho(root, &["pepper"]).good());
    secret("audit.key", &sekisho(root, &["audit", "key"]).good());
    secret("tickets", "0123456789abcdef0123456789abcdef");
    secret("directory", "a password");
    secret("state", "another one");
    let values = example();
    let mut config = values["config"].clone();
    config["timeouts"] = serde_json::json!({ "drain": format!("{}s", values["shutdown"]["drainSeconds"]) });
    let text = config.to_string().replace("/etc/sekisho/", &format!("{}/", root.display()));
    fs::write(root.join("sekisho.yaml"), text.replace("/var/lib/sekisho", root.to_str().unwrap())).unwrap();
    assert_eq!(sekisho(root, &["check", "--config", "sekisho.yaml"]).good(), "sekisho.yaml: ok\n");
    // And every mount that it speaks of is one.
    let mounted = Regex::new("/etc/sekisho/([a-z-]+)/").unwrap();
    for found in mounted.captures_iter(&config.to_string()) {
        let name = &found[1];
        assert!(values["secrets"].get(name).or(values["configMaps"].get(name)).is_some(), "{name}");
    }
}

#[test]
fn the_chart_has_the_alerts_and_the_version_of_the_gate() {
    assert_eq!(text(&format!("{CHART}/files/alerts.yaml")), text("deploy/prometheus/alerts.yaml"));
    let chart = yaml(&text(&format!("{CHART}/Chart.yaml")));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    // A drain has its time before the pod is killed.
    let pod = text(&format!("{CHART}/templates/statefulset.yaml"));
    assert!(pod.contains(
        "terminationGracePeriodSeconds: {{ add .Values.shutdown.preStopSeconds .Values.shutdown.drainSeconds 10 }}"
    ));
    // What the gate takes up by itself replaces no pod; docs/reload.md names the rest.
    let restarts = Regex::new(r"pick \.Values\.config ([^|]+) \| toJson").unwrap();
    let named: BTreeSet<String> = restarts.captures(&pod).unwrap()[1]
        .split(' ')
        .map(|word| word.trim_matches('"').to_owned())
        .collect();
    let docs = text("docs/reload.md");
    let line = docs.lines().skip_while(|line| !line.starts_with("## What can't change")).collect::<String>();
    let fixed: BTreeSet<String> = Regex::new("`([a-z_]+)`")
        .unwrap()
        .captures_iter(line.split("A reload that would change").next().unwrap())
        .map(|found| found[1].to_owned())
        .filter(|name| name != "resumption")
        .collect();
    assert_eq!(named, fixed);
}
