//! What the data path is handed by the app for what it can't do itself: looking a session up, answering for the
//! portal, writing a page. It never learns who does that.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};

use super::failure::Failure;
use super::forward::Part;
use super::timer::Timer;
use crate::domain::{AuthMethod, Identity, Language, Purpose, Role, SessionEnd, SessionToken, Visitor};

/// A future that crosses to the threads beside the data path.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Who stands behind the data path.
pub trait Backstage: Send + Sync {
    /// What a session is worth now. `counts` says whether this is its use.
    fn session(&self, token: SessionToken, visitor: Visitor, counts: bool) -> Later<FoundSession>;

    /// Answers a request for the portal, which carries a [`Visitor`] as an extension.
    fn portal(&self, request: Request<Bytes>) -> Later<Response<Bytes>>;

    /// Somebody whom the directory knows has shown a good certificate that it doesn't, from this address. Nobody waits for what
    /// follows.
    fn seen(&self, chain: Arc<[Vec<u8>]>, source: IpAddr);

    /// The page for a refusal on a host.
    fn page(&self, host: &str, code: &'static str, language: Language, request_id: &str) -> Page;

    /// The policy of every page (`Content-Security-Policy`).
    fn content_security_policy(&self) -> &str;
}

/// What a session is worth now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundSession {
    /// It holds.
    Holds(Session),
    /// It held once.
    Over(SessionEnd),
    /// There never was one.
    Nobody,
    /// Nobody can say.
    Unavailable,
}

/// A session that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who.
    pub identity: Identity,
    /// What they may do.
    pub role: Role,
    /// How they signed in.
    pub method: AuthMethod,
    /// What it is good for.
    pub purpose: Purpose,
    /// The SHA-256 of the certificate that it was made with, if it was.
    pub certificate: Option<[u8; 32]>,
}

/// A page for a refusal.
pub struct Page {
    /// What is wrong, in a few words.
    pub title: String,
    /// What is wrong, in a sentence.
    pub what: String,
    /// The page itself.
    pub html: Vec<u8>,
}

/// The most that is read of a form.
pub(super) const LONGEST_FORM: u64 = 16 << 10;

/// Reads a whole body, part by part. All of it has to come in time: a form is small, and one that trickles in byte by byte
/// would hold its connection for days (T26).
pub(super) async fn collect(
    timer: &Timer,
    limit: Duration,
    mut poll_part: impl FnMut(&mut Context<'_>) -> Poll<Result<Part, Failure>>,
) -> Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    timer.set(limit);
    loop {
        let part = std::future::poll_fn(|cx| {
            timer.register(cx);
            match poll_part(cx) {
                Poll::Pending if timer.is_late() => Poll::Ready(Err(Failure::RequestTimeout)),
                part => part,
            }
        });
        match part.await? {
            Part::Data(data) if (body.len() + data.len()) as u64 > LONGEST_FORM => {
                return Err(Failure::BodyTooLarge);
            }
            Part::Data(data) => body.extend_from_slice(&data),
            Part::End(_) => return Ok(body.freeze()),
        }
    }
}
