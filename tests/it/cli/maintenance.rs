//! `maintenance`: routes are closed and opened by the files that the configuration names, on a gateway that runs or not.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use tempfile::TempDir;

use super::fails;
use super::serve::folder;
use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::process::{Running, run, sekisho};

fn write_config(folder: &Path, backend: &str) {
    let yaml = format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]
hosts:
  cert.localhost:
    tls: {{ certificate: certs/servers/cert.localhost.pem, key: certs/servers/cert.localhost.key }}
    client_certificate: none
routes:
  - {{ path: /, require: nothing, upstream: banking }}
  - {{ path: /api, require: nothing, upstream: banking, maintenance: {{ file: closed/api }} }}
  - {{ path: /api, require: nothing, methods: [GET], upstream: banking, maintenance: {{ file: closed/api }} }}
  - {{ exact: /docs, require: nothing, hosts: [cert.localhost], upstream: banking, maintenance: {{ file: closed/docs }} }}
upstreams: {{ banking: {{ endpoints: ['{backend}'] }} }}
maintenance: {{ file: closed/all }}
ops: {{ bind: '127.0.0.1:0' }}
"
    );
    fs::write(folder.join("sekisho.yaml"), yaml).unwrap();
}

/// A folder with a PKI, a configuration, and room for the files that close routes.
fn prepared(backend: &str) -> TempDir {
    let folder = folder();
    fs::create_dir(folder.path().join("closed")).unwrap();
    write_config(folder.path(), backend);
    folder
}

/// Runs the command, and returns what it printed with the folder's name left out.
#[track_caller]
fn maintenance(folder: &Path, words: &[&str]) -> String {
    let all: Vec<_> =
        ["maintenance"].iter().chain(words).chain(&["--config", "sekisho.yaml"]).copied().collect();
    let printed = sekisho(folder, &all).good();
    printed.replace(&format!("{}/", folder.display()), "")
}

/// Status and body, as curl has them.
fn get(folder: &Path, listen: SocketAddr, path: &str) -> (String, String) {
    let authority = folder.join("certs/ca.pem");
    let (resolve, url) = (
        format!("cert.localhost:{}:127.0.0.1", listen.port()),
        format!("https://cert.localhost:{}{path}", listen.port()),
    );
    let words = ["-q", "-sS", "--noproxy", "*", "-w", "\n%{http_code}", "--resolve", &resolve, "--cacert"];
    let words: Vec<_> = words.iter().copied().chain([authority.to_str().unwrap(), &url]).collect();
    let printed = run("curl", &words).good();
    let (body, status) = printed.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[test]
fn a_running_gateway_is_closed_with_a_page_and_opened_again() {
    let backend = Backend::start();
    let folder = prepared(&backend.address.to_string());
    let path = folder.path();
    let mut gateway = Running::sekisho(path, &["serve", "--config", "sekisho.yaml"]);
    gateway.wait_until_ready();
    let listen = gateway.address("Listening");
    let get = |target: &str| get(path, listen, target);
    assert_eq!(get("/a"), ("200".to_owned(), "ok".to_owned()));

    let page = "<!doctype html><title>6時に再開します</title>";
    fs::write(path.join("page.html"), page).unwrap();
    let told = "closed: closed/api\n";
    assert_eq!(maintenance(path, &["on", "--route", "/api", "--page", "page.html"]), told);
    eventually("the page, at the API", || get("/api/a") == ("503".to_owned(), page.to_owned()));
    assert_eq!((get("/a").0, get("/docs").0), ("200".to_owned(), "200".to_owned()));

    assert_eq!(maintenance(path, &["off", "--route", "/api"]), "opened: closed/api\n");
    eventually("the API", || get("/api/a") == ("200".to_owned(), "ok".to_owned()));

    let told = "closed: closed/all\nclosed: closed/api\nclosed: closed/docs\n";
    assert_eq!(maintenance(path, &["on"]), told);
    eventually("everything is closed", || {
        ["/a", "/api", "/docs"].iter().all(|target| get(target).0 == "503")
    });
    assert!(get("/a").1.contains("メンテナンス"), "the gate's own page");
    assert_eq!(maintenance(path, &["off"]), told.replace("closed: ", "opened: "));
    eventually("everything is open", || ["/a", "/api", "/docs"].iter().all(|target| get(target).0 == "200"));
    assert_eq!(gateway.stop(Signal::TERM).code, Some(0));
}

#[test]
fn status_says_which_routes_are_closed_and_by_what() {
    let folder = prepared("127.0.0.1:1");
    let path = folder.path();
    let open = "HOSTS           ROUTE  STATE  CLOSED BY
all             /      open
all             /api   open
all             /api   open
cert.localhost  /docs  open
";
    assert_eq!(maintenance(path, &["status"]), open);
    maintenance(path, &["on", "--route", "/docs"]);
    let docs = open.replace("/docs  open", "/docs  closed  closed/docs").replace("STATE  ", "STATE   ");
    assert_eq!(maintenance(path, &["status"]), docs);
    maintenance(path, &["on"]);
    let both = "HOSTS           ROUTE  STATE   CLOSED BY
all             /      closed  closed/all
all             /api   closed  closed/api, closed/all
all             /api   closed  closed/api, closed/all
cert.localhost  /docs  closed  closed/docs, closed/all
";
    assert_eq!(maintenance(path, &["status"]), both);
    maintenance(path, &["off"]);
    assert_eq!(maintenance(path, &["status"]), open);
    let config = fs::read_to_string(path.join("sekisho.yaml")).unwrap();
    fs::write(path.join("sekisho.yaml"), config.replace("maintenance: { file: closed/all }\n", "")).unwrap();
    let none = maintenance(path, &["status"]);
    assert!(none.contains("all             /      open, has no file\n"), "{none}");
}

#[test]
fn a_page_is_there_whole_for_every_reader_and_is_not_lost_by_a_second_word() {
    let folder = prepared("127.0.0.1:1");
    let path = folder.path();
    let file = path.join("closed/docs");
    fs::write(path.join("page.html"), " <p>page</p>").unwrap();
    fs::write(path.join("other.html"), "<p>other</p>").unwrap();
    let on = ["maintenance", "on", "--config", "sekisho.yaml", "--route", "/docs", "--page", "page.html"];
    let mut strict = std::process::Command::new("sh");
    strict.args(["-c", "umask 077; exec \"$0\" \"$@\"", crate::support::process::SEKISHO]).args(on);
    crate::support::process::outcome(strict.current_dir(path)).good();
    assert_eq!(fs::read_to_string(&file).unwrap(), " <p>page</p>");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    let again = ["on", "--route", "/docs"];
    assert_eq!(maintenance(path, &again), "was closed already: closed/docs\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), " <p>page</p>");
    maintenance(path, &["on", "--route", "/docs", "--page", "other.html"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "<p>other</p>");
    // Nothing else is left behind.
    assert_eq!(fs::read_dir(path.join("closed")).unwrap().count(), 1);
    let off = ["off", "--route", "/docs"];
    assert_eq!(maintenance(path, &off), "opened: closed/docs\n");
    assert_eq!(maintenance(path, &off), "was open already: closed/docs\n");
}

#[test]
fn what_cannot_be_closed_is_said_with_what_to_do() {
    let folder = prepared("127.0.0.1:1");
    let path = folder.path();
    let run = |words: &[&str], code: i32, told: &str| {
        let all: Vec<_> =
            ["maintenance"].iter().chain(words).chain(&["--config", "sekisho.yaml"]).copied().collect();
        fails(path, &all, code, &format!("sekisho maintenance: {told}\n"));
    };
    let no_route = "there is no route `/nowhere`\n  `sekisho maintenance status` lists them";
    let no_file = "route `/` has no file of its own that closes it\n  add `maintenance: { file: … }` to it, or leave --route out";
    for verb in ["on", "off"] {
        run(&[verb, "--route", "/nowhere"], 64, no_route);
        run(&[verb, "--route", "/"], 78, no_file);
    }
    run(&["on", "--page", "none.html"], 66, "none.html: there is no such file");
    fs::write(path.join("text"), "Back at 6").unwrap();
    fs::write(path.join("large"), format!("<{}", "a".repeat(1 << 20))).unwrap();
    for page in ["text", "large"] {
        let told =
            format!("{page}: no gateway would show this: a page begins with `<` and has at most 1 MiB");
        run(&["on", "--page", page], 65, &told);
    }
    fs::remove_dir(path.join("closed")).unwrap();
    let missing = format!("cannot make {}/closed/docs: there is no such folder", path.display());
    run(&["on", "--route", "/docs"], 73, &missing);
    // What isn't there is open, wherever it would be.
    assert_eq!(maintenance(path, &["off", "--route", "/docs"]), "was open already: closed/docs\n");
    let config = fs::read_to_string(path.join("sekisho.yaml")).unwrap();
    let bare = config.replace("maintenance: { file: closed/all }\n", "");
    let bare = bare
        .replace(", maintenance: { file: closed/api }", "")
        .replace(", maintenance: { file: closed/docs }", "");
    fs::write(path.join("sekisho.yaml"), bare.replace("methods: [GET]", "methods: [PUT]")).unwrap();
    let nothing = "sekisho.yaml names no file that closes anything\n  add `maintenance: { file: … }`, for all routes or to one";
    run(&["on"], 78, nothing);
    fs::remove_file(path.join("sekisho.yaml")).unwrap();
    let outcome = sekisho(path, &["maintenance", "status", "--config", "sekisho.yaml"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(78), ""));
    assert!(outcome.stderr.contains("there is no such file"), "{}", outcome.stderr);
}
