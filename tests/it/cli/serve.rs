//! `serve`: a gate from files that `sekisho ca` made, its signals and its end.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::process::Signal;
use tempfile::TempDir;

use super::fails;
use crate::support::backend::Backend;
use crate::support::client::plain_get;
use crate::support::eventually;
use crate::support::process::{Outcome, Running, SEKISHO, run, sekisho};
use crate::support::redis::free_port;

/// Where nobody listens.
const NOWHERE: &str = "127.0.0.1:1";

fn yaml(listen: &str, backend: &str) -> String {
    format!(
        "listeners: [{{ bind: '{listen}' }}]
hosts:
  cert.localhost:
    tls: {{ certificate: certs/servers/cert.localhost.pem, key: certs/servers/cert.localhost.key }}
    client_certificate: required
trust: {{ authorities: certs/ca.pem, crl: {{ sources: [certs/ca.crl] }} }}
routes: [{{ path: /banking, require: certificate, upstream: banking }}]
upstreams: {{ banking: {{ endpoints: ['{backend}'] }} }}
access_log: access.log
ops: {{ bind: '127.0.0.1:0' }}
"
    )
}

/// A folder with a PKI and a configuration.
pub(super) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    sekisho(path, &["ca", "init"]).good();
    sekisho(path, &["ca", "server", "cert.localhost"]).good();
    let client = ["ca", "client", "--contract=10000000000001", "--user=tanaka", "--password=demo"];
    sekisho(path, &client).good();
    fs::write(path.join("sekisho.yaml"), yaml("127.0.0.1:0", NOWHERE)).unwrap();
    folder
}

/// A gate that serves, with the addresses that its log names.
struct Served {
    running: Running,
    listen: SocketAddr,
    ops: SocketAddr,
}

fn serve(folder: &TempDir, backend: &str) -> Served {
    fs::write(folder.path().join("sekisho.yaml"), yaml("127.0.0.1:0", backend)).unwrap();
    let mut running = Running::sekisho(folder.path(), &["serve", "--config", "sekisho.yaml"]);
    running.wait_until_ready();
    let address = |message: &str| {
        let stderr = running.stderr();
        let lines = stderr.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let fields = lines.map(|line| line["fields"].clone()).find(|fields| fields["message"] == message);
        fields.unwrap_or_else(|| panic!("{message} in\n{stderr}"))["address"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    // Logged before `ready`, but down another pipe.
    eventually("the addresses", || running.stderr().contains("Listening for operators"));
    let (listen, ops) = (address("Listening"), address("Listening for operators"));
    Served { running, listen, ops }
}

fn curl(folder: &TempDir, listen: SocketAddr, path: &str) -> Outcome {
    let file = |name: &str| folder.path().join("certs").join(name).to_str().unwrap().to_owned();
    let port = listen.port();
    run(
        "curl",
        &[
            "-q",
            "-sS",
            "--noproxy",
            "*",
            "--cacert",
            &file("ca.pem"),
            "--cert",
            &file("clients/tanaka.pem"),
            "--key",
            &file("clients/tanaka.key"),
            "--resolve",
            &format!("cert.localhost:{port}:127.0.0.1"),
            &format!("https://cert.localhost:{port}{path}"),
        ],
    )
}

#[test]
fn it_forwards_with_the_identity_and_ends_well_on_sigterm() {
    let (folder, backend) = (folder(), Backend::start());
    let Served { running, listen, ops } = serve(&folder, &backend.address.to_string());
    assert_eq!(plain_get(ops, "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(curl(&folder, listen, "/banking/a").good(), "ok");
    let received = backend.only();
    assert_eq!(received.line(), "GET /banking/a");
    assert_eq!(received.value("x-user-id").as_deref(), Some("tanaka"));
    let Outcome { code, stdout, stderr } = running.stop(Signal::TERM);
    assert_eq!((code, stdout.as_str()), (Some(0), "ready\n"), "{stderr}");
    let messages: Vec<_> = stderr
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["fields"]["message"].clone())
        .collect();
    assert_eq!(messages, ["Listening", "Listening for operators", "Draining", "Stopped"]);
    assert!(TcpStream::connect(listen).is_err(), "nobody listens any more");
}

#[test]
fn a_request_in_flight_is_answered_before_it_ends() {
    let folder = folder();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let backend = Backend::answering(move |_| {
        wait.lock().unwrap().recv().unwrap();
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate".to_vec()
    });
    let Served { running, listen, ops } = serve(&folder, &backend.address.to_string());
    std::thread::scope(|scope| {
        let request = scope.spawn(|| curl(&folder, listen, "/banking/slow").good());
        eventually("the request at the backend", || backend.received().len() == 1);
        running.signal(Signal::TERM);
        eventually("the drain", || running.stderr().contains("Draining"));
        assert_eq!(plain_get(ops, "/readyz"), (503, "not ready: starting or draining\n".to_owned()));
        eventually("closed listeners", || TcpStream::connect(listen).is_err());
        go.send(()).unwrap();
        assert_eq!(request.join().unwrap(), "late");
    });
    assert_eq!(running.wait().code, Some(0));
}

#[test]
fn sigusr1_opens_the_access_log_anew() {
    let (folder, backend) = (folder(), Backend::start());
    let Served { running, listen, .. } = serve(&folder, &backend.address.to_string());
    let (current, rotated) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let has = |file: &std::path::Path, path: &str| {
        fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("\"{path}\"")))
    };
    curl(&folder, listen, "/banking/first").good();
    eventually("the first line", || has(&current, "/banking/first"));
    fs::rename(&current, &rotated).unwrap();
    running.signal(Signal::USR1);
    eventually("a new file", || current.exists());
    curl(&folder, listen, "/banking/second").good();
    assert_eq!(running.stop(Signal::TERM).code, Some(0));
    assert!(has(&current, "/banking/second") && !has(&current, "/banking/first"));
    assert!(!has(&rotated, "/banking/second"), "the old file is left alone");
}

#[test]
fn a_log_that_can_not_be_written_stops_nobody() {
    let (folder, backend) = (folder(), Backend::start());
    let [listen, ops] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let good = yaml(&listen.to_string(), &backend.address.to_string())
        .replace("ops: { bind: '127.0.0.1:0' }", &format!("ops: {{ bind: '{ops}' }}"));
    let file = folder.path().join("sekisho.yaml");
    fs::write(&file, good).unwrap();
    // As on a disk that is full.
    let script = format!("exec {SEKISHO} serve --config sekisho.yaml 2>/dev/full");
    let mut running = Running::program("sh", folder.path(), &["-c", &script]);
    running.wait_until_ready();
    fs::write(&file, "nothing: good").unwrap();
    running.signal(Signal::HUP);
    eventually("it has said that the reload is refused", || plain_get(ops, "/readyz").1.contains("refused"));
    assert_eq!(curl(&folder, listen, "/banking/a").good(), "ok");
    assert_eq!(running.stop(Signal::TERM).code, Some(0));
}

#[test]
fn a_port_in_use_ends_with_69() {
    let folder = folder();
    let Served { running, listen, ops } = serve(&folder, NOWHERE);
    let taken = |address: SocketAddr| {
        format!("sekisho serve: can't listen on {address}: Address already in use (os error 98)\n")
    };
    // A second gate must not share the port of the first, though its workers share it among themselves.
    fs::write(folder.path().join("second.yaml"), yaml(&listen.to_string(), NOWHERE)).unwrap();
    fails(folder.path(), &["serve", "--config", "second.yaml"], 69, &taken(listen));
    let second = yaml("127.0.0.1:0", NOWHERE)
        .replace("ops: { bind: '127.0.0.1:0' }", &format!("ops: {{ bind: '{ops}' }}"));
    fs::write(folder.path().join("third.yaml"), second).unwrap();
    fails(folder.path(), &["serve", "--config", "third.yaml"], 69, &taken(ops));
    drop(running);

    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = holder.local_addr().unwrap();
    let hint = "`--backend-listen` takes another address, `127.0.0.1:0` any free port";
    fails(
        folder.path(),
        &["demo", "--dir", "demo", "--backend-listen", &other.to_string()],
        69,
        &format!(
            "sekisho demo: the sample application cannot listen on {other}: Address already in use (os error 98)\n  {hint}\n"
        ),
    );
    assert!(!folder.path().join("demo").exists(), "nothing was made before the port was had");
    drop(holder);
}

#[test]
fn an_access_log_that_cannot_be_opened_is_named() {
    let folder = folder();
    let path = folder.path().join("none/access.log");
    let bad = yaml("127.0.0.1:0", NOWHERE).replace("access.log", "none/access.log");
    fs::write(folder.path().join("bad.yaml"), bad).unwrap();
    let told = format!(
        "sekisho serve: the access log {} can't be opened: No such file or directory (os error 2)\n",
        path.display()
    );
    fails(folder.path(), &["serve", "--config", "bad.yaml"], 73, &told);
}

#[test]
fn the_sample_application_serves_alone_until_it_is_told_to_stop() {
    let folder = TempDir::new().unwrap();
    let words = ["demo", "--application-only", "--backend-listen", "127.0.0.1:0"];
    let application = Running::sekisho(folder.path(), &words);
    let mut address = None;
    eventually("the sample application says where it is", || {
        address = application.stdout().strip_prefix("backend ").and_then(|line| line.trim().parse().ok());
        address.is_some()
    });
    let (status, body) = plain_get(address.unwrap(), "/public/headers");
    assert_eq!(status, 200, "{body}");
    application.stop(Signal::TERM);
    // It makes no folder: there is no demo.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
