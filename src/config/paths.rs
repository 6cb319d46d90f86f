//! The one place that knows which values are paths: relative ones are relative to the configuration's directory.

use std::path::{Path, PathBuf};

use super::{AccessLog, Config, OneOrMany};

/// Makes every path of the configuration absolute, given that the file stands in `directory`.
pub(super) fn resolve(config: &mut Config, directory: &Path) {
    let resolve = |path: &mut PathBuf| *path = directory.join(&*path);
    for host in config.hosts.values_mut() {
        resolve(&mut host.tls.certificate);
        resolve(&mut host.tls.key);
    }
    if let Some(trust) = &mut config.trust {
        match &mut trust.authorities {
            OneOrMany::One(path) => resolve(path),
            OneOrMany::Many(paths) => paths.iter_mut().for_each(resolve),
        }
        if let Some(crl) = &mut trust.crl {
            crl.sources.iter_mut().for_each(resolve);
        }
    }
    if let AccessLog::File(path) = &mut config.access_log {
        resolve(path);
    }
}
