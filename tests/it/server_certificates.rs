//! The gateway's own certificates: one for each kind of key, with what their issuer says of them.

use std::process::Command;

use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use sekisho::clock::Clock;
use sekisho::config;

use crate::support::backend::Backend;
use crate::support::gate::{HOSTS, Settings, WWW, lay_out, start_in};
use crate::support::pki::{Ca, Credential};

/// Which of two certificates `openssl s_client` gets with these options: the kind of its key, as it prints it.
fn shake_hands(gate: &sekisho::app::Gateway, options: &[&str]) -> String {
    let address = gate.addresses()[0].to_string();
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-servername", WWW])
        .args(options)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn rsa(ca: &Ca) -> Credential {
    ca.server_for(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(), &HOSTS)
}

/// A folder whose portal host has the usual certificate and, before it in the list, what `more` says.
fn folder(ca: &Ca, more: &str) -> tempfile::TempDir {
    let backend = Backend::start();
    let folder = lay_out(&[backend.address], ca, &Settings::default());
    let yaml = folder.path().join("sekisho.yaml");
    let text = std::fs::read_to_string(&yaml).unwrap();
    let usual = "{ certificate: server.pem, key: server.key }";
    let text = text.replace(&format!("{WWW}: {{ tls: {usual}"), &format!("{WWW}: {{ tls: [{more}]"));
    assert!(text.contains(more));
    std::fs::write(yaml, text).unwrap();
    folder
}

fn put(folder: &tempfile::TempDir, name: &str, text: &str) {
    std::fs::write(folder.path().join(name), text).unwrap();
}

#[test]
fn rsa_is_for_clients_that_know_nothing_else() {
    let ca = Ca::new("Mihon Bank CA-G1");
    let folder =
        folder(&ca, "{ certificate: rsa.pem, key: rsa.key }, { certificate: server.pem, key: server.key }");
    let rsa = rsa(&ca);
    put(&folder, "rsa.pem", &rsa.pem);
    put(&folder, "rsa.key", &rsa.key_pem);
    let gateway = start_in(&folder, Clock::System).unwrap_or_else(|error| panic!("{error}"));
    for (options, key) in [
        (&["-tls1_3"][..], "ECDSA"),
        (&["-tls1_2"], "ECDSA"),
        (&["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"], "RSA-PSS"),
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "RSA"),
    ] {
        let printed = shake_hands(&gateway, options).to_ascii_lowercase();
        let kind = printed.lines().find(|line| line.starts_with("peer signature type")).unwrap_or(&printed);
        assert!(kind.contains(&key.to_ascii_lowercase()), "{options:?}: {kind}");
    }
    let metrics = crate::support::client::plain_get(gateway.ops_address(), "/metrics").1;
    for algorithm in ["ecdsa", "rsa"] {
        let labels = format!("{{algorithm=\"{algorithm}\",host=\"{WWW}\"}}");
        let name = format!("sekisho_server_certificate_expiry_timestamp_seconds{labels}");
        assert!(metrics.contains(&name), "{metrics}");
    }
    gateway.drain();
}

#[test]
fn what_is_wrong_with_one_of_several_is_said_with_its_place() {
    let ca = Ca::new("Mihon Bank CA-G1");
    let usual = "{ certificate: server.pem, key: server.key }";
    let folder = folder(&ca, &format!("{usual}, {{ certificate: server.pem, key: none.key }}, {usual}"));
    let document = config::load(&folder.path().join("sekisho.yaml")).unwrap();
    let problems = sekisho::app::plan(&document, Clock::System.now()).map(drop).unwrap_err().to_string();
    assert!(problems.contains("none.key: there is no such file"), "{problems}");
    assert!(problems.contains("a second certificate with an ecdsa key would never be served"), "{problems}");
}

#[test]
fn a_good_ocsp_response_is_stapled_and_no_other() {
    let ca = Ca::new("Mihon Bank CA-G1");
    let stranger = Ca::new("Mihon Bank CA-G1");
    for (signer, status, stapled) in [(&ca, "V", true), (&stranger, "V", false), (&ca, "R", false)] {
        let folder = folder(&ca, "{ certificate: chain.pem, key: chain.key, ocsp: response.der }");
        let mut params = rcgen::CertificateParams::new(vec![WWW.to_owned()]).unwrap();
        params.serial_number = Some(rcgen::SerialNumber::from(vec![0x4a, 0x31]));
        let server = ca.issue(params);
        put(&folder, "chain.pem", &format!("{}{}", server.pem, ca.pem()));
        put(&folder, "chain.key", &server.key_pem);
        put(&folder, "leaf.pem", &server.pem);
        put(&folder, "signer.pem", &signer.pem());
        put(&folder, "signer.key", &signer.key_pem());
        let revoked = if status == "R" { "200101000000Z" } else { "" };
        put(&folder, "index", &format!("{status}\t491231235959Z\t{revoked}\t4A31\tunknown\t/O=Mihon\n"));
        let made = Command::new("openssl")
            .current_dir(folder.path())
            .args(
                "ocsp -index index -CA ca.pem -issuer ca.pem -cert leaf.pem -ndays 1 -rsigner signer.pem"
                    .split(' '),
            )
            .args("-rkey signer.key -respout response.der -noverify".split(' '))
            .output()
            .unwrap();
        assert!(folder.path().join("response.der").exists(), "{made:?}");
        let gateway = start_in(&folder, Clock::System).unwrap_or_else(|error| panic!("{error}"));
        for version in ["-tls1_3", "-tls1_2"] {
            let printed = shake_hands(&gateway, &[version, "-status"]);
            assert_eq!(printed.contains("OCSP Response Status: successful"), stapled, "{printed}");
            assert_eq!(printed.contains("OCSP response: no response sent"), !stapled, "{printed}");
        }
        gateway.drain();
    }
}
