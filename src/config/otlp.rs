//! Where telemetry goes: endpoint and protocol, always together.
//!
//! The agent's default protocol since 2.0 is http/protobuf, whose port is 4318; 4317 is gRPC's. A mixed pair
//! sends nothing and says so only in the application's log: the most frequent mistake with the operator.

use std::fmt;

use super::{
    Problem,
    raw::{RawKeyRef, RawOtlp},
};
use crate::dns;

/// Endpoint with its protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otlp {
    /// Base URL.
    pub endpoint: Endpoint,
    /// How to talk to it.
    pub protocol: Protocol,
    /// Where `OTEL_EXPORTER_OTLP_HEADERS` comes from.
    pub headers_from: Option<KeyRef>,
}

/// A key of a Secret in the pod's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRef {
    /// Name of the Secret.
    pub secret: String,
    /// Its key.
    pub key: String,
}

/// `http://host:port` or `https://…`: no user, no query; of references only [`Endpoint::NODE_IP`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

/// `OTEL_EXPORTER_OTLP_PROTOCOL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Port 4318 by convention; the agent's default.
    HttpProtobuf,
    /// Port 4317 by convention.
    Grpc,
}

impl Otlp {
    pub(super) fn from_raw(raw: &RawOtlp) -> Result<Option<Self>, Problem> {
        let protocol = raw.protocol.as_deref().map(Protocol::parse).transpose()?;
        let Some(endpoint) = &raw.endpoint else {
            return match protocol {
                None => Ok(None),
                Some(_) => Err(Problem::new(
                    ".otlp.endpoint",
                    "missing; a protocol alone has no effect",
                )),
            };
        };
        let (endpoint, port) = Endpoint::parse(endpoint)?;
        let protocol = protocol.unwrap_or(Protocol::HttpProtobuf);
        if port == Some(protocol.other().port()) {
            return Err(Problem::new(
                ".otlp.protocol",
                format!(
                    "{protocol} on port {}, which is {other}'s; write protocol: {other}, or port {}",
                    protocol.other().port(),
                    protocol.port(),
                    other = protocol.other(),
                ),
            ));
        }
        let headers_from = raw
            .headers_from
            .as_ref()
            .map(KeyRef::from_raw)
            .transpose()?;
        Ok(Some(Self {
            endpoint,
            protocol,
            headers_from,
        }))
    }
}

impl KeyRef {
    fn from_raw(raw: &RawKeyRef) -> Result<Self, Problem> {
        let RawKeyRef { secret, key } = raw;
        if !dns::is_subdomain(secret) {
            return Err(Problem::new(
                ".otlp.headersFrom.secret",
                format!("{secret:?} is not a Secret's name"),
            ));
        }
        let is_key = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if key.is_empty() || key.len() > 253 || !key.chars().all(is_key) {
            return Err(Problem::new(
                ".otlp.headersFrom.key",
                format!("{key:?} is not a key of a Secret"),
            ));
        }
        Ok(Self {
            secret: secret.clone(),
            key: key.clone(),
        })
    }
}

impl Endpoint {
    /// Stands for the address of the pod's node: a collector on each of them.
    pub const NODE_IP: &str = "$(NODE_IP)";

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<(Self, Option<u16>), Problem> {
        let wrong = |why: &str| {
            let example = "http://otel-collector.observability.svc:4318";
            Problem::new(
                ".otlp.endpoint",
                format!("{text:?} {why}; an example: {example}"),
            )
        };
        // Any host does for the rest of the checks.
        let written = text;
        let text = &text.replace(Self::NODE_IP, "node");
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))
            .ok_or_else(|| wrong("does not start with http:// or https://"))?;
        let authority = rest
            .split_once('/')
            .map_or(rest, |(authority, _)| authority);
        if text.contains(|c: char| c.is_whitespace() || c.is_control())
            || text.contains(['?', '#', '$'])
        {
            return Err(wrong("has a space, ?, #, or a $ that is not $(NODE_IP)"));
        }
        if authority.contains('@') {
            return Err(wrong(
                "holds credentials, which everybody who reads the pod would see",
            ));
        }
        // An IPv6 address stands in brackets, so a colon after the last bracket starts the port.
        let after_host = authority
            .rfind(']')
            .map_or(authority, |at| authority.split_at(at).1);
        let port = match after_host.split_once(':') {
            None => None,
            Some((_, port)) => {
                let port: Option<u16> = port.parse().ok().filter(|port| *port > 0);
                Some(port.ok_or_else(|| wrong("has no port between 1 and 65535"))?)
            }
        };
        if authority.starts_with(':') || authority.is_empty() {
            return Err(wrong("has no host"));
        }
        Ok((Self(written.to_owned()), port))
    }
}

impl Protocol {
    /// As the agent reads it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HttpProtobuf => "http/protobuf",
            Self::Grpc => "grpc",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::HttpProtobuf => 4318,
            Self::Grpc => 4317,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::HttpProtobuf => Self::Grpc,
            Self::Grpc => Self::HttpProtobuf,
        }
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        [Self::HttpProtobuf, Self::Grpc]
            .into_iter()
            .find(|protocol| protocol.as_str() == text)
            .ok_or_else(|| {
                Problem::new(
                    ".otlp.protocol",
                    format!("{text:?} is not one of: http/protobuf, grpc"),
                )
            })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
