//! Debian's Chromium, driven as a person drives it: over the DevTools protocol, with a mouse and a keyboard.

mod home;
mod window;

pub use home::{Home, import, private, trust};
pub use window::{Look, Window};

use std::cell::RefCell;
use std::fs;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use super::eventually;
use super::remote::Remote;

/// A running browser. Ends with this.
pub struct Chrome {
    process: Child,
    home: Home,
    port: u16,
    remote: RefCell<Remote>,
    agent: String,
}

impl Chrome {
    /// Starts it in its home.
    pub fn start(home: Home) -> Self {
        let process = home
            .chromium(&["--remote-debugging-port=0", "about:blank"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(home.path("chromium.log")).unwrap())
            .spawn()
            .unwrap();
        let mut running = Running(Some(process));
        let mut address = None;
        eventually("Chromium's DevTools", || {
            let log = || fs::read_to_string(home.path("chromium.log")).unwrap_or_default();
            assert!(running.0.as_mut().unwrap().try_wait().unwrap().is_none(), "Chromium ended: {}", log());
            let text = fs::read_to_string(home.path("profile/DevToolsActivePort")).unwrap_or_default();
            address = text
                .split_once('\n')
                .filter(|(_, path)| path.starts_with('/'))
                .map(|(port, path)| (port.parse().unwrap(), path.trim_end().to_owned()));
            address.is_some()
        });
        let (port, path) = address.unwrap();
        let mut remote = Remote::connect(port, &path);
        let version = remote.ask(None, "Browser.getVersion", &json!({})).unwrap();
        let agent = version["userAgent"].as_str().unwrap().to_owned();
        Self { process: running.0.take().unwrap(), home, port, remote: RefCell::new(remote), agent }
    }

    /// One that trusts a CA and holds no certificate.
    pub fn trusting(ca: &str) -> Self {
        Self::start(Home::trusting(ca))
    }

    /// Where it lives.
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// The port of its DevTools.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A window of a person who has never been here: with cookies of its own.
    pub fn window(&self, language: &str) -> Window<'_> {
        let context = self.ask("Target.createBrowserContext", &json!({ "disposeOnDetach": true }));
        Window::open(self, language, context["browserContextId"].as_str())
    }

    /// A window that shares its cookies with the others that were opened like this.
    pub fn shared_window(&self, language: &str) -> Window<'_> {
        Window::open(self, language, None)
    }

    #[track_caller]
    fn ask(&self, method: &str, params: &Value) -> Value {
        self.remote.borrow_mut().ask(None, method, params).unwrap()
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// A process that must not outlive a failing start.
struct Running(Option<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(process) = &mut self.0 {
            end(process);
        }
    }
}

fn end(process: &mut Child) {
    // Fails if it has ended, which is what is wanted. Its children go with it: see `private`.
    let _ = process.kill();
    let _ = process.wait();
}
