//! Which Kubernetes has mutating admission policies that are on by themselves.

use std::fmt;

/// A version of Kubernetes, as far as it decides something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubernetesVersion {
    /// 1.
    pub major: u32,
    /// What counts.
    pub minor: u32,
}

/// A cluster for which no policy is written. Display says why and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Kubernetes {0} has no MutatingAdmissionPolicy of admissionregistration.k8s.io/v1: that came with {FIRST}, and before it was off by default"
)]
pub struct TooOld(KubernetesVersion);

impl KubernetesVersion {
    /// From `1.36`, `v1.36.2`, `1.36+` or `v1.36.4-gke.100`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let number = |part: &str| {
            let end = part.find(|c: char| !c.is_ascii_digit());
            let digits = end.map_or(part, |end| part.split_at(end).0);
            digits.parse().ok()
        };
        Some(Self {
            major: number(parts.next()?)?,
            minor: number(parts.next()?)?,
        })
    }

    /// Can it be given these policies?
    pub fn check(self) -> Result<(), TooOld> {
        if self < FIRST {
            Err(TooOld(self))
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The first with the API of version 1, on by default.
pub const FIRST: KubernetesVersion = KubernetesVersion {
    major: 1,
    minor: 36,
};
