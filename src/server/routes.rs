//! The webhook port's routes: from a path and a body to an AdmissionReview.
//!
//! The path says which entry of the webhook configuration sent the review, and whether as a second chance: the chart
//! repeats each entry for objects that a failed call has left undecided. The query (`?timeout=3s`) says how long the API
//! server waits.
//!
//! | answer | when |
//! |---|---|
//! | 200 | a review was read; whatever happened then, it carries the UID and allows |
//! | 400 | the body is no AdmissionReview, or did not arrive whole |
//! | 404, 405 | another path, another method |
//! | 408 | the body took longer than [`Limits::body`] |
//! | 413 | the body is larger than [`MAX_BODY_BYTES`](super::body::MAX_BODY_BYTES) |
//! | 503 | no memory was free in time for the body or for the answer |
//!
//! Invariants: nothing is decided on the threads that serve connections. A review that has come whole is answered before its
//! API server gives up: what cannot be decided by then is admitted unchanged, with `overloaded`, and what was not begun
//! by then is not computed. The probe alone gets a 503 instead: to be admitted unchanged means there that nobody called.
//!
//! Deliberately not here: any decision about a pod ([`review`]).

use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use javelin_core::config::Config;
use javelin_core::review::{self, Answer, Entry, Malformed};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use super::Limits;
use super::body::{Budget, ORDINARY_BYTES, Received};
use super::peers::Peer;
use super::pool::Pool;
use super::refusals::{Refusal, Refusals};
use crate::controller::workload_events::WorkloadEvents;
use crate::metrics::{Metrics, entry_label};
use crate::telemetry::traces::{Parent, ReviewSpan, ReviewTracer};

/// What decides on a review. A parameter so that a test can put one in that panics; the webhook's is
/// [`review::answer`].
pub type Decide = fn(&Entry, &[u8], &Config) -> Result<Answer, Malformed>;

/// What the handlers share.
#[derive(Debug)]
pub struct Reviews {
    config: Arc<ArcSwap<Config>>,
    refusals: Arc<Refusals>,
    /// Tells workloads what became of their pods, where that is wanted.
    workload_events: Option<WorkloadEvents>,
    /// Makes a span of each review, where that is wanted.
    tracer: Option<ReviewTracer>,
    engine: Decide,
    limits: Limits,
    budget: Budget,
    ordinary: Arc<Pool<Decided>>,
    /// Apart, because a review that takes long is a large one.
    large: Arc<Pool<Decided>>,
    /// Finds the UID in large bodies that neither decides on.
    unchanged: Arc<Pool<Decided>>,
}

type Decided = Result<Answer, Malformed>;

impl Reviews {
    /// Answers reviews by whatever `config` holds at the time.
    pub fn new(
        config: Arc<ArcSwap<Config>>,
        refusals: Arc<Refusals>,
        limits: Limits,
        engine: Decide,
    ) -> Self {
        Self {
            config,
            refusals,
            workload_events: None,
            tracer: None,
            engine,
            limits,
            budget: Budget::new(limits),
            ordinary: Pool::new(limits.ordinary_threads, limits.connections),
            large: Pool::new(limits.large_threads, MOST_LARGE_WAITING),
            unchanged: Pool::new(1, limits.connections),
        }
    }

    /// Also counts what is decided, for Events on workloads.
    #[must_use]
    pub fn told_by(self, workload_events: Option<WorkloadEvents>) -> Self {
        Self {
            workload_events,
            ..self
        }
    }

    /// Also makes a span of each review.
    #[must_use]
    pub fn traced_by(self, tracer: Option<ReviewTracer>) -> Self {
        Self { tracer, ..self }
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
                "/warn/workload/{profile}",
                post(|state, Path(profile), request| {
                    handle(state, Entry::WorkloadWarning(profile), request)
                }),
            )
            .route(
                "/warn/workload",
                post(|state, request| handle(state, Entry::UnknownWorkloadWarning, request)),
            )
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
        catch_unwind(AssertUnwindSafe(|| {
            let answer = (self.engine)(entry, body, &config)?;
            if let Some(events) = &self.workload_events {
                events.decided(entry, &answer.outcome, body);
            }
            Ok(answer)
        }))
        .unwrap_or_else(|_| {
            // The panic hook has logged the place. The message is dropped: it may quote the pod.
            self.refusals.metrics().panics.inc();
            tracing::error!(
                entry = entry_label(entry),
                "the review could not be decided, because of a panic"
            );
            review::internal_error(entry, body)
        })
    }
}

/// With a request that came by an entry's second chance.
#[derive(Debug, Clone, Copy)]
struct SecondChance;

async fn handle(State(reviews): State<Arc<Reviews>>, entry: Entry, request: Request) -> Response {
    let tracer = reviews.tracer.as_ref();
    let span = tracer.map(|tracer| tracer.begin(&entry, request.headers()));
    let refusal = match reviews.review(&entry, request, span.as_ref()).await {
        Ok(response) => return response,
        Err(refusal) => refusal,
    };
    reviews.refusals.note(refusal);
    if let Some(span) = span {
        span.refused(refusal.told().0);
    }
    let (status, sentence) = match refusal {
        Refusal::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than 8 MiB\n",
        ),
        Refusal::SlowBody => (StatusCode::REQUEST_TIMEOUT, "the body took too long\n"),
        Refusal::BrokenBody => (StatusCode::BAD_REQUEST, "the body did not arrive whole\n"),
        // No Retry-After: an API server would wait that long, and the pod with it. Admitted it is all the same.
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "too many reviews at once\n",
        ),
    };
    (status, sentence).into_response()
}

impl Reviews {
    async fn review(
        self: &Arc<Self>,
        entry: &Entry,
        request: Request,
        span: Option<&ReviewSpan>,
    ) -> Result<Response, Refusal> {
        let patience = Patience::from(Instant::now(), request.uri().query());
        let _in_flight = InFlight::count(Arc::clone(self.refusals.metrics()));
        let is_second_chance = request.extensions().get::<SecondChance>().is_some();
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let peer = peer.as_deref();
        let read = self.budget.read(request.into_body(), peer);
        let body = timeout(self.limits.body, read)
            .await
            .unwrap_or(Err(Refusal::SlowBody))?;
        let body = Arc::new(body);
        let began = Instant::now();
        let metrics = self.refusals.metrics();
        let parent = span.map(ReviewSpan::parent);
        match self.decide(entry, &body, peer, patience, parent).await? {
            Ok(answer) => {
                // What has been read makes room for what is to be sent.
                drop(body);
                let room = self.budget.room_for(answer.body.len(), peer);
                let room = timeout_at(patience.to_answer, room)
                    .await
                    .unwrap_or(Err(Refusal::Overloaded))?;
                metrics.reviewed(entry, answer.outcome.code, began.elapsed());
                if answer.outcome.dry_run {
                    metrics.dry_run(entry, answer.outcome.code);
                } else if let Some(profile) = &answer.outcome.profile {
                    metrics.injected(profile);
                }
                if is_second_chance {
                    metrics.second_chance(entry, answer.outcome.code);
                }
                if let Some(span) = span {
                    span.decided(&answer.outcome, is_second_chance);
                }
                let logged_below = span.map(ReviewSpan::enter);
                log(entry, is_second_chance, &answer);
                drop(logged_below);
                let body = Bytes::from_owner(Held {
                    answer: answer.body,
                    _room: room,
                });
                Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
            }
            // Not told in the log: a parser's message may quote the body.
            Err(malformed) => {
                metrics.malformed_requests.inc();
                self.refusals.note(Refusal::Malformed);
                if let Some(span) = span {
                    span.refused(Refusal::Malformed.told().0);
                }
                Ok((StatusCode::BAD_REQUEST, format!("{malformed}\n")).into_response())
            }
        }
    }

    /// Decides on a thread for that before the deadline, or says that it could not be done.
    async fn decide(
        self: &Arc<Self>,
        entry: &Entry,
        body: &Arc<Received>,
        peer: Option<&Peer>,
        patience: Patience,
        parent: Option<Parent>,
    ) -> Result<Decided, Refusal> {
        let from = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address);
        let is_ordinary = body.bytes.len() <= ORDINARY_BYTES;
        let pool = if is_ordinary {
            &self.ordinary
        } else {
            &self.large
        };
        let work = {
            let (reviews, entry, body) = (Arc::clone(self), entry.clone(), Arc::clone(body));
            move || {
                let _decision = parent.map(|parent| parent.decide());
                reviews.answer(&entry, &body.bytes)
            }
        };
        match pool.run(from, patience.to_decide, work).await {
            Err(refusal) if *entry != Entry::Probe => {
                self.refusals.note(refusal);
                if is_ordinary {
                    return Ok(review::undecided(entry, &body.bytes));
                }
                // Even finding the UID takes a while in 8 MiB.
                let (entry, body) = (entry.clone(), Arc::clone(body));
                let work = move || review::undecided(&entry, &body.bytes);
                self.unchanged.run(from, patience.to_answer, work).await
            }
            other => other,
        }
    }
}

/// Counts a review for as long as it is worked on.
struct InFlight(Arc<Metrics>);

impl InFlight {
    fn count(metrics: Arc<Metrics>) -> Self {
        metrics.reviews_in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.reviews_in_flight.dec();
    }
}

/// An answer on its way, and the memory that it was granted.
struct Held {
    answer: Vec<u8>,
    _room: Vec<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

/// Until when an API server waits, less what the way back may take.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// A decision that is not there by then is not waited for.
    to_decide: Instant,
    /// Nor is any answer by then.
    to_answer: Instant,
}

impl Patience {
    /// That of one that says `?timeout=3s` and whose headers came at `start`.
    fn from(start: Instant, query: Option<&str>) -> Self {
        let said = query.unwrap_or_default().split('&').find_map(|each| {
            each.strip_prefix("timeout=")?
                .strip_suffix('s')?
                .parse()
                .ok()
        });
        // Longer than the chart's 3 s is an entry that somebody changed; how long a drain takes bounds it.
        let said = Duration::from_secs(said.unwrap_or(3).clamp(1, 10));
        let spare = (said / 4).min(Duration::from_millis(500));
        Self {
            to_decide: start + said - spare,
            to_answer: start + said - spare / 2,
        }
    }
}

/// No pod contents: see [`telemetry`](crate::telemetry).
fn log(entry: &Entry, is_second_chance: bool, answer: &Answer) {
    let Answer {
        uid,
        body: _,
        outcome,
    } = answer;
    // A target of its own, so that a filter can leave these lines out and keep all others.
    tracing::info!(
        target: "javelin::review",
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

/// Two of the largest for each thread, and some that are a little more than ordinary.
const MOST_LARGE_WAITING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_out_before_the_api_server_gives_up() {
        let start = Instant::now();
        for (query, decided, answered) in [
            (None, 2500, 2750),
            (Some("timeout=3s"), 2500, 2750),
            (Some("a=b&timeout=1s"), 750, 875),
            (Some("timeout=30s"), 9500, 9750),
            (Some("timeout=0s"), 750, 875),
            (Some("timeout=-1s"), 2500, 2750),
            (Some("timeout=99999999999999999999s"), 2500, 2750),
            (Some("timeout=1m0s"), 2500, 2750),
        ] {
            let patience = Patience::from(start, query);
            let after = [patience.to_decide, patience.to_answer].map(|end| end - start);
            let expected = [decided, answered].map(Duration::from_millis);
            assert_eq!(after, expected, "{query:?}");
        }
    }
}
