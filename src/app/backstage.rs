//! Who stands behind the data path: its questions cross to the runtime beside, where portal, flows and stores live.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::runtime::Handle;

use super::health::Health;
use crate::domain::{Language, SessionToken, Visitor};
use crate::edge::{Backstage, FoundSession, Later, Page, Session};
use crate::flows::{Current, SignIn, SignedIn};
use crate::portal::{Portal, Refused};
use crate::stores::Unavailable;

/// The house behind the gate.
pub(super) struct House {
    /// Where the work is done.
    pub(super) runtime: Handle,
    /// The verbs; `None` where nobody signs in.
    pub(super) sign_in: Option<Arc<SignIn>>,
    /// The pages.
    pub(super) portal: Arc<Portal>,
    /// Who is told of stores that fail.
    pub(super) health: Health,
}

impl Backstage for House {
    fn session(&self, token: SessionToken, visitor: Visitor, counts: bool) -> Later<FoundSession> {
        let Some(sign_in) = self.sign_in.clone() else { return Box::pin(async { FoundSession::Nobody }) };
        let health = self.health.clone();
        let asked = self.runtime.spawn(async move {
            found(&sign_in, &token, &visitor, counts).await.unwrap_or_else(|unavailable| {
                tracing::error!(%unavailable, request_id = visitor.request_id, "A session can't be looked up");
                health.failed(&unavailable);
                FoundSession::Unavailable
            })
        });
        Box::pin(async { asked.await.unwrap_or(FoundSession::Unavailable) })
    }

    /// On a task of its own: a client that goes away doesn't leave half a sign-in behind.
    fn portal(&self, request: Request<Bytes>) -> Later<Response<Bytes>> {
        let (portal, health) = (self.portal.clone(), self.health.clone());
        let answered = self.runtime.spawn(async move {
            let mut response = portal.answer(request).await;
            // Which handler it was that met it is in the log.
            if let Some(unavailable) = response.extensions_mut().remove::<Unavailable>() {
                health.failed(&unavailable);
            }
            response
        });
        Box::pin(async { answered.await.unwrap_or_else(|_| broken()) })
    }

    fn seen(&self, chain: Arc<[Vec<u8>]>, source: IpAddr) {
        let Some(sign_in) = self.sign_in.clone() else { return };
        let health = self.health.clone();
        self.runtime.spawn(async move {
            if let Err(unavailable) = sign_in.seen(&chain, source).await {
                tracing::error!(%unavailable, "A certificate that was seen can't be registered");
                health.failed(&unavailable);
            }
        });
    }

    fn page(&self, host: &str, code: &'static str, language: Language, request_id: &str) -> Page {
        let page = self.portal.refusal(Refused { host, code, language, request_id });
        Page { title: page.title.into(), what: page.what.into(), html: page.html }
    }

    fn content_security_policy(&self) -> &str {
        self.portal.content_security_policy()
    }
}

async fn found(
    sign_in: &SignIn,
    token: &SessionToken,
    visitor: &Visitor,
    counts: bool,
) -> Result<FoundSession, Unavailable> {
    let current =
        if counts { sign_in.session(token, visitor).await } else { sign_in.glance(token, visitor).await };
    Ok(match current? {
        Current::SignedIn(signed_in) => {
            let SignedIn { identity, role, method, purpose, certificate, .. } = *signed_in;
            FoundSession::Holds(Session { identity, role, method, purpose, certificate })
        }
        Current::Over(end) => FoundSession::Over(end),
        Current::Nobody => FoundSession::Nobody,
    })
}

/// The portal panicked. Nothing of it may reach the client.
fn broken() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
