//! What the demo prints once it serves: bound addresses one a line for programs, then what a person can try.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use super::folder::{CERTIFICATE_HOST, OPEN_HOST, PASSWORD, Pki};
use super::settings::reachable;

/// Everything that is worth knowing of a demo that is up. Ends with `ready`, alone on its line.
pub(super) struct Announcement<'a> {
    pub(super) dir: &'a Path,
    pub(super) pki: Pki,
    pub(super) listen: &'a [SocketAddr],
    pub(super) ops: SocketAddr,
    pub(super) backend: SocketAddr,
}

impl fmt::Display for Announcement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for address in self.listen {
            writeln!(f, "listen {address}")?;
        }
        writeln!(f, "ops {}\nbackend {}", self.ops, self.backend)?;
        let pki = match self.pki {
            Pki::Made => "is new: browsers must be told of it, see below",
            Pki::Kept => "is the one of the last run",
        };
        writeln!(f, "\nThe CA in {} {pki}.", self.dir.display())?;
        if let Some(address) = self.listen.first() {
            let address = reachable(*address);
            self.curl(f, address)?;
            self.openssl(f, address)?;
            self.browser(f, address.port())?;
        }
        let ops = reachable(self.ops);
        writeln!(f, "\nPeople, PINs   {}", self.dir.join("people.json").display())?;
        writeln!(f, "Metrics        http://{ops}/metrics (health: /livez, /readyz)")?;
        writeln!(f, "Access log     {}", self.dir.join("access.log").display())?;
        writeln!(f, "Audit log      {}", self.dir.join("audit.log").display())?;
        writeln!(f, "Configuration  {}", self.dir.join("sekisho.yaml").display())?;
        writeln!(f, "\nCtrl-C ends it.\nready")
    }
}

impl Announcement<'_> {
    fn curl(&self, f: &mut fmt::Formatter<'_>, address: SocketAddr) -> fmt::Result {
        let (port, ca) = (address.port(), self.quoted("ca.pem"));
        let ip = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        let client = |name: &str| {
            let (pem, key) =
                (self.quoted(&format!("clients/{name}.pem")), self.quoted(&format!("clients/{name}.key")));
            format!("--cert {pem} --key {key}")
        };
        let curl = format!("curl --cacert {ca} --resolve {CERTIFICATE_HOST}:{port}:{ip}");
        let base = format!("https://{CERTIFICATE_HOST}:{port}/banking");
        writeln!(f, "\nWhat the application sees of a user with a certificate:")?;
        writeln!(f, "  {curl} {} {base}/headers", client("user"))?;
        writeln!(f, "An upload, a download of a gigabyte, an answer after two seconds:")?;
        writeln!(f, "  {curl} {} -T FILE {base}/upload", client("user"))?;
        writeln!(f, "  {curl} {} -o /dev/null '{base}/download?bytes=1073741824'", client("user"))?;
        writeln!(f, "  {curl} {} '{base}/slow?ms=2000'", client("user"))?;
        writeln!(f, "Refused, each with its own page (also: expired, stranger, or no certificate at all):")?;
        writeln!(f, "  {curl} {} {base}/", client("revoked"))?;
        writeln!(f, "Without a certificate:")?;
        writeln!(
            f,
            "  curl --cacert {ca} --resolve {OPEN_HOST}:{port}:{ip} https://{OPEN_HOST}:{port}/public/headers"
        )
    }

    fn openssl(&self, f: &mut fmt::Formatter<'_>, address: SocketAddr) -> fmt::Result {
        let path = |file: &str| self.quoted(file);
        writeln!(f, "The handshake:")?;
        writeln!(
            f,
            "  openssl s_client -connect {address} -servername {CERTIFICATE_HOST} -CAfile {} -cert {} -key {}",
            path("ca.pem"),
            path("clients/user.pem"),
            path("clients/user.key")
        )
    }

    fn browser(&self, f: &mut fmt::Formatter<'_>, port: u16) -> fmt::Result {
        let (ca, p12) = (self.quoted("ca.pem"), self.quoted("clients/user.p12"));
        let store = "sql:$HOME/.pki/nssdb";
        writeln!(f, "\nA browser:")?;
        writeln!(
            f,
            "  1. Tell it of the CA and of the certificate (password: {PASSWORD}). Chromium on Linux:"
        )?;
        writeln!(f, "       mkdir -p ~/.pki/nssdb")?;
        writeln!(f, "       [ -e ~/.pki/nssdb/cert9.db ] || certutil -N -d {store} --empty-password")?;
        writeln!(f, "       certutil -A -d {store} -n sekisho-demo -t C,, -i {ca}")?;
        writeln!(f, "       pk12util -d {store} -i {p12} -W {PASSWORD}")?;
        writeln!(
            f,
            "     Firefox: Settings, Certificates, View Certificates: import ca.pem under Authorities and"
        )?;
        writeln!(f, "     user.p12 under Your Certificates. Windows and macOS: open the two files.")?;
        writeln!(f, "  2. Open https://{CERTIFICATE_HOST}:{port}/banking/ and choose the certificate.")?;
        writeln!(f, "     It remembers the choice until all its windows are closed.")?;
        writeln!(
            f,
            "  3. Open https://{OPEN_HOST}:{port}/ and sign in, by certificate or by contract ID, user ID and PIN: ito and\n     watanabe have no certificate, people.json has their PINs. ito may acquire one there."
        )?;
        writeln!(
            f,
            "  4. With administrator.p12 (suzuki) in the browser, manage the contract's users at\n     https://{CERTIFICATE_HOST}:{port}/sekisho/administration"
        )
    }

    /// The path of a file in the folder, as a shell takes it.
    fn quoted(&self, file: &str) -> String {
        let path = self.dir.join(file).display().to_string();
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
        if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_find_the_addresses_and_people_lines_that_work() {
        let listen = ["0.0.0.0:18443".parse().unwrap()];
        let announcement = Announcement {
            dir: Path::new("it's here"),
            pki: Pki::Made,
            listen: &listen,
            ops: "127.0.0.1:19090".parse().unwrap(),
            backend: "127.0.0.1:18080".parse().unwrap(),
        };
        let text = announcement.to_string();
        assert!(text.starts_with("listen 0.0.0.0:18443\nops 127.0.0.1:19090\nbackend 127.0.0.1:18080\n"));
        assert!(text.ends_with("\nready\n"));
        assert!(text.contains(
            r"curl --cacert 'it'\''s here/ca.pem' --resolve cert.localhost:18443:127.0.0.1 --cert 'it'\''s here/clients/user.pem'"
        ));
        assert!(text.contains("http://127.0.0.1:19090/metrics"));
    }
}
