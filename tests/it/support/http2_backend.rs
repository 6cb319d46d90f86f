//! A backend that speaks HTTP/2, by a library that does it well, and writes down what reaches it. What no library would say is
//! said frame by frame, by a [`Backend`](super::backend::Backend) that converses.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tokio::net::TcpListener;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The number of its connection, from 1.
    pub connection: usize,
    pub head: Parts,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
}

impl Seen {
    /// The values of all fields of this name.
    pub fn values(&self, name: &str) -> Vec<String> {
        values(&self.head.headers, name)
    }
}

/// The values of all fields of this name.
pub fn values(fields: &HeaderMap, name: &str) -> Vec<String> {
    fields.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// A request whose handler has the word.
pub struct Call {
    pub connection: usize,
    pub head: Parts,
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
    log: Arc<Mutex<Vec<Seen>>>,
    notes: Arc<Mutex<Vec<String>>>,
}

/// A backend on a port of its own.
pub struct Http2Backend {
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<Seen>>>,
    notes: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Http2Backend {
    /// Answers every request, once it is whole, with 200 and `ok`.
    pub fn start() -> Self {
        Self::serving(&Builder::new(), |mut call| async move {
            call.read().await;
            call.answer(200, &[], b"ok").await;
        })
    }

    /// Leaves each request to `handle`, on connections with these settings.
    pub fn serving<F>(builder: &Builder, handle: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let backend = Self {
            address: listener.local_addr().unwrap(),
            log: Arc::default(),
            notes: Arc::default(),
            connections: Arc::default(),
            open: Arc::default(),
        };
        let (log, notes) = (backend.log.clone(), backend.notes.clone());
        let (connections, open) = (backend.connections.clone(), backend.open.clone());
        let (builder, handle) = (builder.clone(), Arc::new(handle));
        let serving = async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                let number = connections.fetch_add(1, Ordering::Relaxed) + 1;
                open.fetch_add(1, Ordering::Relaxed);
                let (log, notes, handle, open) = (log.clone(), notes.clone(), handle.clone(), open.clone());
                let shaking = builder.handshake::<_, Bytes>(tcp);
                tokio::spawn(async move {
                    if let Ok(mut connection) = shaking.await {
                        while let Some(Ok((request, respond))) = connection.accept().await {
                            let (head, body) = request.into_parts();
                            let (log, notes) = (log.clone(), notes.clone());
                            tokio::spawn(handle(Call {
                                connection: number,
                                head,
                                body,
                                respond,
                                log,
                                notes,
                            }));
                        }
                    }
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        };
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap()
                .block_on(serving);
        });
        backend
    }

    /// Every request so far that was read to its end.
    pub fn received(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    /// The only request so far.
    pub fn only(&self) -> Seen {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "{received:#?}");
        received.remove(0)
    }

    /// What handlers have written down.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Call {
    /// Reads the request to its end and writes it down; `None` if it broke off.
    pub async fn read(&mut self) -> Option<Seen> {
        let mut bytes = Vec::new();
        while let Some(data) = self.body.data().await {
            let data = data.ok()?;
            self.body.flow_control().release_capacity(data.len()).ok()?;
            bytes.extend_from_slice(&data);
        }
        let trailers = self.body.trailers().await.ok()?.unwrap_or_default();
        let seen = Seen { connection: self.connection, head: self.head.clone(), body: bytes, trailers };
        self.log.lock().unwrap().push(seen.clone());
        Some(seen)
    }

    /// Sends a head; with `end`, that is all.
    pub fn begin(&mut self, status: u16, fields: &[(&str, &str)], end: bool) -> SendStream<Bytes> {
        self.try_begin(status, fields, end).unwrap()
    }

    fn try_begin(
        &mut self,
        status: u16,
        fields: &[(&str, &str)],
        end: bool,
    ) -> Result<SendStream<Bytes>, h2::Error> {
        let mut response = Response::new(());
        *response.status_mut() = status.try_into().unwrap();
        *response.headers_mut() = headers(fields);
        self.respond.send_response(response, end)
    }

    /// Sends a whole answer, if somebody still waits for it.
    pub async fn answer(&mut self, status: u16, fields: &[(&str, &str)], body: &[u8]) {
        if let Ok(mut stream) = self.try_begin(status, fields, body.is_empty())
            && !body.is_empty()
        {
            let _ = send(&mut stream, body, true).await;
        }
    }

    /// Writes something down.
    pub fn note(&self, what: impl Into<String>) {
        self.notes.lock().unwrap().push(what.into());
    }
}

/// Sends a part of a body, as far as the other side takes it.
pub async fn send(stream: &mut SendStream<Bytes>, data: &[u8], end: bool) -> Result<(), h2::Error> {
    let mut left = Bytes::copy_from_slice(data);
    while !left.is_empty() {
        stream.reserve_capacity(left.len());
        let Some(room) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.transpose()? else {
            return Err(Reason::CANCEL.into());
        };
        let part = left.split_to(room.min(left.len()));
        stream.send_data(part, end && left.is_empty())?;
    }
    Ok(())
}

/// Fields of HTTP/2.
pub fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}
