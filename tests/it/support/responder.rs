//! An OCSP responder: OpenSSL's, behind a small HTTP server that can be told to misbehave.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tempfile::TempDir;

use super::pki::Ca;

/// What becomes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// The certificate is good, and that holds for a day.
    Good,
    /// It holds for so many days.
    GoodFor(u32),
    /// The certificate is revoked.
    Revoked,
    /// The certificate is none of the CA's.
    Unknown,
    /// The connection ends.
    Down,
    /// Nothing comes.
    Silent,
    /// What comes is no response.
    Garbage,
    /// What comes is a megabyte, and more is announced.
    Huge,
}

/// The responder of a CA that knows one certificate.
pub struct Responder {
    pub url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    folder: TempDir,
    conduct: Mutex<Conduct>,
    questions: Mutex<Vec<Vec<u8>>>,
    is_over: Mutex<bool>,
}

impl Responder {
    /// Of the certificate that it knows.
    pub const SERIAL: [u8; 2] = [0x4a, 0x31];

    /// A responder of `ca` that signs with this certificate and key.
    pub fn start(ca: &Ca, (signer, key): (String, String), conduct: Conduct) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("ca.pem", ca.pem()), ("signer.pem", signer), ("signer.key", key)] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            folder,
            conduct: Mutex::new(conduct),
            questions: Mutex::default(),
            is_over: Mutex::default(),
        });
        let theirs = shared.clone();
        let thread = std::thread::spawn(move || {
            let mut waiting = Vec::new();
            for stream in listener.incoming() {
                if *theirs.is_over.lock().unwrap() {
                    return;
                }
                waiting.extend(theirs.serve(stream.unwrap()));
            }
        });
        Self { url: format!("http://{address}/ocsp"), address, shared, thread: Some(thread) }
    }

    /// From now on.
    pub fn conducts(&self, conduct: Conduct) {
        *self.shared.conduct.lock().unwrap() = conduct;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.shared.questions.lock().unwrap().len()
    }

    /// What it would answer to the last question.
    pub fn answer(&self, conduct: Conduct) -> Vec<u8> {
        let question = self.shared.questions.lock().unwrap().last().unwrap().clone();
        self.shared.openssl(&question, conduct)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        *self.shared.is_over.lock().unwrap() = true;
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

impl Shared {
    /// Gives back a connection that gets no answer.
    fn serve(&self, mut stream: TcpStream) -> Option<TcpStream> {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let head: Vec<String> =
            reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        assert_eq!(head[0], "POST /ocsp HTTP/1.1");
        let field = |name: &str| {
            head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix(name).map(str::to_owned))
        };
        assert_eq!(field("content-type: ").as_deref(), Some("application/ocsp-request"));
        let mut question = vec![0; field("content-length: ").unwrap().parse().unwrap()];
        reader.read_exact(&mut question).unwrap();
        self.questions.lock().unwrap().push(question.clone());
        let conduct = *self.conduct.lock().unwrap();
        let (announced, body) = match conduct {
            Conduct::Down => return None,
            Conduct::Silent => return Some(stream),
            Conduct::Garbage => (3, b"OK\n".to_vec()),
            Conduct::Huge => (1 << 30, vec![0x30; 1 << 20]),
            Conduct::Good | Conduct::GoodFor(_) | Conduct::Revoked | Conduct::Unknown => {
                let body = self.openssl(&question, conduct);
                (body.len(), body)
            }
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\nContent-Length: {announced}\r\n\
             Connection: close\r\n\r\n"
        );
        // Whoever has read enough may be gone.
        let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        None
    }

    fn openssl(&self, question: &[u8], conduct: Conduct) -> Vec<u8> {
        let folder = self.folder.path();
        let (days, entry) = match conduct {
            Conduct::GoodFor(days) => (days, "V\t491231235959Z\t\t4A31\tunknown\t/O=Mihon\n"),
            Conduct::Revoked => (1, "R\t491231235959Z\t200101000000Z\t4A31\tunknown\t/O=Mihon\n"),
            Conduct::Unknown => (1, ""),
            _ => (1, "V\t491231235959Z\t\t4A31\tunknown\t/O=Mihon\n"),
        };
        fs::write(folder.join("index"), entry).unwrap();
        fs::write(folder.join("question"), question).unwrap();
        let made = Command::new("openssl")
            .current_dir(folder)
            .args("ocsp -index index -CA ca.pem -rsigner signer.pem -rkey signer.key".split(' '))
            .args("-reqin question -respout response -noverify -ndays".split(' '))
            .arg(days.to_string())
            .output()
            .unwrap();
        fs::read(folder.join("response")).unwrap_or_else(|error| panic!("{error}: {made:?}"))
    }
}
