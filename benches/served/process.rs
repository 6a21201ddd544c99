//! The two servers, and what is read of their processes.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, RootCertStore, client::Resumption, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tempfile::TempDir;

/// The name in the certificate.
pub(crate) const NAME: &str = "javelin.javelin-system.svc";

/// A certificate that both servers have, in a folder.
pub(crate) struct Certificate(TempDir);

impl Certificate {
    /// By `certs/corporate-ca.sh`.
    pub(crate) fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs/corporate-ca.sh");
        let made = Command::new(script).arg(folder.path()).arg(NAME).output();
        let made = made.unwrap();
        assert!(made.status.success(), "{made:?}");
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What trusts it; `resumes` a session, or shakes hands in full each time.
    pub(crate) fn client(&self, resumes: bool) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let trusted = fs::read(self.file("ca.crt")).unwrap();
        for root in CertificateDer::pem_slice_iter(&trusted) {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if !resumes {
            config.resumption = Resumption::disabled();
        }
        Arc::new(config)
    }

    /// The median time from the start of the program until it is ready.
    pub(crate) fn starts(&self, config: &str, times: usize) -> Duration {
        let mut took: Vec<_> = (0..times)
            .map(|_| Process::javelin(self, config).took)
            .collect();
        took.sort_unstable();
        took.get(times / 2).copied().unwrap_or_default()
    }
}

/// A server, which ends with this.
pub(crate) struct Process {
    child: Child,
    port: u16,
    is_noop: bool,
    /// From its start until it was ready.
    took: Duration,
}

impl Process {
    /// This program again, as the handler that does nothing.
    pub(crate) fn noop(certificate: &Certificate) -> Self {
        let [port, _] = free_ports();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("noop").arg(certificate.0.path());
        command.arg(port.to_string());
        Self::start(command, certificate, port, true, || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        })
    }

    /// `javelin serve`, as it is built with this program; or another, of which a variable says where it is.
    pub(crate) fn javelin(certificate: &Certificate, config: &str) -> Self {
        let [port, admin] = free_ports();
        fs::write(certificate.file("config.yaml"), config).unwrap();
        let argument = |flag: &str, file| format!("{flag}={}", certificate.file(file).display());
        let mut command = Command::new(program());
        command
            .arg("serve")
            .arg(format!("--listen=127.0.0.1:{port}"))
            .arg(format!("--admin-listen=127.0.0.1:{admin}"))
            .args(["--service=javelin", "--namespace=javelin-system"])
            .arg(argument("--tls-cert", "tls.crt"))
            .arg(argument("--tls-key", "tls.key"))
            .arg(argument("--config", "config.yaml"));
        Self::start(command, certificate, port, false, || is_ready(admin))
    }

    fn start(
        mut command: Command,
        certificate: &Certificate,
        port: u16,
        is_noop: bool,
        is_ready: impl Fn() -> bool,
    ) -> Self {
        let began = Instant::now();
        let log = certificate.file(if is_noop { "noop.log" } else { "log" });
        let child = command
            // As in the image.
            .envs([("MIMALLOC_ALLOW_THP", "0"), ("MIMALLOC_PURGE_DELAY", "0")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut process = Self {
            child,
            port,
            is_noop,
            took: Duration::ZERO,
        };
        while !is_ready() {
            let ended = process.child.try_wait().unwrap();
            let is_in_time = began.elapsed() < Duration::from_secs(30);
            let told = || fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none() && is_in_time, "not ready: {}", told());
            std::thread::yield_now();
        }
        process.took = began.elapsed();
        process
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn is_noop(&self) -> bool {
        self.is_noop
    }

    /// Of all its threads, in user and in kernel mode.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = self.read("stat");
        // The name, in brackets, may hold anything.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum();
        Duration::from_millis(ticks * 1000 / TICKS)
    }

    /// Resident memory.
    pub(crate) fn resident_mib(&self) -> f64 {
        let status = self.read("status");
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib / 1024.0
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Free a moment ago. Should somebody else have taken one, the server says so and the run fails.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn is_ready(admin: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, admin)) else {
        return false;
    };
    let asked = stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200 ")
}

#[expect(
    clippy::disallowed_methods,
    reason = "how another build is compared: as in tests/hostile"
)]
fn program() -> String {
    std::env::var("JAVELIN_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_javelin").to_owned())
}

/// `USER_HZ`, which is the same on every Linux that Rust runs on.
const TICKS: u64 = 100;
