//! The conversation with the mail server (RFC 5321), in two parts: up to where it can still be called off, and the rest.

use std::fs;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use zeroize::Zeroizing;

use super::templates::Text;
use crate::config;
use crate::stores::Notice;

/// What speaks to the mail server.
pub struct Mailer {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    from: Mailbox,
    timeout: Duration,
}

enum Security {
    /// TLS from the first byte on (RFC 8314).
    Implicit(TlsParameters),
    /// STARTTLS, and nothing is said before (RFC 3207).
    StartTls(TlsParameters),
    /// None.
    Plain,
}

/// Which part of `mail` in the configuration is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailerPart {
    /// `smtp`
    Smtp,
    /// `authorities`
    Authorities,
    /// `password_file`
    Password,
    /// `from`
    From,
}

/// Why the mail server didn't take a mail. It certainly didn't, if it said so itself.
pub(super) struct Trouble {
    pub(super) problem: String,
    /// Whether the server answered.
    pub(super) is_answer: bool,
    /// Whether it would say the same tomorrow (5xx).
    pub(super) is_final: bool,
}

impl From<lettre::transport::smtp::Error> for Trouble {
    fn from(error: lettre::transport::smtp::Error) -> Self {
        Self {
            problem: error.to_string(),
            is_answer: error.is_permanent() || error.is_transient(),
            is_final: error.is_permanent(),
        }
    }
}

/// A mail that is ready to go.
pub(super) struct Composed {
    message: Message,
    bytes: Vec<u8>,
}

/// `Auto-Submitted: auto-generated` (RFC 3834): no out-of-office answers, please.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Mailer {
    /// Reads the files that the configuration names. The error says which part is wrong.
    pub fn open(mail: &config::Mail) -> Result<Self, (MailerPart, String)> {
        let (is_implicit, host, port) = address(&mail.smtp).map_err(|problem| (MailerPart::Smtp, problem))?;
        let security = if mail.insecure {
            Security::Plain
        } else {
            let tls = tls(mail, &host)?;
            if is_implicit { Security::Implicit(tls) } else { Security::StartTls(tls) }
        };
        let credentials = match (&mail.user, &mail.password_file) {
            (Some(user), Some(file)) => {
                let password = fs::read_to_string(file)
                    .map(Zeroizing::new)
                    .map_err(|error| (MailerPart::Password, format!("{}: {error}", file.display())))?;
                let password = password.trim_end_matches(['\r', '\n']).to_owned();
                Some(Credentials::new(user.clone(), password))
            }
            _ => None,
        };
        let from = Mailbox::from_str(&mail.from).map_err(|_| {
            let expected = "expected a sender such as `Mihon Bank <no-reply@mihonbank.example>`";
            (MailerPart::From, expected.to_owned())
        })?;
        Ok(Self { host, port, security, credentials, from, timeout: mail.timeout.get() })
    }

    /// Puts a mail together. The same notice always has the same Message-ID.
    pub(super) fn compose(&self, notice: &Notice, text: &Text) -> Result<Composed, String> {
        let to = notice.mail.parse().map_err(|_| "that is no mail address".to_owned())?;
        let domain = self.from.email.domain();
        let id = format!("<notice-{}-{}@{domain}>", notice.number, notice.created_at.as_second());
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(text.subject.clone())
            .date(SystemTime::from(date(notice.created_at)))
            .message_id(Some(id))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .body(text.body.clone())
            .map_err(|error| error.to_string())?;
        let bytes = message.formatted();
        Ok(Composed { message, bytes })
    }

    /// Connects, secures the connection, and signs in.
    pub(super) async fn connect(&self) -> Result<Connection, Trouble> {
        let hello = ClientId::default();
        let implicit = match &self.security {
            Security::Implicit(tls) => Some(tls.clone()),
            Security::StartTls(_) | Security::Plain => None,
        };
        let server = (self.host.as_str(), self.port);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &hello, implicit, None);
        let mut connection = in_time(self.timeout, connecting).await?;
        if let Security::StartTls(tls) = &self.security {
            in_time(self.timeout, connection.starttls(tls.clone(), &hello)).await?;
        }
        if let Some(credentials) = &self.credentials {
            in_time(self.timeout, connection.auth(DEFAULT_MECHANISMS, credentials)).await?;
        }
        Ok(Connection { connection, timeout: self.timeout })
    }
}

/// A connection to the mail server, ready for a mail.
pub(super) struct Connection {
    connection: AsyncSmtpConnection,
    timeout: Duration,
}

impl Connection {
    /// Sender, recipient, and that a text follows. Until it does, nothing is sent.
    pub(super) async fn prepare(&mut self, mail: &Composed) -> Result<(), Trouble> {
        let envelope = mail.message.envelope();
        let from = Mail::new(envelope.from().cloned(), Vec::new());
        in_time(self.timeout, self.connection.command(from)).await?;
        for to in envelope.to() {
            in_time(self.timeout, self.connection.command(Rcpt::new(to.clone(), Vec::new()))).await?;
        }
        in_time(self.timeout, self.connection.command(Data)).await?;
        Ok(())
    }

    /// The text, up to the server's answer.
    pub(super) async fn finish(&mut self, mail: &Composed) -> Result<(), Trouble> {
        in_time(self.timeout, self.connection.message(&mail.bytes)).await.map(drop)
    }

    /// Forgets a mail that was refused. False if the connection is of no more use.
    pub(super) async fn reset(&mut self) -> bool {
        in_time(self.timeout, self.connection.command(Rset)).await.is_ok()
    }

    /// Says goodbye.
    pub(super) async fn quit(mut self) {
        // Everything was sent or not by now.
        let _ = in_time(self.timeout, self.connection.quit()).await;
    }
}

async fn in_time<T>(
    timeout: Duration,
    step: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(timeout, step).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Trouble {
            problem: format!("no answer within {timeout:?}"),
            is_answer: false,
            is_final: false,
        }),
    }
}

/// A mail's date knows no fractions of a second.
fn date(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Whether TLS comes first, host and port of a URL. The error doesn't repeat what may hold a password.
fn address(url: &str) -> Result<(bool, String, u16), String> {
    let expected = || "expected `smtp://HOST[:PORT]` or `smtps://HOST[:PORT]`".to_owned();
    let (is_implicit, rest) = match url.split_once("://") {
        Some(("smtp", rest)) => (false, rest),
        Some(("smtps", rest)) => (true, rest),
        _ => return Err(expected()),
    };
    if rest.contains('@') {
        return Err("the URL holds a name or a password: `user` and `password_file` are for those".to_owned());
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| expected())?),
        _ => (authority, if is_implicit { 465 } else { 25 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
    if host.is_empty() || !host.bytes().all(fits) {
        return Err(expected());
    }
    Ok((is_implicit, host.to_owned(), port))
}

fn tls(mail: &config::Mail, host: &str) -> Result<TlsParameters, (MailerPart, String)> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(file) = &mail.authorities {
        let blame = |problem: String| (MailerPart::Authorities, format!("{}: {problem}", file.display()));
        let pem = fs::read(file).map_err(|error| blame(error.to_string()))?;
        let certificate =
            Certificate::from_pem(&pem).map_err(|_| blame("no certificate in PEM".to_owned()))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(|error| (MailerPart::Smtp, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn the_servers_address_is_a_url_without_secrets() {
        let of = |url: &str| address(url).unwrap();
        assert_eq!(of("smtp://mail.internal"), (false, "mail.internal".to_owned(), 25));
        assert_eq!(of("smtps://mail.internal/"), (true, "mail.internal".to_owned(), 465));
        assert_eq!(of("smtp://[::1]:2525"), (false, "::1".to_owned(), 2525));
        for bad in ["", "mail.internal", "http://mail.internal", "smtp://", "smtp://a b", "smtp://a:x"] {
            assert_eq!(
                address(bad).unwrap_err(),
                "expected `smtp://HOST[:PORT]` or `smtps://HOST[:PORT]`",
                "{bad}"
            );
        }
        assert!(!address("smtp://user:hunter2@mail").unwrap_err().contains("hunter2"));
    }
}
