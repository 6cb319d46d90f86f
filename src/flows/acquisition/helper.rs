//! The way with the helper: a one-time code takes its request for a certificate here, and a signature proves that the
//! key is in place. Nobody is signed in: the code says whose request it is, the certificate whose proof.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::codes::{code_hash, hex, new_code, typed_code};
use super::standpoint::Found;
use super::{
    Acquisition, Asker, CodeOutcome, ProofOutcome, RedeemOutcome, STEP, Stage, Standpoint, issuer_trouble,
};
use crate::domain::{CredentialState, Identity, SessionKey, UserTag, Visitor, proof_message};
use crate::pki::{IssueError, Signed, is_signed_by};
use crate::stores::{AcquireOutcome, IssueOutcome, Right, Unavailable};

/// What is kept under a code.
#[derive(Serialize, Deserialize)]
struct Ticket {
    identity: Identity,
    /// The session that it was made in: it must still hold (T60).
    session: Option<String>,
    /// Of a renewal: the fingerprint of the credential that is renewed.
    renews: Option<String>,
}

impl Acquisition {
    /// Makes a code for the helper. A code before it stays good until its time is over.
    pub async fn code(&self, asker: Asker<'_>) -> Result<CodeOutcome, Unavailable> {
        let Found { acquiring, right, session, .. } = match self.find(asker).await? {
            Ok(found) => found,
            Err(standpoint) => return Ok(CodeOutcome::Not(standpoint)),
        };
        let renews = match (&acquiring.stage, right) {
            (Stage::Ready | Stage::Issued(_), Some(Right::Permit)) => None,
            (_, Some(Right::Renewal { of })) => Some(of),
            _ => return Ok(CodeOutcome::Not(Standpoint::At(Box::new(acquiring)))),
        };
        let identity = acquiring.identity;
        let ticket =
            Ticket { identity: identity.clone(), session: session.map(|key| key.hash.into()), renews };
        let ticket = serde_json::to_string(&ticket).map_err(|error| Unavailable::new("state", error))?;
        let (code, now) = (new_code()?, self.now());
        let state = &self.settings.sign_in.settings.state;
        state.put_code(&code_hash(&code), &ticket, STEP.unsigned_abs(), now).await?;
        self.write_down("acquisition_code", &identity, "made", asker.visitor).await?;
        Ok(CodeOutcome::Code { code, until: later(now, STEP) })
    }

    /// The helper's code and its request for a certificate (DER).
    pub async fn redeem(
        &self,
        code: &str,
        request: &[u8],
        visitor: &Visitor,
    ) -> Result<RedeemOutcome, Unavailable> {
        if let Some(retry_after) = self.settings.sign_in.throttled(visitor).await? {
            return Ok(RedeemOutcome::Throttled { retry_after });
        }
        let Some(Ticket { identity, session, renews }) = self.ticket(code).await? else {
            self.settings.sign_in.write_down(nobodys("acquisition_refused", "code"), visitor).await?;
            return Ok(RedeemOutcome::Refused);
        };
        if let Some(hash) = session {
            let key = SessionKey { tag: UserTag::of(&identity), hash: hash.into() };
            if !self.still_holds(&key, visitor).await? {
                self.write_down("acquisition_refused", &identity, "session", visitor).await?;
                return Ok(RedeemOutcome::Refused);
            }
        }
        if let Some(retry_after) = self.throttled().await? {
            return Ok(RedeemOutcome::Throttled { retry_after });
        }
        let signed = match self.sign(&identity, request).await? {
            Ok(signed) => signed,
            Err(problem) => {
                self.write_down("acquisition_refused", &identity, problem, visitor).await?;
                return Ok(RedeemOutcome::BadRequest(problem));
            }
        };
        let right = renews.map_or(Right::Permit, |of| Right::Renewal { of });
        Ok(match self.register(&identity, &signed, right, None, visitor).await? {
            IssueOutcome::Issued => RedeemOutcome::Certificate(pem(&signed.chain)),
            IssueOutcome::NoRight | IssueOutcome::Suspended => RedeemOutcome::Refused,
        })
    }

    async fn ticket(&self, code: &str) -> Result<Option<Ticket>, Unavailable> {
        let Some(code) = typed_code(code) else { return Ok(None) };
        let state = &self.settings.sign_in.settings.state;
        let ticket = state.take_code(&code_hash(&code), self.now()).await?;
        Ok(ticket.and_then(|ticket| serde_json::from_str(&ticket).ok()))
    }

    async fn sign(
        &self,
        identity: &Identity,
        request: &[u8],
    ) -> Result<Result<Signed, &'static str>, Unavailable> {
        let (issuer, identity) = (Arc::clone(&self.settings.issuer), identity.clone());
        let (request, now) = (request.to_vec(), self.now());
        // An HSM takes its time.
        let signed = tokio::task::spawn_blocking(move || issuer.sign_request(&request, &identity, now)).await;
        match signed.map_err(|error| Unavailable::new("issuer", error))? {
            Ok(signed) => Ok(Ok(signed)),
            Err(IssueError::BadRequest(problem)) => Ok(Err(problem)),
            Err(error) => Err(issuer_trouble(&error)),
        }
    }

    /// The helper's proof that it has the key of a certificate (DER) in place: a signature over [`proof_message`].
    pub async fn prove(
        &self,
        certificate: &[u8],
        signature: &[u8],
        visitor: &Visitor,
    ) -> Result<ProofOutcome, Unavailable> {
        if let Some(retry_after) = self.settings.sign_in.throttled(visitor).await? {
            return Ok(ProofOutcome::Throttled { retry_after });
        }
        let fingerprint = hex(&Sha256::digest(certificate));
        if !is_signed_by(certificate, proof_message(&fingerprint).as_bytes(), signature) {
            self.settings.sign_in.write_down(nobodys("acquisition_refused", "proof"), visitor).await?;
            return Ok(ProofOutcome::Refused);
        }
        let now = self.now();
        let Some(record) = self.directory().credential_record(&fingerprint, now).await? else {
            return Ok(ProofOutcome::Refused);
        };
        let (identity, serial) = (&record.credential.identity, &record.credential.serial);
        let is_issued = record.state == CredentialState::Issued;
        if is_issued {
            // First: the next proof finds it live, and has nothing to write down.
            self.write_down("credential_acquired", identity, serial, visitor).await?;
        }
        match self.directory().acquire(&fingerprint, now).await? {
            AcquireOutcome::Acquired(_) => self.refresh().await?,
            AcquireOutcome::AlreadyLive(_) => {}
            AcquireOutcome::Gone | AcquireOutcome::Suspended => {
                if is_issued {
                    self.write_down("credential_not_acquired", identity, serial, visitor).await?;
                }
                return Ok(ProofOutcome::Refused);
            }
        }
        Ok(ProofOutcome::Proven(self.details(identity, &record)))
    }
}

/// A refusal that is nobody's: who sends a wrong code may be anybody.
const fn nobodys<'a>(kind: &'static str, detail: &'a str) -> crate::flows::sign_in::Decision<'a> {
    crate::flows::sign_in::Decision { kind, identity: None, by: "user", detail: Some(detail) }
}

fn pem(chain: &[Vec<u8>]) -> String {
    chain.iter().map(|der| crate::pki::certificate_pem(der)).collect()
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
