//! What a revocation list of a million entries costs: the time until it is verified and in force, memory, the time of a
//! look-up, and of finding that it hasn't changed. Beside it, the memory of webpki's own map of entries.
//!
//! `cargo bench --bench revocation`

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use sekisho::clock::Clock;
use sekisho::pki::{AuthoritySource, Crl, Trust, TrustSource};
use time::OffsetDateTime;

#[path = "parts/list.rs"]
mod list;
#[path = "parts/process.rs"]
mod process;

use list::serial;
use process::status;

const ENTRIES: u64 = 1_000_000;
const LOOK_UPS: u32 = 2_000_000;
const REPEATS: usize = 9;

/// Each step in a process of its own, so that the memory of one is not counted with the other's.
fn main() {
    // Cargo passes `--bench` to the first of them.
    let words: Vec<String> = std::env::args().collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "make", folder] => make(Path::new(folder)),
        [_, "ours", folder] => ours(Path::new(folder)),
        [_, "webpki", folder] => theirs(Path::new(folder)),
        _ => {
            let folder = tempfile::tempdir().expect("a folder");
            for step in ["make", "ours", "webpki"] {
                let status = Command::new(&words[0]).arg(step).arg(folder.path()).status();
                assert!(status.expect("a process").success());
            }
        }
    }
}

fn ours(folder: &Path) {
    let (authorities, lists) = ([AuthoritySource::from(folder.join("ca.pem"))], [folder.join("ca.crl")]);
    let source = TrustSource {
        authorities: &authorities,
        common_name: "(?<contract>[0-9]{14}) (?<user>[0-9A-Za-z]{1,30})",
        crls: Some(&lists),
        grace: Duration::ZERO,
    };
    let now = Clock::System.now();
    let before = status("self", "VmRSS");
    let begun = begin();
    let trust = Trust::load(&source, now).expect("a trust");
    println!("load and verify     {:>10.0} ms", begun.elapsed().as_secs_f64() * 1e3);
    println!("memory              {:>10.1} MiB while loading", megabytes(status("self", "VmHWM"), before));
    println!("                    {:>10.1} MiB after", megabytes(status("self", "VmRSS"), before));

    let list = &trust.crls().expect("lists")[0];
    assert_eq!(u64::try_from(list.entries()).expect("a count"), ENTRIES);
    println!("look-up, revoked    {:>10.0} ns (in random order)", look_up(list, serial, true));
    println!("look-up, good       {:>10.0} ns", look_up(list, |nth| serial(nth + ENTRIES), false));

    let der = std::fs::read(&lists[0]).expect("the list");
    println!("size                {:>10.1} MiB of DER", megabytes(der.len() as u64 / 1024, 0));
    let begun = begin();
    black_box(trust.read_list(&der, list.origin(), now).expect("the same list"));
    println!("unchanged           {:>10.0} ms", begun.elapsed().as_secs_f64() * 1e3);
    let begun = begin();
    black_box(trust.read_list(&der, &"elsewhere".into(), now).expect("a list"));
    println!("verify again        {:>10.0} ms (from memory)", begun.elapsed().as_secs_f64() * 1e3);
}

fn theirs(folder: &Path) {
    let der = std::fs::read(folder.join("ca.crl")).expect("the list");
    let before = status("self", "VmRSS");
    let list = webpki::OwnedCertRevocationList::from_der(&der).expect("a list");
    println!("webpki's owned list {:>10.1} MiB while loading", megabytes(status("self", "VmHWM"), before));
    println!("                    {:>10.1} MiB after", megabytes(status("self", "VmRSS"), before));
    black_box(list);
}

/// The median time of a look-up, in nanoseconds.
fn look_up(list: &Crl, serial: impl Fn(u64) -> Vec<u8>, is_there: bool) -> f64 {
    let serials: Vec<Vec<u8>> = (0..ENTRIES).map(serial).collect();
    let mut times: Vec<Duration> = (0..REPEATS)
        .map(|_| {
            let mut at = 1_u64;
            let begun = begin();
            for _ in 0..LOOK_UPS {
                // A fixed walk that jumps about, so that the processor's cache helps no more than in real life.
                at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let serial = &serials[usize::try_from((at >> 33) % ENTRIES).expect("an index")];
                assert_eq!(black_box(list.names(serial)), is_there);
            }
            begun.elapsed()
        })
        .collect();
    times.sort();
    (times[REPEATS / 2] / LOOK_UPS).as_secs_f64() * 1e9
}

fn make(folder: &Path) {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (now - time::Duration::days(9), now + time::Duration::days(9));
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
    std::fs::write(folder.join("ca.pem"), issuer.pem()).expect("a file");
    std::fs::write(folder.join("ca.crl"), list::make(&issuer, ENTRIES)).expect("a file");
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred MiB")]
fn megabytes(now: u64, before: u64) -> f64 {
    (now - before) as f64 / 1024.0
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn begin() -> Instant {
    Instant::now()
}
