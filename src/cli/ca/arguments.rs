//! What can be typed after `sekisho ca`.

use std::path::PathBuf;

use clap::{Args, Subcommand, value_parser};

use crate::config::HostName;
use crate::domain::{ContractId, UserId};
use crate::pki::development::{Authority, FileStem};

/// A development PKI: CA, server and client certificates, revocation
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder of the PKI
    #[arg(long, global = true, default_value = "certs", value_name = "FOLDER")]
    pub(super) dir: PathBuf,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make the CA: ca.pem, ca.key and an empty ca.crl
    Init(Init),
    /// Issue a server certificate: servers/NAME.pem and .key
    Server(Server),
    /// Issue a client certificate: clients/NAME.pem, .key and .p12
    Client(Client),
    /// Revoke a certificate and write the CRL anew
    Revoke(Revoke),
    /// Write the CRL anew
    Crl {
        /// The list is due again after so many days
        #[arg(long, default_value_t = Authority::CRL_DAYS, value_parser = value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// Show what was issued
    List,
}

#[derive(Debug, Args)]
pub(super) struct Init {
    /// The bank's legal name: O of every subject
    #[arg(long, default_value = "Mihon Bank, Ltd.", value_name = "TEXT")]
    pub(super) organization: String,
    /// Name and generation of the CA: OU of every client's subject
    #[arg(long, default_value = "Mihon Bank CA-G1", value_name = "TEXT")]
    pub(super) name: String,
    /// Make a new CA in place of an existing one
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct Server {
    /// Host names of the server
    #[arg(required = true, value_name = "HOST", value_parser = host)]
    pub(super) hosts: Vec<HostName>,
    /// Make an RSA key with 3072 bits instead of an ECDSA key on P-256
    #[arg(long)]
    pub(super) rsa: bool,
    /// Stem of the file names [default: the first host name]
    #[arg(long, value_parser = FileStem::new)]
    pub(super) name: Option<FileStem>,
    /// Days of validity
    #[arg(long, default_value_t = 365, value_parser = value_parser!(u32).range(1..=3650))]
    pub(super) days: u32,
    /// Replace files of the same name
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct Client {
    /// Contract ID: 14 digits
    #[arg(long, value_name = "ID", value_parser = contract)]
    pub(super) contract: ContractId,
    /// User ID: 1 to 30 half-width letters and digits
    #[arg(long, value_name = "ID", value_parser = UserId::new)]
    pub(super) user: UserId,
    /// Stem of the file names [default: the user ID]
    #[arg(long, value_parser = FileStem::new)]
    pub(super) name: Option<FileStem>,
    /// Days of validity
    #[arg(long, default_value_t = 365, value_parser = value_parser!(u32).range(1..=3650))]
    pub(super) days: u32,
    /// Password of the .p12 file, which other users of the machine may see; one is generated and shown if none is given
    #[arg(long, value_name = "TEXT", conflicts_with = "password_file")]
    pub(super) password: Option<String>,
    /// File with the password of the .p12 file
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// Replace files of the same name
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The certificate: its PEM file, or its serial number in hexadecimal
    #[arg(value_name = "FILE|SERIAL")]
    pub(super) certificate: String,
}

fn host(text: &str) -> Result<HostName, String> {
    HostName::try_from(text.to_owned())
}

fn contract(text: &str) -> Result<ContractId, String> {
    let digits = text.len() == 14 && text.bytes().all(|byte| byte.is_ascii_digit());
    match ContractId::new(text) {
        Ok(contract) if digits => Ok(contract),
        _ => Err("expected 14 digits".to_owned()),
    }
}
