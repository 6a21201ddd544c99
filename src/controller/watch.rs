//! "Something has changed", for one named object.
//!
//! A watch here only wakes whoever reads the object anyway; it carries no content. So there is nothing to
//! resume: each stream starts at resource version 0, which begins with the object as it is, and whatever was
//! missed in between is seen by that wake-up.
//!
//! Invariants: only metadata is transferred (a Secret's data is not); a stream that has gone silent is opened
//! again.
//!
//! Deliberately not here: reading the object.

use std::convert::Infallible;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use kube::Resource;
use kube::api::{Api, WatchEvent, WatchParams};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::controller::backoff::Backoff;

/// Notifies `changed` whenever the object called `name` may have changed.
pub async fn changes<K>(api: Api<K>, name: String, changed: Arc<Notify>) -> Infallible
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut backoff = Backoff::of_retries();
    loop {
        match one_stream(&api, &name, &changed).await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(name, error = %error, "watching failed; reading at intervals until it works");
            }
        }
        sleep(backoff.next(Instant::now())).await;
    }
}

/// One watch, until the API server ends it, as it does every few minutes.
async fn one_stream<K>(api: &Api<K>, name: &str, changed: &Notify) -> Result<(), kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let params = WatchParams::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(STREAM_SECONDS);
    let opened = timeout(OPENING, Box::pin(api.watch_metadata(&params, "0"))).await;
    // Too slow is like ended: the next one is opened after a pause.
    let Ok(stream) = opened else { return Ok(()) };
    let mut stream = pin!(stream?);
    while let Ok(Some(event)) = timeout(SILENCE, stream.next()).await {
        match event? {
            WatchEvent::Added(_) | WatchEvent::Modified(_) | WatchEvent::Deleted(_) => {
                changed.notify_one();
            }
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
        }
    }
    Ok(())
}

/// Asked of the API server: end the stream after this time. Kubernetes clients take 5 to 10 minutes.
const STREAM_SECONDS: u32 = 290;

/// A stream that is silent for longer than it may live is a dead connection.
const SILENCE: Duration = Duration::from_secs(STREAM_SECONDS as u64 + 10);

const OPENING: Duration = Duration::from_secs(10);
