//! The accept loop: one task for each connection, never more than the limit, and none left behind at the end.
//!
//! Invariants: nothing but `accept` is awaited between two connections, so no client can hold up another one
//! (the TLS handshake is the connection's own business); an error of one connection is ignored, one of the
//! process (no file descriptors left) is logged and waited out, never retried in a spin. Both are axum's rules.
//!
//! Deliberately not here: what a connection does.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::Limits;
use super::connection::{self, Transport};
use super::peers::{Peers, Seat};
use super::refusals::Refusal;
use crate::shutdown::Shutdown;

/// Opens a port. `[::]` means IPv4 too; on a machine without IPv6 it means IPv4 alone.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && is_without_ipv6(&error) => {
            TcpListener::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port())).await
        }
        outcome => outcome,
    }
}

/// Serves `router` on `listener` until `shutdown` closes, then waits for the open connections, for as long as
/// the limit is.
pub async fn serve(
    listener: TcpListener,
    transport: Transport,
    router: Router,
    shutdown: Shutdown,
    limits: Limits,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let peers = Peers::new(limits);
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.closing() => break,
            accepted = accept(&listener, &slots, &peers, &transport) => accepted,
        };
        let Some((stream, slot, seat)) = accepted else {
            continue;
        };
        let watcher = connections.watcher();
        let (transport, router, shutdown) = (transport.clone(), router.clone(), shutdown.clone());
        tokio::spawn(async move {
            connection::serve(stream, transport, router, watcher, shutdown, seat, limits).await;
            drop(slot);
        });
    }
    drop(listener);
    let open = connections.count();
    if timeout(limits.close, connections.shutdown()).await.is_err() {
        tracing::warn!(
            open,
            "connections were cut off, because they did not end in time"
        );
    }
}

/// The next connection, with its place among those that may be open; `None` if there was none after all.
///
/// The place is taken first: over the limit, clients wait in the kernel's queue and not in our memory. Over the share of
/// its address a connection is closed at once, or it would wait before everybody else's.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    peers: &Peers,
    transport: &Transport,
) -> Option<(TcpStream, OwnedSemaphorePermit, Seat)> {
    // Only a closed semaphore gives an error, and nobody closes this one.
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            let seat = peers.seat(peer.ip());
            if seat.is_none() {
                transport.refuse(Refusal::TooManyConnections);
            }
            Some((stream, slot, seat?))
        }
        Err(error) if is_of_the_connection(&error) => None,
        Err(error) => {
            transport.refuse(Refusal::NoDescriptors);
            tracing::debug!(%error, "accepting a connection failed");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// By exclusion: the error for an address family that the kernel does not have has no kind of its own.
fn is_without_ipv6(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, PermissionDenied};
    !matches!(error.kind(), AddrInUse | PermissionDenied)
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Other connections have to end before there are file descriptors again: time for some to do so, and not so long that
/// an API server gives up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
