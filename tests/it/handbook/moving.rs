//! The pages about moving here from nginx: it takes the one configuration of the example, and the gate takes the other.

use std::fs;

use super::pages;
use crate::support::process::{run, sekisho};

#[test]
fn nginx_and_the_gate_take_the_examples() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let here = path.to_str().unwrap();
    sekisho(path, &["ca", "--dir", "ca", "init"]).good();
    for name in ["certs", "secrets"] {
        fs::create_dir(path.join(name)).unwrap();
    }
    for host in ["www", "cert"] {
        sekisho(path, &["ca", "--dir", "ca", "server", &format!("{host}.mihonbank.example"), "--name", host])
            .good();
        fs::rename(path.join(format!("ca/servers/{host}.pem")), path.join(format!("certs/{host}.pem")))
            .unwrap();
        fs::rename(path.join(format!("ca/servers/{host}.key")), path.join(format!("secrets/{host}.key")))
            .unwrap();
    }
    fs::rename(path.join("ca/ca.pem"), path.join("certs/bank-ca.pem")).unwrap();
    fs::rename(path.join("ca/ca.crl"), path.join("certs/bank-ca.crl")).unwrap();

    let mut pages = pages();
    pages.retain(|page| page.file.ends_with("coming-from-nginx-haproxy.md"));
    assert_eq!(pages.len(), 2);
    for page in &pages {
        for block in page.blocks() {
            match block.language.as_str() {
                "yaml" => {
                    fs::write(path.join("sekisho.yaml"), block.text).unwrap();
                    let checked = sekisho(path, &["check", "--config", "sekisho.yaml"]).good();
                    assert_eq!(checked, "sekisho.yaml: ok\n", "{}", page.file);
                }
                "nginx" => {
                    // It would take the port even for a look.
                    let server =
                        block.text.replace("listen 443 ", &format!("listen unix:{here}/nginx.sock "));
                    let whole = format!("pid nginx.pid;\nevents {{}}\nhttp {{\n{server}\n}}\n");
                    fs::write(path.join("nginx.conf"), whole).unwrap();
                    run("nginx", &["-t", "-q", "-e", "stderr", "-p", here, "-c", "nginx.conf"]).good();
                }
                _ => {}
            }
        }
    }
}
