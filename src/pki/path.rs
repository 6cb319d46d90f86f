//! How a trust judges a chain: (chain, trust, now) → a judgement. Pure; the signatures are webpki's work.

use std::cell::Cell;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use super::authority::Authority;
use super::certificate::{Examined, Leaf, Unacceptable, examine};
use super::der;
use super::refusal::of_path_error;
use super::signature::{ACCEPTED, Signed};
use super::subject::CommonNameForm;
use super::trust::Trust;
use super::validity::{Validity, unix_time};
use crate::domain::{Identity, Reason, Refusal, Standing};

/// The longest chain that is looked at, the leaf included.
const MAX_CHAIN: usize = 8;

/// What the judge says of a chain, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Absent, good or refused.
    pub standing: Standing,
    /// The client's own certificate, as far as it can be read. Of a refused one not even the possession of its
    /// key may be proven (see `verifier.rs`): it is something to log, never something to trust.
    pub leaf: Option<Leaf>,
    /// The seconds within which a good standing stays good under the same trust: every certificate of the path is
    /// valid, and every CRL that spoke for it is in force. `None` unless the standing is good.
    pub validity: Option<Validity>,
    /// Who signed it: SHA-256 of that CA's public key, as [`super::Issuer::id`] has it. `None` unless the standing is good.
    pub signer: Option<String>,
    /// Who vouches for it: the CA that signed it first, the authority that we believe last. Empty unless the standing is good.
    pub issuers: Vec<Arc<CertificateDer<'static>>>,
}

impl Judgement {
    /// The judgement of a connection without a certificate.
    pub const ABSENT: Self =
        Self { standing: Standing::Absent, leaf: None, validity: None, signer: None, issuers: Vec::new() };

    /// The last second at which a good standing holds.
    pub fn valid_until(&self) -> Option<Timestamp> {
        self.validity.map(|validity| validity.until)
    }

    fn refused(refusal: Refusal, leaf: Option<Leaf>) -> Self {
        Self { standing: Standing::Refused(refusal), leaf, ..Self::ABSENT }
    }
}

/// A path that was accepted.
struct Accepted<'a> {
    /// How long it holds.
    validity: Validity,
    /// In which form the subject is.
    common_name: &'a CommonNameForm,
    /// Whose signature the leaf bears.
    signer: String,
    /// All that vouch for it, up to the anchor.
    issuers: Vec<Arc<CertificateDer<'static>>>,
}

impl Trust {
    /// Judges a chain as it came from the client, its own certificate first.
    ///
    /// What is wrong is looked for in this order: the certificate's shape and strength (see `examine`), whether it
    /// is ours at all, the path with its dates and revocations, the usages, the subject. So the reason is the one
    /// that somebody can act on: our expired certificate has expired; a stranger's is a stranger's, expired or not.
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Judgement {
        let Some((first, others)) = chain.split_first() else { return Judgement::ABSENT };
        let examined = match examine(first) {
            Ok(examined) => examined,
            Err(Unacceptable { refusal, leaf }) => return Judgement::refused(refusal, leaf),
        };
        if chain.len() > MAX_CHAIN {
            let refusal = Refusal::new(Reason::Malformed, "the chain has more than 8 certificates");
            return Judgement::refused(refusal, Some(examined.leaf));
        }
        match self.believe(first, &examined, others, now) {
            Ok((identity, Accepted { validity, signer, issuers, .. })) => Judgement {
                standing: Standing::Good(identity),
                leaf: Some(examined.leaf),
                validity: Some(validity),
                signer: Some(signer),
                issuers,
            },
            Err(refusal) => Judgement::refused(refusal, Some(examined.leaf)),
        }
    }

    fn believe(
        &self,
        first: &CertificateDer<'_>,
        examined: &Examined<'_>,
        others: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<(Identity, Accepted<'_>), Refusal> {
        let accepted = self.path(examined, others, now).map_err(|error| {
            let refusal = of_path_error(&error, &examined.leaf, now);
            // webpki looks at dates and usages before it looks for an issuer.
            if refusal.reason == Reason::WeakKey || self.is_ours(first, others) {
                refusal
            } else {
                Refusal::new(Reason::UnknownAuthority, "no path leads to one of the authorities")
            }
        })?;
        examined.usages?;
        let identity = accepted.common_name.identity(examined.certificate.subject())?;
        Ok((identity, accepted))
    }

    /// A verified path to an anchor, that we accept as well.
    fn path(
        &self,
        examined: &Examined<'_>,
        others: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Accepted<'_>, webpki::Error> {
        let listed = self.authorities.intermediates().iter();
        let intermediates: Vec<CertificateDer<'_>> =
            others.iter().chain(listed).map(|der| CertificateDer::from(der.as_ref())).collect();
        let accepted = Cell::new(None);
        // Within the search, so that a path which we don't accept doesn't hide another one that we would.
        let accept = |path: &VerifiedPath<'_>| {
            accepted.set(Some(self.accept(path, examined.leaf.validity(), now)?));
            Ok(())
        };
        examined.certificate.verify_for_usage(
            ACCEPTED,
            self.authorities.anchors(),
            &intermediates,
            unix_time(now),
            KeyUsage::client_auth(),
            None,
            Some(&accept),
        )?;
        accepted.take().ok_or(webpki::Error::UnknownIssuer)
    }

    /// What webpki leaves out: keyUsage of the intermediates; dates and path length of the anchor (which RFC 5280
    /// leaves to us); and revocation (see `crl.rs`), of every certificate below the anchor.
    fn accept(
        &self,
        path: &VerifiedPath<'_>,
        leaf: Validity,
        now: Timestamp,
    ) -> Result<Accepted<'_>, webpki::Error> {
        let mut issuers = path
            .intermediate_certificates()
            .map(|certificate| Authority::read(certificate.der().into_owned()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| webpki::Error::EndEntityUsedAsCa)?;
        issuers.push(self.anchor(path, issuers.len(), now)?.clone());
        let mut validity = issuers.iter().fold(leaf, |validity, issuer| validity.and(issuer.validity()));

        // The nearest authority above the leaf that has a form of its own; a CA nearby speaks for those further up.
        let own = issuers.iter().find_map(|it| self.authorities.common_name(it.name(), it.key()));
        let common_name = own.unwrap_or(&self.common_name);

        let signer = issuers[0].key_id();
        let vouching = issuers.iter().map(|issuer| issuer.der().clone()).collect();
        let accepted = |validity| Accepted { validity, common_name, signer, issuers: vouching };
        let Some(crls) = &self.crls else { return Ok(accepted(validity)) };
        let serials = path.intermediate_certificates().map(|certificate| certificate.serial());
        for (serial, issuer) in std::iter::once(path.end_entity().serial()).chain(serials).zip(&issuers) {
            let crl = crls
                .iter()
                .find(|crl| crl.is_by(issuer.name(), issuer.key()))
                .ok_or(webpki::Error::UnknownRevocationStatus)?;
            // The one verdict that a stale list still supports: what it names stays revoked.
            if crl.names(serial) {
                return Err(webpki::Error::CertRevoked);
            }
            if !crl.speaks(self.grace, now) {
                let next_update = unix_time(crl.next_update());
                return Err(webpki::Error::CrlExpired { time: unix_time(now), next_update });
            }
            validity = validity.and(crl.speaks_for(self.grace));
        }
        Ok(accepted(validity))
    }

    /// The authority at the end of the path, if it may vouch for somebody over so many intermediates.
    fn anchor(
        &self,
        path: &VerifiedPath<'_>,
        intermediates: usize,
        now: Timestamp,
    ) -> Result<&Authority, webpki::Error> {
        let mut error = webpki::Error::UnknownIssuer;
        for authority in self.authorities.behind(path.anchor()) {
            let Validity { from, until } = authority.validity();
            let (time, not_before, not_after) = (unix_time(now), unix_time(from), unix_time(until));
            if !authority.allows_below(intermediates) {
                error = webpki::Error::PathLenConstraintViolated;
            } else if time < not_before {
                error = webpki::Error::CertNotValidYet { time, not_before };
            } else if time > not_after {
                error = webpki::Error::CertExpired { time, not_after };
            } else {
                return Ok(authority);
            }
        }
        Err(error)
    }

    /// Whether signatures lead from a leaf to one of the authorities, whatever else is wrong. This only ever chooses
    /// between reasons of a refusal: it takes the first issuer that fits and never turns back.
    fn is_ours(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> bool {
        let mut current = leaf;
        for _ in 0..MAX_CHAIN {
            let (Ok(certificate), Some(signed)) = (EndEntityCert::try_from(current), Signed::read(current))
            else {
                return false;
            };
            let mut authorities = self.authorities.named(certificate.issuer());
            if authorities.any(|authority| signed.is_by(authority.key())) {
                return true;
            }
            let issuer = others.iter().find(|other| {
                EndEntityCert::try_from(*other).is_ok_and(|other| {
                    let key = other.subject_public_key_info();
                    other.subject() == certificate.issuer()
                        && der::only(&key, der::SEQUENCE).is_some_and(|key| signed.is_by(key))
                })
            });
            match issuer {
                Some(issuer) => current = issuer,
                None => return false,
            }
        }
        false
    }
}
