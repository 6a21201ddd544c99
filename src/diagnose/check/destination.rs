//! Where telemetry goes, by the configuration: a Service of the cluster, the pod's node, or somewhere else.
//!
//! Deliberately not here: what is wrong about it (`collector`).

use javelin_core::config::{Config, Endpoint, Otlp};

use super::objects::{Addresses, Service};
use super::{Seen, Unseen};

/// Where some profiles send to, and what was found there.
#[derive(Debug, Clone)]
pub struct Collector {
    /// Names of the profiles.
    pub profiles: Vec<String>,
    /// As the configuration has it; `None` where it says nothing.
    pub otlp: Option<Otlp>,
    /// Where that is.
    pub place: Destination,
    /// The Service there.
    pub service: Option<Seen<Service>>,
    /// Where it leads to.
    pub addresses: Option<Seen<Addresses>>,
    /// What it answered to an empty OTLP/HTTP request.
    pub answer: Option<Seen<Said>>,
}

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The agent's default, in the pod itself.
    Pod,
    /// A variable of the profile says it.
    Variable,
    /// A Service of the cluster.
    Service(ServiceDestination),
    /// A name that means something else in each namespace.
    EachNamespace(String),
    /// The pod's node.
    Node,
    /// An address, or a name of somebody else's.
    Outside(String),
}

/// A Service of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceDestination {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The port that is called.
    pub port: u16,
    /// By TLS?
    pub is_tls: bool,
    /// What stands before `/v1/traces`.
    pub prefix: String,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The HTTP status.
    pub status: u16,
    /// The beginning of the body.
    pub body: String,
}

impl Collector {
    /// One for each place that profiles send to; nothing is known of it yet.
    pub fn all(config: &Config) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for profile in config.profiles() {
            let place = match &profile.otlp {
                Some(otlp) => Destination::of(&otlp.endpoint),
                None if ENDPOINT_VARIABLES
                    .iter()
                    .any(|name| profile.env.contains_key(*name)) =>
                {
                    Destination::Variable
                }
                None => Destination::Pod,
            };
            let target = |otlp: &Option<Otlp>| {
                otlp.as_ref()
                    .map(|otlp| (otlp.endpoint.clone(), otlp.protocol))
            };
            let wanted = target(&profile.otlp);
            let same = all
                .iter_mut()
                .find(|each| target(&each.otlp) == wanted && each.place == place);
            if let Some(same) = same {
                same.profiles.push(profile.name.clone());
                continue;
            }
            all.push(Self {
                profiles: vec![profile.name.clone()],
                otlp: profile.otlp.clone(),
                place,
                service: None,
                addresses: None,
                answer: None,
            });
        }
        all
    }

    /// Whatever could not be seen of it.
    pub(super) fn unseen(&self) -> impl Iterator<Item = &Unseen> {
        let service = self.service.as_ref().and_then(|seen| seen.as_ref().err());
        let addresses = self.addresses.as_ref().and_then(|seen| seen.as_ref().err());
        let answer = self.answer.as_ref().and_then(|seen| seen.as_ref().err());
        [service, addresses, answer].into_iter().flatten()
    }

    /// As the configuration has it; empty where it says nothing.
    pub(super) fn endpoint(&self) -> &str {
        self.otlp.as_ref().map_or("", |otlp| otlp.endpoint.as_str())
    }
}

/// A URL in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address<'a> {
    /// By TLS?
    pub is_tls: bool,
    /// A name or an address; one of IPv6 keeps its brackets.
    pub host: &'a str,
    /// As written, or the scheme's own.
    pub port: u16,
    /// What stands after that.
    pub path: &'a str,
}

impl<'a> Address<'a> {
    /// Of a URL; what has no scheme is taken for HTTP.
    pub fn of(url: &'a str) -> Self {
        let (is_tls, rest) = match url.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, url.strip_prefix("http://").unwrap_or(url)),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        // An IPv6 address stands in brackets, so a colon after the last bracket starts the port.
        let after_host = authority.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match authority.get(after_host..).and_then(|rest| rest.find(':')) {
            Some(colon) => authority.split_at(after_host + colon),
            None => (authority, ""),
        };
        let port = port.strip_prefix(':').and_then(|port| port.parse().ok());
        Self {
            is_tls,
            host,
            port: port.unwrap_or(if is_tls { 443 } else { 80 }),
            path,
        }
    }
}

impl Destination {
    /// By the names that Kubernetes gives Services in DNS.
    pub fn of(endpoint: &Endpoint) -> Self {
        Self::of_url(endpoint.as_str())
    }

    /// The same of a URL as it is written.
    pub fn of_url(text: &str) -> Self {
        if text.contains(Endpoint::NODE_IP) {
            return Self::Node;
        }
        let Address {
            is_tls,
            host,
            port,
            path,
        } = Address::of(text);
        if host.starts_with('[') {
            return Self::Outside(host.to_owned());
        }
        let labels: Vec<_> = host.trim_end_matches('.').split('.').collect();
        let service = |name: &str, namespace: &str| {
            Self::Service(ServiceDestination {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                port,
                is_tls,
                prefix: path.trim_end_matches('/').to_owned(),
            })
        };
        match labels.as_slice() {
            ["localhost"] => Self::Pod,
            [name] => Self::EachNamespace((*name).to_owned()),
            [name, namespace] | [name, namespace, "svc", ..] => service(name, namespace),
            _ => Self::Outside(host.to_owned()),
        }
    }
}

/// Variables by which a profile may say it, too.
const ENDPOINT_VARIABLES: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];

#[cfg(test)]
pub(super) mod tests;
