//! Load balancers that others wrote: HAProxy and nginx, on ports of their own, killed with their guard or with the test's
//! thread.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::eventually;
use super::redis::free_port;

/// A load balancer that runs.
pub struct Balancer {
    child: Child,
    folder: TempDir,
    port: u16,
}

/// nginx has the passing on of TCP in a module that Debian keeps apart.
const STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

impl Balancer {
    /// HAProxy with these lines in the section `listen gate`; `PORT` in them is the port that it listens at.
    pub fn haproxy(lines: &[&str]) -> Self {
        Self::start(|folder, port| {
            let mut text = format!(
                "global\n stats socket {}/look\n\
                 defaults\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n timeout check 5s\n\
                 listen gate\n",
                folder.display()
            );
            lines.iter().for_each(|line| writeln!(text, " {line}").unwrap());
            let file = folder.join("haproxy.cfg");
            std::fs::write(&file, text.replace("PORT", &port.to_string())).unwrap();
            vec!["haproxy".into(), "-db".into(), "-q".into(), "-f".into(), file.to_str().unwrap().into()]
        })
    }

    /// nginx that passes TCP on to `gate` with these directives.
    pub fn nginx(gate: SocketAddr, directives: &str) -> Self {
        Self::start(|folder, port| {
            let text = format!(
                "load_module {STREAM};\ndaemon off;\nmaster_process off;\npid {0}/pid;\nerror_log {0}/log;\n\
                 events {{}}\n\
                 stream {{\n server {{ listen 127.0.0.1:{port}; listen [::1]:{port}; proxy_pass {gate}; {directives} }}\n \
                 server {{ listen unix:{0}/look; return yes; }}\n}}\n",
                folder.display()
            );
            let file = folder.join("nginx.conf");
            std::fs::write(&file, text).unwrap();
            let log = format!("{}/log", folder.display());
            vec!["nginx".into(), "-e".into(), log, "-c".into(), file.to_str().unwrap().into()]
        })
    }

    fn start(words: impl Fn(&Path, u16) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        // `setpriv` has the kernel kill it when the test's thread is gone, however that came.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .args(words(folder.path(), port))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut balancer = Self { child, folder, port };
        let mut answers = false;
        eventually("an answer from the load balancer, or its end", || {
            answers = balancer.ask("show info").is_some();
            answers || balancer.child.try_wait().unwrap().is_some()
        });
        // Somebody else may take the port between the look and the start.
        if answers { balancer } else { Self::start(words) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Where it listens in IPv6.
    pub fn address_v6(&self) -> SocketAddr {
        (Ipv6Addr::LOCALHOST, self.port).into()
    }

    /// How HAProxy's last check of its server came out.
    pub fn last_check(&self) -> String {
        let table = self.ask("show stat").unwrap();
        let row = |name: &str| {
            let line = table.lines().find(|line| line.starts_with(name)).unwrap();
            line.split(',').map(str::to_owned).collect::<Vec<_>>()
        };
        let column = row("# ").iter().position(|name| name == "check_status").unwrap();
        row("gate,gate")[column].clone()
    }

    /// What it answers on its own socket, beside what is under test.
    fn ask(&self, question: &str) -> Option<String> {
        let mut look = UnixStream::connect(self.folder.path().join("look")).ok()?;
        look.write_all(format!("{question}\n").as_bytes()).ok()?;
        // nginx answers without listening, which ends in a reset.
        let mut answer = Vec::new();
        let _ = look.read_to_end(&mut answer);
        (!answer.is_empty()).then(|| String::from_utf8(answer).unwrap())
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
