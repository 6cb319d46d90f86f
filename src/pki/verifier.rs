//! rustls' view of client certificates: a handshake proves that the client holds the key, and by default no more.
//!
//! Whatever a verifier refuses becomes a TLS alert, and a blank error in the browser. So the judge runs *after* the
//! handshake, where its refusal can become a page. With `rejection: handshake` it runs in here as well.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::certificate::examine;
use super::judge::Judge;
use super::trust::Trust;
use crate::clock::Clock;
use crate::domain::{Reason, Refusal, Standing};

/// What rustls asks about client certificates.
pub struct ClientCertificates {
    algorithms: WebPkiSupportedAlgorithms,
    hints: Vec<DistinguishedName>,
    mandatory: bool,
    judge: Option<(Judge, Clock)>,
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificates")
            .field("mandatory", &self.mandatory)
            .field("judges", &self.judge.is_some())
            .finish_non_exhaustive()
    }
}

impl ClientCertificates {
    /// Asks for a client certificate and has its key's possession proven.
    ///
    /// - `mandatory`: a handshake without a certificate fails. Only for a host that wants its refusals in the
    ///   handshake; elsewhere the judge says "absent", and a page tells the person.
    /// - `judge_in_handshake`: the clock to judge by, for a host that wants its refusals in the handshake. The judge
    ///   after the handshake is needed all the same: a resumed session never comes by here.
    /// - `named`: whose authorities the request for a certificate names, which is what browsers choose by. It stays as it is:
    ///   build a new one when the trust changes, and name the authorities of the trust that is to come.
    pub fn new(
        provider: &CryptoProvider,
        trust: Arc<ArcSwap<Trust>>,
        named: &Trust,
        mandatory: bool,
        judge_in_handshake: Option<Clock>,
    ) -> Self {
        let mut names: Vec<Vec<u8>> =
            named.authorities().iter().map(|authority| authority.name().to_vec()).collect();
        names.sort();
        names.dedup();
        Self {
            algorithms: provider.signature_verification_algorithms,
            hints: names.iter().map(|name| DistinguishedName::in_sequence(name)).collect(),
            mandatory,
            judge: judge_in_handshake.map(|clock| (Judge::new(trust), clock)),
        }
    }

    /// The reason for which a handshake that failed with this error was refused: for the log, which would else know
    /// the alert only. `None` if it wasn't the judge that refused.
    pub fn reason(error: &Error) -> Option<Reason> {
        let Error::InvalidCertificate(error) = error else { return None };
        if let CertificateError::Other(OtherError(other)) = error {
            return other.downcast_ref::<RefusedInHandshake>().map(|refused| refused.0.reason);
        }
        let is_its_error = |reason: &Reason| handshake_error(Refusal::new(*reason, "")) == *error;
        Reason::ALL.into_iter().find(is_its_error)
    }

    /// Waives the proof for a certificate that the judge refuses always.
    ///
    /// Footgun, and why it is safe: without this, a client whose key rustls can't even use (RSA-1024, an unknown
    /// curve, bytes that are no certificate) would get an alert instead of a page. [`examine`] depends on the bytes
    /// alone, and the judge calls it first and refuses whatever it refuses, at every time and under every trust. So
    /// an unproven certificate never becomes a good standing. Only failed proofs come by here, and of those only
    /// the ones that failed because of the certificate: a good certificate without its key stays an alert.
    fn unless_refused_always(
        proof: Result<HandshakeSignatureValid, Error>,
        certificate: &CertificateDer<'_>,
    ) -> Result<HandshakeSignatureValid, Error> {
        match proof {
            Err(Error::InvalidCertificate(_)) if examine(certificate).is_err() => {
                Ok(HandshakeSignatureValid::assertion())
            }
            proof => proof,
        }
    }
}

impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let Some((judge, clock)) = &self.judge else { return Ok(ClientCertVerified::assertion()) };
        let chain: Vec<CertificateDer<'_>> = std::iter::once(end_entity)
            .chain(intermediates)
            .map(|der| CertificateDer::from(der.as_ref()))
            .collect();
        match judge.judge(&chain, clock.now()).standing {
            Standing::Good(_) => Ok(ClientCertVerified::assertion()),
            Standing::Refused(refusal) => Err(handshake_error(refusal).into()),
            Standing::Absent => Err(Error::NoCertificatesPresented),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::unless_refused_always(verify_tls12_signature(message, cert, dss, &self.algorithms), cert)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::unless_refused_always(verify_tls13_signature(message, cert, dss, &self.algorithms), cert)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A refusal for which rustls has no word of its own. Its alert is `certificate_unknown`.
#[derive(Debug)]
struct RefusedInHandshake(Refusal);

impl fmt::Display for RefusedInHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.reason, self.0.detail)
    }
}

impl std::error::Error for RefusedInHandshake {}

/// The error whose alert tells the client most.
fn handshake_error(refusal: Refusal) -> CertificateError {
    match refusal.reason {
        Reason::UnknownAuthority => CertificateError::UnknownIssuer,
        Reason::Expired => CertificateError::Expired,
        Reason::NotYetValid => CertificateError::NotValidYet,
        Reason::Revoked => CertificateError::Revoked,
        Reason::RevocationUnknown => CertificateError::UnknownRevocationStatus,
        Reason::WrongUsage => CertificateError::InvalidPurpose,
        Reason::Malformed => CertificateError::BadEncoding,
        Reason::BadSubject | Reason::Suspended | Reason::Retired | Reason::Unregistered => {
            CertificateError::ApplicationVerificationFailure
        }
        Reason::WeakKey | Reason::Absent => {
            CertificateError::Other(OtherError(Arc::new(RefusedInHandshake(refusal))))
        }
    }
}
