//! Gateways that share ticket secrets through the state resume each other's sessions, and lose nothing but that when the
//! state is lost.

use std::time::Duration;

use rustls::HandshakeKind::{self, Full, Resumed};
use rustls::version::{TLS12, TLS13};

use crate::resumption::{VERSIONS, get};
use crate::support::client::Client;
use crate::support::gate::{CERT, WWW};
use crate::support::proxy::{Mood, Proxy};
use crate::support::sites::{Bank, Site};
use crate::support::{eventually, write_secret};

const HOUR: Duration = Duration::from_secs(3600);
const ALONE: &str = "sekisho_ticket_secret_alone";
const IGNORED: &str = "sekisho_ticket_secrets_ignored";

/// How a session that was made at one gateway is taken up at another.
#[track_caller]
fn session(client: &mut Client, from: &Site, to: &Site) -> HandshakeKind {
    client.address = from.address();
    client.config.resumption = rustls::client::Resumption::in_memory_sessions(16);
    let (kind, response) = get(client, CERT);
    assert_eq!((kind, response.status), (Full, 200));
    taken_up(client, to)
}

/// How the session that a client holds is taken up.
#[track_caller]
fn taken_up(client: &mut Client, at: &Site) -> HandshakeKind {
    client.address = at.address();
    let (kind, response) = get(client, CERT);
    assert_eq!(response.status, 200);
    kind
}

#[test]
fn a_session_is_resumed_at_every_gateway_of_one_state_and_after_a_restart() {
    let bank = Bank::start();
    let folder = tempfile::tempdir().unwrap();
    let file = format!("state: {{ url: 'embedded:{}/state.db' }}", folder.path().display());
    for state in [bank.state(), file] {
        for (version, host) in
            VERSIONS.into_iter().flat_map(|version| [CERT, WWW].map(|host| (version, host)))
        {
            let (one, other) = (bank.site_with(&state, &[7; 32]), bank.site_with(&state, &[7; 32]));
            let mut client = bank.client(&one, version);
            assert_eq!(get(&client, host).0, Full);
            client.address = other.address();
            assert_eq!(get(&client, host).0, Resumed, "{host} {version:?} {state}");
            assert_eq!((one.metric(ALONE), other.metric(ALONE)), (0.0, 0.0));
            let again = bank.site_in(one.stop());
            client.address = again.address();
            assert_eq!(get(&client, host).0, Resumed, "{host} {version:?} {state}");
        }
    }
    assert_eq!(bank.secrets().len(), 1, "all of them had the first");
}

#[test]
fn a_new_secret_seals_only_after_every_gateway_could_read_it_and_the_old_one_vanishes() {
    // Redis forgets what is over by its own clock only.
    let bank = Bank::start_ago(26 * HOUR);
    let proxy = Proxy::before(bank.redis.port());
    let (one, cut_off) = (bank.site(), bank.site_with(&Bank::state_at(proxy.port()), &[7; 32]));
    bank.agree(&[&one, &cut_off]);
    let first = bank.secrets();
    let mut old = bank.client(&one, &TLS13);
    proxy.set(Mood::Stall);
    bank.later(8 * HOUR);
    eventually("the next secret", || bank.secrets().len() == 2);
    let mut client = bank.client(&one, &TLS13);
    assert_eq!(session(&mut client, &one, &cut_off), Resumed, "sealed as before");
    assert_eq!(session(&mut old, &one, &one), Resumed);
    bank.later(Duration::from_secs(61));
    assert_eq!(session(&mut client, &one, &cut_off), Full, "sealed with what the other couldn't read");
    proxy.set(Mood::Pass);
    bank.agree(&[&one, &cut_off]);
    assert_eq!(session(&mut client, &one, &cut_off), Resumed);
    assert_eq!(session(&mut client, &cut_off, &one), Resumed);
    assert_eq!(taken_up(&mut old, &cut_off), Resumed, "from before the rotation");
    // With the next rotation after its last ticket died.
    bank.later(16 * HOUR);
    eventually("the first one is gone", || bank.secrets().iter().all(|id| !first.contains(id)));
    assert_eq!(bank.secrets().len(), 2);
}

#[test]
fn a_state_that_forgets_everything_costs_no_resumption() {
    let bank = Bank::start();
    let (one, other) = (bank.site(), bank.site());
    bank.later(Duration::from_secs(61));
    let mut before = bank.client(&one, &TLS12);
    assert_eq!(session(&mut before, &one, &one), Resumed);
    let first = bank.secrets();
    let _: () = bank.redis.tell(&["FLUSHALL"]);
    eventually("another secret", || bank.secrets().len() == 1);
    assert_ne!(bank.secrets(), first);
    let mut client = bank.client(&one, &TLS13);
    assert_eq!(session(&mut client, &one, &other), Resumed, "sealed with what both remember");
    assert_eq!(taken_up(&mut before, &other), Resumed);
    let new = bank.site();
    bank.agree(&[&one, &other, &new]);
    assert_eq!(session(&mut client, &new, &one), Resumed, "sealed with the next before its turn");
    bank.later(Duration::from_secs(61));
    assert_eq!(session(&mut client, &one, &new), Resumed);
    assert_eq!(bank.secrets().len(), 1);
}

#[test]
fn gateways_go_on_without_the_state_for_twice_the_time_and_then_alone_until_it_is_back() {
    let mut bank = Bank::start();
    let (one, other) = (bank.site(), bank.site());
    bank.agree(&[&one, &other]);
    bank.redis.kill();
    let mut client = bank.client(&one, &TLS13);
    bank.later(15 * HOUR);
    assert_eq!(session(&mut client, &one, &other), Resumed, "overdue, and good all the same");
    assert_eq!(one.metric(ALONE), 0.0);
    bank.later(2 * HOUR);
    one.counts(ALONE, 1.0);
    assert_eq!(session(&mut client, &one, &other), Full);
    assert_eq!(session(&mut client, &one, &one), Resumed, "with a secret of its own");
    let mut alone = bank.client(&one, &TLS12);
    assert_eq!(session(&mut alone, &one, &one), Resumed);
    bank.redis.restart();
    bank.agree(&[&one, &other]);
    assert_eq!((one.metric(ALONE), other.metric(ALONE)), (0.0, 0.0));
    assert_eq!(session(&mut client, &one, &other), Resumed);
    assert_eq!(taken_up(&mut alone, &one), Resumed, "from when it was alone");
}

#[test]
fn a_gateway_starts_without_the_state_and_shares_as_soon_as_there_is_one() {
    let mut bank = Bank::start();
    bank.redis.kill();
    let (one, other) = (bank.site(), bank.site());
    one.counts(ALONE, 1.0);
    let mut client = bank.client(&one, &TLS13);
    assert_eq!(session(&mut client, &one, &other), Full);
    assert_eq!(session(&mut client, &one, &one), Resumed);
    bank.redis.restart();
    bank.agree(&[&one, &other]);
    assert_eq!(session(&mut client, &one, &other), Resumed);
    assert_eq!(bank.secrets().len(), 1);
}

#[test]
fn a_secret_that_was_tampered_with_is_ignored_and_another_takes_its_place() {
    let bank = Bank::start();
    let one = bank.site();
    bank.agree(&[&one]);
    let first = bank.secrets().remove(0);
    let value: String = bank.redis.tell(&["HGET", "sekisho:{tickets}", &first]);
    let forged = value.replacen(" 1 ", " 1 1", 1);
    assert_ne!(value, forged);
    let _: () = bank.redis.tell(&["HSET", "sekisho:{tickets}", &first, &forged]);
    one.counts(IGNORED, 1.0);
    let new = bank.site();
    bank.agree(&[&one, &new]);
    assert_eq!(new.metric(IGNORED), 1.0);
    assert_eq!(bank.secrets().len(), 2);
    let mut client = bank.client(&one, &TLS13);
    assert_eq!(session(&mut client, &new, &one), Resumed);
    bank.later(Duration::from_secs(61));
    assert_eq!(session(&mut client, &one, &new), Resumed);
}

#[test]
fn gateways_with_different_secret_files_leave_each_other_alone_and_another_file_ends_what_was_before() {
    let bank = Bank::start();
    let (one, stranger) = (bank.site(), bank.site_with(&bank.state(), &[8; 32]));
    bank.agree(&[&one, &stranger]);
    assert_eq!((one.metric(IGNORED), stranger.metric(IGNORED)), (1.0, 1.0));
    assert_eq!((one.metric(ALONE), stranger.metric(ALONE)), (0.0, 0.0));
    let mut client = bank.client(&one, &TLS13);
    assert_eq!(session(&mut client, &one, &stranger), Full);
    assert_eq!(session(&mut client, &stranger, &one), Full);
    let mut before = bank.client(&one, &TLS12);
    assert_eq!(session(&mut before, &one, &one), Resumed);
    write_secret(&one.folder.path().join("secret"), &[8; 32]);
    assert_eq!(one.reload_with("path: /public", "path: /open"), Ok(()));
    assert_eq!(taken_up(&mut before, &one), Full);
    bank.agree(&[&one, &stranger]);
    assert_eq!(session(&mut client, &one, &stranger), Resumed);
    assert_eq!(bank.secrets().len(), 2, "the one of before is ignored until its time has come");
}

#[test]
fn nobody_but_the_gateway_may_read_the_secret_file_and_it_is_long_enough() {
    let bank = Bank::start();
    let site = bank.site();
    let file = site.folder.path().join("secret");
    write_secret(&file, &[7; 31]);
    let told = site.reload_with("path: /public", "path: /open").unwrap_err();
    assert!(told.contains("secret: it has 31 bytes: 32 are the least"), "{told}");
    write_secret(&file, &[7; 32]);
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&file, readable).unwrap();
    let told = site.reload_with("path: /open", "path: /public").unwrap_err();
    assert!(told.contains("others can read or change this secret: chmod 600 "), "{told}");
}

#[test]
fn a_reload_ends_no_resumption_wherever_the_secrets_come_from() {
    let bank = Bank::start();
    for keys in ["keys: process", "keys: files, files: [secret]", "keys: state, secret_file: secret"] {
        let site = bank.site_of(&format!("resumption: {{ {keys} }}\n{}", bank.state()), &[7; 32]);
        for version in VERSIONS {
            let mut client = bank.client(&site, version);
            assert_eq!(session(&mut client, &site, &site), Resumed);
            let (from, to) =
                if version.version == TLS12.version { ("public", "open") } else { ("open", "public") };
            assert_eq!(site.reload_with(&format!("path: /{from}"), &format!("path: /{to}")), Ok(()));
            assert_eq!(taken_up(&mut client, &site), Resumed, "{keys} {version:?}");
        }
    }
}

#[test]
fn a_reload_with_the_state_down_forgets_no_shared_secret() {
    let mut bank = Bank::start();
    let (one, other) = (bank.site(), bank.site());
    let mut client = bank.client(&one, &TLS13);
    assert_eq!(session(&mut client, &one, &one), Resumed);
    bank.redis.kill();
    assert_eq!(one.reload_with("path: /public", "path: /open"), Ok(()));
    assert_eq!(taken_up(&mut client, &other), Resumed);
    assert_eq!(session(&mut client, &one, &other), Resumed);
    assert_eq!(session(&mut client, &other, &one), Resumed);
}

const PROCESS: &str = "keys: process";
const FILES: &str = "keys: files, files: [secret]";
const STATE: &str = "keys: state, secret_file: secret";

#[test]
fn the_source_of_secrets_changes_with_a_reload() {
    let bank = Bank::start();
    let other = bank.site();
    let site = bank.site_of(&format!("resumption: {{ {PROCESS} }}\n{}", bank.state()), &[7; 32]);
    let mut client = bank.client(&site, &TLS13);
    let steps = [(PROCESS, STATE), (STATE, FILES), (FILES, STATE), (STATE, PROCESS), (PROCESS, FILES)];
    for (from, to) in steps {
        assert_eq!(site.reload_with(from, to), Ok(()));
        let elsewhere = if to == STATE { Resumed } else { Full };
        assert_eq!(session(&mut client, &site, &other), elsewhere, "{from} to {to}");
        assert_eq!(session(&mut client, &other, &site), elsewhere, "{from} to {to}");
        assert_eq!(session(&mut client, &site, &site), Resumed, "{from} to {to}");
        if to != STATE {
            assert_eq!(site.metric("sekisho_ticket_secrets_refreshed_timestamp_seconds"), 0.0);
        }
    }
    assert_eq!(bank.secrets().len(), 1);
}

#[test]
fn what_the_process_sealed_is_opened_after_its_source_changed() {
    let bank = Bank::start();
    for to in [FILES, STATE] {
        let site = bank.site_of(&format!("resumption: {{ {PROCESS} }}\n{}", bank.state()), &[7; 32]);
        let mut client = bank.client(&site, &TLS13);
        assert_eq!(session(&mut client, &site, &site), Resumed);
        assert_eq!(site.reload_with(PROCESS, to), Ok(()));
        assert_eq!(taken_up(&mut client, &site), Resumed, "{to}");
    }
}
