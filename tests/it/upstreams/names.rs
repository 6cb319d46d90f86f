//! Endpoints that are given by name.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use super::ask;
use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, Settings, lay_out};
use crate::support::pki::Ca;
use crate::support::process::sekisho;

/// A DNS server (RFC 1035) that knows one thing: where everybody is.
struct Server {
    address: SocketAddr,
    addresses: Arc<Mutex<Vec<Ipv4Addr>>>,
}

/// In seconds: names are asked for again by it.
const TTL: u32 = 1;

impl Server {
    fn start(addresses: &[Ipv4Addr]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (address, addresses) = (socket.local_addr().unwrap(), Arc::new(Mutex::new(addresses.to_vec())));
        let known = addresses.clone();
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let _ = socket.send_to(&response(&query[..length], &known.lock().unwrap()), from);
            }
        });
        Self { address, addresses }
    }

    fn says(&self, addresses: &[Ipv4Addr]) {
        *self.addresses.lock().unwrap() = addresses.to_vec();
    }
}

/// The answer to a query: these addresses for a question of type A, none for others. If there are none, no answer to that one
/// (SERVFAIL, not even a negative answer), and an IPv6 address where nobody is.
fn response(query: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
    let name_length = query[12..].iter().position(|&byte| byte == 0).unwrap() + 1;
    let question = &query[12..12 + name_length + 4];
    let is_a = question[name_length..name_length + 2] == [0, 1];
    let is_aaaa = question[name_length..name_length + 2] == [0, 28];
    let found: Vec<Vec<u8>> = match (is_a, is_aaaa && addresses.is_empty()) {
        (true, _) => addresses.iter().map(|address| address.octets().to_vec()).collect(),
        (_, true) => vec![NOBODY.octets().to_vec()],
        _ => Vec::new(),
    };
    let code = if is_a && addresses.is_empty() { 2 } else { 0 };
    let mut out = query[..2].to_vec();
    out.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(found.len()).unwrap(), 0, 0, 0, 0]);
    out.extend(question);
    for address in found {
        out.extend([0xc0, 0x0c, 0, question[name_length + 1], 0, 1]);
        out.extend(TTL.to_be_bytes());
        out.extend([0, u8::try_from(address.len()).unwrap()]);
        out.extend(address);
    }
    out
}

/// An address of RFC 3849.
const NOBODY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Two backends at one port of two addresses, which say where they are.
fn pair() -> (u16, [Backend; 2]) {
    loop {
        let first = TcpListener::bind((FIRST, 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        // Somebody else may have that port there.
        let Ok(second) = TcpListener::bind((SECOND, port)) else { continue };
        let answer = |text: &'static [u8]| {
            move |_: &_| [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n".as_slice(), text].concat()
        };
        return (port, [Backend::over(first, answer(b"1")), Backend::over(second, answer(b"2"))]);
    }
}

fn gate(server: &Server, port: u16) -> Gate {
    let yaml = format!("dns: {{ servers: ['{}'], timeout: 500ms }}", server.address);
    let settings = Settings { yaml: &yaml, ..Settings::default() };
    let ca = Ca::new("Mihon Bank CA-G1");
    let folder = lay_out(&[SocketAddr::from((FIRST, port))], &ca, &settings);
    let file = folder.path().join("sekisho.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(&format!("'127.0.0.1:{port}'"), &format!("'app.mihon.test:{port}'")))
        .unwrap();
    Gate::in_folder(folder, ca)
}

#[test]
fn a_name_stands_for_all_its_addresses_and_is_asked_for_again_by_its_ttl() {
    let (port, _backends) = pair();
    let server = Server::start(&[FIRST]);
    let gate = gate(&server, port);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&mut connection, "GET").1, "1");
    }
    server.says(&[FIRST, SECOND]);
    eventually("the second gets requests", || ask(&mut connection, "GET").1 == "2");
    server.says(&[SECOND]);
    eventually("only the second does", || (0..4).all(|_| ask(&mut connection, "GET").1 == "2"));
}

#[test]
fn an_address_that_comes_back_is_drained_still() {
    let (port, _backends) = pair();
    let server = Server::start(&[FIRST, SECOND]);
    let gate = gate(&server, port);
    let upstream = |verb: &[&str]| {
        let ops = gate.ops.to_string();
        sekisho(gate.folder.path(), &[&["upstream"], verb, &["--ops", &ops]].concat()).good()
    };
    let second = format!("{SECOND}:{port}");
    upstream(&["drain", "banking", &second]);
    server.says(&[FIRST]);
    eventually("it is gone", || !upstream(&["list"]).contains(&second));
    server.says(&[FIRST, SECOND]);
    eventually("it is back", || upstream(&["list"]).contains(&second));
    assert!(upstream(&["list"]).contains("\"drained\""), "{}", upstream(&["list"]));
}

#[test]
fn a_name_that_can_not_be_resolved_any_more_keeps_its_last_addresses() {
    let (port, _backends) = pair();
    let server = Server::start(&[FIRST]);
    let gate = gate(&server, port);
    server.says(&[]);
    eventually("a look-up has failed", || {
        gate.metric("sekisho_upstream_lookup_failures_total{upstream=\"banking\"}") > 0.0
    });
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").text(), "1");
}

#[test]
fn a_name_that_can_not_be_resolved_at_the_start_is_looked_for_again() {
    let (port, _backends) = pair();
    let server = Server::start(&[]);
    let gate = gate(&server, port);
    let response = gate.tanaka().get_with(CERT, "/banking/a", "Accept: application/json\r\n");
    assert_eq!((response.status, response.code().as_str()), (503, "upstream_down"));
    server.says(&[SECOND]);
    eventually("it is found", || gate.tanaka().get(CERT, "/banking/a").status == 200);
}

#[test]
fn a_reload_with_a_name_that_leads_nowhere_is_refused() {
    let (port, _backends) = pair();
    let server = Server::start(&[FIRST]);
    let gate = gate(&server, port);
    gate.follow();
    server.says(&[]);
    gate.write("sekisho.yaml", &gate.file("sekisho.yaml").replace("app.mihon.test", "other.mihon.test"));
    let refused = gate.reload().unwrap_err();
    assert!(refused.contains(&format!("`other.mihon.test:{port}` can't be resolved: ")), "{refused}");
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").text(), "1");
}
