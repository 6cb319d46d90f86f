//! A server of revocation lists and OCSP responses that answers as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// One answer.
#[derive(Clone)]
pub(super) struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    announced: Option<usize>,
    is_silent: bool,
}

impl Answer {
    pub(super) fn ok(body: &[u8]) -> Self {
        Self {
            status: 200,
            fields: Vec::new(),
            body: body.to_vec(),
            announced: Some(body.len()),
            is_silent: false,
        }
    }

    /// None, on a connection that stays open.
    pub(super) fn silence() -> Self {
        Self { is_silent: true, ..Self::ok(&[]) }
    }

    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::ok(&[]) }
    }

    pub(super) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The body ends with the connection.
    pub(super) fn without_length(self) -> Self {
        Self { announced: None, ..self }
    }

    /// The connection ends before the body does.
    pub(super) fn cut_off(self) -> Self {
        Self { announced: Some(self.body.len() + 1), ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", self.status);
        if let Some(length) = self.announced.filter(|_| self.status != 304) {
            head += &format!("Content-Length: {length}\r\n");
        }
        for (name, value) in &self.fields {
            head += &format!("{name}: {value}\r\n");
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

/// The head of a request, and its body.
#[derive(Clone)]
pub(super) struct Asked(Vec<String>, Vec<u8>);

impl Asked {
    /// The value of a field, by its name in lower case.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        self.0.iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    pub(super) fn line(&self) -> &str {
        &self.0[0]
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.1
    }
}

pub(super) struct Server {
    pub(super) url: String,
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(Answer::status(404)));
        let (asked, is_over) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<AtomicBool>::default());
        let (answers, log, over) = (answer.clone(), asked.clone(), is_over.clone());
        let thread = std::thread::spawn(move || {
            let mut waiting = Vec::new();
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                waiting.extend(serve(stream.unwrap(), &answers, &log));
            }
        });
        Self {
            url: format!("http://{address}/ca.crl"),
            address,
            answer,
            asked,
            is_over,
            thread: Some(thread),
        }
    }

    /// From now on.
    pub(super) fn says(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(super) fn last(&self) -> Asked {
        self.asked.lock().unwrap().last().unwrap().clone()
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

/// Gives back a connection that gets no answer.
fn serve(mut stream: TcpStream, answer: &Mutex<Answer>, asked: &Mutex<Vec<Asked>>) -> Option<TcpStream> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let head = reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    let mut request = Asked(head, Vec::new());
    let length = request.field("content-length").map_or(0, |length| length.parse().unwrap());
    request.1.resize(length, 0);
    reader.read_exact(&mut request.1).unwrap();
    asked.lock().unwrap().push(request);
    let answer = answer.lock().unwrap().clone();
    if answer.is_silent {
        return Some(stream);
    }
    // Whoever has read enough may be gone.
    let _ = stream.write_all(&answer.bytes());
    None
}
