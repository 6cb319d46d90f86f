//! Half of what the gate can do, for as long as one likes: whether memory and open files stay as they are.

use std::time::Duration;

use crate::load::{CASES, Load, What, Work, begin, count, p99};
use crate::server::{PEERS, Site};

/// How often it says how things are.
const EVERY: Duration = Duration::from_secs(60);

/// Who uses how much of the processor that the gate has.
const SHARES: [(&str, What, f64); 5] = [
    ("http1", What::Http1("/"), 0.20),
    ("http2", What::Http2, 0.15),
    ("full", What::Handshake { resumed: false }, 0.05),
    ("resumed", What::Handshake { resumed: true }, 0.05),
    ("download", What::Http1("/large"), 0.05),
];

pub(crate) async fn run(site: &Site, load: &Load, duration: Duration) {
    let gate = PEERS.iter().find(|peer| peer.name == "sekisho-whole").expect("it is there");
    let server = site.start(gate).await.expect("a server");
    let mut all = Vec::new();
    for (name, what, share) in SHARES {
        let case = CASES.iter().find(|case| case.name == name).expect("it is there");
        let cost = load.measure(case, &server).await.cost;
        let rate = share * 1e6 / cost;
        println!("{name:<10} {cost:>8.1} µs of processor time for each, so {rate:.0} a second");
        all.push((name, load.begin(Work { what, clients: 64, rate: Some(rate) }, server.port)));
    }
    let (begun, mut before) = (begin(), server.processor_time());
    while begun.elapsed() < duration {
        tokio::time::sleep(EVERY.min(duration)).await;
        let spent = server.processor_time();
        println!(
            "{:>4} min  {:>3.0} % of a processor  {:>6} KiB  {:>4} files",
            begun.elapsed().as_secs() / 60,
            (spent - before).as_secs_f64() / EVERY.min(duration).as_secs_f64() * 100.0,
            server.memory(),
            server.open_files(),
        );
        before = spent;
        for (name, working) in &all {
            let tally = &working.tally;
            println!(
                "          {name:<10} {:>10.0} done  {} failed  p99 {:.0} µs",
                count(tally.done.get()),
                tally.failed.get(),
                p99(working.take_times()),
            );
        }
    }
    for (_, working) in all {
        working.end().await;
    }
}
