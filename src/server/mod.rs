//! The server: two ports, and how they open, serve and close.
//!
//! ```text
//! listener           accept loop, connection limit, graceful end
//! connection         TLS handshake, HTTP/1.1 or HTTP/2, idle limit      one task each
//! tls                the certificate in use, trust in it                the only file that names rustls
//! routes             /mutate/..., /probe -> review::answer
//! admin              /livez /readyz /metrics
//! readiness          what has to be true first
//! config_file        the configuration, followed by content
//! certificate_files  somebody else's certificate, followed by content
//! ```
//!
//! Input is hostile until proven otherwise: an API server has no client certificate for webhooks in general, so
//! anybody who reaches the port can speak to it. Every size and every wait has a limit.
//!
//! Deliberately not here: decisions about pods ([`review`](crate::review)), and where certificates come from
//! ([`certs`](crate::certs), [`cluster`](crate::cluster)).

use std::time::Duration;

pub mod admin;
pub mod certificate_files;
pub mod config_file;
pub mod connection;
pub mod listener;
pub mod readiness;
pub mod routes;
pub mod tls;

/// How much, and for how long. The defaults are the webhook's; tests have less patience.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections. An API server keeps a handful open; this leaves room for a dozen of them beside a port
    /// scanner.
    pub connections: usize,
    /// Bytes of bodies that are being read or decided, all together: with what decoding takes, the worst case for
    /// memory. An ordinary body has 20 KiB.
    pub body_bytes: usize,
    /// How long a review may wait for its turn. An API server gives up after 3 s in all.
    pub queue: Duration,
    /// A TLS handshake.
    pub handshake: Duration,
    /// A request's body, from its headers to its last byte.
    pub body: Duration,
    /// Silence on an open connection. Longer than the 90 s after which Go's client closes it, so that it is
    /// never us who close it under a request that is on its way.
    pub idle: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// How long open connections may take to end, at the end. The longest request is [`queue`](Self::queue) +
    /// [`body`](Self::body).
    pub close: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            body_bytes: 48 * 1024 * 1024,
            queue: Duration::from_secs(1),
            handshake: Duration::from_secs(5),
            body: Duration::from_secs(2),
            idle: Duration::from_mins(2),
            streams: 64,
            close: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests;
