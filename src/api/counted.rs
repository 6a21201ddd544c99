//! Each request to the API server is counted, by the status of its answer: the last one, where the client has asked again after 429,
//! 503 or 504, and none, where it still did so when the request's time was over.
//!
//! Deliberately not here: metrics. Whoever makes a client says who counts.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::{Request, Response};
use kube::client::Body;
use tower::{Layer, Service};

/// Is told of the HTTP status of each answer, and of the absence of one. That of a watch is told when it begins.
#[derive(Clone)]
pub struct Count(Arc<dyn Fn(Option<u16>) + Send + Sync>);

impl Count {
    /// One that calls `tell`.
    pub fn by(tell: impl Fn(Option<u16>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }
}

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Count")
    }
}

impl<S> Layer<S> for Count {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            inner,
            count: self.clone(),
        }
    }
}

/// A client's service whose answers are counted.
#[derive(Debug)]
pub struct Counted<S> {
    inner: S,
    count: Count,
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let pending = Pending {
            count: self.count.clone(),
            status: None,
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            // All of it, or it would be dropped, and counted, at once.
            let mut pending = pending;
            let answer = answer.await;
            pending.status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
            answer
        })
    }
}

/// Counted when it is dropped, and so also when nobody waits for the answer any more.
struct Pending {
    count: Count,
    status: Option<u16>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        (self.count.0)(self.status);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::time::timeout;
    use tower::service_fn;

    use super::*;

    #[tokio::test]
    async fn answers_errors_and_what_nobody_waits_for_are_counted_once() {
        let counted = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&counted);
        let count = Count::by(move |status| sink.lock().unwrap().push(status));
        let request = || Request::new(Body::empty());

        let mut refusing = count.layer(service_fn(|_: Request<Body>| {
            let answer = Response::builder().status(403).body(()).unwrap();
            ready(Ok::<_, Infallible>(answer))
        }));
        drop(refusing.call(request()).await);
        let mut failing = count.layer(service_fn(|_: Request<Body>| {
            ready(Err::<Response<()>, _>("no way"))
        }));
        failing.call(request()).await.unwrap_err();
        let mut silent = count.layer(service_fn(|_: Request<Body>| {
            pending::<Result<Response<()>, Infallible>>()
        }));
        let soon = Duration::from_millis(1);
        timeout(soon, silent.call(request())).await.unwrap_err();

        assert_eq!(*counted.lock().unwrap(), [Some(403), None, None]);
    }
}
