//! Segments: `audit.log` is the newest; the older ones have a number behind the name, the oldest `.1`, and keep it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::record::AuditRecord;

/// No record is longer.
const LINE: u64 = 1 << 20;

/// The log's name with something behind it.
pub(super) fn beside(log: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(log);
    name.push(".");
    name.push(end);
    name.into()
}

/// Gives the newest segment its number, and returns its name.
pub(super) fn put_away(log: &Path) -> io::Result<String> {
    let path = beside(log, &(last(log)? + 1).to_string());
    fs::rename(log, &path)?;
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .ok_or_else(|| io::Error::other("the log has no name"))
}

/// The one that was put away last.
pub(super) fn put_away_last(log: &Path) -> io::Result<Option<PathBuf>> {
    Ok(Some(last(log)?).filter(|number| *number > 0).map(|number| beside(log, &number.to_string())))
}

fn last(log: &Path) -> io::Result<u64> {
    let folder = log.parent().filter(|folder| *folder != Path::new("")).unwrap_or_else(|| Path::new("."));
    let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut last = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?.file_name();
        let number =
            entry.to_string_lossy().strip_prefix(&name).and_then(|end| end.strip_prefix('.')?.parse().ok());
        last = last.max(number.unwrap_or(0));
    }
    Ok(last)
}

/// The files of a log, oldest first, by what each one's first record says of the one before. The last one named may not
/// be there.
pub fn audit_segments(log: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = vec![log.to_owned()];
    let mut seen = HashSet::new();
    let mut file = log.to_owned();
    while let Some(name) = previous(&file)? {
        file = log.with_file_name(&name);
        // A forged log may go round in circles.
        if !seen.insert(name) || file == log {
            break;
        }
        files.push(file.clone());
        if !file.exists() {
            break;
        }
    }
    files.reverse();
    Ok(files)
}

fn previous(file: &Path) -> io::Result<Option<String>> {
    let mut lines = BufReader::new(File::open(file)?);
    loop {
        let mut line = Vec::new();
        if lines.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if let Some(record) = AuditRecord::read(&line) {
            // Only beside the log: a forged name leads nowhere else.
            return Ok(record.previous.filter(|name| !name.contains('/') && name != ".."));
        }
    }
}
