//! What all handlers share: the verbs, the hosts, the applications, the bank's look, the notices.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::acquisition::Helpers;
use super::notices::Notices;
use super::statics::Statics;
use super::theme::Theme;
use super::way::Way;
use super::{Application, PortalSettings};
use crate::clock::Clock;
use crate::domain::PIN_LENGTH;
use crate::flows::{Acquisition, Administration, SignIn, SignedIn};

/// The portal behind its handlers.
pub(super) struct Site {
    pub(super) sign_in: Option<Arc<SignIn>>,
    pub(super) acquisition: Option<Arc<Acquisition>>,
    pub(super) administration: Option<Arc<Administration>>,
    pub(super) helpers: Helpers,
    pub(super) revocation_list: Arc<ArcSwapOption<Vec<u8>>>,
    pub(super) theme: Theme,
    pub(super) statics: Statics,
    pub(super) notices: Option<Notices>,
    pub(super) clock: Clock,
    /// Fewest and most characters of a new PIN; `None` where the bank's own system holds the PINs.
    pub(super) pin_length: Option<(usize, usize)>,
    host: String,
    certificate_host: Option<String>,
    applications: Vec<Application>,
}

/// Which of the portal's hosts a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The host with the sign-in page.
    Portal,
    /// The host that asks for certificates.
    Certificate,
    /// One host is both.
    Both,
    /// Another host of the gateway.
    Elsewhere,
}

impl Place {
    /// Whether the sign-in page is here.
    pub(super) const fn has_sign_in(self) -> bool {
        matches!(self, Self::Portal | Self::Both)
    }

    /// Whether certificates are asked for here.
    pub(super) const fn asks_for_certificate(self) -> bool {
        matches!(self, Self::Certificate | Self::Both)
    }
}

impl Site {
    /// Reads the bank's files.
    pub(super) fn new(settings: PortalSettings) -> Result<Self, String> {
        let theme = settings.theme.as_deref().map(Theme::read).transpose()?.unwrap_or_default();
        let now = settings.clock.now();
        let pin_length = match &settings.sign_in {
            Some(sign_in) => sign_in.holds_pins().then(|| sign_in.pin_length()),
            None => Some((*PIN_LENGTH.start(), *PIN_LENGTH.end())),
        };
        Ok(Self {
            pin_length,
            statics: Statics::new(&theme),
            notices: settings.notices.map(|path| Notices::open(path, now)).transpose()?,
            theme,
            sign_in: settings.sign_in,
            acquisition: settings.acquisition,
            administration: settings.administration,
            helpers: settings.helpers.as_deref().map(Helpers::read).transpose()?.unwrap_or_default(),
            revocation_list: settings.revocation_list,
            host: settings.host,
            certificate_host: settings.certificate_host,
            applications: settings.applications,
            clock: settings.clock,
        })
    }

    /// Which host `authority` is.
    pub(super) fn place(&self, authority: &str) -> Place {
        let name = name_of(authority);
        let certificate = self.certificate_host.as_deref().is_some_and(|host| same(name, name_of(host)));
        match (same(name, name_of(&self.host)), certificate) {
            (true, true) => Place::Both,
            (true, false) => Place::Portal,
            (false, true) => Place::Certificate,
            (false, false) => Place::Elsewhere,
        }
    }

    /// Whether there is sign-in by certificate.
    pub(super) const fn has_certificate_host(&self) -> bool {
        self.certificate_host.is_some()
    }

    /// The portal's origin, as seen from a page at `authority`.
    pub(super) fn portal_origin(&self, authority: &str) -> String {
        origin(&self.host, authority)
    }

    /// The certificate host's origin, as seen from a page at `authority`.
    pub(super) fn certificate_origin(&self, authority: &str) -> Option<String> {
        self.certificate_host.as_deref().map(|host| origin(host, authority))
    }

    /// The policy for the pages at `authority`. A form's redirect counts as its target too, and signing in leads from
    /// host to host.
    pub(super) fn policy(&self, authority: &str) -> String {
        let portal = self.portal_origin(authority);
        let certificate = self.certificate_origin(authority).map(|url| format!(" {url}")).unwrap_or_default();
        format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
             connect-src 'self'; form-action 'self' {portal}{certificate}; base-uri 'none'; frame-ancestors 'none'"
        )
    }

    /// The applications that somebody may open.
    pub(super) fn applications_of<'a>(
        &'a self,
        signed_in: &'a SignedIn,
    ) -> impl Iterator<Item = &'a Application> {
        self.applications.iter().filter(|application| {
            let role =
                application.roles.is_empty() || application.roles.iter().any(|r| r.role() == signed_in.role);
            let contract = application.contracts.is_empty()
                || application.contracts.iter().any(|c| *c.id() == signed_in.identity.contract);
            role && contract
        })
    }

    /// Where an application is opened, seen from a page at `authority`.
    pub(super) fn address_of(&self, application: &Application, path: &str, authority: &str) -> String {
        let elsewhere = application.needs_certificate && !self.place(authority).asks_for_certificate();
        match self.certificate_origin(authority) {
            Some(origin) if elsewhere => format!("{origin}{path}"),
            _ => path.to_owned(),
        }
    }

    /// Where a person who just signed in goes: on to where they wanted, or home.
    pub(super) fn destination(&self, way: &Way, authority: &str) -> String {
        let Some(path) = way.path() else { return "/sekisho/home".to_owned() };
        let bare = path.split(['?', '#']).next().unwrap_or_default();
        let below = |prefix: &str| {
            let rest = bare.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let application = self
            .applications
            .iter()
            .filter(|application| below(&application.path))
            .max_by_key(|application| application.path.len());
        application
            .map_or_else(|| path.to_owned(), |application| self.address_of(application, path, authority))
    }
}

/// The name in an authority, without its port.
fn name_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    }
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// The origin of a configured host. Where no port is configured, it is the one that the browser has reached us at: all
/// hosts share the listeners.
fn origin(host: &str, authority: &str) -> String {
    let name = name_of(host);
    let port =
        [host, authority].into_iter().find_map(|text| text.strip_prefix(name_of(text))?.strip_prefix(':'));
    match port {
        Some(port) if port != "443" && !port.is_empty() => format!("https://{name}:{port}"),
        _ => format!("https://{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_configured_one_or_the_one_in_use() {
        assert_eq!(origin("cert.example", "www.example"), "https://cert.example");
        assert_eq!(origin("cert.example", "www.example:8443"), "https://cert.example:8443");
        assert_eq!(origin("cert.example:9443", "www.example:8443"), "https://cert.example:9443");
        assert_eq!(origin("cert.example:443", "www.example:8443"), "https://cert.example");
    }
}
