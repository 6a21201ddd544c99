//! One connection, from the handshake to the end: always in a task of its own.
//!
//! Invariants: every wait has a limit; there is one request at a time (HTTP/1.1 alone, ADR 13), which the limits of
//! memory count on; while the process drains, every answer says `Connection: close`, so that API servers
//! move to other replicas by themselves, before anything is closed under a request that is on its way (a POST is not
//! sent again by Go's client).
//!
//! Deliberately not here: HTTP's content ([`routes`](super::routes)), and counting connections against the
//! limit.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::Limits;
use super::peers::{Peer, Peers, Seat};
use super::refusals::{Refusal, Refusals};
use super::tls::{Acceptor, HandshakeError};
use super::write_limit::WriteLimit;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// What is between TCP and HTTP.
#[derive(Debug, Clone)]
pub enum Transport {
    /// Nothing: the admin port.
    Plain,
    /// TLS: the webhook port, whose connections and refusals are counted.
    Tls(Acceptor, Arc<Refusals>),
}

impl Transport {
    /// Counts what is not served, where it is counted.
    pub(super) fn refuse(&self, refusal: Refusal) {
        if let Self::Tls(_, refusals) = self {
            refusals.note(refusal);
        }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    transport: Transport,
    router: Router,
    watcher: Watcher,
    shutdown: Shutdown,
    seat: Seat,
    limits: Limits,
) {
    // Answers are small and complete: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let connection = Connection {
        transport: &transport,
        router,
        watcher,
        shutdown,
        peer: seat.peer.clone(),
        limits,
    };
    let (acceptor, metrics) = match &transport {
        Transport::Plain => return connection.drive(stream).await,
        Transport::Tls(acceptor, refusals) => (acceptor, refusals.metrics()),
    };
    let _open = OpenConnection::count(Arc::clone(metrics));
    let handshake = timeout(limits.handshake, acceptor.accept(stream)).await;
    match handshake.unwrap_or(Err(HandshakeError::TooSlow)) {
        Ok(stream) => connection.drive(stream).await,
        Err(error) => {
            metrics.tls_handshake_failures.inc();
            if matches!(error, HandshakeError::Refused { .. }) {
                metrics.certificate_refusals.inc();
            }
            // Load balancers connect and hang up all day: that is no refusal of ours.
            if !is_hang_up(&error) {
                transport.refuse(Refusal::Handshake);
            }
            tracing::debug!(%error, "TLS handshake failed");
        }
    }
}

/// Serves one connection that is there already, and without TLS, to its end: any stream will do. For `fuzz/`.
#[doc(hidden)]
pub async fn serve_stream<S>(stream: S, router: Router, shutdown: Shutdown, limits: Limits)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let connections = GracefulShutdown::new();
    let Some(seat) = Peers::new(limits).seat(Ipv4Addr::LOCALHOST.into()) else {
        return;
    };
    let connection = Connection {
        transport: &Transport::Plain,
        router,
        watcher: connections.watcher(),
        shutdown,
        peer: Arc::clone(&seat.peer),
        limits,
    };
    connection.drive(stream).await;
}

/// What HTTP on one connection needs.
struct Connection<'a> {
    transport: &'a Transport,
    router: Router,
    watcher: Watcher,
    shutdown: Shutdown,
    peer: Arc<Peer>,
    limits: Limits,
}

impl Connection<'_> {
    async fn drive<S>(self, stream: S)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(WriteLimit::new(stream, self.limits.write));
        let has_spoken = Arc::new(AtomicBool::new(false));
        let service = service(
            self.router,
            self.shutdown,
            self.peer,
            Arc::clone(&has_spoken),
        );
        let connection = http1(io, service, &self.limits);
        let silence = async {
            sleep(self.limits.first_request).await;
            if has_spoken.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let outcome = tokio::select! {
            // A request that comes in the last moment has come.
            biased;
            outcome = self.watcher.watch(connection) => outcome,
            () = silence => return self.transport.refuse(Refusal::Silent),
        };
        if let Err(error) = outcome {
            if error.is_parse() {
                self.transport.refuse(Refusal::NotHttp);
            } else if is_slow_reader(&error) {
                self.transport.refuse(Refusal::SlowReader);
            }
            // Else clients that go away: nothing that an operator could mend.
            tracing::debug!(%error, "connection ended");
        }
    }
}

fn http1<I, S>(io: I, service: S, limits: &Limits) -> http1::Connection<I, S>
where
    I: Read + Write + Unpin,
    S: Service<Request<Incoming>, Response = Response<Body>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    http1::Builder::new()
        .timer(TokioTimer::new())
        // This clock also runs between two requests, so it is the limit for idle connections too.
        .header_read_timeout(limits.idle)
        .max_buf_size(limits.head_bytes)
        .serve_connection(io, service)
}

/// `router`, which is told whose request it is, with `Connection: close` on its answers while draining, and on those to bodies
/// in chunks.
fn service(
    router: Router,
    shutdown: Shutdown,
    peer: Arc<Peer>,
    has_spoken: Arc<AtomicBool>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = std::convert::Infallible,
    Future: Send + 'static,
> + Clone {
    let router = TowerToHyperService::new(router);
    service_fn(move |mut request: Request<Incoming>| {
        has_spoken.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(Arc::clone(&peer));
        let shutdown = shutdown.clone();
        // An API server knows the length of what it sends. Where a length stood beside the chunks, whatever is between may
        // believe it, and take what follows for a request of somebody else.
        let is_last = request.headers().contains_key(TRANSFER_ENCODING);
        let response = router.call(request.map(Body::new));
        async move {
            let mut response = response.await?;
            if is_last || shutdown.is_draining() {
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    })
}

/// Did the client just go away?
fn is_hang_up(error: &HandshakeError) -> bool {
    use io::ErrorKind::{ConnectionReset, UnexpectedEof};
    matches!(error, HandshakeError::Failed(error) if matches!(error.kind(), UnexpectedEof | ConnectionReset))
}

/// Only writing has a limit of that kind.
fn is_slow_reader(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|error| error.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// Counts an open connection for as long as it lives.
struct OpenConnection(Arc<Metrics>);

impl OpenConnection {
    fn count(metrics: Arc<Metrics>) -> Self {
        metrics.open_connections.inc();
        Self(metrics)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open_connections.dec();
    }
}
