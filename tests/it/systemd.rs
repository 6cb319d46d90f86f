//! Beneath systemd: its sockets are used, and it hears how the gate is. systemd itself is played by the test.

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use rustix::process::{Signal, kill_process};

use crate::support::PATIENCE;
use crate::support::backend::Backend;
use crate::support::client::plain_get;
use crate::support::gate::CERT;
use crate::support::service::Service;

/// Binds as systemd does, one blocking socket for each address, and becomes the gate. Sockets that aren't taken would be
/// in the way of the gate's own: they share their port with nobody.
const ACTIVATE: &str = r"
import os, socket, sys
text = open('sekisho.yaml').read()
for fd in (3, 4):
    bound = socket.socket()
    bound.bind(('127.0.0.1', 0))
    bound.listen(64)
    text = text.replace('127.0.0.1:0', '127.0.0.1:%d' % bound.getsockname()[1], 1)
    os.dup2(os.dup(bound.fileno()), 10 + fd)
open('sekisho.yaml', 'w').write(text)
for fd in (3, 4):
    os.dup2(10 + fd, fd, inheritable=True)
os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='https:ops')
os.execv(sys.argv[1], sys.argv[1:])
";

#[test]
fn sockets_of_systemd_are_used_by_every_worker_and_handed_on() {
    let backend = Backend::start();
    let mut service = Service::activated(&backend, ACTIVATE);
    let serves = || (0..10).all(|_| service.tanaka().get(CERT, "/banking/a").status == 200);
    assert!(serves());
    assert_eq!(plain_get(service.ops, "/readyz").0, 200);
    service.running.signal(Signal::USR2);
    let successor = service.successor(1);
    assert!(serves());
    assert_eq!(plain_get(service.ops, "/readyz").0, 200);
    assert_eq!(service.running.exit_code(), Some(0));
    kill_process(successor, Signal::TERM).unwrap();
    service.says("Stopped", 2);
}

#[test]
fn systemd_hears_of_readiness_life_succession_and_the_end() {
    let backend = Backend::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut message = [0; 4096];
        let length = systemd.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let hear_next = || loop {
        let message = hear();
        if message != "WATCHDOG=1\n" {
            return message;
        }
    };
    let mut service = Service::started(&backend, |folder| {
        // The ports that it gets are written into its file, which it would tell as a reload.
        let file = folder.join("sekisho.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}\nreload: {{ on_change: false }}\n")).unwrap();
        // As systemd does, it says whom of its processes it means.
        let mut command = Command::new("sh");
        command.args(["-c", "WATCHDOG_PID=$$ exec ./sekisho serve --config \"$0\""]);
        command.arg(folder.join("sekisho.yaml"));
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
        command
    });
    assert_eq!(hear(), "READY=1\nSTATUS=Serving\n");
    assert_eq!([hear(), hear()], ["WATCHDOG=1\n", "WATCHDOG=1\n"]);
    service.running.signal(Signal::USR2);
    let successor = service.successor(1);
    // The old one leaves without a word: it isn't the service any more.
    assert_eq!(hear_next(), format!("MAINPID={}\n", successor.as_raw_nonzero()));
    assert_eq!(hear_next(), "READY=1\nSTATUS=Serving\n");
    assert_eq!(service.running.exit_code(), Some(0));
    // Whoever feeds the watchdog now is the successor. What was sent before waits in the socket, so far.
    systemd.set_nonblocking(true).unwrap();
    while systemd.recv(&mut [0; 64]).is_ok() {}
    systemd.set_nonblocking(false).unwrap();
    assert_eq!([hear(), hear()], ["WATCHDOG=1\n", "WATCHDOG=1\n"]);
    kill_process(successor, Signal::TERM).unwrap();
    assert_eq!(hear_next(), "STOPPING=1\nSTATUS=Draining: requests in flight end\n");
    service.says("Stopped", 2);
}
