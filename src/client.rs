//! `sekisho-client`: gets a certificate onto a person's PC. It makes the key there, asks the gateway for a certificate
//! with the one-time code of the page, puts both where the system's browsers look, and proves that they are in place.
//! It needs no configuration, keeps nothing and listens on no port.

mod gateway;
mod install;
mod words;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use self::gateway::{Details, Gateway};
use self::install::{Installer, Key};
use self::words::Words;

/// The words make no command.
const USAGE: u8 = 64;
/// The gateway can't be reached.
const UNAVAILABLE: u8 = 69;
/// The certificate can't be installed.
const CANNOT_CREATE: u8 = 73;
/// The gateway said no.
const NO_PERMISSION: u8 = 77;

/// Gets your certificate and installs it for this PC's browsers
#[derive(Debug, Parser)]
#[command(name = "sekisho-client", version, max_term_width = 100)]
struct Arguments {
    /// The address of the bank's sign-in page, such as `https://www.mihonbank.example`
    #[arg(value_name = "ADDRESS")]
    gateway: String,
    /// The code that the page shows; asked for if it is left out
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// PEM file with the CAs of the bank's server, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The NSS database to install into, in place of the usual ones (Linux)
    #[arg(long, value_name = "FOLDER")]
    nss: Option<PathBuf>,
    /// The language of the messages: ja or en
    #[arg(long, value_name = "LANGUAGE", value_parser = ["ja", "en"])]
    lang: Option<String>,
}

/// Why it didn't work: the exit code, and what to say.
struct Failure(u8, String);

/// Runs the program.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody is left to be told if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let words = Words::new(arguments.lang.as_deref());
    match acquire(&arguments, words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(code, problem)) => {
            let _ = writeln!(std::io::stderr(), "sekisho-client: {problem}");
            ExitCode::from(code)
        }
    }
}

fn acquire(arguments: &Arguments, words: Words) -> Result<(), Failure> {
    // Looked at first: a code is good once, and must not be spent on a PC that can't take the certificate.
    let installer = Installer::find(arguments.nss.as_deref(), words)
        .map_err(|problem| Failure(CANNOT_CREATE, problem))?;
    let gateway = Gateway::new(&arguments.gateway, arguments.ca.as_deref(), words)
        .map_err(|problem| Failure(USAGE, problem))?;
    let code = match &arguments.code {
        Some(code) => Zeroizing::new(code.clone()),
        None => ask(words)?,
    };
    let broken = |error: rcgen::Error| Failure(UNAVAILABLE, error.to_string());
    say(words.t("鍵を作成しています…", "Making a key…"));
    let pair = KeyPair::generate().map_err(broken)?;
    let mut params = CertificateParams::default();
    // Who it is for is the gateway's to say.
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&pair).map_err(broken)?;
    say(words.t("電子証明書を取得しています…", "Asking for the certificate…"));
    let chain = gateway.redeem(&code, request.der())?;
    let key = Key { pair, chain: own_chain(&chain, words)? };
    if !key.is_certified() {
        return Err(Failure(
            UNAVAILABLE,
            words
                .t("受け取った電子証明書が鍵と合いません。", "The certificate isn't for this key.")
                .to_owned(),
        ));
    }
    say(words.t("電子証明書を取り込んでいます…", "Installing the certificate…"));
    installer.install(&key).map_err(|problem| Failure(CANNOT_CREATE, problem))?;
    let details = gateway.prove(&key)?;
    show(&details, words);
    Ok(())
}

fn own_chain(pem: &str, words: Words) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
        let problem = words.t("受け取った電子証明書を読み取れません。", "The certificate can't be read.");
        Failure(UNAVAILABLE, problem.to_owned())
    })
}

fn ask(words: Words) -> Result<Zeroizing<String>, Failure> {
    if std::io::stdin().is_terminal() {
        let _ = write!(std::io::stderr(), "{}", words.t("取得コード：", "Code: "));
    }
    let mut line = Zeroizing::new(String::new());
    let read = std::io::stdin().read_line(&mut line);
    if read.is_err() || line.trim().is_empty() {
        return Err(Failure(USAGE, words.t("取得コードがありません。", "There is no code.").to_owned()));
    }
    Ok(Zeroizing::new(line.trim().to_owned()))
}

fn show(details: &Details, words: Words) {
    say(words.t("電子証明書を取得しました。", "You have your certificate."));
    let lines = [
        (words.t("発行者（O）", "Organization (O)"), details.organization.as_str()),
        (words.t("認証局（OU）", "Authority (OU)"), &details.unit),
        (words.t("名義（CN）", "Name (CN)"), &details.common_name),
        (words.t("シリアル番号", "Serial number"), &details.serial),
        (words.t("有効期限（日本時間）", "Valid until (Japan time)"), &details.until()),
    ];
    for (name, value) in lines {
        say(&format!("  {name}: {value}"));
    }
    say(words.t(
        "ブラウザーの画面をすべて閉じてから、電子証明書でログインしてください。",
        "Close every window of the browser, then sign in with the certificate.",
    ));
}

/// Says something. Nobody is left to be told if stdout is closed.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
