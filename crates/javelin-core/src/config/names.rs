//! Names that the agent knows by itself, of <https://opentelemetry.io/docs/languages/java/configuration/>.

pub(super) const PROPAGATORS: [&str; 8] = [
    "tracecontext",
    "baggage",
    "b3",
    "b3multi",
    "jaeger",
    "xray",
    "ottrace",
    "none",
];

pub(super) const SAMPLERS: [&str; 9] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
    "jaeger_remote",
    "parentbased_jaeger_remote",
    "xray",
];

pub(super) const EXPORTERS: [&str; 3] = ["otlp", "console", "none"];

pub(super) const METRICS_EXPORTERS: [&str; 4] = ["otlp", "prometheus", "console", "none"];
