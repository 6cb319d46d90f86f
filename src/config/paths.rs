//! The one place that knows which values are paths: relative ones are relative to the configuration's directory.

use std::path::{Path, PathBuf};

use super::{AccessLog, Config, DirectoryUrl, OneOrMany, StateUrl};

/// Makes every path of the configuration absolute, given that the file stands in `directory`.
pub(super) fn resolve(config: &mut Config, directory: &Path) {
    let resolve = |path: &mut PathBuf| *path = directory.join(&*path);
    for host in config.hosts.values_mut() {
        for tls in host.tls.as_mut_slice() {
            resolve(&mut tls.certificate);
            resolve(&mut tls.key);
            tls.ocsp.iter_mut().for_each(resolve);
        }
    }
    config.resumption.files.iter_mut().for_each(resolve);
    if let Some(trust) = &mut config.trust {
        match &mut trust.authorities {
            OneOrMany::One(path) => resolve(path),
            OneOrMany::Many(paths) => paths.iter_mut().for_each(resolve),
        }
        if let Some(crl) = &mut trust.crl {
            crl.sources.iter_mut().for_each(resolve);
        }
    }
    if let Some(sign_in) = &mut config.sign_in {
        sign_in.pin.pepper_file.iter_mut().for_each(resolve);
        sign_in.pin.deny_list.iter_mut().for_each(resolve);
        if let Some(http) = &mut sign_in.pin.http {
            [&mut http.authorities, &mut http.certificate, &mut http.key].into_iter().for_each(resolve);
        }
    }
    if let Some(directory) = &mut config.directory {
        if let DirectoryUrl::Sqlite(path) = &mut directory.url {
            resolve(path);
        }
        directory.password_file.iter_mut().for_each(resolve);
    }
    if let StateUrl::Embedded(path) = &mut config.state.url {
        resolve(path);
    }
    config.state.password_file.iter_mut().for_each(resolve);
    config.state.authorities.iter_mut().for_each(resolve);
    if let Some(issuer) = &mut config.issuer {
        resolve(&mut issuer.certificate);
        [&mut issuer.key, &mut issuer.passphrase_file, &mut issuer.crl.file]
            .into_iter()
            .flatten()
            .for_each(resolve);
        if let Some(pkcs11) = &mut issuer.pkcs11 {
            resolve(&mut pkcs11.pin_file);
        }
    }
    config.acquisition.helpers.iter_mut().for_each(resolve);
    if let Some(mail) = &mut config.mail {
        [&mut mail.authorities, &mut mail.password_file, &mut mail.templates]
            .into_iter()
            .flatten()
            .for_each(resolve);
    }
    config.portal.theme.iter_mut().for_each(resolve);
    config.portal.notices.iter_mut().for_each(resolve);
    config.audit.iter_mut().for_each(resolve);
    if let AccessLog::File(path) = &mut config.access_log {
        resolve(path);
    }
}
