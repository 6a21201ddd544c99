//! What hostile clients do. Nothing here fails: a client that is thrown out has met a limit, which is what the server is
//! judged by.

use std::{
    io::{ErrorKind, Read, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustls::ClientConfig;

use super::server::{self, Client, NAME};

/// Another address than the honest client's.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Between two looks at whether the attack is over.
const GLANCE: Duration = Duration::from_millis(300);

pub(crate) struct Attacker {
    to: SocketAddr,
    folder: PathBuf,
    /// With what it trusts, for as long as that stays the same.
    config: Mutex<(Vec<u8>, Arc<ClientConfig>)>,
    is_over: AtomicBool,
}

impl Attacker {
    pub(crate) fn new(to: SocketAddr, folder: PathBuf) -> Self {
        Self {
            to,
            config: Mutex::new((Vec::new(), server::config(&folder, "http/1.1"))),
            folder,
            is_over: AtomicBool::new(false),
        }
    }

    /// Does `attack` again and again, with so many clients at once, until [`end`](Self::end).
    pub(crate) fn run(&self, clients: usize, attack: &(impl Fn(&Self) + Sync)) {
        step_back();
        thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    while !self.is_over() {
                        attack(self);
                        // The server is to be loaded, not the machine.
                        thread::sleep(Duration::from_millis(5));
                    }
                });
            }
        });
    }

    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn connect(&self) -> Option<Client> {
        let stream = self.connect_plainly()?;
        Client::over(stream, self.config(), NAME).ok()
    }

    /// A client that does not trust a certificate makes the server serve the one before it.
    fn config(&self) -> Arc<ClientConfig> {
        let trusted = std::fs::read(self.folder.join("ca.crt")).unwrap_or_default();
        let mut known = self.config.lock().unwrap();
        if known.0 != trusted {
            *known = (trusted, server::config(&self.folder, "http/1.1"));
        }
        Arc::clone(&known.1)
    }

    fn connect_plainly(&self) -> Option<TcpStream> {
        let stream = server::connect(self.to, ADDRESS, None).ok()?;
        stream.set_read_timeout(Some(GLANCE)).ok()?;
        Some(stream)
    }

    /// Reads until the server hangs up.
    fn listen(&self, stream: &mut impl Read) {
        let mut buffer = [0; 4096];
        while !self.is_over() {
            match stream.read(&mut buffer) {
                Ok(0) => return,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    }

    /// Sends, then listens until the server hangs up.
    pub(crate) fn send(&self, bytes: &[u8]) {
        if let Some(mut client) = self.connect()
            && client.send(bytes).is_ok()
        {
            self.listen(&mut client.0);
        }
    }

    /// Sends, takes one answer and is gone.
    pub(crate) fn send_and_close(&self, bytes: &[u8]) {
        if let Some(mut client) = self.connect() {
            let _ = client.send(bytes);
            let _ = client.0.read(&mut [0; 1024]);
        }
    }

    /// Sends, says that nothing more will come, and listens.
    pub(crate) fn send_and_shut_down(&self, bytes: &[u8]) {
        if let Some(mut client) = self.connect() {
            let _ = client.send(bytes);
            let _ = client.0.sock.shutdown(Shutdown::Write);
            self.listen(&mut client.0);
        }
    }

    /// Sends and never reads.
    pub(crate) fn send_without_reading(&self, bytes: &[u8]) {
        let Ok(stream) = server::connect(self.to, ADDRESS, Some(4096)) else {
            return;
        };
        if let Ok(mut client) = Client::over(stream, self.config(), NAME) {
            let _ = client.send(bytes);
            self.wait(10);
        }
    }

    /// Sends `first` at once, and the rest a piece at a time.
    pub(crate) fn trickle(&self, first: &[u8], piece: &[u8]) {
        let Some(mut client) = self.connect() else {
            return;
        };
        let mut sent = client.send(first);
        while sent.is_ok() && !self.is_over() {
            thread::sleep(Duration::from_millis(50));
            sent = client.send(piece);
        }
    }

    /// Sends what is no TLS, or not all of a handshake, and listens.
    pub(crate) fn send_plain(&self, bytes: &[u8]) {
        if let Some(mut stream) = self.connect_plainly() {
            let _ = stream.write_all(bytes);
            self.listen(&mut stream);
        }
    }

    pub(crate) fn handshake(&self, protocol: &str, name: &str) {
        let config = server::config(&self.folder, protocol);
        if let Some(stream) = self.connect_plainly() {
            let _ = Client::over(stream, config, name);
        }
    }

    /// A client that is not ours: it speaks versions that are past, and asks for a second handshake.
    pub(crate) fn openssl(&self, arguments: &[&str], says: &str) {
        let client = Command::new("openssl")
            .args(["s_client", "-connect", &self.to.to_string()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut client) = client else { return };
        if let Some(stdin) = &mut client.stdin {
            let _ = stdin.write_all(says.as_bytes());
        }
        self.wait(1);
        let _ = client.kill();
        let _ = client.wait();
    }

    /// So many connections that never say a word.
    pub(crate) fn hold(&self, count: usize) -> Vec<TcpStream> {
        (0..count)
            .take_while(|_| !self.is_over())
            .filter_map(|_| self.connect_plainly())
            .collect()
    }

    pub(crate) fn wait(&self, seconds: u64) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while !self.is_over() && Instant::now() < end {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Makes this thread, and those that it starts, give way: what an attack costs the attacker is not to be measured.
fn step_back() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap_or_default();
    let Some(id) = thread.file_name() else { return };
    let _ = Command::new("renice")
        .args(["-n", "10", "-p"])
        .arg(id)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// A POST with its length.
pub(crate) fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// An AdmissionReview of a new pod.
pub(crate) fn review(object: &str) -> String {
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u-1","operation":"CREATE","kind":{{"group":"","version":"v1","kind":"Pod"}},"namespace":"shop","object":{object}}}}}"#
    )
}

/// A pod that gets the agent, with so many containers, and further annotations as JSON members.
pub(crate) fn pod(containers: usize, annotations: &str) -> String {
    let containers: Vec<String> = (0..containers)
        .map(|number| format!(r#"{{"name":"app{number}","image":"shop"}}"#))
        .collect();
    format!(
        r#"{{"metadata":{{"name":"cart","labels":{{"instrumentation.opentelemetry.io/inject-java":"true"}},"annotations":{{{annotations}}}}},"spec":{{"containers":[{}]}}}}"#,
        containers.join(",")
    )
}

/// The annotation that names so many containers, or that many who are not there.
pub(crate) fn names(prefix: &str, count: usize) -> String {
    let names: Vec<String> = (0..count)
        .map(|number| format!("{prefix}{number}"))
        .collect();
    format!(
        r#""instrumentation.opentelemetry.io/container-names":"{}""#,
        names.join(",")
    )
}
