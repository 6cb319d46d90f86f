//! One window: what a person sees in it, and does to it. What they do is done with real mouse and key events; whatever
//! has to happen is waited for. A window that has seen an error in its console fails its test at the end.

use std::fs;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use super::Chrome;
use crate::support::eventually;

/// A window, with one page.
pub struct Window<'a> {
    chrome: &'a Chrome,
    session: String,
    language: String,
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// CSS pixels.
    pub width: u32,
    /// Of the screen, per CSS pixel: what the browser's zoom changes together with the width.
    pub scale: u32,
    /// Whether the person prefers dark pages.
    pub dark: bool,
}

impl Look {
    /// A PC.
    pub const WIDE: Self = Self { width: 1280, scale: 1, dark: false };
    /// A PC of 1280 pixels at a zoom of 200 %.
    pub const ZOOMED: Self = Self { width: 640, scale: 2, dark: false };
    /// The narrowest that WCAG asks for: 1280 pixels at 400 %, or a small telephone.
    pub const NARROW: Self = Self { width: 320, scale: 2, dark: false };

    /// The same for somebody who prefers dark pages.
    pub const fn dark(self) -> Self {
        Self { dark: true, ..self }
    }
}

impl<'a> Window<'a> {
    pub(super) fn open(chrome: &'a Chrome, language: &str, context: Option<&str>) -> Self {
        let mut params = json!({ "url": "about:blank", "width": 1280, "height": 900, "newWindow": true });
        if let Some(context) = context {
            params["browserContextId"] = context.into();
        }
        let target = chrome.ask("Target.createTarget", &params);
        let params = json!({ "targetId": target["targetId"], "flatten": true });
        let session = chrome.ask("Target.attachToTarget", &params)["sessionId"].as_str().unwrap().to_owned();
        let window = Self { chrome, session, language: language.to_owned() };
        for domain in ["Page", "Runtime", "Log", "Audits", "DOM"] {
            window.ask(&format!("{domain}.enable"), json!({}));
        }
        window.ask(
            "Emulation.setUserAgentOverride",
            json!({ "userAgent": chrome.agent, "acceptLanguage": language }),
        );
        window.ask("Emulation.setFocusEmulationEnabled", json!({ "enabled": true }));
        window.look(Look::WIDE);
        window
    }

    /// The language that its person prefers.
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Sends a command.
    #[track_caller]
    pub fn ask(&self, method: &str, params: Value) -> Value {
        self.try_ask(method, &params).unwrap()
    }

    fn try_ask(&self, method: &str, params: &Value) -> Result<Value, String> {
        self.chrome.remote.borrow_mut().ask(Some(&self.session), method, params)
    }

    // What is there.

    /// The value of a JavaScript expression, or of the promise that it is.
    #[track_caller]
    pub fn evaluate(&self, expression: &str) -> Value {
        self.try_evaluate(expression).unwrap()
    }

    fn try_evaluate(&self, expression: &str) -> Result<Value, String> {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.try_ask("Runtime.evaluate", &params)?;
        if answer["exceptionDetails"].is_null() {
            Ok(answer["result"]["value"].take())
        } else {
            Err(format!("{expression}: {}", answer["exceptionDetails"]))
        }
    }

    /// Waits until a JavaScript expression is true.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        // Between two pages there is nothing to ask.
        eventually(expression, || self.try_evaluate(expression) == Ok(Value::Bool(true)));
    }

    #[track_caller]
    fn string(&self, expression: &str) -> String {
        let value = self.evaluate(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression} is {value} on {}", self.url())).to_owned()
    }

    /// The page's address.
    pub fn url(&self) -> String {
        self.string("location.href")
    }

    /// The page's path and query.
    pub fn path(&self) -> String {
        self.string("location.pathname + location.search")
    }

    /// The status with which the page came.
    pub fn status(&self) -> u64 {
        let status = self.evaluate("performance.getEntriesByType('navigation')[0].responseStatus");
        status.as_u64().unwrap()
    }

    /// The page's title.
    pub fn title(&self) -> String {
        self.string("document.title")
    }

    /// What a person can read on the page.
    pub fn text(&self) -> String {
        self.string("document.body.innerText")
    }

    /// The document, as HTML.
    pub fn html(&self) -> String {
        self.string("document.documentElement.outerHTML")
    }

    /// Whether there is such an element.
    pub fn has(&self, selector: &str) -> bool {
        self.evaluate(&format!("{} !== null", element(selector))) == true
    }

    /// Whether there is such an element and a person can see it.
    pub fn shows(&self, selector: &str) -> bool {
        self.evaluate(&format!("{}?.checkVisibility() === true", element(selector))) == true
    }

    /// What a person reads in an element.
    #[track_caller]
    pub fn text_of(&self, selector: &str) -> String {
        self.string(&format!("{}?.innerText", element(selector)))
    }

    /// What is in a field.
    #[track_caller]
    pub fn value_of(&self, selector: &str) -> String {
        self.string(&format!("{}?.value", element(selector)))
    }

    /// The `id`, or else the text, of the element that the keyboard goes to.
    pub fn focused(&self) -> String {
        self.string("document.activeElement.id || document.activeElement.innerText")
    }

    /// The cookies that a request to the page would carry: name and value.
    pub fn cookies(&self) -> Vec<(String, String)> {
        let cookies = self.ask("Network.getCookies", json!({}));
        let text = |cookie: &Value, name: &str| cookie[name].as_str().unwrap().to_owned();
        let cookies = cookies["cookies"].as_array().unwrap().iter();
        cookies.map(|cookie| (text(cookie, "name"), text(cookie, "value"))).collect()
    }

    // What a person does.

    /// Types an address.
    #[track_caller]
    pub fn open_url(&self, url: &str) {
        self.leaving(|| {
            let answer = self.ask("Page.navigate", json!({ "url": url }));
            assert_eq!(answer["errorText"], Value::Null, "{url}");
        });
    }

    /// Does what leads to another page, and waits until it is there.
    #[track_caller]
    pub fn leaving(&self, act: impl FnOnce()) {
        let origin = self.evaluate("performance.timeOrigin");
        act();
        self.until(&format!("performance.timeOrigin !== {origin} && document.readyState === 'complete'"));
    }

    /// Clicks in the middle of an element, if nothing is before it.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let place = self.evaluate(&format!(
            "(() => {{
                const element = {}; if (!element) return 'not there';
                element.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const box = element.getBoundingClientRect();
                const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
                const top = document.elementFromPoint(x, y);
                return element.contains(top) ? [x, y] : `covered by ${{top?.outerHTML}}`;
            }})()",
            element(selector)
        ));
        assert!(place.is_array(), "{selector} is {place} on {}", self.url());
        let (x, y) = (&place[0], &place[1]);
        self.ask("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": x, "y": y }));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.ask("Input.dispatchMouseEvent", event);
        }
    }

    /// Clicks on what leads to another page.
    #[track_caller]
    pub fn follow(&self, selector: &str) {
        self.leaving(|| self.click(selector));
    }

    /// Clicks into a field and types instead of what is in it.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        let has_focus = format!("document.activeElement === {}", element(selector));
        // A page that has just come may move the focus to its message first.
        eventually(&has_focus, || {
            self.click(selector);
            self.try_evaluate(&has_focus) == Ok(Value::Bool(true))
        });
        let everything = json!({ "type": "keyDown", "key": "a", "code": "KeyA", "modifiers": 2,
            "windowsVirtualKeyCode": 65, "commands": ["selectAll"] });
        self.ask("Input.dispatchKeyEvent", everything);
        self.ask("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": "a", "code": "KeyA" }));
        self.press("Backspace");
        self.type_text(text);
    }

    /// Types where the keyboard goes to.
    pub fn type_text(&self, text: &str) {
        for character in text.chars() {
            let text = character.to_string();
            self.ask("Input.dispatchKeyEvent", json!({ "type": "keyDown", "text": text, "key": text }));
            self.ask("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": text }));
        }
    }

    /// Presses a key that has a name.
    pub fn press(&self, key: &str) {
        self.press_with(0, key);
    }

    /// Presses Shift and a key.
    pub fn press_shifted(&self, key: &str) {
        self.press_with(8, key);
    }

    fn press_with(&self, modifiers: u8, key: &str) {
        let (number, text) = match key {
            "Backspace" => (8, ""),
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            " " => (32, " "),
            "End" => (35, ""),
            "Home" => (36, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            _ => panic!("which key is {key}?"),
        };
        let code = if key == " " { "Space" } else { key };
        let mut event = json!({ "type": if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "key": key,
            "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers });
        if !text.is_empty() {
            event["text"] = text.into();
        }
        self.ask("Input.dispatchKeyEvent", event);
        let up = json!({ "type": "keyUp", "key": key, "code": code, "windowsVirtualKeyCode": number,
            "modifiers": modifiers });
        self.ask("Input.dispatchKeyEvent", up);
    }

    /// Presses Tab until the keyboard goes to an element.
    #[track_caller]
    pub fn tab_to(&self, selector: &str) {
        for _ in 0..60 {
            if self.evaluate(&format!("document.activeElement === {}", element(selector))) == true {
                return;
            }
            self.press("Tab");
        }
        panic!("Tab does not reach {selector} on {}", self.url());
    }

    /// The browser's own button.
    #[track_caller]
    pub fn back(&self) {
        let history = self.ask("Page.getNavigationHistory", json!({}));
        let at = usize::try_from(history["currentIndex"].as_u64().unwrap()).unwrap();
        let entry = &history["entries"][at - 1]["id"];
        self.leaving(|| drop(self.ask("Page.navigateToHistoryEntry", json!({ "entryId": entry }))));
        // The portal's pages come back empty, and then anew.
        self.until("document.body.hidden === false && document.readyState === 'complete'");
    }

    /// Forbids scripts from the next page on.
    pub fn without_scripts(&self) {
        self.ask("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    }

    // How they look at it.

    /// Changes how the page is looked at.
    pub fn look(&self, Look { width, scale, dark }: Look) {
        let size = json!({ "width": width, "height": 800, "deviceScaleFactor": scale, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", size);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask("Emulation.setEmulatedMedia", json!({ "features": features }));
        self.until(&format!(
            "innerWidth === {width} && matchMedia('(prefers-color-scheme: {scheme})').matches"
        ));
    }

    /// What makes the page wider than the window, if anything does.
    pub fn beyond_the_edge(&self) -> Vec<String> {
        let found = self.evaluate(
            "(() => {
                const width = document.documentElement.clientWidth;
                if (document.scrollingElement.scrollWidth <= width) return [];
                const end = (one) => one.getBoundingClientRect().right;
                return [`wider than ${width}`].concat([...document.body.querySelectorAll('*')]
                    .filter((one) => end(one) > width + 0.5)
                    .map((one) => `${one.outerHTML.slice(0, 120)} ends at ${end(one)}`));
            })()",
        );
        found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// A picture of the whole page in `folder` below the tests' folder for pictures.
    pub fn picture(&self, folder: &str, name: &str) -> PathBuf {
        let metrics = self.ask("Page.getLayoutMetrics", json!({}));
        let size = &metrics["cssContentSize"];
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let params = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let answer = self.ask("Page.captureScreenshot", params);
        let bytes = BASE64_STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.png"));
        fs::write(&file, bytes).unwrap();
        file
    }

    /// What the browser has found wrong since the last time it was asked.
    pub fn faults(&self) -> Vec<String> {
        // Its answer comes after everything that has happened.
        self.ask("Page.getNavigationHistory", json!({}));
        let events = self.chrome.remote.borrow_mut().events(&self.session);
        events.iter().filter_map(fault).collect()
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.faults(), Vec::<String>::new(), "the browser complains");
        }
    }
}

/// JavaScript that finds an element.
fn element(selector: &str) -> String {
    format!("document.querySelector({})", Value::from(selector))
}

/// What an event says that must not happen.
fn fault(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" if params["type"] == "error" => Some(params["args"].to_string()),
        "Log.entryAdded" if params["entry"]["level"] == "error" => {
            let entry = &params["entry"];
            // The status of a page is for the test to judge.
            let status = entry["source"] == "network"
                && entry["text"].as_str().is_some_and(|text| text.contains("responded with a status of"));
            (!status).then(|| entry.to_string())
        }
        // Whatever Chromium's `Issues` panel would show: violated policies, mixed content, refused cookies.
        // To a browser every name below `localhost` is a site of its own; a bank's two hosts are one site.
        "Audits.issueAdded" if params["issue"]["code"] == "BounceTrackingIssue" => None,
        "Audits.issueAdded" => Some(params["issue"].to_string()),
        _ => None,
    }
}
