//! A proxy in front of a server: passes everything on, until it is told to stall, to cut or to lie.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to the server's answers.
#[derive(Clone, PartialEq, Eq)]
pub enum Mood {
    /// They are passed on.
    Pass,
    /// They are held back until the mood changes.
    Stall,
    /// The first half is passed on, and then the connection ends.
    Cut,
    /// The next one is swallowed and its connection ends; then they are passed on.
    Swallow,
    /// This comes in their place.
    Lie(Vec<u8>),
}

/// The proxy. Its connections end with it.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    mood: Mutex<Mood>,
    /// `None` once the proxy is gone.
    sockets: Mutex<Option<Vec<TcpStream>>>,
}

impl Proxy {
    /// A proxy in front of this port.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { mood: Mutex::new(Mood::Pass), sockets: Mutex::new(Some(Vec::new())) });
        let theirs = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Some(sockets) = &mut *theirs.sockets.lock().unwrap() else { return };
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                sockets.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                let shared = theirs.clone();
                std::thread::spawn(move || shared.answers(server, client));
            }
        });
        Self { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mood::Pass);
        for socket in self.shared.sockets.lock().unwrap().take().unwrap_or_default() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        // The listener sees that it is over.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn answers(&self, mut server: TcpStream, mut client: TcpStream) {
        let mut part = [0; 65536];
        while let Ok(length @ 1..) = server.read(&mut part) {
            while *self.mood.lock().unwrap() == Mood::Stall {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            let mood = self.mood.lock().unwrap().clone();
            let good = match mood {
                Mood::Lie(lie) => client.write_all(&lie).is_ok(),
                Mood::Cut => client.write_all(&part[..length / 2]).is_err(),
                Mood::Swallow => {
                    *self.mood.lock().unwrap() = Mood::Pass;
                    false
                }
                _ => client.write_all(&part[..length]).is_ok(),
            };
            if !good || *self.mood.lock().unwrap() == Mood::Cut {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }
}
