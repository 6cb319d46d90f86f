//! Making the files that the stores keep, and the folders that they are in: for the gateway's own eyes alone.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Makes the folder that a file is in, if it isn't there, and those around it.
pub(super) fn make_folder_of(file: &Path) -> io::Result<PathBuf> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(folder.to_owned())
}

/// Makes a database's file if it isn't there, and its folder. Returns the path in full: a URL would take `..` for
/// something else than the file system does. SQLite gives the files beside it the same mode.
pub(super) fn make_database(file: &Path) -> io::Result<PathBuf> {
    let name = file.file_name().ok_or(ErrorKind::IsADirectory)?;
    let path = make_folder_of(file)?.canonicalize()?.join(name);
    // Only if it is new. Merely opening and closing one that SQLite has open in this process would drop its locks.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ if path.is_dir() => Err(ErrorKind::IsADirectory.into()),
        _ => Ok(path),
    }
}
