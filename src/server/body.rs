//! A request's body, and the memory that it is granted.
//!
//! Memory is granted for what has come, never for what was declared. An ordinary body needs no grant: there is one at a
//! time on a connection (HTTP/1.1), so the limit of connections is theirs too, and nobody can take their room away. What
//! goes beyond shares [`Limits::large_bytes`], and one address has three quarters of these.
//!
//! Deliberately not here: the length of time in all ([`routes`](super::routes)).

use std::sync::Arc;

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::peers::Peer;
use super::refusals::Refusal;
use super::{GRANT, Limits};

/// A body that has come, with the memory that it holds.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    grants: Vec<OwnedSemaphorePermit>,
}

/// The memory that large bodies share.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    large_bytes: Arc<Semaphore>,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            large_bytes: Arc::new(Semaphore::new(limits.large_bytes / GRANT)),
        }
    }

    /// Reads `body` to its end.
    pub(super) async fn read(
        &self,
        mut body: Body,
        peer: Option<&Peer>,
    ) -> Result<Received, Refusal> {
        let hint = body.size_hint();
        // A declared length is judged before a byte of it is read.
        if hint.lower() > MAX_BODY_BYTES as u64 {
            return Err(Refusal::TooLarge);
        }
        let most = hint
            .upper()
            .and_then(|bytes| usize::try_from(bytes).ok())
            .map_or(MAX_BODY_BYTES, |bytes| bytes.min(MAX_BODY_BYTES));
        let mut received = Received::default();
        while let Some(frame) = body.frame().await {
            // Trailers are nothing to us.
            let Ok(data) = frame.map_err(|_| Refusal::BrokenBody)?.into_data() else {
                continue;
            };
            // Copied, because a frame may be one byte of a chunk each, and keeps the buffer that it came in.
            let length = received.bytes.len() + data.len();
            if length > most {
                return Err(Refusal::TooLarge);
            }
            if length > received.bytes.capacity() {
                let capacity = (2 * length).min(most);
                let grown = large(capacity) - large(received.bytes.capacity());
                received.grants.extend(self.grant(grown, peer).await?);
                received
                    .bytes
                    .reserve_exact(capacity - received.bytes.len());
            }
            received.bytes.extend_from_slice(&data);
        }
        Ok(received)
    }

    /// Room for an answer, which a client may be slow to take.
    pub(super) async fn room_for(
        &self,
        answer: usize,
        peer: Option<&Peer>,
    ) -> Result<Vec<OwnedSemaphorePermit>, Refusal> {
        self.grant(large(answer), peer).await
    }

    /// So many units, from the address's share and from the whole.
    async fn grant(
        &self,
        units: usize,
        peer: Option<&Peer>,
    ) -> Result<Vec<OwnedSemaphorePermit>, Refusal> {
        if units == 0 {
            return Ok(Vec::new());
        }
        let units = u32::try_from(units).map_err(|_| Refusal::Overloaded)?;
        let acquire = async {
            let mut grants = Vec::with_capacity(2);
            if let Some(peer) = peer {
                grants.push(acquire(&peer.large_bytes, units).await?);
            }
            grants.push(acquire(&self.large_bytes, units).await?);
            Ok::<_, AcquireError>(grants)
        };
        match timeout(self.limits.queue, acquire).await {
            Ok(Ok(grants)) => Ok(grants),
            _ => Err(Refusal::Overloaded),
        }
    }
}

async fn acquire(of: &Arc<Semaphore>, units: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
    Arc::clone(of).acquire_many_owned(units).await
}

/// What `bytes` need of the shared memory, in units of [`GRANT`].
fn large(bytes: usize) -> usize {
    bytes.saturating_sub(ORDINARY_BYTES).div_ceil(GRANT)
}

/// The API server takes request bodies of up to 3 MiB. An AdmissionReview of an update carries such an object
/// twice (the new and the old one), as JSON even if it came as the denser protobuf, and the user's groups
/// beside it: 2 x 3 MiB, and a third more.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// Up to here a body is ordinary: a review of a pod has some 20 KiB.
pub(super) const ORDINARY_BYTES: usize = 32 * 1024;
