//! `deploy/compose`: what `init` makes is what the files name, and each program takes its own.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::{list, path, text, yaml};
use crate::support::eventually;
use crate::support::process::{Outcome, Running, SEKISHO, outcome, run, sekisho};

/// Runs `init` in a copy of the folder.
fn init(folder: &Path) -> Outcome {
    outcome(Command::new("bash").arg("init").current_dir(folder).env("SEKISHO", SEKISHO))
}

/// A copy of `deploy`, after `init`.
fn made() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    run("cp", &["-r", path("deploy").to_str().unwrap(), copy.path().to_str().unwrap()]).good();
    let folder = copy.path().join("deploy/compose");
    let _ = fs::remove_dir_all(folder.join("data"));
    init(&folder).good();
    copy
}

/// The services with their names.
fn services(compose: &Value) -> Vec<(&str, &Value)> {
    compose["services"].as_object().unwrap().iter().map(|(name, service)| (name.as_str(), service)).collect()
}

#[test]
fn init_makes_all_that_the_gates_need_once_and_for_nobody_else() {
    let copy = made();
    let folder = copy.path().join("deploy/compose");
    fs::copy(folder.join("sekisho.yaml"), folder.join("data/sekisho.yaml")).unwrap();
    let checked = sekisho(&folder, &["check", "--config", "data/sekisho.yaml"]).good();
    assert_eq!(checked, "data/sekisho.yaml: ok\n");
    for name in ["data", ".env"] {
        let mode = fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
    let before = fs::read(folder.join("data/secrets/state")).unwrap();
    let again = init(&folder);
    assert_eq!(again.code, Some(73));
    assert_eq!(again.stderr, "data/ is there already: remove it, and .env, to begin anew\n");
    assert_eq!(fs::read(folder.join("data/secrets/state")).unwrap(), before);
}

#[test]
fn every_file_that_is_mounted_is_there_and_every_name_is_defined() {
    let copy = made();
    let folder = copy.path().join("deploy/compose");
    let compose = yaml(&fs::read_to_string(folder.join("compose.yaml")).unwrap());
    let names: BTreeSet<&str> = services(&compose).into_iter().map(|(name, _)| name).collect();
    for (name, service) in services(&compose) {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            assert!(folder.join(source).exists(), "{name}: {source}");
        }
        for network in list(&service["networks"]) {
            assert!(compose["networks"].get(network.as_str().unwrap()).is_some(), "{name}: {network}");
        }
        let needed: Vec<&str> = match &service["depends_on"] {
            Value::Array(needed) => needed.iter().map(|name| name.as_str().unwrap()).collect(),
            Value::Object(needed) => needed.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        assert!(needed.iter().all(|needed| names.contains(needed)), "{name}: {needed:?}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        let image = service["image"].as_str().unwrap();
        let version = image.trim_end_matches('}').rsplit_once(':').unwrap().1;
        assert!(version.contains(|letter: char| letter.is_ascii_digit()), "{name}: {image}");
        // Nothing is open to other machines.
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
    // Who is named in the configurations is on a network with who names them.
    let on = |name: &str, network: &str| {
        let service = &compose["services"][name];
        list(&service["networks"]).contains(&network.into())
    };
    for name in ["postgres", "sentinel-1", "sentinel-2", "sentinel-3", "mail", "application"] {
        assert!(text("deploy/compose/sekisho.yaml").contains(name) && on(name, "back"), "{name}");
    }
    let (balancer, prometheus) =
        (text("deploy/compose/haproxy/haproxy.cfg"), text("deploy/compose/prometheus/prometheus.yaml"));
    for gate in ["gate-1", "gate-2"] {
        assert!(balancer.contains(&format!("server {gate} {gate}:8443 send-proxy-v2")) && on(gate, "front"));
        assert!(prometheus.contains(&format!("{gate}:9090")) && on(gate, "watch"));
    }
    let front = compose["networks"]["front"]["ipam"]["config"][0]["subnet"].as_str().unwrap();
    assert!(text("deploy/compose/sekisho.yaml").contains(&format!("proxy_protocol: {{ from: [{front}] }}")));
}

#[test]
fn every_program_takes_its_configuration() {
    let copy = made();
    let folder = copy.path().join("deploy/compose");
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    run("haproxy", &["-c", "-q", "-f", &file("haproxy/haproxy.cfg")]).good();
    run("promtool", &["check", "config", "--syntax-only", &file("prometheus/prometheus.yaml")]).good();
    // The paths are the containers'.
    let redis = file("data/redis");
    let conf = fs::read_to_string(file("data/redis/redis.conf")).unwrap();
    let conf = conf.replace("dir /data", &format!("dir {redis}")).replace("/etc/redis", &redis);
    fs::write(file("data/redis/here.conf"), conf).unwrap();
    let socket = file("redis.sock");
    let words =
        [file("data/redis/here.conf"), "--port".into(), "0".into(), "--unixsocket".into(), socket.clone()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let _server = Running::program("redis-server", &folder, &words);
    let password = fs::read_to_string(file("data/secrets/state")).unwrap();
    let ask = |words: &[&str]| {
        let first = ["-s", &socket, "--user", "sekisho", "--pass", &password, "--no-auth-warning"];
        run("redis-cli", &[&first[..], words].concat()).stdout.trim().to_owned()
    };
    eventually("Redis answers", || {
        ask(&["eval", "return redis.call('SET', KEYS[1], 1).ok", "1", "sekisho:a"]) == "OK"
    });
    assert!(ask(&["get", "other"]).starts_with("NOPERM"));
    assert!(ask(&["flushall"]).starts_with("NOPERM"));
}

/// A right that is missing shows only when the script that needs it runs.
#[test]
fn redis_allows_the_gates_every_command_of_their_scripts() {
    let call = regex::Regex::new(r"redis\.call\('([A-Z]+)'").unwrap();
    let (acl, docs) = (text("deploy/compose/init"), text("docs/state.md"));
    let granted = acl.lines().find(|line| line.starts_with("user sekisho on ")).unwrap();
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(path("src/stores/state/scripts")).unwrap() {
        let script = fs::read_to_string(entry.unwrap().path()).unwrap();
        seen.extend(call.captures_iter(&script).map(|found| format!("+{}", found[1].to_lowercase())));
    }
    assert!(seen.len() > 5, "{seen:?}");
    for right in seen {
        let is_word = |text: &str| text.split([' ', '`', '\n']).any(|word| word == right);
        assert!(is_word(granted), "deploy/compose/init doesn't grant {right}");
        assert!(is_word(&docs), "docs/state.md doesn't name {right}");
    }
}
