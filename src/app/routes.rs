//! The files that routes name.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::config::{Document, Problem};

/// The most that a fixed answer may be.
const LARGEST: u64 = 1 << 20;

/// The files of fixed answers.
pub(super) fn bodies(document: &Document) -> Result<HashMap<PathBuf, Bytes>, Vec<Problem>> {
    let mut bodies = HashMap::new();
    let mut problems = Vec::new();
    for (index, route) in document.config.routes.iter().enumerate() {
        let Some(file) = route.answer.as_ref().and_then(|answer| answer.file.as_ref()) else { continue };
        match read(file) {
            Ok(body) => {
                bodies.insert(file.clone(), body);
            }
            Err(message) => {
                problems.push(document.source.problem(&format!("/routes/{index}/answer/file"), message));
            }
        }
    }
    if problems.is_empty() { Ok(bodies) } else { Err(problems) }
}

fn read(file: &Path) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    match read {
        Ok(length) if length as u64 > LARGEST => {
            Err(format!("{}: larger than {} MiB, too large for an answer", file.display(), LARGEST >> 20))
        }
        Ok(_) => Ok(bytes.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("{}: there is no such file", file.display()))
        }
        Err(error) => Err(format!("{} can't be read: {error}", file.display())),
    }
}
