//! Debian's Firefox, as far as a sign-in needs it: over WebDriver BiDi, with real clicks.

use std::fs;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::chrome::{import, private, trust};
use super::eventually;
use super::remote::Remote;

/// What a person would have set, or be asked.
const PREFERENCES: [(&str, &str); 8] = [
    // Chooses the certificate in the person's place.
    ("security.default_personal_cert", r#""Select Automatically""#),
    ("security.enterprise_roots.enabled", "false"),
    ("intl.accept_languages", r#""ja""#),
    ("network.proxy.type", "0"),
    ("browser.shell.checkDefaultBrowser", "false"),
    ("datareporting.policy.dataSubmissionEnabled", "false"),
    ("app.update.disabledForTesting", "true"),
    ("remote.active-protocols", "1"),
];

/// A running Firefox with one window. Ends with this.
pub struct Firefox {
    process: Child,
    profile: TempDir,
    remote: Option<Remote>,
    context: String,
}

impl Firefox {
    /// One that trusts a CA and holds a certificate.
    pub fn start(ca: &str, p12: &str, password: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let database = format!("sql:{}", profile.path().display());
        trust(&database, ca);
        import(&database, p12, password);
        let preferences =
            PREFERENCES.map(|(name, value)| format!("user_pref(\"{name}\", {value});\n")).concat();
        fs::write(profile.path().join("user.js"), preferences).unwrap();
        let process = private(r#"exec firefox-esr "$@""#)
            .args(["firefox", "--headless", "--no-remote", "--remote-debugging-port", "0", "--profile"])
            .arg(profile.path())
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(profile.path().join("firefox.log")).unwrap())
            .spawn()
            .unwrap();
        let mut firefox = Self { process, profile, remote: None, context: String::new() };
        let mut remote = Remote::connect(firefox.port(), "/session");
        remote.ask(None, "session.new", &json!({ "capabilities": {} })).unwrap();
        let tree = remote.ask(None, "browsingContext.getTree", &json!({})).unwrap();
        tree["contexts"][0]["context"].as_str().unwrap().clone_into(&mut firefox.context);
        firefox.remote = Some(remote);
        firefox
    }

    /// Where it listens, once it does.
    fn port(&mut self) -> u16 {
        let mut port = None;
        eventually("Firefox's BiDi", || {
            let read = |name: &str| fs::read_to_string(self.profile.path().join(name)).unwrap_or_default();
            assert!(self.process.try_wait().unwrap().is_none(), "Firefox ended: {}", read("firefox.log"));
            let server: Value = serde_json::from_str(&read("WebDriverBiDiServer.json")).unwrap_or_default();
            port = server["ws_port"].as_u64();
            port.is_some()
        });
        port.unwrap().try_into().unwrap()
    }

    #[track_caller]
    fn ask(&mut self, method: &str, mut params: Value) -> Value {
        params["context"] = self.context.clone().into();
        self.remote.as_mut().unwrap().ask(None, method, &params).unwrap()
    }

    /// Types an address.
    #[track_caller]
    pub fn open_url(&mut self, url: &str) {
        self.ask("browsingContext.navigate", json!({ "url": url, "wait": "complete" }));
    }

    /// The value of a JavaScript expression that is a string.
    #[track_caller]
    pub fn string(&mut self, expression: &str) -> String {
        let target = json!({ "context": self.context });
        let params = json!({ "expression": expression, "target": target, "awaitPromise": false });
        let answer = self.ask("script.evaluate", params);
        answer["result"]["value"].as_str().unwrap_or_else(|| panic!("{expression}: {answer}")).to_owned()
    }

    /// Clicks on an element that leads to the page with `path`, and waits until that is there.
    #[track_caller]
    pub fn follow(&mut self, selector: &str, path: &str) {
        let locator = json!({ "type": "css", "value": selector });
        let found = self.ask("browsingContext.locateNodes", json!({ "locator": locator }));
        let element = json!({ "sharedId": found["nodes"][0]["sharedId"] });
        self.string(&format!("document.querySelector({}).scrollIntoView() ?? ''", Value::from(selector)));
        let actions = json!([{ "type": "pointer", "id": "mouse", "actions": [
            { "type": "pointerMove", "x": 0, "y": 0, "origin": { "type": "element", "element": element } },
            { "type": "pointerDown", "button": 0 },
            { "type": "pointerUp", "button": 0 },
        ]}]);
        self.ask("input.performActions", json!({ "actions": actions }));
        let there = "document.readyState + ' ' + location.pathname";
        let expected = format!("complete {path}");
        eventually(&expected, || self.string(there) == expected);
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
