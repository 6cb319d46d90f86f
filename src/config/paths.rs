//! The one place that knows which values are paths: relative ones are relative to the configuration's directory.

use std::path::{Path, PathBuf};

use super::{
    AccessLog, AuditSyslog, Authorities, Config, DirectoryUrl, OneOrMany, SignedSource, StateUrl,
    SyslogAddress,
};

/// Makes every path of the configuration absolute, given that the file stands in `directory`.
pub(super) fn resolve(config: &mut Config, directory: &Path) {
    let resolve = |path: &mut PathBuf| *path = directory.join(&*path);
    read(config).into_iter().for_each(resolve);
    written(config).into_iter().for_each(resolve);
}

/// The files and folders that the configuration names to be read: when one of them changes, so may what it means. A
/// revocation list that the gateway writes itself is none of them.
pub fn inputs(config: &Config) -> Vec<PathBuf> {
    let own = config.issuer.as_ref().and_then(|issuer| issuer.crl.file.clone());
    let mut config = config.clone();
    read(&mut config).into_iter().filter(|path| own.as_ref() != Some(path)).map(|path| path.clone()).collect()
}

/// What the gateway reads.
fn read(config: &mut Config) -> Vec<&mut PathBuf> {
    let mut all = Vec::new();
    for host in config.hosts.values_mut() {
        for tls in host.tls.as_mut_slice() {
            all.extend([&mut tls.certificate, &mut tls.key]);
            all.extend(tls.ocsp.as_mut().and_then(SignedSource::file_mut));
        }
    }
    all.extend(&mut config.resumption.files);
    for tls in config.upstreams.values_mut().filter_map(|upstream| upstream.tls.as_mut()) {
        let files = [&mut tls.authorities, &mut tls.certificate, &mut tls.key];
        all.extend(files.into_iter().flatten());
    }
    all.extend(&mut config.resumption.secret_file);
    all.extend(config.assertion.iter_mut().flat_map(|assertion| &mut assertion.keys));
    if let Some(trust) = &mut config.trust {
        match &mut trust.authorities {
            OneOrMany::One(authorities) => all.push(authorities.file_mut()),
            OneOrMany::Many(many) => all.extend(many.iter_mut().map(Authorities::file_mut)),
        }
        if let Some(crl) = &mut trust.crl {
            all.extend(crl.sources.iter_mut().filter_map(SignedSource::file_mut));
            all.extend(&mut crl.authorities);
        }
    }
    if let Some(sign_in) = &mut config.sign_in {
        all.extend(&mut sign_in.pin.pepper_file);
        all.extend(&mut sign_in.pin.deny_list);
        if let Some(http) = &mut sign_in.pin.http {
            all.extend([&mut http.authorities, &mut http.certificate, &mut http.key]);
        }
    }
    if let Some(directory) = &mut config.directory {
        all.extend(&mut directory.password_file);
    }
    all.extend(&mut config.state.password_file);
    all.extend(&mut config.state.authorities);
    if let Some(issuer) = &mut config.issuer {
        all.push(&mut issuer.certificate);
        all.extend([&mut issuer.key, &mut issuer.passphrase_file].into_iter().flatten());
        if let Some(pkcs11) = &mut issuer.pkcs11 {
            all.push(&mut pkcs11.pin_file);
        }
    }
    all.extend(&mut config.acquisition.helpers);
    if let Some(mail) = &mut config.mail {
        let files = [&mut mail.authorities, &mut mail.password_file, &mut mail.templates];
        all.extend(files.into_iter().flatten());
    }
    if let Some(traces) = &mut config.traces {
        all.extend([&mut traces.authorities, &mut traces.headers_file].into_iter().flatten());
    }
    all.extend(&mut config.portal.theme);
    all.extend(&mut config.portal.notices);
    all.extend(config.routes.iter_mut().filter_map(|route| route.answer.as_mut()?.file.as_mut()));
    all
}

/// What the gateway writes, or reads at its start alone.
fn written(config: &mut Config) -> Vec<&mut PathBuf> {
    let mut all = Vec::new();
    all.extend(config.trust.iter_mut().filter_map(|trust| trust.crl.as_mut()?.cache.as_mut()));
    if let Some(DirectoryUrl::Sqlite(path)) = config.directory.as_mut().map(|directory| &mut directory.url) {
        all.push(path);
    }
    if let StateUrl::Embedded(path) = &mut config.state.url {
        all.push(path);
    }
    if let Some(issuer) = &mut config.issuer {
        all.extend(&mut issuer.crl.file);
    }
    // With its key, which stays the same as long as the log is open.
    if let Some(audit) = &mut config.audit {
        all.push(&mut audit.file);
        all.extend(&mut audit.key_file);
        if let Some(AuditSyslog { to: SyslogAddress::Unix(path) }) = &mut audit.syslog {
            all.push(path);
        }
    }
    // Looked for by the data path; that one comes or goes changes no configuration.
    all.extend(config.maintenance.iter_mut().map(|maintenance| &mut maintenance.file));
    all.extend(config.routes.iter_mut().filter_map(|route| Some(&mut route.maintenance.as_mut()?.file)));
    if let AccessLog::File(path) = &mut config.access_log {
        all.push(path);
    }
    all
}
