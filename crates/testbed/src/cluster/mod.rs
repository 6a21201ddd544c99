//! A real one-node Kubernetes on one Linux machine, without a container engine or a registry.
//!
//! etcd, the API server, the controllers, the scheduler, the kubelet, kube-proxy, `CoreDNS` and containerd run as plain
//! processes in a network namespace of their own, so that no traffic leaves it and nothing outside it changes. The API
//! server is reached from outside over a Unix socket, which belongs to no network namespace: one `socat` on either
//! side makes that a port on the loopback address.
//!
//! Every process carries a variable in its environment, and every container is in one control group, so that whatever
//! an earlier run left, however it ended, can be found and removed: `teardown` relies on nothing that a killed run
//! might not have written.

mod cgroups;
mod config;
mod daemons;
mod network;
mod teardown;

use std::fmt;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use self::daemons::Started;
use crate::images;
use crate::kube::Cluster;
use crate::packages::{self, Group};
use crate::paths::{Paths, variable};
use crate::process::{create_folder, lock_file, output, run, write};
use crate::progress::{self, Hint};
use crate::toolchain::{self, Tool, Toolchain};

/// Sockets and process ids: short, since a socket's path has 107 bytes.
const RUN: &str = "/run/javelin";
/// The name of the network namespace, of the control group and of the pods' network.
const NAME: &str = "javelin";
/// The node's address, which `CoreDNS` answers on as well.
const NODE_ADDRESS: &str = "10.100.0.1";
const NODE: &str = "node0";
/// The variable that every process of the cluster carries.
const MARK: &str = "JAVELIN_XTASK_CLUSTER_PROCESS";
/// The first port to try for the API server on the host's loopback address.
const FIRST_PORT: u16 = 16443;

const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(100);

/// Starts the cluster, or finds that it is up.
pub fn up(paths: &Paths) -> Result<Cluster> {
    check_root()?;
    let tools = toolchain::ensure(
        paths,
        &[
            Tool::Kubernetes,
            Tool::Containerd,
            Tool::CoreDns,
            Tool::Helm4,
        ],
    )?;
    packages::ensure(paths, &[Group::Cluster, Group::C])?;
    let pause = images::pause(paths)?;
    let _lock = lock(paths)?;

    let layout = Layout::of(paths, &tools)?;
    let found = inspect(&layout);
    if found.is_up() && found.is_of(&layout) {
        progress::note("The cluster is up already");
        return Ok(layout.cluster());
    }
    if !found.is_absent() {
        progress::note(if found.is_up() {
            "The cluster that is up is of another version: starting it anew"
        } else {
            "Found a cluster that is not whole: starting it anew"
        });
    }
    progress::step(
        "Removing what an earlier cluster left",
        Hint::default(),
        || teardown::remove(&layout),
    )?;

    let started = Instant::now();
    let result = start(&layout, pause.archive());
    if result.is_err() {
        // The logs stay.
        teardown::remove(&layout)?;
    }
    result.with_context(|| {
        format!(
            "the cluster did not start: its logs are in {}",
            layout.logs().display()
        )
    })?;
    progress::note(&format!(
        "The cluster is up after {:.1} s",
        started.elapsed().as_secs_f64()
    ));
    Ok(layout.cluster())
}

/// Stops the cluster and removes everything but its logs.
pub fn down(paths: &Paths) -> Result<()> {
    check_root()?;
    let _lock = lock(paths)?;
    let layout = Layout::for_removal(paths)?;
    progress::step("Stopping the cluster", Hint::default(), || {
        teardown::remove(&layout)
    })
}

/// What runs.
pub fn status(paths: &Paths) -> Result<Status> {
    // The environment of another user's processes, which says that they are the cluster's, is closed to others.
    check_root()?;
    let layout = Layout::for_removal(paths)?;
    Ok(inspect(&layout))
}

/// Stops and starts the API server of a cluster that is up, and waits until it answers again.
pub fn restart_apiserver(paths: &Paths) -> Result<()> {
    check_root()?;
    let tools = toolchain::ensure(paths, &[Tool::Kubernetes, Tool::Containerd, Tool::CoreDns])?;
    let _lock = lock(paths)?;
    let layout = Layout::of(paths, &tools)?;
    if !inspect(&layout).is_up() {
        bail!("the cluster is not up: run `cargo xtask cluster up` first");
    }
    progress::step("Restarting the API server", Hint::default(), || {
        let daemon = daemons::apiserver(&layout);
        daemon.stop()?;
        let mut started = daemon.start(&layout)?;
        wait_for_api(&layout, &mut [&mut started])
    })
}

/// Loads an image archive into the cluster's containerd.
pub fn load_image(bin: &Path, archive: &Path) -> Result<()> {
    run(Command::new(bin.join("ctr"))
        .arg("--address")
        .arg(containerd_socket())
        .args(["-n", "k8s.io", "images", "import"])
        .arg(archive))
}

/// Does the cluster's containerd have this image under this name?
pub fn has_image(bin: &Path, reference: &str, digest: &str) -> Result<bool> {
    let found = output(
        Command::new(bin.join("ctr"))
            .arg("--address")
            .arg(containerd_socket())
            .args(["-n", "k8s.io", "images", "list"])
            .arg(format!("name=={reference}")),
    )?;
    Ok(found.contains(digest))
}

/// Where the cluster of this user keeps its kubeconfig, whether or not it is up.
pub fn kubeconfig(paths: &Paths) -> PathBuf {
    paths.cluster_state().join("kubeconfig")
}

/// Where the cluster of this user writes the logs of its processes: `kube-apiserver.log` and so on.
pub fn logs(paths: &Paths) -> PathBuf {
    paths.cluster_state().join("logs")
}

/// The network namespace in which the cluster's processes are.
pub fn network() -> PathBuf {
    Path::new("/run/netns").join(NAME)
}

/// Where everything of one cluster is.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    state: PathBuf,
    bin: PathBuf,
    /// Which builds of the programs it is made of.
    generation: String,
    port: u16,
}

impl Layout {
    fn of(paths: &Paths, tools: &Toolchain) -> Result<Self> {
        let mut layout = Self::for_removal(paths)?;
        for program in ["kubelet", "containerd", "coredns"] {
            let link = tools.program(program);
            let target = fs::canonicalize(&link)
                .with_context(|| format!("failed to follow {}", link.display()))?;
            layout.generation.push_str(&target.to_string_lossy());
            layout.generation.push('\n');
        }
        Ok(layout)
    }

    /// Enough to say what runs and to remove it.
    fn for_removal(paths: &Paths) -> Result<Self> {
        let state = paths.cluster_state();
        // The kubelet makes sockets below it, the longest with this much more.
        let longest =
            state.as_os_str().len() + "/kubelet/device-plugins/kubelet.sock.0000000000".len();
        if longest > 107 {
            bail!(
                "{} is too long a path for the sockets under it: set XDG_STATE_HOME to a shorter folder",
                state.display()
            );
        }
        let port = fs::read_to_string(state.join("port"))
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(FIRST_PORT);
        Ok(Self {
            state,
            bin: paths.bin(),
            generation: String::new(),
            port,
        })
    }

    fn cluster(&self) -> Cluster {
        Cluster::own(self.path("kubeconfig"), self.bin.clone())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    fn pki(&self, name: &str) -> PathBuf {
        self.state.join("pki").join(name)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// What was found of a cluster.
#[derive(Debug)]
pub struct Status {
    running: Vec<(&'static str, bool)>,
    answers: bool,
    node_ready: bool,
    generation: String,
    shell_lines: String,
}

impl Status {
    /// Does everything run that has to?
    pub fn is_up(&self) -> bool {
        // The generation is written last.
        let whole = !self.generation.is_empty();
        whole && self.answers && self.node_ready && self.running.iter().all(|(_, running)| *running)
    }

    fn is_absent(&self) -> bool {
        !self.answers && self.running.iter().all(|(_, running)| !*running)
    }

    fn is_of(&self, layout: &Layout) -> bool {
        self.generation == layout.generation
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, running) in &self.running {
            writeln!(
                f,
                "{name:<26} {}",
                if *running { "runs" } else { "does not run" }
            )?;
        }
        writeln!(
            f,
            "{:<26} {}",
            "API server",
            if self.answers {
                "answers"
            } else {
                "does not answer"
            }
        )?;
        writeln!(
            f,
            "{:<26} {}",
            "node",
            if self.node_ready {
                "ready"
            } else {
                "not ready"
            }
        )?;
        if self.is_up() {
            writeln!(f, "\nThe cluster is up. To use it:\n{}", self.shell_lines)
        } else {
            writeln!(
                f,
                "\nThe cluster is not up. `cargo xtask cluster up` starts it."
            )
        }
    }
}

fn inspect(layout: &Layout) -> Status {
    let running: Vec<(&'static str, bool)> = daemons::all(layout)
        .iter()
        .map(|daemon| (daemon.name, daemon.pid().is_some()))
        .collect();
    // Without its processes, asking would only wait.
    let any = running.iter().any(|(_, running)| *running);
    let answers = any && api_answers(layout);
    Status {
        running,
        answers,
        node_ready: answers && node_is_ready(layout),
        generation: fs::read_to_string(layout.path("generation")).unwrap_or_default(),
        shell_lines: layout.cluster().shell_lines(),
    }
}

fn start(layout: &Layout, pause: &Path) -> Result<()> {
    let mut layout = layout.clone();
    layout.port = free_port()?;
    let layout = &layout;
    teardown::remove_logs(layout)?;
    for folder in [layout.logs(), PathBuf::from(RUN).join("pids")] {
        create_folder(&folder)?;
    }
    teardown::remember_state(layout)?;
    teardown::remember_tunables(layout)?;
    cgroups::create()?;
    network::create()?;
    run(Command::new(layout.program("cluster-pki")).arg(layout.path("pki")))?;
    config::write_all(layout)?;
    write(&layout.path("port"), layout.port.to_string())?;

    let [etcd, apiserver, containerd, inner, outer] = daemons::first(layout);
    let etcd = &mut etcd.start(layout)?;
    let containerd = &mut containerd.start(layout)?;
    let inner = &mut inner.start(layout)?;
    let outer = &mut outer.start(layout)?;
    let apiserver = &mut progress::step("Starting the API server", Hint::default(), || {
        wait_until("etcd listens", &mut [etcd], |started| {
            started.iter().all(|etcd| etcd.listens_on(2379))
        })?;
        let mut apiserver = apiserver.start(layout)?;
        wait_for_api(layout, &mut [etcd, inner, outer, &mut apiserver])?;
        Ok(apiserver)
    })?;
    progress::step("Loading the pause image", Hint::default(), || {
        wait_until("containerd answers", &mut [containerd], |_| {
            Path::new(&containerd_socket()).exists() && ctr_answers(layout)
        })?;
        load_image(&layout.bin, pause)
    })?;

    let mut rest = Vec::new();
    for daemon in daemons::rest(layout) {
        rest.push(daemon.start(layout)?);
    }
    let mut everything: Vec<&mut Started> = vec![etcd, containerd, inner, outer, apiserver];
    everything.extend(rest.iter_mut());
    progress::step("Waiting for the node", Hint::default(), || {
        wait_until("the node is ready", &mut everything, |_| {
            node_is_ready(layout)
        })?;
        wait_until(
            "CoreDNS and kube-proxy listen",
            &mut everything,
            |started| {
                started.iter().any(|daemon| daemon.listens_on(8181))
                    && started.iter().any(|daemon| daemon.listens_on(10256))
            },
        )?;
        wait_until(
            "the default service account is there",
            &mut everything,
            |_| {
                output(kubectl(layout).args(["get", "serviceaccount", "default", "--output=name"]))
                    .is_ok()
            },
        )
    })?;
    // Last: it says that the start was whole.
    write(&layout.path("generation"), &layout.generation)
}

fn wait_for_api(layout: &Layout, started: &mut [&mut Started]) -> Result<()> {
    wait_until("the API server is ready", started, |_| api_answers(layout))
}

fn api_answers(layout: &Layout) -> bool {
    output(kubectl(layout).args(["get", "--raw=/readyz"])).is_ok_and(|text| text == "ok")
}

fn node_is_ready(layout: &Layout) -> bool {
    let ready = "--output=jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    output(kubectl(layout).args(["get", "node", NODE, ready])).is_ok_and(|text| text == "True")
}

fn ctr_answers(layout: &Layout) -> bool {
    output(
        Command::new(layout.program("ctr"))
            .arg("--address")
            .arg(containerd_socket())
            .args(["--timeout=2s", "version"]),
    )
    .is_ok()
}

fn kubectl(layout: &Layout) -> Command {
    let mut command = layout.cluster().kubectl_command();
    command.arg("--request-timeout=3s");
    command
}

/// Polls until the condition holds; a process of the cluster that ends meanwhile is an error at once.
fn wait_until(
    what: &str,
    started: &mut [&mut Started],
    condition: impl Fn(&[&mut Started]) -> bool,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        for daemon in started.iter_mut() {
            daemon.check_alive()?;
        }
        if condition(started) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "waited {} s and it is still not so that {what}: the logs say why",
                PATIENCE.as_secs()
            );
        }
        thread::sleep(POLL);
    }
}

fn containerd_socket() -> String {
    format!("{RUN}/containerd.sock")
}

fn free_port() -> Result<u16> {
    (FIRST_PORT..FIRST_PORT + 100)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no port is free on 127.0.0.1 between 16443 and 16542: end what listens there")
}

/// Starting and stopping exclude one another. Not in the folder that `down` removes.
fn lock(paths: &Paths) -> Result<File> {
    lock_file(
        &paths.cache().join("cluster.lock"),
        "Waiting for another xtask that starts or stops the cluster",
    )
}

fn check_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let home = variable("HOME").unwrap_or_default();
    bail!(
        "the cluster's namespaces, mounts and control groups need root: run `sudo env HOME={} PATH=\"$PATH\" cargo xtask \
         cluster ...`, or set KUBECONFIG to a cluster that you have",
        home.display()
    )
}
