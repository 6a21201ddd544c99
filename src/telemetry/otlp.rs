//! Javelin's own traces and log lines, sent to a Collector by OTLP over HTTP, for whoever asks for that.
//!
//! The SDK collects and sends on threads of its own, within bounds: what does not fit is dropped, and a review never waits for a
//! Collector. What an export comes to is told to whoever counts it, and a change of that is logged.
//!
//! Deliberately not here: metrics, which Prometheus fetches, and what a span of a review says ([`traces`](super::traces)).

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::causes::with_causes;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Signal {
    /// A span for each review.
    Traces,
    /// What is logged.
    Logs,
}

impl Signal {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Traces, Self::Logs];

    /// As flags and metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }
}

/// Where it is sent.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The Collector, as in `http://otel-collector.observability.svc:4318`. Each signal has a path of its own below it.
    pub endpoint: Uri,
    /// What is sent there.
    pub signals: Vec<Signal>,
    /// Whose certificates are trusted (PEM), read once. An image without a system has no others, so `https` needs it.
    pub authorities: Option<PathBuf>,
}

/// The destination cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// Of another form than it has to be.
    #[error(
        "--otlp-endpoint {0} is not the address of a Collector: write http:// or https://, a host and its port, without a \
         path, as in http://otel-collector.observability.svc:4318"
    )]
    Endpoint(Uri),
    /// Credentials in it, which nobody would send, and which are not to be told.
    #[error(
        "--otlp-endpoint has credentials in its address: give them as headers, by OTEL_EXPORTER_OTLP_HEADERS from a Secret"
    )]
    Credentials,
    /// There is nobody to trust.
    #[error(
        "--otlp-endpoint {0} is https, and nothing says whose certificates are trusted: name them with --otlp-ca FILE"
    )]
    NoAuthorities(Uri),
    /// The file does not do.
    #[error("the certificates of --otlp-ca {} cannot be used", file.display())]
    Authorities {
        /// Its path.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// There is no cryptography for it.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The exporter refuses its settings, which may come from its own variables (`OTEL_EXPORTER_OTLP_HEADERS`).
    #[error("the exporter cannot be set up")]
    Exporter(#[from] ExporterBuildError),
}

/// The exporters. Dropped, they send no more.
#[derive(Debug)]
pub struct Otlp {
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
}

/// Is told of each export whether the Collector took it.
type Told = dyn Fn(Signal, bool) + Send + Sync;

impl Otlp {
    /// Begins to collect and to send. Requests are made on the `runtime`; `told` is called for each.
    ///
    /// The resource has the service's name and version, and what `OTEL_RESOURCE_ATTRIBUTES` says. `OTEL_TRACES_SAMPLER` chooses
    /// among traces that begin here; one that an API server began is kept if that keeps it.
    pub fn start(
        destination: &Destination,
        runtime: &Handle,
        told: impl Fn(Signal, bool) + Send + Sync + 'static,
    ) -> Result<Self, OtlpError> {
        let Destination {
            endpoint,
            signals,
            authorities,
        } = destination;
        check(endpoint, authorities.as_deref())?;
        let tls = trusting(authorities.as_deref())?;
        let told: Arc<Told> = Arc::new(told);
        let sender = |signal| Sender {
            signal,
            client: client(tls.clone()),
            runtime: runtime.clone(),
            told: Arc::clone(&told),
            works: AtomicBool::new(true),
        };
        let base = endpoint.to_string();
        let address = |signal: Signal| {
            let base = base.trim_end_matches('/');
            format!("{base}/v1/{}", signal.as_str())
        };
        let traces = signals.contains(&Signal::Traces).then(|| {
            let exporter = SpanExporter::builder()
                .with_http()
                .with_http_client(sender(Signal::Traces))
                .with_endpoint(address(Signal::Traces))
                .build()?;
            let provider = SdkTracerProvider::builder()
                .with_batch_exporter(exporter)
                .with_resource(resource())
                .build();
            Ok::<_, ExporterBuildError>(provider)
        });
        let logs = signals.contains(&Signal::Logs).then(|| {
            let exporter = LogExporter::builder()
                .with_http()
                .with_http_client(sender(Signal::Logs))
                .with_endpoint(address(Signal::Logs))
                .build()?;
            let provider = SdkLoggerProvider::builder()
                .with_batch_exporter(exporter)
                .with_resource(resource())
                .build();
            Ok::<_, ExporterBuildError>(provider)
        });
        Ok(Self {
            traces: traces.transpose()?,
            logs: logs.transpose()?,
        })
    }

    /// To make spans with, where traces are sent.
    pub fn tracer(&self) -> Option<SdkTracer> {
        self.traces
            .as_ref()
            .map(|provider| provider.tracer("javelin"))
    }

    /// Takes log lines, where these are sent.
    pub fn bridge(&self) -> Option<OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>> {
        self.logs.as_ref().map(OpenTelemetryTracingBridge::new)
    }

    /// Sends what is left, for a few seconds at most. Blocks, and needs the runtime meanwhile.
    pub fn finish(self) {
        // What cannot be sent by now is lost, and told where there is a log.
        if let Some(traces) = self.traces {
            note_unfinished(Signal::Traces, traces.shutdown_with_timeout(LONGEST_END));
        }
        if let Some(logs) = self.logs {
            note_unfinished(Signal::Logs, logs.shutdown_with_timeout(LONGEST_END));
        }
    }
}

fn note_unfinished(signal: Signal, end: opentelemetry_sdk::error::OTelSdkResult) {
    if let Err(error) = end {
        tracing::warn!(signal = signal.as_str(), %error, "the last of it was not sent");
    }
}

fn check(endpoint: &Uri, authorities: Option<&Path>) -> Result<(), OtlpError> {
    let authority = endpoint.authority();
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(OtlpError::Credentials);
    }
    let is_address = matches!(endpoint.scheme_str(), Some("http" | "https"))
        && endpoint.host().is_some_and(|host| !host.is_empty())
        && matches!(endpoint.path(), "" | "/")
        && endpoint.query().is_none();
    if !is_address {
        return Err(OtlpError::Endpoint(endpoint.clone()));
    }
    if endpoint.scheme_str() == Some("https") && authorities.is_none() {
        return Err(OtlpError::NoAuthorities(endpoint.clone()));
    }
    Ok(())
}

fn trusting(authorities: Option<&Path>) -> Result<ClientConfig, OtlpError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = authorities {
        let unusable = |source| OtlpError::Authorities {
            file: file.to_owned(),
            source,
        };
        let text = fs::read(file).map_err(unusable)?;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| unusable(io::Error::other(error)))?;
            roots
                .add(certificate)
                .map_err(|error| unusable(io::Error::other(error)))?;
        }
        if roots.is_empty() {
            return Err(unusable(io::Error::other("there is no certificate in it")));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn resource() -> Resource {
    Resource::builder()
        .with_service_name("javelin")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

fn client(tls: ClientConfig) -> HttpsClient {
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build();
    Client::builder(TokioExecutor::new()).build(connector)
}

/// Sends one signal.
struct Sender {
    signal: Signal,
    client: HttpsClient,
    runtime: Handle,
    told: Arc<Told>,
    /// Of the last export, so that a change is said once.
    works: AtomicBool,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("signal", &self.signal)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sending = send(self.client.clone(), request.map(Full::new));
        // The SDK's thread is none of the runtime's, which has the timers and the sockets.
        let limited = async { timeout(LONGEST_EXPORT, sending).await };
        let outcome = self.runtime.spawn(limited).await;
        let outcome: Result<_, HttpError> = match outcome {
            Ok(Ok(answer)) => answer,
            Ok(Err(elapsed)) => Err(elapsed.into()),
            Err(ended) => Err(ended.into()),
        };
        self.note(&outcome);
        outcome
    }
}

impl Sender {
    fn note(&self, outcome: &Result<Response<Bytes>, HttpError>) {
        let works = outcome
            .as_ref()
            .is_ok_and(|answer| answer.status().is_success());
        (self.told)(self.signal, works);
        if self.works.swap(works, Ordering::Relaxed) == works {
            return;
        }
        let signal = self.signal.as_str();
        match outcome {
            Ok(answer) if !works => {
                tracing::warn!(
                    signal,
                    status = answer.status().as_u16(),
                    "the Collector of --otlp-endpoint refuses what is sent"
                );
            }
            Ok(_) => tracing::info!(
                signal,
                "the Collector of --otlp-endpoint takes what is sent again"
            ),
            Err(error) => {
                let why = with_causes(&**error);
                tracing::warn!(
                    signal,
                    why,
                    "nothing can be sent to the Collector of --otlp-endpoint"
                );
            }
        }
    }
}

async fn send(
    client: HttpsClient,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = client.request(request).await?.into_parts();
    let body = Limited::new(body, LONGEST_ANSWER).collect().await?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

/// For one export.
const LONGEST_EXPORT: Duration = Duration::from_secs(10);

/// For what is left at the end, of each signal. The chart leaves 25 s for the drain, of which calls take 3 at most.
const LONGEST_END: Duration = Duration::from_secs(3);

/// Bytes of an answer; it has counts and a sentence.
const LONGEST_ANSWER: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_and_https_needs_somebody_to_trust() {
        for endpoint in [
            "http://collector:4318",
            "http://10.0.0.1:4318/",
            "http://[fd00::1]:4318",
        ] {
            check(&endpoint.parse().unwrap(), None).unwrap();
        }
        for endpoint in [
            "collector:4318",
            "grpc://collector:4317",
            "http://collector:4318/v1/traces",
            "http://collector:4318?a=b",
            "/v1/traces",
        ] {
            let error = check(&endpoint.parse().unwrap(), None).unwrap_err();
            assert!(matches!(error, OtlpError::Endpoint(_)), "{endpoint}");
        }
        let with_password = "http://user:secret@collector:4318".parse().unwrap();
        let error = check(&with_password, None).unwrap_err().to_string();
        assert!(
            error.contains("has credentials") && !error.contains("secret@"),
            "{error}"
        );
        let https = "https://collector:4318".parse().unwrap();
        let error = check(&https, None).unwrap_err();
        assert!(matches!(error, OtlpError::NoAuthorities(_)));
        check(&https, Some(Path::new("ca.crt"))).unwrap();
    }

    #[test]
    fn a_file_of_authorities_has_to_have_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        for text in [
            "",
            "nothing",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            fs::write(&file, text).unwrap();
            let error = trusting(Some(&file)).unwrap_err();
            assert!(
                error.to_string().contains("ca.crt cannot be used"),
                "{error}"
            );
        }
        trusting(Some(&folder.path().join("missing"))).unwrap_err();
        let signed = rcgen::generate_simple_self_signed(["collector".to_owned()]).unwrap();
        fs::write(&file, signed.cert.pem()).unwrap();
        trusting(Some(&file)).unwrap();
    }
}
