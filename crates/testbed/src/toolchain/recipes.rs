//! How each tool is built: one recipe for each.

use super::Tool;

/// How a tool is built.
pub(super) struct Recipe {
    /// Its folder, by name; [`Tool::folder`] has it.
    pub(super) module: &'static str,
    pub(super) title: &'static str,
    /// The module whose required version names the build.
    pub(super) versioned_by: &'static str,
    /// What `go build` is given: this module's own command, or those its `tool` lines name.
    pub(super) package: &'static str,
    pub(super) tags: &'static str,
    /// Link flags, `{}` being the version without its `v`.
    pub(super) version_flags: &'static str,
    /// What `go build` writes, and the names it is to have.
    pub(super) programs: &'static [(&'static str, &'static [&'static str])],
    /// On two cores, with empty caches.
    pub(super) minutes: u64,
}

const KUBERNETES_VERSION: &str = "-X k8s.io/component-base/version.gitVersion=v{} \
    -X k8s.io/component-base/version.gitMajor={major} \
    -X k8s.io/component-base/version.gitMinor={minor}";

/// What few tools have anything to say to.
const PLAIN: Recipe = Recipe {
    module: "",
    title: "",
    versioned_by: "",
    package: ".",
    tags: "",
    version_flags: "",
    programs: &[],
    minutes: 1,
};

impl Tool {
    /// Where its module's folder is: what only tests use is with the tests.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::YamlJudge => "tests",
            _ => "crates/testbed/tools",
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table")]
    pub(super) fn recipe(self) -> Recipe {
        match self {
            Self::Kubernetes => Recipe {
                module: "kubernetes",
                title: "Kubernetes",
                versioned_by: "k8s.io/kubernetes",
                version_flags: KUBERNETES_VERSION,
                programs: &[(
                    "kubernetes",
                    &[
                        "kube-apiserver",
                        "kube-controller-manager",
                        "kube-scheduler",
                        "kube-proxy",
                        "kubelet",
                        "kubectl",
                        "etcd",
                        "cluster-pki",
                    ],
                )],
                minutes: 10,
                ..PLAIN
            },
            Self::OldestKubernetes => Recipe {
                module: "kubernetes-oldest",
                title: "Kubernetes",
                versioned_by: "k8s.io/kubernetes",
                package: "tool",
                version_flags: KUBERNETES_VERSION,
                programs: &[
                    ("kube-apiserver", &["kube-apiserver"]),
                    ("kube-controller-manager", &["kube-controller-manager"]),
                    ("kube-scheduler", &["kube-scheduler"]),
                    ("kube-proxy", &["kube-proxy"]),
                    ("kubelet", &["kubelet"]),
                ],
                minutes: 10,
                ..PLAIN
            },
            Self::Containerd => Recipe {
                module: "containerd",
                title: "containerd",
                versioned_by: "github.com/containerd/containerd/v2",
                package: "tool",
                tags: "no_btrfs no_devmapper no_zfs",
                version_flags: "-X github.com/containerd/containerd/v2/version.Version={}",
                programs: &[
                    ("containerd", &["containerd"]),
                    ("containerd-shim-runc-v2", &["containerd-shim-runc-v2"]),
                    ("ctr", &["ctr"]),
                ],
                minutes: 2,
            },
            Self::CoreDns => Recipe {
                module: "coredns",
                title: "CoreDNS",
                versioned_by: "github.com/coredns/coredns",
                programs: &[("coredns", &["coredns"])],
                minutes: 2,
                ..PLAIN
            },
            Self::Helm4 => Recipe {
                module: "helm4",
                title: "Helm",
                versioned_by: "helm.sh/helm/v4",
                package: "tool",
                version_flags: "-X helm.sh/helm/v4/internal/version.version=v{}",
                programs: &[("helm", &["helm"])],
                minutes: 2,
                ..PLAIN
            },
            Self::Helm3 => Recipe {
                module: "helm3",
                title: "Helm",
                versioned_by: "helm.sh/helm/v3",
                package: "tool",
                version_flags: "-X helm.sh/helm/v3/internal/version.version=v{}",
                programs: &[("helm", &["helm3"])],
                minutes: 2,
                ..PLAIN
            },
            Self::Kustomize => Recipe {
                module: "kustomize",
                title: "kustomize",
                versioned_by: "sigs.k8s.io/kustomize/kustomize/v5",
                package: "tool",
                version_flags: "-X sigs.k8s.io/kustomize/api/provenance.version=v{}",
                programs: &[("kustomize", &["kustomize"])],
                ..PLAIN
            },
            Self::Collector => Recipe {
                module: "collector",
                title: "the OpenTelemetry Collector",
                versioned_by: "go.opentelemetry.io/collector/otelcol",
                version_flags: "-X main.version={}",
                programs: &[("collector", &["otelcol"])],
                minutes: 2,
                ..PLAIN
            },
            Self::Crane => Recipe {
                module: "crane",
                title: "crane and a registry",
                versioned_by: "github.com/google/go-containerregistry",
                package: "tool",
                programs: &[("crane", &["crane"]), ("registry", &["registry"])],
                ..PLAIN
            },
            Self::YamlJudge => Recipe {
                module: "yaml-judge",
                title: "the judge of YAML",
                versioned_by: "sigs.k8s.io/yaml",
                programs: &[("yaml-judge", &["yaml-judge"])],
                ..PLAIN
            },
            Self::Promtool => Recipe {
                module: "promtool",
                title: "promtool",
                versioned_by: "github.com/prometheus/prometheus",
                package: "tool",
                // Rules are checked without knowing of any cloud.
                tags: "remove_all_sd",
                version_flags: "-X github.com/prometheus/common/version.Version={}",
                programs: &[("promtool", &["promtool"])],
                minutes: 8,
            },
            Self::Actionlint => Recipe {
                module: "actionlint",
                title: "actionlint",
                versioned_by: "github.com/rhysd/actionlint",
                package: "tool",
                programs: &[("actionlint", &["actionlint"])],
                ..PLAIN
            },
            Self::Prometheus => Recipe {
                module: "prometheus",
                title: "Prometheus",
                versioned_by: "github.com/prometheus/prometheus",
                package: "tool",
                // It finds what it scrapes by address, or in the cluster that it is in.
                tags: "remove_all_sd enable_kubernetes_sd",
                version_flags: "-X github.com/prometheus/common/version.Version={}",
                programs: &[("prometheus", &["prometheus"])],
                minutes: 8,
            },
            Self::KubeStateMetrics => Recipe {
                module: "kubestatemetrics",
                title: "kube-state-metrics",
                versioned_by: "k8s.io/kube-state-metrics/v2",
                package: "tool",
                version_flags: "-X github.com/prometheus/common/version.Version={}",
                programs: &[("kube-state-metrics", &["kube-state-metrics"])],
                minutes: 3,
                ..PLAIN
            },
            Self::Thanos => Recipe {
                module: "thanos",
                title: "Thanos",
                versioned_by: "github.com/thanos-io/thanos",
                package: "tool",
                // The tag of its releases; without it, it panics at the first series that it receives.
                tags: "slicelabels",
                version_flags: "-X github.com/prometheus/common/version.Version={}",
                programs: &[("thanos", &["thanos"])],
                minutes: 4,
            },
            Self::Jaeger => Recipe {
                module: "jaeger",
                title: "Jaeger",
                versioned_by: "github.com/jaegertracing/jaeger",
                package: "tool",
                programs: &[("jaeger", &["jaeger"])],
                minutes: 8,
                ..PLAIN
            },
            Self::VictoriaLogs => Recipe {
                module: "victorialogs",
                title: "VictoriaLogs",
                versioned_by: "github.com/VictoriaMetrics/VictoriaLogs",
                package: "tool",
                programs: &[("victoria-logs", &["victoria-logs"])],
                ..PLAIN
            },
            Self::StackCollector => Recipe {
                module: "stackcollector",
                title: "the Collector of the stack",
                versioned_by: "go.opentelemetry.io/collector/otelcol",
                version_flags: "-X main.version={}",
                programs: &[("stackcollector", &["otelcol-contrib"])],
                minutes: 4,
                ..PLAIN
            },
        }
    }
}
