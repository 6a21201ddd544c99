//! Where telemetry goes: is somebody there, at that port, and does it speak OTLP in that protocol?
//!
//! The program usually runs outside of the cluster, so the API server's proxy puts the question: an OTLP/HTTP request
//! without a span. A gRPC server cannot answer that, and gives itself away by how it fails.

use javelin_core::config::Protocol;
use serde::Deserialize;

use super::destination::{Collector, Destination, Said, ServiceDestination};
use super::objects::Service;
use super::{Check, Facts, Findings, Unseen, some};

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    for collector in &facts.collectors {
        let profiles = some(&collector.profiles);
        let endpoint = collector.endpoint();
        match &collector.place {
            Destination::Pod => findings.warn(
                Check::CollectorConfigured,
                format!("profile {profiles} sends to localhost in each pod, where only a sidecar could listen"),
                "set default.otlp.endpoint and .protocol in the chart's values, such as \
                 http://otel-collector.observability.svc:4318 and http/protobuf",
            ),
            Destination::Variable => findings.warn(
                Check::CollectorConfigured,
                format!("profile {profiles} sets its endpoint in a variable, which is not checked"),
                "write it as otlp.endpoint and otlp.protocol, which are checked",
            ),
            Destination::EachNamespace(name) => {
                findings.ok(Check::CollectorConfigured, format!("profile {profiles} sends to {endpoint}"));
                findings.warn(
                    Check::CollectorService,
                    format!("{name} is a different Service in each pod's namespace, so it is not checked"),
                    format!("if all pods use one Service, write its namespace, too: {name}.NAMESPACE.svc"),
                );
            }
            Destination::Node => untested(collector, "each node, where the program cannot look", findings),
            Destination::Outside(host) => {
                let why = format!("{host}, which is not a Service of this cluster");
                untested(collector, &why, findings);
            }
            Destination::Service(place) => {
                findings.ok(Check::CollectorConfigured, format!("profile {profiles} sends to {endpoint}"));
                if service(collector, place, findings) && addresses(collector, place, findings) {
                    protocol(collector, place, findings);
                }
            }
        }
    }
}

fn untested(collector: &Collector, why: &str, findings: &mut Findings) {
    let profiles = some(&collector.profiles);
    findings.ok(
        Check::CollectorConfigured,
        format!("profile {profiles} sends to {}", collector.endpoint()),
    );
    let message = format!("the connection to {why}, was not tested");
    findings.warn(Check::CollectorOtlp, message, by_hand(collector));
}

/// How to try it from where the applications are.
fn by_hand(collector: &Collector) -> String {
    let endpoint = collector.endpoint().trim_end_matches('/');
    match collector.otlp.as_ref().map(|otlp| otlp.protocol) {
        Some(Protocol::Grpc) => format!(
            "try it from a pod: `curl --http2-prior-knowledge -si {endpoint}` answers with content-type \
             application/grpc, or 415; nothing, or HTTP/1.1, is not gRPC"
        ),
        _ => format!(
            "try it from a pod: `curl -si -H 'Content-Type: application/json' -d '{{}}' {endpoint}/v1/traces` answers 200"
        ),
    }
}

/// Is there a Service that can be asked on?
fn service(collector: &Collector, place: &ServiceDestination, findings: &mut Findings) -> bool {
    let check = Check::CollectorService;
    let ServiceDestination {
        namespace,
        name,
        port,
        ..
    } = place;
    match &collector.service {
        None => false,
        Some(Err(Unseen::Missing(_))) => {
            findings.fail(
                check,
                format!("Service {namespace}/{name} does not exist, and telemetry is lost"),
                format!(
                    "correct otlp.endpoint of the profile; kubectl get services -n {namespace}"
                ),
            );
            false
        }
        Some(Err(unseen)) => {
            findings.unseen(check, unseen);
            false
        }
        Some(Ok(found)) if found.spec.kind.as_deref() == Some("ExternalName") => {
            let target = found.spec.external_name.as_deref().unwrap_or_default();
            findings.ok(
                check,
                format!("Service {namespace}/{name} stands for {target}"),
            );
            let message = format!(
                "the connection to {target}, which is outside of this cluster, was not tested"
            );
            findings.warn(Check::CollectorOtlp, message, by_hand(collector));
            false
        }
        Some(Ok(found)) => {
            let ports: Vec<_> = found.spec.ports.iter().map(|each| each.port).collect();
            // Whoever calls a headless one calls the pod, and so the pod's port.
            if !is_headless(found) && !ports.contains(port) {
                let all = ports
                    .iter()
                    .map(u16::to_string)
                    .collect::<Vec<_>>()
                    .join(", ");
                findings.fail(
                    check,
                    format!("Service {namespace}/{name} has no port {port}; it has {all}"),
                    "correct the port in otlp.endpoint: by convention 4318 with http/protobuf, 4317 with grpc",
                );
                return false;
            }
            findings.ok(check, format!("Service {namespace}/{name} has port {port}"));
            true
        }
    }
}

fn addresses(collector: &Collector, place: &ServiceDestination, findings: &mut Findings) -> bool {
    let check = Check::CollectorEndpoints;
    let ServiceDestination {
        namespace,
        name,
        port,
        ..
    } = place;
    let found = match &collector.addresses {
        None => return false,
        // The proxy may still tell.
        Some(Err(unseen)) => {
            findings.unseen(check, unseen);
            return true;
        }
        Some(Ok(found)) => found,
    };
    let headless = matches!(&collector.service, Some(Ok(service)) if is_headless(service));
    if found.ready == 0 {
        let waiting = match found.waiting {
            0 => String::new(),
            waiting => format!(" ({waiting} are not ready)"),
        };
        findings.fail(
            check,
            format!("Service {namespace}/{name} has no ready pod{waiting}, and telemetry is lost"),
            format!("kubectl get endpointslices,pods -n {namespace}: does its selector match, and are they ready?"),
        );
        return false;
    }
    if headless && !found.ports.iter().any(|(_, each)| each == port) {
        let all = found.ports.iter().map(|(_, port)| port.to_string());
        let all = all.collect::<Vec<_>>().join(", ");
        findings.fail(
            check,
            format!("Service {namespace}/{name} is headless, so port {port} is the pod's own, and the pods have {all}"),
            "correct the port in otlp.endpoint",
        );
        return false;
    }
    let ready = match found.ready {
        1 => "a ready pod is behind it".to_owned(),
        ready => format!("{ready} ready pods are behind it"),
    };
    findings.ok(check, ready);
    true
}

fn is_headless(service: &Service) -> bool {
    service.spec.cluster_ip.as_deref() == Some("None")
}

/// What the answer says about who answers.
#[derive(Debug, PartialEq, Eq)]
enum Speaker {
    OtlpHttp,
    WantsCredentials,
    OtherHttp,
    Grpc,
    WantsTls,
    SpeaksPlain,
    Nobody(String),
    /// Whoever is there ends the connection, as gRPC servers do that are spoken to in HTTP/1.1.
    Closes,
    Unclear(String),
}

fn protocol(collector: &Collector, place: &ServiceDestination, findings: &mut Findings) {
    let check = Check::CollectorOtlp;
    let said = match &collector.answer {
        None => return,
        Some(Err(unseen)) => {
            let message = format!("not tested: {unseen}");
            findings.warn(check, message, by_hand(collector));
            return;
        }
        Some(Ok(said)) => said,
    };
    let wanted = collector
        .otlp
        .as_ref()
        .map_or(Protocol::HttpProtobuf, |otlp| otlp.protocol);
    let ServiceDestination {
        namespace,
        name,
        port,
        ..
    } = place;
    let at = format!("{namespace}/{name}:{port}");
    match (Speaker::of(said), wanted) {
        (Speaker::OtlpHttp, Protocol::HttpProtobuf) => {
            findings.ok(check, format!("{at} speaks OTLP over HTTP"));
        }
        (Speaker::Grpc, Protocol::Grpc) => findings.ok(check, format!("{at} speaks HTTP/2, as gRPC does")),
        (Speaker::Grpc, Protocol::HttpProtobuf) => findings.fail(
            check,
            format!("{at} speaks gRPC, and the profile says http/protobuf: every export fails"),
            "the classic mistake: use the port for HTTP (by convention 4318), or write protocol: grpc",
        ),
        (Speaker::OtlpHttp, Protocol::Grpc) => findings.fail(
            check,
            format!("{at} speaks OTLP over HTTP, and the profile says grpc: every export fails"),
            "the classic mistake: take the port for gRPC (by convention 4317), or write protocol: http/protobuf",
        ),
        (Speaker::WantsCredentials, _) if has_credentials(collector) => findings.ok(
            check,
            format!("{at} answers, and requires the credentials that the profile sends ({})", said.status),
        ),
        (Speaker::WantsCredentials, _) => findings.warn(
            check,
            format!("{at} requires credentials, and the profile has none ({})", said.status),
            "set otlp.headersFrom or otlp.tls in the profile",
        ),
        (Speaker::OtherHttp, Protocol::HttpProtobuf) => findings.fail(
            check,
            format!("{at} answers {} to OTLP: something else listens there", said.status),
            "correct otlp.endpoint, or switch the collector's OTLP receiver on for HTTP",
        ),
        (Speaker::OtherHttp, Protocol::Grpc) => findings.warn(
            check,
            format!("{at} answers {} to HTTP/1.1, which says nothing about gRPC", said.status),
            by_hand(collector),
        ),
        (Speaker::WantsTls, _) => findings.fail(
            check,
            format!("{at} speaks TLS, and the endpoint says http://"),
            "write https:// in otlp.endpoint, and otlp.tls.caFrom for an authority of your own",
        ),
        (Speaker::SpeaksPlain, _) => findings.fail(
            check,
            format!("{at} does not speak TLS, and the endpoint says https://"),
            "write http:// in otlp.endpoint, or switch TLS on in the collector's receiver",
        ),
        (Speaker::Closes, Protocol::HttpProtobuf) => findings.fail(
            check,
            format!("{at} closes the connection when it receives HTTP, as gRPC servers do"),
            "take the port for HTTP (by convention 4318), or write protocol: grpc",
        ),
        (Speaker::Closes, Protocol::Grpc) => findings.ok(
            check,
            format!("{at} answers, but not in HTTP/1.1, as gRPC servers do"),
        ),
        (Speaker::Nobody(why), _) => findings.fail(
            check,
            format!("nobody answers at {at}: {why}"),
            format!("see whether the collector's receiver listens on 0.0.0.0, and for a NetworkPolicy: kubectl get networkpolicies -n {namespace}"),
        ),
        (Speaker::Unclear(why), _) => findings.warn(
            check,
            format!("{at} could not be tested: {why}"),
            by_hand(collector),
        ),
    }
}

fn has_credentials(collector: &Collector) -> bool {
    let otlp = collector.otlp.as_ref();
    otlp.is_some_and(|otlp| {
        let client = otlp.tls.as_ref().and_then(|tls| tls.client.as_ref());
        otlp.headers_from.is_some() || client.is_some()
    })
}

impl Said {
    /// May the same request bring more to light? A gRPC server says who it is and ends the connection at once, and the
    /// end may come first.
    pub fn is_cut_short(&self) -> bool {
        matches!(Speaker::of(self), Speaker::Closes)
    }
}

impl Speaker {
    fn of(said: &Said) -> Self {
        /// What the API server says for itself has this shape; what it hands on has not.
        #[derive(Deserialize)]
        struct Status {
            kind: String,
            message: String,
        }
        let status = serde_json::from_str::<Status>(&said.body).ok();
        let Some(Status { message, .. }) = status.filter(|status| status.kind == "Status") else {
            return Self::of_answer(said);
        };
        let lower = message.to_ascii_lowercase();
        let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        if any(&["malformed http response", "malformed http status", "http/2"]) {
            // TLS answers a plain request with an alert, whose first byte is 0x15.
            return if any(&["\\x15\\x03"]) {
                Self::WantsTls
            } else {
                Self::Grpc
            };
        }
        if any(&[
            "first record does not look like a tls handshake",
            "server gave http response",
        ]) {
            return Self::SpeaksPlain;
        }
        if any(&[
            "certificate required",
            "bad certificate",
            "handshake failure",
        ]) {
            return Self::WantsCredentials;
        }
        if any(&["connection reset", "broken pipe", "eof"]) {
            return Self::Closes;
        }
        if any(&[
            "no endpoints available",
            "connection refused",
            "no route",
            "timeout",
            "timed out",
            "deadline exceeded",
        ]) {
            return Self::Nobody(message);
        }
        Self::Unclear(message)
    }

    fn of_answer(said: &Said) -> Self {
        match said.status {
            400 if said.body.contains("HTTP request to an HTTPS server") => Self::WantsTls,
            // Too much, or too soon, or another encoding: it is OTLP that is spoken of.
            200 | 400 | 415 | 429 | 503 => Self::OtlpHttp,
            401 | 403 => Self::WantsCredentials,
            502 | 504 => Self::Unclear(format!("{} {}", said.status, said.body)),
            _ => Self::OtherHttp,
        }
    }
}

#[cfg(test)]
mod tests;
