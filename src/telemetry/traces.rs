//! A span for each review, and one below it for the decision, so that waiting is seen apart from deciding.
//!
//! A trace that the API server has begun goes on here: it sends `traceparent` where its own tracing is on
//! (<https://kubernetes.io/docs/concepts/cluster-administration/system-traces/>).
//!
//! Invariant: as with log lines, nothing of an object but where it is and what was decided.

use std::sync::Arc;

use axum::http::HeaderMap;
use javelin_core::review::{Entry, Outcome};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    SpanContext, SpanKind, Status, TraceContextExt as _, TraceState, Tracer as _,
};
use opentelemetry::{Context, ContextGuard, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;

use crate::metrics::entry_label;

/// Makes the spans of reviews.
#[derive(Debug, Clone)]
pub struct ReviewTracer(Arc<SdkTracer>);

/// The span of one review. It ends when this is dropped, with no outcome if nobody has told one.
#[derive(Debug)]
pub struct ReviewSpan(Parent);

/// What spans below that of a review need.
#[derive(Debug, Clone)]
pub struct Parent {
    tracer: ReviewTracer,
    context: Context,
}

impl ReviewTracer {
    /// One that sends by `tracer`.
    pub fn new(tracer: SdkTracer) -> Self {
        Self(Arc::new(tracer))
    }

    /// A review has come, with these headers.
    pub fn begin(&self, entry: &Entry, headers: &HeaderMap) -> ReviewSpan {
        let caller = caller(headers);
        let label = entry_label(entry);
        let span = self
            .0
            .span_builder(format!("review {label}"))
            .with_kind(SpanKind::Server)
            .with_attributes([KeyValue::new("javelin.entry", label)])
            .start_with_context(&*self.0, &caller);
        ReviewSpan(Parent {
            tracer: self.clone(),
            context: caller.with_span(span),
        })
    }
}

/// Where the caller's trace stands; nothing where it has none. Without its `tracestate`, of which a stranger may send kilobytes: it
/// would be kept until the spans are sent.
fn caller(headers: &HeaderMap) -> Context {
    let propagator = TraceContextPropagator::new();
    let said = propagator.extract_with_context(&Context::new(), &HeaderExtractor(headers));
    let said = said.span().span_context().clone();
    if !said.is_valid() {
        return Context::new();
    }
    Context::new().with_remote_span_context(SpanContext::new(
        said.trace_id(),
        said.span_id(),
        said.trace_flags(),
        true,
        TraceState::NONE,
    ))
}

impl ReviewSpan {
    /// For the thread that decides.
    pub fn parent(&self) -> Parent {
        self.0.clone()
    }

    /// What is logged until the guard is dropped belongs to this span.
    pub fn enter(&self) -> ContextGuard {
        self.0.context.clone().attach()
    }

    /// It was decided.
    pub fn decided(&self, outcome: &Outcome, is_second_chance: bool) {
        let span = self.0.context.span();
        span.set_attribute(KeyValue::new("javelin.outcome", outcome.code));
        let namespace = outcome.namespace.clone();
        span.set_attribute(KeyValue::new("k8s.namespace.name", namespace));
        if let Some(profile) = outcome.profile.clone() {
            span.set_attribute(KeyValue::new("javelin.profile", profile));
        }
        span.set_attribute(KeyValue::new("javelin.dry_run", outcome.dry_run));
        span.set_attribute(KeyValue::new("javelin.second_chance", is_second_chance));
    }

    /// It was not served, for the reason that metrics have.
    pub fn refused(&self, reason: &'static str) {
        self.0.context.span().set_status(Status::error(reason));
    }
}

impl Drop for ReviewSpan {
    fn drop(&mut self) {
        self.0.context.span().end();
    }
}

impl Parent {
    /// The decision begins, and ends when what this gives is dropped.
    pub fn decide(&self) -> Decision {
        let span = self.tracer.0.start_with_context("decide", &self.context);
        Decision(self.context.with_span(span))
    }
}

/// The span of a decision.
#[derive(Debug)]
pub struct Decision(Context);

impl Drop for Decision {
    fn drop(&mut self) {
        self.0.span().end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_caller_only_the_place_in_its_trace_is_kept() {
        let with = |traceparent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", traceparent.parse().unwrap());
            headers.insert("tracestate", "vendor=kilobytes".parse().unwrap());
            caller(&headers).span().span_context().clone()
        };
        let known = with("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0bb902b7-01");
        assert!(known.is_valid() && known.is_sampled() && known.is_remote());
        assert_eq!(known.trace_state().header(), "");
        for nonsense in [
            "",
            "00-0-0-01",
            "nonsense",
            "00-00000000000000000000000000000000-0000000000000000-01",
        ] {
            assert!(!with(nonsense).is_valid(), "{nonsense}");
        }
    }
}
