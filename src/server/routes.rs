//! The webhook port's routes: from a path and a body to an AdmissionReview.
//!
//! The path says which entry of the webhook configuration sent the review, and whether as a second chance: the chart
//! repeats each entry for objects that a failed call has left undecided. A query (`?timeout=10s`) is ignored.
//!
//! | answer | when |
//! |---|---|
//! | 200 | a review was read; whatever happened then, it carries the UID and allows |
//! | 400 | the body is no AdmissionReview, or did not arrive whole |
//! | 404, 405 | another path, another method |
//! | 408 | the body took longer than [`Limits::body`] |
//! | 413 | the body is larger than [`MAX_BODY_BYTES`] |
//! | 503 | more bytes at once than [`Limits::body_bytes`], for longer than [`Limits::queue`] |
//!
//! Invariant: there is nothing but CPU between the last byte of a request and its answer.
//!
//! Deliberately not here: any decision about a pod ([`review`]).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Limits;
use crate::config::Config;
use crate::metrics::{Metrics, entry_label};
use crate::review::{self, Answer, Entry, Malformed};

/// What decides on a review. A parameter so that a test can put one in that panics; the webhook's is
/// [`review::answer`].
pub type Engine = fn(&Entry, &[u8], &Config) -> Result<Answer, Malformed>;

/// What the handlers share.
#[derive(Debug)]
pub struct Reviews {
    config: Arc<ArcSwap<Config>>,
    metrics: Arc<Metrics>,
    engine: Engine,
    limits: Limits,
    permits: Semaphore,
}

impl Reviews {
    /// Answers reviews by whatever `config` holds at the time.
    pub fn new(
        config: Arc<ArcSwap<Config>>,
        metrics: Arc<Metrics>,
        limits: Limits,
        engine: Engine,
    ) -> Self {
        Self {
            config,
            metrics,
            engine,
            limits,
            permits: Semaphore::new(limits.body_bytes / PERMIT_BYTES),
        }
    }

    /// The routes of the webhook port.
    pub fn router(self) -> Router {
        let entries = || {
            Router::new()
                .route(
                    "/pod",
                    post(|state, request| handle(state, Entry::Pod, request)),
                )
                .route(
                    "/namespace/{profile}",
                    post(|state, Path(profile), request| {
                        handle(state, Entry::Namespace(profile), request)
                    }),
                )
                .route(
                    "/namespace",
                    post(|state, request| handle(state, Entry::UnknownNamespace, request)),
                )
                .route(
                    "/workload",
                    post(|state, request| handle(state, Entry::Workload, request)),
                )
        };
        Router::new()
            .nest("/mutate", entries())
            .nest("/second-chance", entries().layer(Extension(SecondChance)))
            .route(
                "/probe",
                post(|state, request| handle(state, Entry::Probe, request)),
            )
            .with_state(Arc::new(self))
    }

    /// Decides; a panic inside becomes an answer too.
    fn answer(&self, entry: &Entry, body: &[u8]) -> Result<Answer, Malformed> {
        let config = self.config.load();
        // Unwind-safe: the engine is a pure function of values that are only read.
        catch_unwind(AssertUnwindSafe(|| (self.engine)(entry, body, &config))).unwrap_or_else(
            |_| {
                // The panic hook has logged the place. The message is dropped: it may quote the pod.
                self.metrics.panics.inc();
                tracing::error!(
                    entry = entry_label(entry),
                    "the review could not be decided, because of a panic"
                );
                review::internal_error(body)
            },
        )
    }
}

/// With a request that came by an entry's second chance.
#[derive(Debug, Clone, Copy)]
struct SecondChance;

async fn handle(State(reviews): State<Arc<Reviews>>, entry: Entry, request: Request) -> Response {
    let is_second_chance = request.extensions().get::<SecondChance>().is_some();
    let weight = weight(request.body());
    let Ok(Ok(_permit)) = timeout(reviews.limits.queue, reviews.permits.acquire_many(weight)).await
    else {
        // No Retry-After: an API server would wait that long, and the pod with it.
        reviews.metrics.overloaded_requests.inc();
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "too many reviews at once\n",
        )
            .into_response();
    };
    let body = match read(request.into_body(), &reviews.limits).await {
        Ok(body) => body,
        Err((status, sentence)) => return (status, sentence).into_response(),
    };
    let began = Instant::now();
    match reviews.answer(&entry, &body) {
        Ok(answer) => {
            reviews
                .metrics
                .reviewed(&entry, answer.outcome.code, began.elapsed());
            if is_second_chance {
                reviews.metrics.second_chance(&entry, answer.outcome.code);
            }
            log(&entry, is_second_chance, &answer);
            ([(CONTENT_TYPE, "application/json")], answer.body).into_response()
        }
        Err(malformed) => {
            reviews.metrics.malformed_requests.inc();
            // Not the error itself: a parser's message may quote the body.
            tracing::warn!(
                entry = entry_label(&entry),
                bytes = body.len(),
                "the body is not an AdmissionReview"
            );
            (StatusCode::BAD_REQUEST, format!("{malformed}\n")).into_response()
        }
    }
}

/// Permits for the body, by its declared length; one that declares none may grow to the limit.
fn weight(body: &Body) -> u32 {
    let hint = body.size_hint();
    let bytes = hint.upper().unwrap_or(u64::MAX).min(MAX_BODY_BYTES as u64);
    // At most 8 MiB in units of 16 KiB.
    u32::try_from(bytes.div_ceil(PERMIT_BYTES as u64))
        .unwrap_or(u32::MAX)
        .max(1)
}

async fn read(body: Body, limits: &Limits) -> Result<Bytes, (StatusCode, &'static str)> {
    const TOO_LARGE: (StatusCode, &str) = (
        StatusCode::PAYLOAD_TOO_LARGE,
        "the body is larger than 8 MiB\n",
    );
    // A declared length is judged before a byte of it is read.
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(TOO_LARGE);
    }
    match timeout(limits.body, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(TOO_LARGE),
        Ok(Err(_)) => Err((StatusCode::BAD_REQUEST, "the body did not arrive whole\n")),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the body took too long\n")),
    }
}

/// No pod contents: see [`telemetry`](crate::telemetry).
fn log(entry: &Entry, is_second_chance: bool, answer: &Answer) {
    let Answer {
        uid,
        body: _,
        outcome,
    } = answer;
    tracing::info!(
        entry = entry_label(entry),
        namespace = outcome.namespace,
        name = outcome.name,
        outcome = outcome.code,
        uid,
        dry_run = outcome.dry_run,
        second_chance = is_second_chance,
        "reviewed"
    );
}

/// The API server takes request bodies of up to 3 MiB. An AdmissionReview of an update carries such an object
/// twice (the new and the old one), as JSON even if it came as the denser protobuf, and the user's groups
/// beside it: 2 x 3 MiB, and a third more.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// What one permit stands for.
const PERMIT_BYTES: usize = 16 * 1024;
