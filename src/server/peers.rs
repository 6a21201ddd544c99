//! Who is connected, by address, and what one address may hold.
//!
//! A share is three quarters of the whole: all API servers may come through one address (a tunnel, or a NAT), so an
//! address with the whole load has to be served as well as many. It only has to be less than everything (ADR 13).
//!
//! Deliberately not here: the limits of all together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{GRANT, Limits};

/// The addresses that have connections.
#[derive(Debug)]
pub(super) struct Peers {
    limits: Limits,
    shares: Mutex<HashMap<IpAddr, Arc<Peer>>>,
}

/// What is left of one address's share.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    connections: Arc<Semaphore>,
    /// In units of [`GRANT`].
    pub(super) large_bytes: Arc<Semaphore>,
}

/// One connection's place in its address's share.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) peer: Arc<Peer>,
    _connection: OwnedSemaphorePermit,
}

impl Peers {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            shares: Mutex::default(),
        }
    }

    /// A place for one more connection of `address`, if there is one.
    pub(super) fn seat(&self, address: IpAddr) -> Option<Seat> {
        // An IPv4 client on an IPv6 listener is still the same one.
        let address = address.to_canonical();
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() > self.limits.connections {
            // Whoever has no connection is held by this map alone.
            shares.retain(|_, peer| Arc::strong_count(peer) > 1);
        }
        let peer = shares
            .entry(address)
            .or_insert_with(|| Arc::new(Peer::new(address, &self.limits)));
        let connection = Arc::clone(&peer.connections).try_acquire_owned().ok()?;
        Some(Seat {
            peer: Arc::clone(peer),
            _connection: connection,
        })
    }
}

impl Peer {
    fn new(address: IpAddr, limits: &Limits) -> Self {
        Self {
            address,
            connections: Arc::new(Semaphore::new(share(limits.connections))),
            large_bytes: Arc::new(Semaphore::new(share(limits.large_bytes / GRANT))),
        }
    }
}

/// Three quarters, and at least one.
fn share(whole: usize) -> usize {
    (whole - whole / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_three_quarters_and_gives_them_back() {
        let peers = Peers::new(Limits {
            connections: 8,
            ..Limits::default()
        });
        let one = IpAddr::from([10, 0, 0, 1]);
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        let mut seats: Vec<Seat> = std::iter::from_fn(|| peers.seat(one)).collect();
        assert_eq!(seats.len(), 6);
        assert!(peers.seat(mapped).is_none(), "the same in IPv6's words");
        assert!(peers.seat(IpAddr::from([10, 0, 0, 2])).is_some());
        seats.pop();
        assert!(peers.seat(one).is_some());
    }

    #[test]
    fn addresses_that_are_gone_are_forgotten() {
        let peers = Peers::new(Limits {
            connections: 8,
            ..Limits::default()
        });
        for last in 0..=255 {
            peers.seat(IpAddr::from([10, 0, 0, last])).unwrap();
        }
        assert!(peers.shares.lock().unwrap().len() <= 10);
    }
}
