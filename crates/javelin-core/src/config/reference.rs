//! Every key of the configuration file: what it is, what it means, what it is when nobody sets it.
//!
//! Source of `docs/configuration.md`, and of hints in errors. Tests hold it against serde's own list of keys, the
//! chart's schema, and the built-in defaults.
//!
//! Deliberately not here: the checks. A key's value is judged where it is read.

use super::{Protocol, PullPolicy, SdkSettings, names, profile};

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted: from the file on in [`FILE`], from the profile on in [`PROFILE`].
    pub path: &'static str,
    /// What its value looks like.
    pub kind: ValueKind,
    /// The built-in value, as YAML.
    pub default: &'static str,
    /// What holds when the value is `null`: nothing was set, and nothing is built in.
    pub unset: &'static str,
    /// What it does.
    pub means: &'static str,
    /// A value, as YAML.
    pub example: &'static str,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub enum ValueKind {
    /// Any text that its meaning admits.
    Text,
    /// `true` or `false`.
    Switch,
    /// A Kubernetes quantity.
    Quantity,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A list of texts.
    List,
    /// One of these, or a name that an extension of the agent brings.
    Name(&'static [&'static str]),
    /// A list of such names.
    Names(&'static [&'static str]),
    /// Names with texts.
    Map,
    /// All of [`PROFILE`].
    Profile,
    /// Names with all of [`PROFILE`].
    Profiles,
}

/// Keys of the file.
pub const FILE: &[Key] = &[
    Key {
        path: "excludedNamespaces",
        kind: ValueKind::List,
        default: "[kube-system]",
        unset: "",
        means: "Namespaces that are never touched, whatever their labels say. The chart always adds the release's own.",
        example: "[kube-system, istio-system]",
    },
    Key {
        path: "annotations",
        kind: ValueKind::Switch,
        default: "false",
        unset: "",
        means: "Whether Javelin also reads the key `instrumentation.opentelemetry.io/inject-java` as a pod annotation. The chart renders the webhook entries for it.",
        example: "true",
    },
    Key {
        path: "sidecars",
        kind: ValueKind::List,
        default: "[]",
        unset: "",
        means: "Containers that never get the agent unless they are listed by name, in addition to the known service meshes, log shippers, JMX exporters and the like.",
        example: "[our-proxy]",
    },
    Key {
        path: "default",
        kind: ValueKind::Profile,
        default: "{}",
        unset: "",
        means: "The profile of the label value `true`, and the base of all others.",
        example: "{}",
    },
    Key {
        path: "profiles",
        kind: ValueKind::Profiles,
        default: "{}",
        unset: "",
        means: "Further profiles. The name is the label's value: a DNS label of at most 53 characters, but not `true`, `false`, `default` or `unknown`.",
        example: "{checkout: {}}",
    },
];

/// Keys of a profile.
pub const PROFILE: &[Key] = &[
    Key {
        path: "delivery",
        kind: ValueKind::OneOf(&profile::DELIVERIES),
        default: "init-container",
        unset: "",
        means: "How the jar gets into the pod. `init-container`: an init container copies it into an emptyDir. `image-volume`: the image itself is mounted, on Kubernetes 1.36 or later with containerd 2.2 or later. `preinstalled`: the application's image contains it, and only variables are set. `none`: no agent is loaded; endpoint, service name and attributes are set for applications that contain the SDK or Spring Boot's starter.",
        example: "image-volume",
    },
    Key {
        path: "agent.image",
        kind: ValueKind::Text,
        default: concat!("localhost/javelin:", env!("CARGO_PKG_VERSION")),
        unset: "",
        means: "The image that carries the jar and the copier. The chart sets its own.",
        example: "registry.example.com/javelin:0.2.0",
    },
    Key {
        path: "agent.imagePullPolicy",
        kind: ValueKind::OneOf(&[
            PullPolicy::Always.as_str(),
            PullPolicy::IfNotPresent.as_str(),
            PullPolicy::Never.as_str(),
        ]),
        default: "null",
        unset: "Kubernetes' own",
        means: "When the kubelet pulls that image.",
        example: "IfNotPresent",
    },
    Key {
        path: "agent.imagePullSecret",
        kind: ValueKind::Text,
        default: "null",
        unset: "none",
        means: "A Secret of the pod's namespace to pull it with, added to the pod's own pull secrets.",
        example: "mirror",
    },
    Key {
        path: "agent.command",
        kind: ValueKind::List,
        default: "null",
        unset: "the copier in Javelin's own image",
        means: "With the delivery `init-container` and another agent image: the command that copies its jar to `/javelin-agent/javaagent.jar`. It runs as the application's uid, or as 65532 if that is root or unknown.",
        example: "[cp, /javaagent.jar, /javelin-agent/javaagent.jar]",
    },
    Key {
        path: "agent.path",
        kind: ValueKind::Text,
        default: "null",
        unset: "`/javaagent.jar` with `image-volume`",
        means: "Where the jar is: in the image, with `image-volume`; in the application's container, with `preinstalled`.",
        example: "/opt/opentelemetry-javaagent.jar",
    },
    Key {
        path: "agent.extensions.image",
        kind: ValueKind::Text,
        default: "null",
        unset: "no extensions",
        means: "Extensions of the agent: an image with their jars in a folder. An init container copies them with the image's own `cp`; with the delivery `image-volume` the image is mounted. One of `image`, `configMap` and `claim`.",
        example: "registry.example.com/extensions:1",
    },
    Key {
        path: "agent.extensions.configMap",
        kind: ValueKind::Text,
        default: "null",
        unset: "no extensions",
        means: "Extensions of the agent: a ConfigMap of the pod's namespace, each key of its `binaryData` a jar. A pod whose namespace has none starts without them.",
        example: "otel-extensions",
    },
    Key {
        path: "agent.extensions.claim",
        kind: ValueKind::Text,
        default: "null",
        unset: "no extensions",
        means: "Extensions of the agent: a PersistentVolumeClaim of the pod's namespace, mounted read-only. Kubernetes does not start a pod whose claim is missing: create it in each namespace before you use the profile there.",
        example: "otel-extensions",
    },
    Key {
        path: "agent.extensions.folder",
        kind: ValueKind::Text,
        default: "null",
        unset: "with `claim`: all of it",
        means: "Where in the image or in the claim the jars are.",
        example: "/extensions",
    },
    Key {
        path: "otlp.endpoint",
        kind: ValueKind::Text,
        default: "null",
        unset: "the agent's own: `localhost`",
        means: "`OTEL_EXPORTER_OTLP_ENDPOINT`, set together with the protocol and only where the container sets neither. `$(NODE_IP)` stands for the address of the pod's node. A profile that sets it inherits nothing else of `otlp`.",
        example: "https://otel-collector.observability.svc:4318",
    },
    Key {
        path: "otlp.protocol",
        kind: ValueKind::OneOf(&[Protocol::HttpProtobuf.as_str(), Protocol::Grpc.as_str()]),
        default: "null",
        unset: "`http/protobuf`",
        means: "`OTEL_EXPORTER_OTLP_PROTOCOL`. Port 4317 is grpc's and 4318 http/protobuf's; a mixed pair is refused.",
        example: "http/protobuf",
    },
    Key {
        path: "otlp.headersFrom.secret",
        kind: ValueKind::Text,
        default: "null",
        unset: "no headers",
        means: "A Secret of the pod's namespace for `OTEL_EXPORTER_OTLP_HEADERS`. Pods also start without it.",
        example: "otlp-credentials",
    },
    Key {
        path: "otlp.headersFrom.key",
        kind: ValueKind::Text,
        default: "null",
        unset: "required with `secret`",
        means: "The key in that Secret.",
        example: "headers",
    },
    Key {
        path: "otlp.tls.caFrom.configMap",
        kind: ValueKind::Text,
        default: "null",
        unset: "none",
        means: "A ConfigMap of the pod's namespace with the certificates that the agent trusts at an `https://` endpoint. Pods also start without it.",
        example: "corporate-ca",
    },
    Key {
        path: "otlp.tls.caFrom.secret",
        kind: ValueKind::Text,
        default: "null",
        unset: "none",
        means: "The same, in a Secret. One of the two.",
        example: "corporate-ca",
    },
    Key {
        path: "otlp.tls.caFrom.key",
        kind: ValueKind::Text,
        default: "null",
        unset: "`ca.crt`",
        means: "Its key with the PEM certificates.",
        example: "bundle.pem",
    },
    Key {
        path: "otlp.tls.clientCertificateFrom.secret",
        kind: ValueKind::Text,
        default: "null",
        unset: "none",
        means: "A Secret of the pod's namespace with the agent's client certificate. Pods also start without it.",
        example: "otlp-client",
    },
    Key {
        path: "otlp.tls.clientCertificateFrom.certificate",
        kind: ValueKind::Text,
        default: "null",
        unset: "`tls.crt`",
        means: "Its key with the PEM certificate.",
        example: "tls.crt",
    },
    Key {
        path: "otlp.tls.clientCertificateFrom.privateKey",
        kind: ValueKind::Text,
        default: "null",
        unset: "`tls.key`",
        means: "Its key with the private key, PEM, PKCS #8.",
        example: "tls.key",
    },
    Key {
        path: "resourceAttributes",
        kind: ValueKind::Map,
        default: "{}",
        unset: "",
        means: "Attributes for `OTEL_RESOURCE_ATTRIBUTES`. The pod's own win.",
        example: "{deployment.environment.name: prod}",
    },
    Key {
        path: "propagators",
        kind: ValueKind::Names(&names::PROPAGATORS),
        default: "[]",
        unset: "",
        means: "`OTEL_PROPAGATORS`. Empty: the agent's own. `none` cannot be combined with others.",
        example: "[tracecontext, baggage]",
    },
    Key {
        path: "sampler.type",
        kind: ValueKind::Name(&names::SAMPLERS),
        default: "null",
        unset: "the agent's own",
        means: "`OTEL_TRACES_SAMPLER`. A profile that sets it inherits no argument.",
        example: "parentbased_traceidratio",
    },
    Key {
        path: "sampler.argument",
        kind: ValueKind::Text,
        default: "null",
        unset: "none",
        means: "`OTEL_TRACES_SAMPLER_ARG`: a ratio from 0 to 1 for the samplers called `traceidratio`, pairs for those called `jaeger_remote`. Quote a number.",
        example: "\"0.25\"",
    },
    Key {
        path: "exporters.traces",
        kind: ValueKind::Name(&names::EXPORTERS),
        default: "null",
        unset: "the agent's own: `otlp`",
        means: "`OTEL_TRACES_EXPORTER`.",
        example: "otlp",
    },
    Key {
        path: "exporters.metrics",
        kind: ValueKind::Name(&names::METRICS_EXPORTERS),
        default: "null",
        unset: "the agent's own: `otlp`",
        means: "`OTEL_METRICS_EXPORTER`.",
        example: "none",
    },
    Key {
        path: "exporters.logs",
        kind: ValueKind::Name(&names::EXPORTERS),
        default: "null",
        unset: "the agent's own: `otlp`",
        means: "`OTEL_LOGS_EXPORTER`.",
        example: "none",
    },
    Key {
        path: "env",
        kind: ValueKind::Map,
        default: "{}",
        unset: "",
        means: "Further variables, used as written, and only if the container does not set them. Variables that have a key of the profile are not allowed, nor those that are combined from several sources (`JAVA_TOOL_OPTIONS`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`).",
        example: "{OTEL_INSTRUMENTATION_JDBC_ENABLED: \"false\"}",
    },
    Key {
        path: "minimumMemory",
        kind: ValueKind::Quantity,
        default: "128Mi",
        unset: "",
        means: "Containers with a smaller memory limit are left alone (`does-not-fit`).",
        example: "192Mi",
    },
    Key {
        path: "composeOptional",
        kind: ValueKind::Switch,
        default: "true",
        unset: "",
        means: "Whether Javelin adds to `JAVA_TOOL_OPTIONS` and `OTEL_RESOURCE_ATTRIBUTES` that may be absent at run time (an optional key, or `envFrom`). `false`: a pod with such options is skipped, and nothing is added to such attributes.",
        example: "false",
    },
    Key {
        path: "useLabelsForResourceAttributes",
        kind: ValueKind::Switch,
        default: "false",
        unset: "",
        means: "Whether the service's name comes from the pod's label `app.kubernetes.io/instance`, otherwise `…/name`, and its version from `…/version`. Annotations take precedence.",
        example: "true",
    },
    Key {
        path: "sdkSettings",
        kind: ValueKind::OneOf(&[
            SdkSettings::Auto.as_str(),
            SdkSettings::Environment.as_str(),
            SdkSettings::File.as_str(),
        ]),
        default: "auto",
        unset: "",
        means: "Where endpoint, propagators, sampler, exporters and further `OTEL_` variables go. `environment`: variables of the container, which hide those of envFrom and the image. `file`: a file next to the jar, which every variable overrides; not with headers, certificates or grpc. `auto`: a file for containers with envFrom, if it fits.",
        example: "file",
    },
];

/// Where else a key of that name is.
pub(super) fn homes_of(name: &str) -> Vec<String> {
    let last = |key: &Key| key.path.rsplit('.').next() == Some(name);
    let in_file = FILE
        .iter()
        .filter(|key| last(key))
        .map(|key| format!("{:?} at the top level", key.path));
    let in_profile = PROFILE
        .iter()
        .filter(|key| last(key))
        .map(|key| format!("{:?} in a profile", key.path));
    in_file.chain(in_profile).collect()
}

#[cfg(test)]
mod tests;
