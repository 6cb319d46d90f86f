//! Copies for a syslog server: to the byte as RFC 5424 has them, and what becomes of those that it doesn't take.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// A log with a copy to `to`, and how many records were lost so far.
fn copied(folder: &Path, to: &str) -> (AuditLog, Arc<AtomicU64>) {
    let to = serde_json::from_str(&format!("\"{to}\"")).unwrap();
    let syslog = Some(Syslog::start(to).unwrap());
    let file = folder.join("audit.log");
    let log = AuditLog::open(AuditSettings { file, key: None, segment: 1 << 20, syslog }).unwrap();
    let lost = Arc::<AtomicU64>::default();
    let count = lost.clone();
    log.watch_syslog(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    (log, lost)
}

/// The last lines of the log as messages of RFC 5424: version 1, facility 13, severity 5, and no structured data.
fn messages(folder: &Path, count: usize) -> Vec<String> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let (host, process) = (host.trim(), std::process::id());
    let head = format!("<109>1 1970-01-01T00:00:00.000000Z {host} sekisho {process} audit - ");
    let text = fs::read_to_string(folder.join("audit.log")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len() - count..].iter().map(|line| format!("{head}{line}")).collect()
}

#[test]
fn a_datagram_is_one_message_over_udp() {
    let folder = tempfile::tempdir().unwrap();
    for bind in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(server) = UdpSocket::bind(bind) else {
            assert_eq!(bind, "[::1]:0", "a machine without IPv6");
            continue;
        };
        let (log, lost) = copied(folder.path(), &format!("udp://{}", server.local_addr().unwrap()));
        log.append(&[line("a"), line("\u{5168}")].concat()).unwrap();
        for message in messages(folder.path(), 2) {
            let mut bytes = [0; 4096];
            let size = server.recv(&mut bytes).unwrap();
            assert_eq!(std::str::from_utf8(&bytes[..size]).unwrap(), message);
        }
        assert_eq!(lost.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn a_datagram_is_one_message_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dev-log");
    let server = UnixDatagram::bind(&path).unwrap();
    let (log, lost) = copied(folder.path(), &format!("unix:{}", path.display()));
    log.append(&[line("a"), line("b")].concat()).unwrap();
    let mut bytes = [0; 4096];
    for message in messages(folder.path(), 2) {
        let size = server.recv(&mut bytes).unwrap();
        assert_eq!(std::str::from_utf8(&bytes[..size]).unwrap(), message);
    }
    // The daemon is started anew, and with it the socket.
    drop(server);
    fs::remove_file(&path).unwrap();
    let server = UnixDatagram::bind(&path).unwrap();
    log.append(&line("c")).unwrap();
    let size = server.recv(&mut bytes).unwrap();
    assert_eq!(std::str::from_utf8(&bytes[..size]).unwrap(), messages(folder.path(), 1)[0]);
    assert_eq!(lost.load(Ordering::SeqCst), 0);
}

#[test]
fn over_tcp_the_length_of_a_message_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let (log, lost) = copied(folder.path(), &format!("tcp://{}", server.local_addr().unwrap()));
    log.append(&[line("a"), line("b\n<109>1 - - - - - - forged")].concat()).unwrap();
    drop(log);
    let mut text = String::new();
    server.accept().unwrap().0.read_to_string(&mut text).unwrap();
    let framed = |message: String| format!("{} {message}", message.len());
    assert_eq!(text, messages(folder.path(), 2).into_iter().map(framed).collect::<String>());
    assert_eq!(lost.load(Ordering::SeqCst), 0);
}

#[test]
fn a_server_that_does_not_answer_holds_nothing_up_and_what_it_misses_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = format!("unix:{}", folder.path().join("nobody").display());
    let (log, lost) = copied(folder.path(), &nobody);
    for _ in 0..3 {
        log.append(&line("a")).unwrap();
    }
    // It ends once everything that waited was tried.
    drop(log);
    assert_eq!(lost.load(Ordering::SeqCst), 3);
    assert_eq!(verify_audit(&folder.path().join("audit.log"), None, false).unwrap().records, 3);
}

#[test]
fn what_does_not_fit_into_the_queue_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let server = UnixDatagram::bind(folder.path().join("stuck")).unwrap();
    let (log, lost) = copied(folder.path(), &format!("unix:{}", folder.path().join("stuck").display()));
    // More than wait, and than a socket holds that nobody reads from.
    log.append(&line("x").repeat(6000)).unwrap();
    assert!(lost.load(Ordering::SeqCst) > 0);
    drop(server);
}

/// It would be seconds for each.
#[test]
fn the_end_does_not_wait_for_every_record_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let server = UnixDatagram::bind(folder.path().join("stuck")).unwrap();
    let (log, lost) = copied(folder.path(), &format!("unix:{}", folder.path().join("stuck").display()));
    log.append(&line("x").repeat(3000)).unwrap();
    drop(log);
    server.set_nonblocking(true).unwrap();
    let (mut bytes, mut taken) = ([0; 4096], 0);
    while server.recv(&mut bytes).is_ok() {
        taken += 1;
    }
    // With the checkpoints after each thousand; a record that was tried twice may have come once.
    assert_eq!(lost.load(Ordering::SeqCst) + taken, 3003);
}
