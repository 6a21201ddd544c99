//! The admin port: `/livez`, `/readyz` (with `?verbose`, each condition and the probe's last finding) and `/metrics`,
//! over plain HTTP.
//!
//! Deliberately not here: anything that changes anything, and anything about pods. `/livez` is true while
//! requests are answered at all; a background task that ends takes the process with it, so there is nothing
//! else to ask.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::readiness::Readiness;
use crate::metrics::{Metrics, TextFormat};

/// The routes of the admin port.
pub fn router(readiness: Arc<Readiness>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(serve_metrics).with_state(metrics))
}

async fn readyz(State(readiness): State<Arc<Readiness>>, uri: Uri) -> Response {
    let (status, word) = if readiness.is_ready() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    };
    let verbose = uri
        .query()
        .is_some_and(|query| query.split('&').any(|each| each.starts_with("verbose")));
    let body = if verbose {
        readiness.describe() + word
    } else {
        word.to_owned()
    };
    (status, body).into_response()
}

async fn serve_metrics(State(metrics): State<Arc<Metrics>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = TextFormat::accepted(accept.unwrap_or_default());
    match metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, format.content_type())], format.of(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "encoding the metrics failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
