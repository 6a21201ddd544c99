//! A client that keeps connections busy, and looks at every answer.

use std::{
    cell::Cell,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::LocalSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::process::NAME;

/// What is asked, of whom, and what has to come.
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) request: Vec<u8>,
    /// The body of the answer.
    pub(crate) answer: Vec<u8>,
}

/// What one server did while it was its turn.
pub(crate) struct Turn {
    /// Each answer.
    pub(crate) took: Vec<Duration>,
    /// All in all.
    time: Duration,
    /// The server's.
    pub(crate) processor: Duration,
}

impl Turn {
    /// Answers in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.took.len() as f64 / self.time.as_secs_f64()
    }

    /// How long an answer took, in seconds.
    pub(crate) fn percentile(&mut self, percent: usize) -> f64 {
        self.took.sort_unstable();
        let at = self.took.get(self.took.len() * percent / 100);
        at.unwrap().as_secs_f64()
    }
}

/// As an API server sends it.
pub(crate) fn request(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path}?timeout=3s HTTP/1.1\r\nHost: {NAME}:443\r\nUser-Agent: kube-apiserver-admission\r\n\
         Content-Length: {}\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// So many turns of each; the connections stay open all the while. `processor` is the time of one of them so far.
pub(crate) fn turns(
    loads: &[Load; 2],
    connections: usize,
    time: Duration,
    times: usize,
    processor: impl Fn(usize) -> Duration,
) -> Vec<[Turn; 2]> {
    let runtime = runtime();
    let mut streams = loads.each_ref().map(|load| {
        let all = (0..connections).map(|_| runtime.block_on(connect(load.address, &load.client)));
        all.collect::<Vec<_>>()
    });
    let mut one = |index: usize| {
        let before = processor(index);
        let began = Instant::now();
        let took = turn(&runtime, &loads[index], &mut streams[index], began + time);
        Turn {
            took,
            time: began.elapsed(),
            processor: processor(index) - before,
        }
    };
    // The first of each fills caches and starts threads.
    for index in [0, 1] {
        one(index);
    }
    (0..times).map(|_| [0, 1].map(&mut one)).collect()
}

/// All connections at once, until the end: how long each answer took.
fn turn(
    runtime: &Runtime,
    load: &Load,
    streams: &mut Vec<TlsStream<TcpStream>>,
    end: Instant,
) -> Vec<Duration> {
    let tasks = LocalSet::new();
    let all: Vec<_> = std::mem::take(streams)
        .into_iter()
        .map(|mut stream| {
            let (request, answer) = (load.request.clone(), load.answer.clone());
            tasks.spawn_local(async move {
                let mut took = Vec::with_capacity(1 << 14);
                let mut buffer = vec![0; answer.len() + 4096];
                while Instant::now() < end {
                    let asked = Instant::now();
                    ask(&mut stream, &request, &answer, &mut buffer).await;
                    took.push(asked.elapsed());
                }
                (stream, took)
            })
        })
        .collect();
    let mut took = Vec::new();
    runtime.block_on(tasks.run_until(async {
        for task in all {
            let (stream, its) = task.await.unwrap();
            streams.push(stream);
            took.extend(its);
        }
    }));
    took
}

/// One request. The answer has to be the expected one, byte for byte.
async fn ask(stream: &mut TlsStream<TcpStream>, request: &[u8], answer: &[u8], buffer: &mut [u8]) {
    stream.write_all(request).await.unwrap();
    stream.flush().await.unwrap();
    let mut length = 0;
    loop {
        let read = stream.read(&mut buffer[length..]).await.unwrap();
        assert_ne!(read, 0, "the server has closed the connection");
        length += read;
        let came = &buffer[..length];
        let head = came.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(head) = head
            && length >= head + 4 + answer.len()
        {
            assert!(came.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", text(came));
            assert!(&came[head + 4..] == answer, "{}", text(came));
            return;
        }
        // A shorter answer would be waited for in vain.
        assert!(
            came.starts_with(&b"HTTP/1.1 200"[..length.min(12)]),
            "{}",
            text(came)
        );
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// So many connections one after the other: how many resumed a session.
pub(crate) fn handshakes(to: SocketAddr, client: &Arc<ClientConfig>, times: usize) -> usize {
    let resumed = Cell::new(0);
    runtime().block_on(async {
        for _ in 0..times {
            let mut stream = connect(to, client).await;
            let kind = stream.get_ref().1.handshake_kind();
            resumed.set(resumed.get() + usize::from(kind == Some(HandshakeKind::Resumed)));
            // Tickets come with the first answer.
            let request =
                b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx";
            stream.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 "), "{}", text(&answer));
        }
    });
    resumed.get()
}

async fn connect(to: SocketAddr, client: &Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    let connector = TlsConnector::from(Arc::clone(client));
    connector.connect(name, stream).await.unwrap()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
