//! Session tickets: the secrets that they are sealed with, when those change, and the keys of one host.
//!
//! The secrets belong to the process (or to all gateways), not to a policy: a host whose settings a reload leaves alone
//! goes on resuming. Every host derives keys of its own from them, over its name and what it asks of a client, so a ticket
//! is noise at any other host, and at the same host under other settings (T1). What is thought of the client is never
//! in a ticket: whoever resumes is judged anew (T2).

mod ring;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use jiff::Timestamp;
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use self::ring::Ring;
use crate::clock::Clock;

pub use self::ring::{TicketSecret, TicketTimes};

/// What the keys are for, and in which form; other forms will have other names.
const SALT: &[u8] = b"sekisho session tickets 1";
/// Bytes that say which secret a ticket is sealed with.
const NAME: usize = 16;
/// When it was sealed: seconds since 1970, inside the seal.
const TIME: usize = 8;
/// No client certificate chain that passes `limits.handshake` makes a longer one.
const LONGEST: usize = 64 * 1024;

/// The secrets of this process. Cloning shares them.
#[derive(Debug, Clone)]
pub struct TicketKeys {
    ring: Arc<ArcSwap<Ring>>,
    clock: Clock,
}

/// The right to say which secrets gateways share, until something else is adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketAdoption(u64);

impl TicketKeys {
    /// None yet: call [`TicketKeys::adopt`].
    pub fn new(clock: Clock) -> Self {
        let times = TicketTimes { rotate: 0, lifetime: 0 };
        let ring = Ring { secrets: Vec::new(), times, adoption: 0 };
        Self { ring: Arc::new(ArcSwap::from_pointee(ring)), clock }
    }

    /// Goes by these from now on: one of `given` seals, all open. Where none of them may seal, the process makes its
    /// own; those that it has made before open as long as tickets need them.
    pub fn adopt(&self, given: &[TicketSecret], times: TicketTimes) -> Result<TicketAdoption, String> {
        let now = self.clock.now();
        self.ring.rcu(|ring| {
            let before = Ring { secrets: ring.secrets.clone(), times, adoption: ring.adoption + 1 };
            before.with(given, now)
        });
        let ring = self.at(now);
        match ring.sealer(now) {
            Some(_) => Ok(TicketAdoption(ring.adoption)),
            None => Err("the system gives no random bytes for session tickets".to_owned()),
        }
    }

    /// Has tickets sealed and opened with these shared secrets, if nothing else was adopted since.
    pub fn share(&self, adoption: TicketAdoption, given: &[TicketSecret]) {
        let now = self.clock.now();
        self.ring.rcu(|ring| {
            if TicketAdoption(ring.adoption) == adoption {
                Arc::new(ring.with(given, now))
            } else {
                ring.clone()
            }
        });
    }

    /// Whether tickets are sealed with a secret that only this process knows.
    pub fn seal_alone(&self) -> bool {
        self.ring.load().seals_alone(self.clock.now())
    }

    /// What seals and opens the tickets of one host. `policy` tells it from every other, and from itself under other
    /// settings.
    pub fn host(&self, policy: &str) -> Arc<dyn ProducesTickets> {
        let ring = self.ring.load_full();
        let derived = ArcSwap::from_pointee(Derived::new(ring, policy));
        Arc::new(HostTickets { keys: self.clone(), policy: policy.into(), derived })
    }

    /// The ring of `now`: with a new secret of the process's own first, if that is due.
    fn at(&self, now: Timestamp) -> Arc<Ring> {
        let ring = self.ring.load_full();
        if ring.sealer(now).is_some() {
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

/// One host's keys from one ring, one for each secret of it.
struct Derived {
    ring: Arc<Ring>,
    keys: Vec<Option<HostKey>>,
}

impl Derived {
    fn new(ring: Arc<Ring>, policy: &str) -> Self {
        let keys = ring.secrets.iter().map(|secret| derive(&secret.bytes, policy)).collect();
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
        let HostKey { name, key } = derived.keys.get(derived.ring.sealer(now)?)?.as_ref()?;
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
        let HostKey { key, .. } = derived.keys.iter().flatten().find(|key| key.name == *name)?;
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

    const HOUR: i64 = 3600;
    const TIMES: TicketTimes = TicketTimes { rotate: 8 * 3600, lifetime: 12 * 3600 };

    fn secret(byte: u8) -> TicketSecret {
        TicketSecret::given(Zeroizing::new(vec![byte; 32]))
    }

    fn keys(clock: &Clock, given: Option<&[u8]>) -> TicketKeys {
        let keys = TicketKeys::new(clock.clone());
        let given: Vec<_> = given.unwrap_or_default().iter().map(|byte| secret(*byte)).collect();
        keys.adopt(&given, TIMES).unwrap();
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
        own.adopt(&[], TIMES).unwrap();
        assert!(opens(&own.host("a"), &ticket));
        let rotated = keys(&clock, Some(&[1]));
        let host = rotated.host("a");
        let ticket = host.encrypt(b"a session").unwrap();
        rotated.adopt(&[secret(2), secret(1)], TIMES).unwrap();
        assert!(opens(&host, &ticket), "a policy that is still in use learns of it, too");
        rotated.adopt(&[secret(3), secret(2)], TIMES).unwrap();
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

    /// A shared secret of this byte, which seals from one hour to the other.
    fn shared(byte: u8, from: i64, until: i64) -> TicketSecret {
        let second = |hours| at(hours).as_second();
        TicketSecret::shared(&Zeroizing::new(vec![byte; 32]), second(from), second(until))
    }

    #[test]
    fn a_shared_secret_seals_in_its_turn_and_early_only_where_there_is_no_other() {
        let (clock, bystander) = (Clock::manual(at(0)), Clock::manual(at(0)));
        let host = keys(&clock, None);
        let adoption = host.adopt(&[shared(1, 1, 17), shared(2, 9, 25)], TIMES).unwrap();
        let sealed_by = |byte: u8| {
            let ticket = host.host("a").encrypt(b"a session").unwrap();
            bystander.set(clock.now());
            opens(&keys(&bystander, Some(&[byte])).host("a"), &ticket)
        };
        for (hour, byte) in [(0, 1), (1, 1), (8, 1), (9, 2), (17, 2), (24, 2)] {
            clock.set(at(hour));
            assert!(sealed_by(byte), "by {byte} at {hour}");
            assert!(!host.seal_alone());
        }
        // Nobody could be asked for the next one.
        clock.set(at(25));
        assert!(host.seal_alone() && !sealed_by(1) && !sealed_by(2));
        let alone = host.host("a").encrypt(b"a session").unwrap();
        host.share(adoption, &[shared(2, 9, 25), shared(3, 26, 42)]);
        assert!(sealed_by(3) && !host.seal_alone());
        assert!(opens(&host.host("a"), &alone), "what it sealed by itself, it opens");
    }

    #[test]
    fn whoever_speaks_for_a_source_that_was_left_is_not_heard() {
        let clock = Clock::manual(at(0));
        let keys = keys(&clock, None);
        let left = keys.adopt(&[shared(1, 0, 16)], TIMES).unwrap();
        keys.adopt(&[], TIMES).unwrap();
        keys.share(left, &[shared(2, 0, 16)]);
        assert!(keys.seal_alone());
        assert_eq!(keys.at(at(0)).secrets.len(), 1);
    }

    #[test]
    fn a_change_of_the_source_leaves_what_the_process_sealed_by_itself() {
        for given in [secret(1), shared(1, 0, 16)] {
            let clock = Clock::manual(at(0));
            let keys = keys(&clock, None);
            let host = keys.host("a");
            let ticket = host.encrypt(b"a session").unwrap();
            keys.adopt(&[given], TIMES).unwrap();
            assert!(opens(&host, &ticket));
            keys.adopt(&[], TIMES).unwrap();
            assert!(opens(&host, &ticket));
            clock.set(at(0) + jiff::SignedDuration::from_secs(12 * HOUR - 1));
            assert!(opens(&host, &ticket));
            let _ = host.encrypt(b"another");
            assert!(opens(&host, &ticket));
        }
    }
}
