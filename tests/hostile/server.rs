//! The program, an honest client of it, and what is measured.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tempfile::TempDir;

use super::{
    api_server::{Objects, api_server, kubeconfig},
    attack::{self, Attacker},
};

pub(crate) const NAME: &str = "javelin.javelin-system.svc";

/// Long, because others may be using the machine.
const DEADLINE: Duration = Duration::from_mins(1);

/// Ends with the case.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    port: u16,
    admin: u16,
}

impl Server {
    /// With a certificate from two files. A shell starts it, which does `first` before that.
    pub(crate) fn start(first: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_certificate(folder.path());
        let file = |name| folder.path().join(name).display().to_string();
        let arguments = [
            format!("--tls-cert={}", file("tls.crt")),
            format!("--tls-key={}", file("tls.key")),
        ];
        Self::launch(folder, first, &arguments)
    }

    /// With an authority of its own, which is in `objects`. What it is told of times makes rotations short: a leaf is
    /// renewed every twenty seconds, and a new authority signs after a second.
    pub(crate) fn with_authority(objects: &Arc<Mutex<Objects>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        objects.lock().unwrap().trusted = Some(folder.path().join("ca.crt"));
        let path = folder.path().join("kubeconfig");
        let address = api_server(Arc::clone(objects));
        fs::write(&path, kubeconfig(address, "a-token")).unwrap();
        let arguments = ["--leaf-lifetime=30s", "--settle-time=1s"].map(str::to_owned);
        let first = format!("export KUBECONFIG={}", path.display());
        Self::launch(folder, &first, &arguments)
    }

    fn launch(folder: TempDir, first: &str, arguments: &[String]) -> Self {
        fs::write(folder.path().join("config.yaml"), "").unwrap();
        // Free a moment ago. Should somebody else have taken one, the program says so and the test fails.
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (one, two) = (free(), free());
        let [port, admin] = [&one, &two].map(|each| each.local_addr().unwrap().port());
        drop((one, two));
        let child = Command::new("sh")
            .arg("-c")
            .arg(format!(r#"{first}; exec "$@""#))
            .args(["sh", &program(), "serve"])
            .arg(format!("--listen=127.0.0.1:{port}"))
            .arg(format!("--admin-listen=127.0.0.1:{admin}"))
            .args(["--service=javelin", "--namespace=javelin-system"])
            .args(arguments)
            .arg(format!(
                "--config={}",
                folder.path().join("config.yaml").display()
            ))
            // The image's program is static. This one would resolve functions when they are first called, and that leaves
            // the processor's registers on the stack, with whatever was copied last.
            .env("LD_BIND_NOW", "1")
            // As in the image.
            .envs([("MIMALLOC_ALLOW_THP", "0"), ("MIMALLOC_PURGE_DELAY", "0")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            folder,
            port,
            admin,
        };
        let end = Instant::now() + DEADLINE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, admin)).is_err()
            || !server.get("/readyz").starts_with("HTTP/1.1 200 ")
        {
            let ended = server.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < end,
                "it does not start: {}",
                server.log()
            );
        }
        server
    }

    pub(crate) fn id(&self) -> String {
        self.child.id().to_string()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        config(self.folder.path(), "http/1.1")
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address(), Ipv4Addr::LOCALHOST, self.config())
            .expect("an honest client is let in")
    }

    pub(crate) fn attacker(&self) -> Attacker {
        Attacker::new(self.address(), self.folder.path().to_owned())
    }

    /// Reviews, one after the other, for so long; a new connection for each tenth.
    pub(crate) fn honest(&self, time: Duration) -> Honest {
        let end = Instant::now() + time;
        let (mut reviews, mut livez) = (Vec::new(), Vec::new());
        let mut descriptors = 0;
        let mut client = self.client();
        while Instant::now() < end {
            if reviews.len() % 10 == 9 {
                client = self.client();
            }
            let asked = Instant::now();
            client.review();
            reviews.push(asked.elapsed());
            let asked = Instant::now();
            assert!(self.is_alive());
            livez.push(asked.elapsed());
            descriptors = descriptors.max(self.within_bounds());
        }
        Honest {
            p99: p99(reviews),
            livez: p99(livez),
            descriptors,
        }
    }

    /// By what a kubelet asks.
    pub(crate) fn is_alive(&self) -> bool {
        self.get("/livez").starts_with("HTTP/1.1 200 ")
    }

    /// The most memory that it had so far, in MiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        u64::from(self.status("VmHWM:").div_ceil(1024))
    }

    /// A number of `/proc/PID/status`; memory is in KiB there.
    fn status(&self, key: &str) -> u32 {
        let status = fs::read_to_string(self.process().join("status")).unwrap();
        let mut lines = status.lines();
        let value = lines.find_map(|line| line.strip_prefix(key)).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Resident memory in MiB, descriptors, threads and connections, now.
    pub(crate) fn sample(&self) -> [f64; 4] {
        let memory = f64::from(self.status("VmRSS:")) / 1024.0;
        let descriptors = u32::try_from(self.descriptors()).unwrap();
        let connections = u32::try_from(self.metric("javelin_open_connections")).unwrap();
        [
            memory,
            f64::from(descriptors),
            f64::from(self.status("Threads:")),
            f64::from(connections),
        ]
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(self.process().join("fd")).unwrap().count()
    }

    /// Puts another configuration in place of the one that it has.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.folder.path().join("config.yaml"), text).unwrap();
    }

    /// Puts a new certificate of the same authorities in place of the one that it has.
    pub(crate) fn renew(&self) {
        make_certificate(self.folder.path());
    }

    /// What it was given, by name.
    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// How many descriptors it has open.
    fn within_bounds(&self) -> usize {
        let peak = self.peak_memory();
        assert!(peak <= super::MEMORY_MIB, "{peak} MiB of memory");
        let open = self.descriptors();
        assert!(open <= super::DESCRIPTORS, "{open} descriptors");
        open
    }

    fn process(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.child.id()))
    }

    /// After an attack: nothing panicked, all that is in `refusals` was counted, and told once.
    pub(crate) fn judge(&mut self, refusals: &[&str]) {
        for refusal in refusals {
            self.until_refused(refusal);
        }
        self.within_bounds();
        assert_eq!(self.metric("javelin_panics_total"), 0);
        assert_eq!(self.child.try_wait().unwrap(), None, "{}", self.log());
        let log = self.log();
        assert!(!log.contains("panic"), "{log}");
        let most = if super::is_long() { 2 } else { 1 };
        for kind in refusals {
            let lines = log
                .lines()
                .filter(|line| line.contains(&format!(r#""refusal":"{kind}""#)))
                .count();
            assert!((1..=most).contains(&lines), "{lines} lines tell of {kind}");
        }
        let others = log
            .lines()
            .filter(|line| !line.contains("\"reviewed\""))
            .count();
        assert!(others <= 30, "{others} lines in the log: {log}");
    }

    pub(crate) fn until_refused(&self, kind: &str) {
        let end = Instant::now() + DEADLINE;
        while self.refused(kind) == 0 {
            assert!(Instant::now() < end, "no {kind} is counted");
        }
    }

    pub(crate) fn refused(&self, kind: &str) -> u64 {
        self.metric(&format!(r#"javelin_refusals_total{{reason="{kind}"}}"#))
    }

    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics");
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    fn get(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.admin)) else {
            return String::new();
        };
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut answer = String::new();
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of this build, or the one that is named.
#[expect(
    clippy::disallowed_methods,
    reason = "how `cargo xtask` names the program as it is released"
)]
fn program() -> String {
    std::env::var("JAVELIN_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_javelin").to_owned())
}

/// By `certs/corporate-ca.sh`: the first time with its authorities.
fn make_certificate(folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs/corporate-ca.sh");
    let made = Command::new(script).arg(folder).arg(NAME).output().unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// How an honest client fared.
pub(crate) struct Honest {
    /// Of its reviews.
    pub(crate) p99: Duration,
    /// The 99th percentile of `/livez`.
    pub(crate) livez: Duration,
    /// The most that the server had open meanwhile.
    pub(crate) descriptors: usize,
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() * 99 / 100]
}

/// One TLS connection.
pub(crate) struct Client(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl Client {
    pub(crate) fn connect(
        to: SocketAddr,
        from: Ipv4Addr,
        config: Arc<ClientConfig>,
    ) -> std::io::Result<Self> {
        Self::over(connect(to, from, None)?, config, NAME)
    }

    /// Shakes hands.
    pub(crate) fn over(
        stream: TcpStream,
        config: Arc<ClientConfig>,
        name: &str,
    ) -> std::io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        let connection = ClientConnection::new(config, name).map_err(std::io::Error::other)?;
        let mut client = Self(StreamOwned::new(connection, stream));
        client.0.flush()?;
        while client.0.conn.is_handshaking() {
            client.0.conn.complete_io(&mut client.0.sock)?;
        }
        Ok(client)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    /// A review as an API server sends it; it has to be answered, with the agent.
    pub(crate) fn review(&mut self) {
        let review = attack::review(&attack::pod(1, ""));
        let answer = self
            .ask(&attack::post("/mutate/pod?timeout=3s", review.as_bytes()))
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains(r#""allowed":true"#), "{answer}");
        assert!(answer.contains(r#""patch":"#), "{answer}");
    }

    /// One request, and its answer whole.
    pub(crate) fn ask(&mut self, request: &[u8]) -> std::io::Result<String> {
        self.send(request)?;
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while !is_whole(&answer) {
            let read = self.0.read(&mut buffer)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(&buffer[..read]);
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// What comes until the server hangs up.
    pub(crate) fn rest(&mut self) -> String {
        let mut answers = Vec::new();
        let _ = self.0.read_to_end(&mut answers);
        String::from_utf8_lossy(&answers).into_owned()
    }
}

/// Has as much come as the answer's own length says?
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| length.parse() == Ok(body.len()))
}

/// What trusts the authorities in `folder` and offers `protocol` alone.
pub(crate) fn config(folder: &Path, protocol: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let trusted = fs::read(folder.join("ca.crt")).unwrap();
    for root in CertificateDer::pem_slice_iter(&trusted) {
        roots.add(root.unwrap()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Arc::new(config)
}

/// A TCP connection from one of the loopback's addresses; `room` is what it takes before it is read.
pub(crate) fn connect(
    to: SocketAddr,
    from: Ipv4Addr,
    room: Option<u32>,
) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        if let Some(room) = room {
            socket.set_recv_buffer_size(room)?;
        }
        socket.bind((from, 0).into())?;
        tokio::time::timeout(Duration::from_secs(10), socket.connect(to)).await?
    })?;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(3)))?;
    Ok(stream)
}
