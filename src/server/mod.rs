//! The server: two ports, and how they open, serve and close.
//!
//! ```text
//! listener           accept loop, connection limit, graceful end
//! peers              what one address may hold
//! connection         TLS handshake, HTTP/1.1, clocks                    one task each
//! tls                the certificate in use, trust in it                the only file that names rustls
//! routes             /mutate/..., /warn/..., /probe -> review::answer
//! write_limit        a client that does not take its answer
//! body               a request's body, and memory for what has come of it
//! pool               threads that decide, and until when
//! refusals           what is not served: counted, and told once a minute
//! admin              /livez /readyz /metrics
//! readiness          what has to be true first
//! config_file        the configuration, followed by content
//! certificate_files  somebody else's certificate, followed by content
//! ```
//!
//! Input is hostile until proven otherwise: an API server has no client certificate for webhooks in general, so
//! anybody who reaches the port can speak to it. Every size and every wait has a limit.
//!
//! Deliberately not here: decisions about pods ([`review`](javelin_core::review)), and where certificates come from
//! ([`certs`](crate::certs), [`controller`](crate::controller)).

use std::time::Duration;

pub mod admin;
pub mod body;
pub mod certificate_files;
pub mod config_file;
pub mod connection;
pub mod listener;
mod peers;
mod pool;
pub mod readiness;
pub mod refusals;
pub mod routes;
pub mod tls;
mod write_limit;

/// How much, and for how long. The defaults are the webhook's; tests have less patience.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections. An API server keeps a handful open; this leaves room for a dozen of them beside a port
    /// scanner. One address has three quarters.
    pub connections: usize,
    /// Memory of what is larger than an ordinary body (32 KiB), and of such answers until they are sent, all together. One
    /// address has three quarters. Ordinary bodies come on top: 512 connections hold 16 MiB of them, so it is 48 MiB
    /// in all.
    pub large_bytes: usize,
    /// How long a body may wait for that memory.
    pub queue: Duration,
    /// A TLS handshake.
    pub handshake: Duration,
    /// A connection's first request, to the end of its headers. Go's client sends it at once; only one that it dialled and
    /// then did not need has none.
    pub first_request: Duration,
    /// A request's headers; an API server's have less than 1 KiB.
    pub head_bytes: usize,
    /// A request's body, from its headers to its last byte.
    pub body: Duration,
    /// A client that takes nothing of its answer.
    pub write: Duration,
    /// Silence between two requests. Longer than the 90 s after which Go's client closes a connection, so that it is
    /// never us who close it under a request that is on its way.
    pub idle: Duration,
    /// Threads that decide on ordinary bodies. They run only while there is work. Deciding takes microseconds, so two can
    /// do more than connections bring; more of them would take time from the threads that serve.
    pub ordinary_threads: usize,
    /// Threads that decide on larger ones: as each may take the memory of decoding 3 MiB of JSON, few.
    pub large_threads: usize,
    /// How long open connections may take to end, at the end. The longest request has 9.5 s.
    pub close: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            large_bytes: 32 * 1024 * 1024,
            queue: Duration::from_secs(1),
            handshake: Duration::from_secs(5),
            first_request: Duration::from_secs(10),
            head_bytes: 16 * 1024,
            body: Duration::from_secs(2),
            write: Duration::from_secs(5),
            idle: Duration::from_mins(2),
            ordinary_threads: 2,
            large_threads: 2,
            close: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Those of the admin port, whose clients are a kubelet and a Prometheus.
    pub fn of_admin_port() -> Self {
        Self {
            connections: 64,
            ..Self::default()
        }
    }

    /// These limits in a process that may have so many descriptors: where there are few, both ports together leave enough
    /// for the process itself. A connection that waits in the kernel is better than one that cannot be accepted, and than a
    /// kubelet that cannot connect.
    #[must_use]
    pub fn within(self, descriptors: usize) -> Self {
        let both = Self::default().connections + Self::of_admin_port().connections;
        let room = descriptors.saturating_sub(OWN_DESCRIPTORS);
        if room >= both {
            return self;
        }
        Self {
            connections: (self.connections * room / both).max(1),
            ..self
        }
    }
}

/// Those that are no connections of clients: the ports, files, and connections to the API server.
const OWN_DESCRIPTORS: usize = 32;

/// What one permit for the memory of large bodies stands for.
const GRANT: usize = 16 * 1024;

#[cfg(test)]
mod tests;
