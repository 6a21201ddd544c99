//! Where telemetry goes: endpoint and protocol, always together.
//!
//! The agent's default protocol since 2.0 is http/protobuf, whose port is 4318; 4317 is gRPC's. A mixed pair
//! sends nothing and says so only in the application's log: the most frequent mistake with the operator.

use std::fmt;

use super::{
    error::Problem,
    names::one_of,
    raw::{RawCa, RawClientCertificate, RawKeyRef, RawOtlp, RawTls},
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
    /// Certificates for the connection.
    pub tls: Option<Tls>,
}

/// Certificates for the connection to an `https://` endpoint, at least one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Whom the agent trusts; the JVM's own authorities when absent.
    pub ca: Option<Ca>,
    /// Whom the agent says it is.
    pub client: Option<ClientCertificate>,
}

/// A key with PEM certificates, in the pod's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ca {
    /// Of a ConfigMap.
    ConfigMap {
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// Of a Secret.
    Secret(KeyRef),
}

/// A Secret of the pod's namespace with a certificate and its key, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Name of the Secret.
    pub secret: String,
    /// The key of the certificate: `tls.crt`, unless said otherwise.
    pub certificate: String,
    /// The key of its private key, PKCS #8: `tls.key`, unless said otherwise.
    pub private_key: String,
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
            return match (protocol, &raw.headers_from, &raw.tls) {
                (None, None, None) => Ok(None),
                (None, None, Some(_)) => Err(Problem::new(
                    ".otlp.endpoint",
                    "missing; certificates alone have no effect",
                )),
                (Some(_), _, _) => Err(Problem::new(
                    ".otlp.endpoint",
                    "missing; a protocol alone has no effect",
                )),
                (None, Some(_), _) => Err(Problem::new(
                    ".otlp.endpoint",
                    "missing; headers alone have no effect",
                )),
            };
        };
        let (endpoint, port) = Endpoint::parse(endpoint)?;
        let protocol = protocol.unwrap_or(Protocol::HttpProtobuf);
        if port == Some(protocol.other().port()) {
            // Where the contradiction was written: the protocol may be the built-in one.
            let path = raw
                .protocol
                .as_ref()
                .map_or(".otlp.endpoint", |_| ".otlp.protocol");
            return Err(Problem::new(
                path,
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
        let tls = raw.tls.as_ref().map(Tls::from_raw).transpose()?.flatten();
        if tls.is_some() && endpoint.as_str().starts_with("http://") {
            return Err(Problem::new(
                ".otlp.tls",
                "has no effect on an http:// endpoint; write https://, or leave tls out",
            ));
        }
        Ok(Some(Self {
            endpoint,
            protocol,
            headers_from,
            tls,
        }))
    }
}

impl KeyRef {
    fn from_raw(raw: &RawKeyRef) -> Result<Self, Problem> {
        let RawKeyRef { secret, key } = raw;
        Ok(Self {
            secret: check_name(".otlp.headersFrom.secret", secret)?,
            key: check_key(".otlp.headersFrom.key", key)?,
        })
    }
}

impl Tls {
    fn from_raw(raw: &RawTls) -> Result<Option<Self>, Problem> {
        let RawTls {
            ca_from,
            client_certificate_from,
        } = raw;
        let ca = ca_from.as_ref().map(Ca::from_raw).transpose()?;
        let client = client_certificate_from.as_ref();
        let client = client.map(ClientCertificate::from_raw).transpose()?;
        Ok((ca.is_some() || client.is_some()).then_some(Self { ca, client }))
    }
}

impl Ca {
    fn from_raw(raw: &RawCa) -> Result<Self, Problem> {
        let RawCa {
            config_map,
            secret,
            key,
        } = raw;
        let key = check_key(".otlp.tls.caFrom.key", key.as_deref().unwrap_or("ca.crt"))?;
        match (config_map, secret) {
            (Some(name), None) => Ok(Self::ConfigMap {
                name: check_name(".otlp.tls.caFrom.configMap", name)?,
                key,
            }),
            (None, Some(name)) => Ok(Self::Secret(KeyRef {
                secret: check_name(".otlp.tls.caFrom.secret", name)?,
                key,
            })),
            _ => Err(Problem::new(
                ".otlp.tls.caFrom",
                "names one source: configMap or secret",
            )),
        }
    }
}

impl ClientCertificate {
    fn from_raw(raw: &RawClientCertificate) -> Result<Self, Problem> {
        let RawClientCertificate {
            secret,
            certificate,
            private_key,
        } = raw;
        let key = |path: &str, key: &Option<String>, default: &str| {
            let path = format!(".otlp.tls.clientCertificateFrom.{path}");
            check_key(&path, key.as_deref().unwrap_or(default))
        };
        Ok(Self {
            secret: check_name(".otlp.tls.clientCertificateFrom.secret", secret)?,
            certificate: key("certificate", certificate, "tls.crt")?,
            private_key: key("privateKey", private_key, "tls.key")?,
        })
    }
}

fn check_name(path: &str, name: &str) -> Result<String, Problem> {
    if dns::is_subdomain(name) {
        return Ok(name.to_owned());
    }
    let what = if path.ends_with("configMap") {
        "ConfigMap"
    } else {
        "Secret"
    };
    Err(Problem::new(
        path,
        format!("{name:?} is not a {what}'s name"),
    ))
}

/// A key of a ConfigMap or Secret (`IsConfigMapKey` in apimachinery).
fn check_key(path: &str, key: &str) -> Result<String, Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let is_key = !key.is_empty() && key.len() <= 253 && key.chars().all(fits);
    if is_key && key != "." && !key.starts_with("..") {
        return Ok(key.to_owned());
    }
    Err(Problem::new(
        path,
        format!("{key:?} is not a key of a Secret or ConfigMap"),
    ))
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
    pub const fn as_str(self) -> &'static str {
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

    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let all = [Self::HttpProtobuf, Self::Grpc];
        one_of(
            ".otlp.protocol",
            text,
            all.map(|each| (each.as_str(), each)),
        )
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
