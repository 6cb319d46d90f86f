//! The log is one chain, whatever happens to it.

mod checkpoints;
mod copies;
mod forgeries;

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::segments::beside;
use super::*;
use crate::domain::{ContractId, Identity, UserId};

fn log_with(path: &Path, key: Option<AuditKey>, segment: u64) -> AuditLog {
    AuditLog::open(AuditSettings { file: path.to_owned(), key, segment, syslog: None }).unwrap()
}

fn log(path: &Path) -> AuditLog {
    log_with(path, None, 1 << 20)
}

/// A new key in a file.
fn key(file: &Path) -> AuditKey {
    let text = AuditKey::generate().unwrap();
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).unwrap();
    fs::write(file, text.as_bytes()).unwrap();
    AuditKey::read(file).unwrap()
}

fn line(detail: &str) -> Vec<u8> {
    let identity = Identity { contract: ContractId::new("1000").unwrap(), user: UserId::new("ito").unwrap() };
    let event = AuditEvent {
        time: Timestamp::UNIX_EPOCH,
        kind: "sign_in",
        about: Some((&identity).into()),
        by: "user",
        source: None,
        request_id: None,
        detail: Some(detail),
    };
    event.line().unwrap()
}

fn problems(path: &Path) -> Vec<String> {
    let folder = format!("{}/", path.parent().unwrap().display());
    let report = verify_audit(path, None, false).unwrap();
    report.problems.into_iter().map(|problem| problem.replace(&folder, "")).collect()
}

/// Three records.
fn small(folder: &Path) -> PathBuf {
    let path = folder.join("audit.log");
    let log = log(&path);
    for detail in ["a", "b", "c"] {
        log.append(&line(detail)).unwrap();
    }
    assert_eq!(problems(&path), [""; 0]);
    path
}

#[test]
fn a_log_that_nobody_has_written_to_is_good_and_an_emptied_head_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let log = log(&path);
    assert_eq!(problems(&path), [""; 0]);
    log.append(&line("1")).unwrap();
    assert_eq!(problems(&path), [""; 0]);
    std::fs::write(path.with_extension("log.head"), b"").unwrap();
    assert_eq!(problems(&path), ["the head is empty, and the log is not"]);
}

#[test]
fn a_cut_tail_is_found_and_stays_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let (whole, head) = (fs::read(&path).unwrap(), fs::read(audit_head(&path)).unwrap());
    for size in 0..whole.len() {
        fs::write(&path, &whole[..size]).unwrap();
        assert_ne!(problems(&path), [""; 0], "{size} bytes");
        // Cutting off no more than a line end takes nothing away.
        if size + 1 < whole.len() {
            log(&path).append(&line("d")).unwrap();
            assert_ne!(problems(&path), [""; 0], "{size} bytes, and a record");
        }
        fs::write(audit_head(&path), &head).unwrap();
    }
    let lines: Vec<_> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    fs::write(&path, lines[..2].concat()).unwrap();
    assert_eq!(
        problems(&path),
        ["the head says that there are 3 records, and the log ends with record 2: the rest was cut off"]
    );
    log(&path).append(&line("d")).unwrap();
    assert_eq!(
        problems(&path),
        [
            "audit.log: line 3: expected record 3, found record 4",
            "audit.log: line 3: the log had been cut or changed before this record",
        ]
    );
}

#[test]
fn half_a_record_spoils_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    // What a power cut leaves behind of a record.
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole + "{\"seq\":4,\"pr").unwrap();
    log(&path).append(&line("d")).unwrap();
    let report = verify_audit(&path, None, false).unwrap();
    assert_eq!((report.problems, report.records, report.unfinished), (vec![], 4, 1));
    // It is under the chain like the others.
    let changed = fs::read_to_string(&path).unwrap().replace("{\"seq\":4,\"pr\n", "{\"seq\":4,\"pp\n");
    fs::write(&path, changed).unwrap();
    assert_eq!(problems(&path), ["audit.log: line 5: what stands before record 4 was changed"]);
}

#[test]
fn a_crash_between_record_and_head_is_no_forgery() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let head = fs::read(audit_head(&path)).unwrap();
    log(&path).append(&line("d")).unwrap();
    fs::write(audit_head(&path), head).unwrap();
    let report = verify_audit(&path, None, false).unwrap();
    assert_eq!((report.problems, report.after_head), (vec![], 1));
    log(&path).append(&line("e")).unwrap();
    assert_eq!(problems(&path), [""; 0]);
    assert!(fs::read_to_string(&path).unwrap().contains("audit_head_behind"));
}

#[test]
fn a_head_that_was_taken_away_is_missed_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    fs::remove_file(audit_head(&path)).unwrap();
    assert_eq!(problems(&path), ["the head is missing: records may have been cut off"]);
    log(&path).append(&line("d")).unwrap();
    assert_eq!(
        problems(&path),
        ["audit.log: line 4: the head was lost before this record: others may have been cut off"]
    );
}

#[test]
fn segments_are_one_chain_and_none_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let log = log_with(&path, None, 600);
    for number in 0..8 {
        log.append(&line(&number.to_string())).unwrap();
    }
    let files = audit_segments(&path).unwrap();
    assert!(files.len() > 2, "{files:?}");
    assert_eq!(files[0], beside(&path, "1"));
    assert_eq!(problems(&path), [""; 0]);
    let middle = &files[1];
    let whole = fs::read(middle).unwrap();
    fs::remove_file(middle).unwrap();
    assert_eq!(problems(&path), ["audit.log.2: the segment is missing"]);
    for size in 0..whole.len() {
        fs::write(middle, &whole[..size]).unwrap();
        assert_ne!(problems(&path), [""; 0], "{size} bytes");
    }
    fs::write(middle, &whole).unwrap();
    // A crash between putting a segment away and beginning the next.
    fs::rename(&path, beside(&path, "9")).unwrap();
    log.append(&line("z")).unwrap();
    let last = audit_segments(&path).unwrap();
    assert_eq!(last[last.len() - 2], beside(&path, "9"));
    assert_eq!(problems(&path), [""; 0]);
}

#[test]
fn whoever_has_no_key_can_not_write_the_log_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let key = |name: &str| key(&folder.path().join(name));
    let (ours, forger) = (key("key"), key("forger"));
    let public = ours.public();
    let file = folder.path().join("public");
    fs::write(&file, ours.public_pem()).unwrap();
    assert!(AuditPublicKey::read(&file).is_ok());
    let log = log_with(&path, Some(ours), 600);
    for number in 0..8 {
        log.append(&line(&number.to_string())).unwrap();
    }
    let segments = audit_segments(&path).unwrap().len() as u64;
    let report = verify_audit(&path, Some(&public), false).unwrap();
    // Those at the end and the beginning of segments, and the head's.
    assert_eq!((report.problems, report.signatures), (vec![], 2 * segments - 1));
    assert_eq!((report.signed_to, report.doubts), (report.last, vec![]));
    for (name, key) in [("forged.log", Some(forger)), ("unsigned.log", None)] {
        let path = folder.path().join(name);
        log_with(&path, key, 1 << 20).append(&line("0")).unwrap();
        assert_eq!(
            verify_audit(&path, Some(&public), false).unwrap().problems,
            ["the head's signature is not by this key"]
        );
    }
}

#[test]
fn checkpoints_sign_what_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    log(&path).append(&line("x").repeat(2500)).unwrap();
    let report = verify_audit(&path, None, false).unwrap();
    assert_eq!((report.problems, report.records), (vec![], 2502));
    let text = fs::read_to_string(&path).unwrap();
    let checkpoints = text.lines().enumerate().filter(|(_, line)| line.contains("\"checkpoint\""));
    assert_eq!(checkpoints.map(|(at, _)| at).collect::<Vec<_>>(), [1000, 2000]);
}

#[test]
fn no_text_forges_a_record_or_turns_the_terminal_around() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let evil = "x\"}\n{\"seq\":2,\"kind\":\"lifted\"}\r\u{1b}[2K\u{202e}\u{2028}\u{9b}\u{e0041}\u{7f}";
    log(&path).append(&line(evil)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(text.trim_end().bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{text}");
    assert_eq!(AuditRecord::read(text.as_bytes()).unwrap().detail.as_deref(), Some(evil));
    assert_eq!(problems(&path), [""; 0]);
}

#[test]
fn threads_with_logs_of_their_own_keep_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let log = log_with(&path, None, 3000);
                (0..25).for_each(|number| log.append(&line(&number.to_string())).unwrap());
            });
        }
    });
    let report = verify_audit(&path, None, false).unwrap();
    assert_eq!((report.problems, report.records), (vec![], 100 + 2 * (report.segments - 1)));
}
