//! Somebody at the files: every byte, every line, every file, the head.

use super::*;

/// A signed log of three segments, and the half of its key that is no secret.
fn signed(folder: &Path) -> (PathBuf, AuditPublicKey) {
    let path = folder.join("audit.log");
    let key = key(&folder.join("key"));
    let public = key.public();
    let log = log_with(&path, Some(key), 1 << 20);
    for detail in ["a", "b", "c"] {
        log.append(&line(detail)).unwrap();
        if detail != "c" {
            log.rotate(&line("rotated")).unwrap();
        }
    }
    assert_eq!(audit_segments(&path).unwrap().len(), 3);
    assert_eq!(found(&path, &public), [""; 0]);
    (path, public)
}

/// The problems, and with them what a crash would explain.
fn found(path: &Path, public: &AuditPublicKey) -> Vec<String> {
    let report = verify_audit(path, Some(public), false).unwrap();
    [report.problems, report.doubts].concat()
}

/// Every file of a log.
fn files(path: &Path) -> Vec<PathBuf> {
    [audit_segments(path).unwrap(), vec![audit_head(path)]].concat()
}

#[test]
fn every_byte_of_every_file_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (path, public) = signed(folder.path());
    for file in files(&path) {
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 7);
            fs::write(&file, bytes).unwrap();
            let problems = verify_audit(&path, Some(&public), false).unwrap().problems;
            assert_ne!(problems, [""; 0], "byte {at} of {}", file.display());
        }
        fs::write(&file, whole).unwrap();
    }
    assert_eq!(found(&path, &public), [""; 0]);
}

#[test]
fn no_byte_can_be_taken_out_or_put_in() {
    let folder = tempfile::tempdir().unwrap();
    let (path, public) = signed(folder.path());
    for file in files(&path) {
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            // The line end of the last line takes no record with it.
            if at + 1 == whole.len() {
                continue;
            }
            let (before, behind) = whole.split_at(at);
            let bytes = match at % 3 {
                0 => [before, &behind[1..]].concat(),
                1 => [before, b" ", behind].concat(),
                _ => [before, b"\n", behind].concat(),
            };
            fs::write(&file, bytes).unwrap();
            assert_ne!(found(&path, &public), [""; 0], "byte {at} of {}", file.display());
        }
        fs::write(&file, whole).unwrap();
    }
}

#[test]
fn no_file_can_be_cut_or_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let (path, public) = signed(folder.path());
    for file in files(&path) {
        let whole = fs::read(&file).unwrap();
        for size in 0..whole.len() {
            fs::write(&file, &whole[..size]).unwrap();
            let problems = verify_audit(&path, Some(&public), false).unwrap().problems;
            assert_ne!(problems, [""; 0], "{size} bytes of {}", file.display());
        }
        if file != path {
            fs::remove_file(&file).unwrap();
            assert_ne!(found(&path, &public), [""; 0], "without {}", file.display());
        }
        fs::write(&file, whole).unwrap();
    }
    // Nor be put into the place of another.
    let (first, second) = (beside(&path, "1"), beside(&path, "2"));
    let (a, b) = (fs::read(&first).unwrap(), fs::read(&second).unwrap());
    fs::write(&first, &b).unwrap();
    fs::write(&second, &a).unwrap();
    assert_ne!(found(&path, &public), [""; 0]);
}

#[test]
fn no_line_of_any_file_can_be_swapped_removed_doubled_or_put_in() {
    let folder = tempfile::tempdir().unwrap();
    let (path, public) = signed(folder.path());
    for file in audit_segments(&path).unwrap() {
        let whole = fs::read(&file).unwrap();
        let lines: Vec<_> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        let mut tries = Vec::new();
        for at in 0..lines.len() {
            let mut removed = lines.clone();
            removed.remove(at);
            let mut doubled = lines.clone();
            doubled.insert(at, lines[at]);
            tries.extend([removed, doubled]);
            for other in 0..at {
                let mut swapped = lines.clone();
                swapped.swap(at, other);
                tries.push(swapped);
            }
        }
        for lines in tries {
            fs::write(&file, lines.concat()).unwrap();
            assert_ne!(verify_audit(&path, Some(&public), false).unwrap().problems, [""; 0]);
        }
        fs::write(&file, &whole).unwrap();
    }
}

/// What whoever has no key can chain: it is no problem only because a crash leaves the same, and it is never silent.
#[test]
fn a_forged_record_at_the_end_is_told_and_stays_told() {
    let folder = tempfile::tempdir().unwrap();
    let (path, public) = signed(folder.path());
    let head = fs::read(audit_head(&path)).unwrap();
    log(&path).append(&line("forged")).unwrap();
    assert_eq!(
        verify_audit(&path, Some(&public), false).unwrap().problems,
        ["the head's signature is not by this key"]
    );
    // The forger leaves the head alone.
    fs::write(audit_head(&path), head).unwrap();
    let last = verify_audit(&path, Some(&public), false).unwrap().last;
    let behind = "records are newer than the head: a crash came between, or somebody added them";
    assert_eq!(found(&path, &public), [format!("1 {behind}")]);
    assert_eq!(verify_audit(&path, Some(&public), false).unwrap().signed_to, last - 1);
    log_with(&path, Some(AuditKey::read(&folder.path().join("key")).unwrap()), 1 << 20)
        .append(&line("d"))
        .unwrap();
    let told = found(&path, &public);
    assert_eq!(told.len(), 1, "{told:?}");
    let named = format!(
        "the head did not name the records {last} to {last} yet when the log went on: a crash came between, or somebody added them"
    );
    assert!(told[0].ends_with(&named), "{told:?}");
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    for file in [path.clone(), audit_head(&path)] {
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&file, bytes).unwrap();
            assert_ne!(problems(&path), [""; 0], "byte {at} of {}", file.display());
        }
        fs::write(&file, whole).unwrap();
    }
    assert_eq!(problems(&path), [""; 0]);
}

#[test]
fn lines_that_were_swapped_removed_or_put_in_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let whole = fs::read(&path).unwrap();
    let lines: Vec<_> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    for order in [&[1, 0, 2][..], &[0, 2, 1], &[2, 1, 0], &[0, 2], &[1, 2], &[0, 1, 1, 2], &[0, 1, 2, 2]] {
        fs::write(&path, order.iter().map(|at| lines[*at]).collect::<Vec<_>>().concat()).unwrap();
        assert_ne!(problems(&path), [""; 0], "{order:?}");
    }
}
