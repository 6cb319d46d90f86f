//! Session tickets: the secrets that they are sealed with, when those change, and the keys of one host.
//!
//! The secrets belong to the process (or to all gateways), not to a policy: a host whose settings a reload leaves alone
//! goes on resuming. Every host derives keys of its own from them, over its name and what it asks of a client, so a ticket
//! is noise at any other host, and at the same host under other settings (T1). What is thought of the client is never
//! in a ticket: whoever resumes is judged anew (T2).

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use jiff::Timestamp;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use crate::clock::Clock;

/// What the keys are for, and in which form; other forms will have other names.
const SALT: &[u8] = b"sekisho session tickets 1";
/// Bytes that say which secret a ticket is sealed with.
const NAME: usize = 16;
/// When it was sealed: seconds since 1970, inside the seal.
const TIME: usize = 8;
/// No client certificate chain that passes `limits.handshake` makes a longer one.
const LONGEST: usize = 64 * 1024;

/// What the keys of all hosts are derived from.
#[derive(Clone)]
pub struct TicketSecret {
    bytes: Arc<Zeroizing<Vec<u8>>>,
    /// When it became the first; `None` if it doesn't age by itself.
    made: Option<Timestamp>,
}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketSecret").field("made", &self.made).finish_non_exhaustive()
    }
}

impl TicketSecret {
    /// One that somebody else replaces in time.
    pub fn given(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { bytes: Arc::new(bytes), made: None }
    }

    fn random(now: Timestamp) -> Option<Self> {
        let mut bytes = Zeroizing::new(vec![0; 32]);
        getrandom::fill(&mut bytes).ok()?;
        Some(Self { bytes: Arc::new(bytes), made: Some(now) })
    }
}

/// How long things last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketTimes {
    /// How long a secret of this process's own seals tickets, in seconds.
    pub rotate: i64,
    /// How long a ticket is good for, in seconds. At most seven days (RFC 9846, section 4.7.1).
    pub lifetime: u32,
}

/// The secrets of now, the one that seals first, and when they change.
#[derive(Debug)]
struct Ring {
    secrets: Vec<TicketSecret>,
    times: TicketTimes,
}

impl Ring {
    fn is_due(&self, now: Timestamp) -> bool {
        let made = self.secrets.first().and_then(|secret| secret.made);
        made.is_some_and(|made| now.as_second() - made.as_second() >= self.times.rotate)
    }

    /// With a new secret in front, without those that no living ticket is sealed with. One stays that sealed until now.
    fn rotated(&self, now: Timestamp) -> Self {
        let kept = |(index, _): &(usize, &TicketSecret)| {
            // It sealed until the one before it was made.
            let until = index.checked_sub(1).map_or(Some(now), |newer| self.secrets[newer].made);
            until.is_some_and(|until| now.as_second() - until.as_second() < i64::from(self.times.lifetime))
        };
        let old = self.secrets.iter().enumerate().filter(kept).map(|(_, secret)| secret.clone());
        let secrets = TicketSecret::random(now).into_iter().chain(old).collect();
        Self { secrets, times: self.times }
    }
}

/// The secrets of this process. Cloning shares them.
#[derive(Debug, Clone)]
pub struct TicketKeys {
    ring: Arc<ArcSwap<Ring>>,
    clock: Clock,
}

impl TicketKeys {
    /// None yet: call [`TicketKeys::adopt`].
    pub fn new(clock: Clock) -> Self {
        let ring = Ring { secrets: Vec::new(), times: TicketTimes { rotate: 0, lifetime: 0 } };
        Self { ring: Arc::new(ArcSwap::from_pointee(ring)), clock }
    }

    /// Goes by these from now on: the first `given` seals, all open. With `None`, the process makes its own, and keeps
    /// those that it has made before.
    pub fn adopt(&self, given: Option<Vec<TicketSecret>>, times: TicketTimes) -> Result<(), String> {
        let before = self.ring.load();
        let own =
            || before.secrets.iter().filter(|secret| secret.made.is_some()).cloned().collect::<Vec<_>>();
        let mut secrets = given.unwrap_or_else(own);
        if secrets.is_empty() {
            let made = TicketSecret::random(self.clock.now());
            secrets.push(made.ok_or("the system gives no random bytes for session tickets")?);
        }
        self.ring.store(Arc::new(Ring { secrets, times }));
        Ok(())
    }

    /// What seals and opens the tickets of one host. `policy` tells it from every other, and from itself under other
    /// settings.
    pub fn host(&self, policy: &str) -> Arc<dyn ProducesTickets> {
        let ring = self.ring.load_full();
        let derived = ArcSwap::from_pointee(Derived::new(ring, policy));
        Arc::new(HostTickets { keys: self.clone(), policy: policy.into(), derived })
    }

    /// The ring of `now`: rotated first, if that is due.
    fn at(&self, now: Timestamp) -> Arc<Ring> {
        let ring = self.ring.load_full();
        if !ring.is_due(now) {
            return ring;
        }
        // Of two threads that come at once, one's secret is taken.
        self.ring.compare_and_swap(&ring, Arc::new(ring.rotated(now)));
        self.ring.load_full()
    }
}

/// One host's key from one secret.
struct HostKey {
    name: [u8; NAME],
    key: LessSafeKey,
}

/// One host's keys from one ring.
struct Derived {
    ring: Arc<Ring>,
    keys: Vec<HostKey>,
}

impl Derived {
    fn new(ring: Arc<Ring>, policy: &str) -> Self {
        let keys = ring.secrets.iter().filter_map(|secret| derive(&secret.bytes, policy)).collect();
        Self { ring, keys }
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive(secret: &[u8], policy: &str) -> Option<HostKey> {
    let extracted = Salt::new(HKDF_SHA256, SALT).extract(secret);
    let mut bytes = Zeroizing::new([0; NAME + 32]);
    extracted.expand(&[policy.as_bytes()], Length(NAME + 32)).ok()?.fill(&mut bytes[..]).ok()?;
    let (name, key) = bytes.split_first_chunk::<NAME>()?;
    Some(HostKey { name: *name, key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key).ok()?) })
}

/// The tickets of one host.
struct HostTickets {
    keys: TicketKeys,
    policy: Box<str>,
    derived: ArcSwap<Derived>,
}

impl fmt::Debug for HostTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostTickets").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl HostTickets {
    fn derived(&self, now: Timestamp) -> Arc<Derived> {
        let ring = self.keys.at(now);
        let derived = self.derived.load_full();
        if Arc::ptr_eq(&derived.ring, &ring) {
            return derived;
        }
        let derived = Arc::new(Derived::new(ring, &self.policy));
        self.derived.store(derived.clone());
        derived
    }
}

/// A ticket: name of the key, nonce, and sealed: time, then what rustls wants to know again.
///
/// AES-GCM-SIV, because its nonces are random and a key may be given for years: where AES-GCM falls apart at a nonce
/// that comes again, this tells no more than that two tickets are the same.
impl ProducesTickets for HostTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.keys.ring.load().times.lifetime
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let now = self.keys.clock.now();
        let derived = self.derived(now);
        let HostKey { name, key } = derived.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = [&now.as_second().to_be_bytes(), plain].concat();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut sealed)
            .ok()?;
        Some([&name[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > LONGEST {
            return None;
        }
        let now = self.keys.clock.now();
        let derived = self.derived(now);
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let HostKey { key, .. } = derived.keys.iter().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.open_in_place(nonce, Aad::from(name), &mut sealed).ok()?;
        let (time, plain) = plain.split_first_chunk::<TIME>()?;
        let age = now.as_second().checked_sub(i64::from_be_bytes(*time))?;
        // Gateways' clocks may differ by a little, so a ticket may come from the future.
        (age < i64::from(derived.ring.times.lifetime)).then(|| plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: TicketTimes = TicketTimes { rotate: 8 * 3600, lifetime: 12 * 3600 };

    fn secret(byte: u8) -> TicketSecret {
        TicketSecret::given(Zeroizing::new(vec![byte; 32]))
    }

    fn keys(clock: &Clock, given: Option<&[u8]>) -> TicketKeys {
        let keys = TicketKeys::new(clock.clone());
        keys.adopt(given.map(|bytes| bytes.iter().map(|byte| secret(*byte)).collect()), TIMES).unwrap();
        keys
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    fn opens(at: &Arc<dyn ProducesTickets>, ticket: &[u8]) -> bool {
        at.decrypt(ticket).is_some_and(|plain| plain == b"a session")
    }

    #[test]
    fn the_tickets_of_one_policy_are_noise_to_another() {
        let keys = keys(&Clock::manual(at(0)), Some(&[1]));
        let ticket = keys.host("a none page").encrypt(b"a session").unwrap();
        assert!(opens(&keys.host("a none page"), &ticket));
        for other in ["b none page", "a required page", "a none handshake"] {
            assert!(!opens(&keys.host(other), &ticket), "{other}");
        }
        for at in 0..ticket.len() {
            let mut broken = ticket.clone();
            broken[at] ^= 1;
            assert!(!opens(&keys.host("a none page"), &broken), "byte {at}");
            assert!(!opens(&keys.host("a none page"), &ticket[..at]), "{at} bytes");
        }
    }

    #[test]
    fn gateways_with_a_secret_in_common_open_each_others_tickets() {
        let clock = Clock::manual(at(0));
        let [one, other, own] =
            [Some(&[1, 2][..]), Some(&[2, 3]), None].map(|given| keys(&clock, given).host("a"));
        let (of_one, of_other) = (one.encrypt(b"a session").unwrap(), other.encrypt(b"a session").unwrap());
        assert!(opens(&one, &of_other));
        assert!(!opens(&other, &of_one), "sealed with the first, which the other doesn't have");
        assert!(!opens(&own, &of_one) && !opens(&own, &of_other));
    }

    #[test]
    fn a_reload_keeps_the_tickets_of_before() {
        let clock = Clock::manual(at(0));
        let own = keys(&clock, None);
        let ticket = own.host("a").encrypt(b"a session").unwrap();
        own.adopt(None, TIMES).unwrap();
        assert!(opens(&own.host("a"), &ticket));
        let rotated = keys(&clock, Some(&[1]));
        let host = rotated.host("a");
        let ticket = host.encrypt(b"a session").unwrap();
        rotated.adopt(Some(vec![secret(2), secret(1)]), TIMES).unwrap();
        assert!(opens(&host, &ticket), "a policy that is still in use learns of it, too");
        rotated.adopt(Some(vec![secret(3), secret(2)]), TIMES).unwrap();
        assert!(!opens(&host, &ticket), "two rotations later");
    }

    #[test]
    fn a_ticket_lives_as_long_as_its_lifetime_whatever_is_rotated_meanwhile() {
        for sealed in [0, 7] {
            let clock = Clock::manual(at(0));
            let host = keys(&clock, None).host("a");
            clock.set(at(sealed));
            let ticket = host.encrypt(b"a session").unwrap();
            for hour in sealed..sealed + 12 {
                clock.set(at(hour));
                assert!(opens(&host, &ticket), "sealed at {sealed}, opened at {hour}");
            }
            clock.set(at(sealed + 12));
            assert!(!opens(&host, &ticket));
        }
    }

    #[test]
    fn secrets_are_forgotten_once_no_ticket_needs_them() {
        let clock = Clock::manual(at(0));
        let keys = keys(&clock, None);
        for hour in 0..100 {
            clock.set(at(hour));
            let _ = keys.host("a").encrypt(b"a session").unwrap();
            assert!(keys.at(at(hour)).secrets.len() <= 3);
        }
        assert!(!format!("{keys:?}").contains("bytes"));
    }
}
