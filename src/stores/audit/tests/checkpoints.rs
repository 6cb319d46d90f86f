//! What is signed when, and what a process that was there can't be deceived about.

use super::*;

fn kinds(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| AuditRecord::read(line.as_bytes()).unwrap().kind).collect()
}

#[test]
fn a_checkpoint_signs_what_was_added_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let key = key(&folder.path().join("key"));
    let public = key.public();
    let log = log_with(&path, Some(key), 1 << 20);
    log.checkpoint(Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(kinds(&path), [""; 0]);
    log.append(&line("a")).unwrap();
    log.checkpoint(Timestamp::UNIX_EPOCH).unwrap();
    log.checkpoint(Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(kinds(&path), ["sign_in", "checkpoint"]);
    log.rotate(&line("b")).unwrap();
    assert_eq!(kinds(&beside(&path, "1")), ["sign_in", "checkpoint", "segment_closed"]);
    log.checkpoint(Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(kinds(&path), ["segment_opened", "sign_in", "checkpoint"]);
    let report = verify_audit(&path, Some(&public), false).unwrap();
    assert_eq!((report.problems, report.signatures, report.signed_to), (vec![], 5, 6));
}

/// Without the files around it, as an archive has it.
#[test]
fn a_cut_end_of_a_single_segment_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let key = key(&folder.path().join("key"));
    let public = key.public();
    let log = log_with(&path, Some(key), 1 << 20);
    log.append(&line("a")).unwrap();
    log.append(&line("b")).unwrap();
    log.rotate(&line("c")).unwrap();
    let first = beside(&path, "1");
    let alone = |path: &Path| {
        let report = verify_audit(path, Some(&public), true).unwrap();
        [report.problems, report.doubts].concat()
    };
    assert_eq!(alone(&first), [""; 0]);
    let whole = fs::read_to_string(&first).unwrap();
    let cut: Vec<&str> = whole.split_inclusive('\n').take(2).collect();
    fs::write(&first, cut.concat()).unwrap();
    assert_eq!(
        alone(&first),
        [
            "the segment is not closed: it is the newest one, or its end was cut off",
            "no signature covers the records after 0"
        ]
    );
    // The newest isn't closed, and that is all that can be said of it.
    log.checkpoint(Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(alone(&path), ["the segment is not closed: it is the newest one, or its end was cut off"]);
}

#[test]
fn an_old_log_with_its_own_old_head_deceives_no_process_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let (old, head) = (fs::read(&path).unwrap(), fs::read(audit_head(&path)).unwrap());
    let put_back = || {
        fs::write(&path, &old).unwrap();
        fs::write(audit_head(&path), &head).unwrap();
        assert_eq!(problems(&path), [""; 0]);
    };
    let gateway = log(&path);
    gateway.append(&line("d")).unwrap();
    put_back();
    // Also if nobody does anything.
    gateway.checkpoint(Timestamp::UNIX_EPOCH).unwrap();
    let told = [
        "audit.log: line 4: expected record 4, found record 5",
        "audit.log: line 4: the log had been cut or changed before this record",
    ];
    assert_eq!(problems(&path), told);
    // The same with records of others behind it, as many as there were.
    put_back();
    log(&path).append(&[line("e"), line("f"), line("g"), line("h")].concat()).unwrap();
    assert_eq!(problems(&path), [""; 0]);
    gateway.append(&line("i")).unwrap();
    assert_eq!(problems(&path), ["audit.log: line 8: the log had been cut or changed before this record"]);
    // And with nothing left at all.
    let gateway = log(&path);
    gateway.append(&line("j")).unwrap();
    fs::remove_file(&path).unwrap();
    fs::remove_file(audit_head(&path)).unwrap();
    gateway.append(&line("k")).unwrap();
    assert_eq!(
        problems(&path)[1..],
        ["audit.log: line 1: the log had been cut or changed before this record"]
    );
}

#[test]
fn others_may_go_on_and_begin_segments_without_being_suspected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let (gateway, command) = (log(&path), log(&path));
    for turn in ["a", "b", "c"] {
        gateway.append(&line(turn)).unwrap();
        command.append(&line(turn)).unwrap();
        gateway.checkpoint(Timestamp::UNIX_EPOCH).unwrap();
        command.rotate(&line(turn)).unwrap();
        gateway.append(&line(turn)).unwrap();
        gateway.rotate(&line(turn)).unwrap();
    }
    assert_eq!(problems(&path), [""; 0]);
    let report = verify_audit(&path, None, false).unwrap();
    assert_eq!((report.doubts, report.segments), (vec![], 7));
}

/// A crash between the record that closes a segment and its new name.
#[test]
fn a_closed_segment_that_was_not_put_away_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    log(&path).rotate(&line("d")).unwrap();
    fs::remove_file(&path).unwrap();
    fs::rename(beside(&path, "1"), &path).unwrap();
    let report = verify_audit(&path, None, true).unwrap();
    assert_eq!((report.problems, report.closed), (vec![], true));
    let text = serde_json::json!({ "seq": report.last, "hash": report.last_hash }).to_string();
    fs::write(audit_head(&path), format!("{text:<511}\n")).unwrap();
    log(&path).append(&line("e")).unwrap();
    log(&path).rotate(&line("f")).unwrap();
    assert_eq!(problems(&path), [""; 0]);
}
