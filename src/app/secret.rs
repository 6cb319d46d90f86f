//! Secrets in files. No error repeats what is in one.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

/// Nobody has more; a device would never end.
const MOST: u64 = 4096;
/// Reading or writing by anybody else, and writing by the group. Its group may read it: so Kubernetes mounts secrets.
const FORBIDDEN: u32 = 0o027;

/// Reads a secret that nobody else may read.
pub(super) fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let broken = |error: std::io::Error| format!("it cannot be read: {error}");
    let open = File::open(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => broken(error),
    })?;
    // Of the opened file: the name may lead elsewhere by now.
    if open.metadata().map_err(broken)?.permissions().mode() & FORBIDDEN != 0 {
        return Err(format!("others can read or change this secret: chmod 600 {}", file.display()));
    }
    // With room from the start: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST as usize));
    open.take(MOST).read_to_end(&mut bytes).map_err(broken)?;
    Ok(bytes)
}
