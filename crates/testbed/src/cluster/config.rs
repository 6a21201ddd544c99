//! The configuration files of the cluster's processes.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Layout, NAME, NODE, NODE_ADDRESS, RUN};
use crate::image::hex;
use crate::images;
use crate::packages;
use crate::process::{create_folder, write};

/// Who asks the API server: the name of the kubeconfig, the user and the groups.
const IDENTITIES: [(&str, &str, &str); 6] = [
    ("admin", "admin", "system:masters"),
    ("kubelet", "system:node:node0", "system:nodes"),
    (
        "kube-controller-manager",
        "system:kube-controller-manager",
        "",
    ),
    ("kube-scheduler", "system:kube-scheduler", ""),
    ("kube-proxy", "system:kube-proxy", ""),
    ("coredns", "coredns", "system:masters"),
];

pub(super) fn write_all(layout: &Layout) -> Result<()> {
    // Secrets: nobody else looks in.
    fs::set_permissions(&layout.state, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("failed to protect {}", layout.state.display()))?;
    write_identities(layout)?;
    write_json(&layout.path("kubelet.json"), &kubelet(layout))?;
    let cni = layout.path("cni");
    create_folder(&cni)?;
    write_json(&cni.join("10-javelin.conflist"), &pod_network(layout))?;
    write(&layout.path("containerd.toml"), containerd(layout)?)?;
    write(&layout.path("Corefile"), corefile(layout))
}

/// Tokens, and a kubeconfig for each: the administrator's for outside of the cluster's network, the others for inside.
fn write_identities(layout: &Layout) -> Result<()> {
    let mut tokens = String::new();
    for (name, user, groups) in IDENTITIES {
        let token = random_token()?;
        writeln!(tokens, "{token},{user},{user},\"{groups}\"")?;
        let (file, server) = match name {
            "admin" => (
                String::from("kubeconfig"),
                format!("https://127.0.0.1:{}", layout.port),
            ),
            _ => (
                format!("{name}.kubeconfig"),
                format!("https://{NODE_ADDRESS}:6443"),
            ),
        };
        let contents = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": NAME, "cluster": { "server": server, "certificate-authority": layout.pki("ca.crt") } }],
            "users": [{ "name": name, "user": { "token": token } }],
            "contexts": [{ "name": NAME, "context": { "cluster": NAME, "user": name } }],
            "current-context": NAME,
        });
        write_json(&layout.path(&file), &contents)?;
    }
    write(&layout.path("tokens.csv"), tokens)
}

fn kubelet(layout: &Layout) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": layout.pki("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": layout.pki("kubelet.crt"),
        "tlsPrivateKeyFile": layout.pki("kubelet.key"),
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": "cluster.local",
        // Pods are to know no name server but the cluster's.
        "resolvConf": "",
        "containerRuntimeEndpoint": format!("unix://{RUN}/containerd.sock"),
        "podLogsDir": layout.path("pod-logs"),
        "volumePluginDir": layout.path("volume-plugins"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{NAME}"),
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        "localStorageCapacityIsolation": true,
        "evictionHard": { "memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%" },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",
        "serializeImagePulls": false,
        "registerNode": true,
    })
}

/// Routed point-to-point links, not a bridge: between pods on one bridge the answers of a Service would go past the
/// address translation where the kernel has no `br_netfilter`.
fn pod_network(layout: &Layout) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": NAME,
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": false,
                "mtu": 1500,
                "ipam": {
                    "type": "host-local",
                    "dataDir": layout.path("cni/addresses"),
                    "ranges": [[{ "subnet": "10.244.0.0/16" }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

fn containerd(layout: &Layout) -> Result<String> {
    let plugins = packages::cni_plugins()
        .context("the CNI plugins are gone: install containernetworking-plugins")?;
    Ok(format!(
        r#"version = 4
root = "{root}"
state = "{RUN}/containerd"
imports = []
# What would make folders elsewhere, or listen for more than the kubelet.
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri", "io.containerd.image-verifier.v1.bindir"]

[plugins."io.containerd.server.v1.grpc"]
address = "{RUN}/containerd.sock"

[plugins."io.containerd.server.v1.ttrpc"]
address = "{RUN}/containerd.sock.ttrpc"

[plugins."io.containerd.shim.v1.manager"]
socket_dir = "{RUN}/s"

[plugins."io.containerd.metadata.v1.bolt"]
no_sync = true

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
disable_apparmor = true
netns_mounts_under_state_dir = true
enable_criu = false
cdi_spec_dirs = []

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
Root = "{RUN}/runc"
SystemdCgroup = false

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{plugins}"]
conf_dir = "{cni}"
use_internal_loopback = true
"#,
        root = layout.path("containerd").display(),
        pause = images::PAUSE,
        plugins = plugins.display(),
        cni = layout.path("cni").display(),
    ))
}

fn corefile(layout: &Layout) -> String {
    format!(
        "\
.:53 {{
    bind {NODE_ADDRESS}
    errors
    ready {NODE_ADDRESS}:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {}
        pods insecure
        ttl 5
    }}
}}
",
        layout.path("coredns.kubeconfig").display()
    )
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    write(path, serde_json::to_vec_pretty(value)?)
}

fn random_token() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("failed to read /dev/urandom")?;
    Ok(hex(&bytes))
}

const _: () = assert!(
    matches!(NODE.as_bytes(), b"node0"),
    "IDENTITIES and the certificates name the node"
);
