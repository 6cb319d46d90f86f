//! What the registry costs at 200,000 credentials: memory, the time until it is loaded and until one change has reached
//! it, and the time of a judgement.
//!
//! `cargo bench --bench registry`

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use sekisho::app::Stores;
use sekisho::clock::Clock;
use sekisho::config::{self, Registration};
use sekisho::domain::{ContractId, Identity, UserId};
use sekisho::stores::{Page, Registered, Registry};

#[path = "parts/directory.rs"]
mod directory;
#[path = "parts/process.rs"]
mod process;

use directory::{CREDENTIALS, LARGE_CONTRACT, contract, fill, fingerprint, place};
use process::status;

const JUDGEMENTS: u32 = 2_000_000;
const REPEATS: usize = 9;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let document = lay_out(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stores = Stores::open(&document).await.expect("stores");
        fill(&folder.path().join("data/sekisho.db")).await;
        let now = Clock::System.now();

        let before = resident();
        let registry = Registry::new(true, Registration::Required);
        let begun = begin();
        stores.directory.refresh(&registry, now).await.expect("a picture");
        println!("load                {:>10.0} ms", begun.elapsed().as_secs_f64() * 1e3);
        let count: u64 = registry.count_credentials(now).iter().map(|(_, count)| count).sum();
        assert_eq!(count, CREDENTIALS);
        println!("memory              {:>10.1} MiB while loading and after", megabytes(peak(), before));
        println!("                    {:>10.1} MiB after", megabytes(resident(), before));

        let judgement = judge(&registry);
        println!(
            "judgement           {:>10.0} ns (user and credential, in random order)",
            nanoseconds(judgement)
        );
        let idle = repeat(async || {
            stores.directory.refresh(&registry, Clock::System.now()).await.expect("nothing new")
        });
        println!("refresh, no change  {:>10.0} µs", microseconds(idle.await));
        let nth = std::cell::Cell::new(0);
        let changed = repeat(async || {
            nth.set(nth.get() + 1);
            stores.directory.first_use(&fingerprint(nth.get()), now).await.expect("a change");
            stores.directory.refresh(&registry, now).await.expect("a change");
        });
        println!("change and refresh  {:>10.0} µs (SQLite's fsync included)", microseconds(changed.await));
        let contract = ContractId::new(&contract(0)).expect("a contract ID");
        let page = repeat(async || {
            let page = Page { offset: 5000, limit: 50 };
            let members = stores.directory.members(&contract, "", page, now).await.expect("members");
            assert_eq!((members.total, members.members.len()), (LARGE_CONTRACT, 50));
        });
        println!("page of 10,000      {:>10.1} ms", microseconds(page.await) / 1e3);
        let found = repeat(async || {
            let page = Page { offset: 0, limit: 50 };
            let members = stores.directory.members(&contract, "user00012", page, now).await.expect("members");
            assert_eq!(members.total, 10);
        });
        println!("search in 10,000    {:>10.1} ms", microseconds(found.await) / 1e3);
    });
}

/// The time of one judgement: what a request asks of the registry.
fn judge(registry: &Registry) -> Duration {
    let known: Vec<(Identity, [u8; 32])> = (0..CREDENTIALS)
        .map(|nth| {
            let (contract, user) = place(nth);
            let identity = Identity {
                contract: ContractId::new(&contract).expect("a contract ID"),
                user: UserId::new(&user).expect("a user ID"),
            };
            let mut bytes = [0; 32];
            bytes[24..].copy_from_slice(&nth.to_be_bytes());
            (identity, bytes)
        })
        .collect();
    let mut times: Vec<Duration> = (0..REPEATS)
        .map(|_| {
            let mut at = 1_u64;
            let begun = begin();
            for _ in 0..JUDGEMENTS {
                // A fixed walk that jumps about, so that the processor's cache helps no more than in real life.
                at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let (identity, fingerprint) =
                    &known[usize::try_from((at >> 33) % CREDENTIALS).expect("an index")];
                assert!(black_box(registry.objection(fingerprint)).is_none());
                assert!(matches!(black_box(registry.find(identity, false)), Registered::Known(_)));
            }
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[REPEATS / 2] / JUDGEMENTS
}

async fn repeat(mut what: impl AsyncFnMut()) -> Duration {
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let begun = begin();
        what().await;
        times.push(begun.elapsed());
    }
    times.sort();
    times[REPEATS / 2]
}

fn lay_out(folder: &Path) -> config::Document {
    let file = folder.join("sekisho.yaml");
    std::fs::write(
        &file,
        "listeners: [{ bind: '127.0.0.1:0' }]
hosts: { www.localhost: { tls: { certificate: www.pem, key: www.key }, client_certificate: none } }
directory: { url: 'sqlite:data/sekisho.db', timeout: 60s }
audit: { file: audit.log }
",
    )
    .expect("a file");
    config::load(&file).expect("a good file")
}

/// The process's memory, in KiB.
fn resident() -> u64 {
    status("self", "VmRSS")
}

/// The most it ever was.
fn peak() -> u64 {
    status("self", "VmHWM")
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred MiB")]
fn megabytes(now: u64, before: u64) -> f64 {
    (now - before) as f64 / 1024.0
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn begin() -> Instant {
    Instant::now()
}
