//! One connection, from the handshake to the end: always in a task of its own.
//!
//! Invariants: every wait has a limit; while the process drains, every HTTP/1 answer says `Connection: close`,
//! so that API servers move to other replicas by themselves, before anything is closed under a request that is
//! on its way (a POST is not sent again by Go's client).
//!
//! Deliberately not here: HTTP's content ([`routes`](super::routes)), and counting connections against the
//! limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::Limits;
use super::tls::{Acceptor, HandshakeError, Secured};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// What is between TCP and HTTP.
#[derive(Debug, Clone)]
pub enum Transport {
    /// Nothing: the admin port.
    Plain,
    /// TLS: the webhook port, whose connections are counted.
    Tls(Acceptor, Arc<Metrics>),
}

/// Serves one connection to its end.
pub async fn serve(
    stream: TcpStream,
    transport: Transport,
    router: Router,
    watcher: Watcher,
    shutdown: Shutdown,
    limits: Limits,
) {
    // Answers are small and complete: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let (acceptor, metrics) = match transport {
        Transport::Plain => return drive(stream, false, router, watcher, shutdown, limits).await,
        Transport::Tls(acceptor, metrics) => (acceptor, metrics),
    };
    let _open = OpenConnection::count(Arc::clone(&metrics));
    let handshake = timeout(limits.handshake, acceptor.accept(stream)).await;
    let secured = match handshake.unwrap_or(Err(HandshakeError::TooSlow)) {
        Ok(secured) => secured,
        Err(error) => {
            metrics.tls_handshake_failures.inc();
            if matches!(error, HandshakeError::Refused { .. }) {
                metrics.certificate_refusals.inc();
            }
            // Port scanners and load balancers do this all day; a client that distrusts us shows in the metric.
            tracing::debug!(%error, "TLS handshake failed");
            return;
        }
    };
    let Secured { stream, http2 } = secured;
    drive(stream, http2, router, watcher, shutdown, limits).await;
}

async fn drive<S>(
    stream: S,
    http2: bool,
    router: Router,
    watcher: Watcher,
    shutdown: Shutdown,
    limits: Limits,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let activity = Arc::new(Activity::default());
    let service = service(router, shutdown, Arc::clone(&activity));
    // The protocol is known from the handshake. Guessing it from the first bytes would be a wait without a
    // limit.
    let outcome = if http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .serve_connection(io, service);
        tokio::select! {
            outcome = watcher.watch(connection) => outcome,
            () = activity.idle(&limits) => return,
        }
    } else {
        watcher.watch(http1(io, service, &limits)).await
    };
    if let Err(error) = outcome {
        // Clients that go away: nothing that an operator could mend.
        tracing::debug!(%error, "connection ended");
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
        .serve_connection(io, service)
}

/// `router`, with its activity noted and, while draining, `Connection: close` on its answers.
fn service(
    router: Router,
    shutdown: Shutdown,
    activity: Arc<Activity>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = std::convert::Infallible,
    Future: Send + 'static,
> + Clone {
    let router = TowerToHyperService::new(router);
    service_fn(move |request: Request<Incoming>| {
        activity.note();
        let http1 = request.version() < Version::HTTP_2;
        let shutdown = shutdown.clone();
        let response = router.call(request.map(Body::new));
        async move {
            let mut response = response.await?;
            if http1 && shutdown.is_draining() {
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    })
}

/// When something last happened on an HTTP/2 connection, which has no limit of its own for that.
#[derive(Debug, Default)]
struct Activity(AtomicU64);

impl Activity {
    fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until no request has begun for as long as the limit, which is longer than any request takes.
    async fn idle(&self, limits: &Limits) {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            sleep(limits.idle).await;
            let now = self.0.load(Ordering::Relaxed);
            if now == seen {
                return;
            }
            seen = now;
        }
    }
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
