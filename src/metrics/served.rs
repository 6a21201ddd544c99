//! What a replica's metrics say of the certificate that it serves, read by `javelin cert`: the one place that reads what
//! [`Metrics`](super::Metrics) writes.

use std::time::SystemTime;

use crate::time::from_unix_seconds;

/// What a replica's metrics tell of the certificate that it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaCertificate {
    /// When it ends; `None` if there is none yet.
    pub ends: Option<SystemTime>,
    /// Where it comes from.
    pub issuer: Issuer,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Issuer {
    /// One of Javelin's authorities, by its fingerprint.
    Authority(String),
    /// Files that somebody else keeps.
    Files,
    /// An older replica does not tell.
    Untold,
}

impl ReplicaCertificate {
    /// Picks it out of the metrics in the text format.
    pub fn from_metrics(text: &str) -> Self {
        let gauge = |name: &str| {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
            value.trim().parse::<u64>().ok()
        };
        let issuer = text.lines().find_map(|line| {
            let (authority, value) = line.strip_prefix(LEAF_ISSUER)?.split_once("\"} ")?;
            (value.trim() == "1").then(|| authority.to_owned())
        });
        let ends = gauge(LEAF_ENDS).filter(|ends| *ends != 0);
        // Who keeps an authority knows its end before it can sign anything.
        let is_files = ends.is_some() && gauge(AUTHORITY_ENDS) == Some(0);
        Self {
            ends: ends.and_then(from_unix_seconds),
            issuer: match issuer {
                Some(authority) => Issuer::Authority(authority),
                None if is_files => Issuer::Files,
                None => Issuer::Untold,
            },
        }
    }
}

/// What [`Metrics`](super::Metrics) registers them as.
const LEAF_ENDS: &str = "javelin_leaf_not_after_timestamp_seconds";
const AUTHORITY_ENDS: &str = "javelin_authority_not_after_timestamp_seconds";
const LEAF_ISSUER: &str = "javelin_leaf_issuer{authority=\"";

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn metrics_tell_what_is_served() {
        let metrics = Metrics::new();
        let start = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let told = || ReplicaCertificate::from_metrics(&metrics.encode().unwrap());
        let nothing = ReplicaCertificate {
            ends: None,
            issuer: Issuer::Untold,
        };
        assert_eq!(told(), nothing);

        metrics.leaf_expires(start);
        let files = ReplicaCertificate {
            ends: Some(start),
            issuer: Issuer::Files,
        };
        assert_eq!(told(), files);

        metrics.authority_expires(start + Duration::from_hours(24));
        let older = ReplicaCertificate {
            issuer: Issuer::Untold,
            ..files
        };
        assert_eq!(told(), older);

        metrics.leaf_comes_from("0123456789abcdef".to_owned());
        let own = ReplicaCertificate {
            issuer: Issuer::Authority("0123456789abcdef".to_owned()),
            ..files
        };
        assert_eq!(told(), own);
    }
}
