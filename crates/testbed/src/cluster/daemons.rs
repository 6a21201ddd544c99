//! The cluster's processes: how each is started, found and stopped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{Layout, MARK, NAME, NODE, NODE_ADDRESS, POLL, RUN};
use crate::process::{tail_of, write};

/// A process to be.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    /// Whether it is inside of the cluster's network.
    inside: bool,
}

/// A process that was started by this run, and so is its child.
#[derive(Debug)]
pub(super) struct Started {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// Those that the API server needs, itself, and what the pause image is loaded into.
pub(super) fn first(layout: &Layout) -> [Daemon; 5] {
    [
        etcd(layout),
        apiserver(layout),
        containerd(layout),
        inner_forwarder(),
        outer_forwarder(layout),
    ]
}

/// Those that need the API server.
pub(super) fn rest(layout: &Layout) -> [Daemon; 5] {
    [
        kubelet(layout),
        controllers(layout),
        scheduler(layout),
        proxy(layout),
        dns(layout),
    ]
}

pub(super) fn all(layout: &Layout) -> Vec<Daemon> {
    first(layout).into_iter().chain(rest(layout)).collect()
}

pub(super) fn apiserver(layout: &Layout) -> Daemon {
    let pki = |name: &str| layout.pki(name).display().to_string();
    inside(
        layout,
        "kube-apiserver",
        vec![
            format!("--advertise-address={NODE_ADDRESS}"),
            String::from("--allow-privileged=true"),
            String::from("--authorization-mode=Node,RBAC"),
            String::from("--bind-address=0.0.0.0"),
            format!("--client-ca-file={}", pki("ca.crt")),
            String::from("--enable-admission-plugins=NodeRestriction"),
            String::from("--etcd-servers=http://127.0.0.1:2379"),
            format!("--kubelet-certificate-authority={}", pki("ca.crt")),
            format!("--kubelet-client-certificate={}", pki("kubelet-client.crt")),
            format!("--kubelet-client-key={}", pki("kubelet-client.key")),
            String::from("--kubelet-preferred-address-types=InternalIP"),
            String::from("--profiling=false"),
            String::from("--secure-port=6443"),
            String::from("--service-account-issuer=https://kubernetes.default.svc.cluster.local"),
            format!("--service-account-key-file={}", pki("service-accounts.key")),
            format!(
                "--service-account-signing-key-file={}",
                pki("service-accounts.key")
            ),
            String::from("--service-cluster-ip-range=10.96.0.0/16"),
            format!("--tls-cert-file={}", pki("apiserver.crt")),
            format!("--tls-private-key-file={}", pki("apiserver.key")),
            format!("--token-auth-file={}", layout.path("tokens.csv").display()),
        ],
    )
}

fn etcd(layout: &Layout) -> Daemon {
    inside(
        layout,
        "etcd",
        vec![
            format!("--data-dir={}", layout.path("etcd").display()),
            String::from("--listen-client-urls=http://127.0.0.1:2379"),
            String::from("--advertise-client-urls=http://127.0.0.1:2379"),
            String::from("--unsafe-no-fsync"),
        ],
    )
}

fn containerd(layout: &Layout) -> Daemon {
    inside(
        layout,
        "containerd",
        vec![format!(
            "--config={}",
            layout.path("containerd.toml").display()
        )],
    )
}

fn kubelet(layout: &Layout) -> Daemon {
    inside(
        layout,
        "kubelet",
        vec![
            format!("--config={}", layout.path("kubelet.json").display()),
            format!(
                "--kubeconfig={}",
                layout.path("kubelet.kubeconfig").display()
            ),
            format!("--root-dir={}", layout.path("kubelet").display()),
            format!("--cert-dir={}", layout.path("kubelet/pki").display()),
            format!("--hostname-override={NODE}"),
            format!("--node-ip={NODE_ADDRESS}"),
        ],
    )
}

fn controllers(layout: &Layout) -> Daemon {
    let pki = |name: &str| layout.pki(name).display().to_string();
    inside(
        layout,
        "kube-controller-manager",
        vec![
            String::from("--bind-address=127.0.0.1"),
            format!("--cluster-signing-cert-file={}", pki("ca.crt")),
            format!("--cluster-signing-key-file={}", pki("ca.key")),
            format!(
                "--kubeconfig={}",
                layout.path("kube-controller-manager.kubeconfig").display()
            ),
            // It makes the folder, which by default is in /usr.
            format!(
                "--flex-volume-plugin-dir={}",
                layout.path("volume-plugins").display()
            ),
            // It makes an account and a token for each of its controllers first: the usual limits would take 5 s.
            String::from("--kube-api-burst=1000"),
            String::from("--kube-api-qps=500"),
            String::from("--leader-elect=false"),
            format!("--root-ca-file={}", pki("ca.crt")),
            format!(
                "--service-account-private-key-file={}",
                pki("service-accounts.key")
            ),
            String::from("--use-service-account-credentials=true"),
        ],
    )
}

fn scheduler(layout: &Layout) -> Daemon {
    inside(
        layout,
        "kube-scheduler",
        vec![
            String::from("--bind-address=127.0.0.1"),
            format!(
                "--kubeconfig={}",
                layout.path("kube-scheduler.kubeconfig").display()
            ),
            String::from("--leader-elect=false"),
        ],
    )
}

fn proxy(layout: &Layout) -> Daemon {
    inside(
        layout,
        "kube-proxy",
        vec![
            String::from("--cluster-cidr=10.244.0.0/16"),
            // Zero leaves the machine's limits as they are.
            String::from("--conntrack-max-per-core=0"),
            String::from("--conntrack-tcp-timeout-close-wait=0"),
            String::from("--conntrack-tcp-timeout-established=0"),
            String::from("--healthz-bind-address=127.0.0.1:10256"),
            format!("--hostname-override={NODE}"),
            format!(
                "--kubeconfig={}",
                layout.path("kube-proxy.kubeconfig").display()
            ),
            String::from("--proxy-mode=iptables"),
        ],
    )
}

fn dns(layout: &Layout) -> Daemon {
    inside(
        layout,
        "coredns",
        vec![
            String::from("-conf"),
            layout.path("Corefile").display().to_string(),
        ],
    )
}

/// The cluster's end of the way to the API server.
fn inner_forwarder() -> Daemon {
    Daemon {
        name: "forwarder-inside",
        program: PathBuf::from("socat"),
        arguments: vec![
            format!("UNIX-LISTEN:{RUN}/apiserver.sock,fork,mode=600,unlink-early,backlog=128"),
            String::from("TCP:127.0.0.1:6443,nodelay"),
        ],
        inside: true,
    }
}

/// The host's end of the way to the API server.
fn outer_forwarder(layout: &Layout) -> Daemon {
    Daemon {
        name: "forwarder-outside",
        program: PathBuf::from("socat"),
        arguments: vec![
            format!(
                "TCP-LISTEN:{},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=128",
                layout.port
            ),
            format!("UNIX-CONNECT:{RUN}/apiserver.sock"),
        ],
        inside: false,
    }
}

fn inside(layout: &Layout, name: &'static str, arguments: Vec<String>) -> Daemon {
    Daemon {
        name,
        program: layout.program(name),
        arguments,
        inside: true,
    }
}

impl Daemon {
    /// Starts it in a session of its own, so that neither Ctrl-C nor the end of the terminal reaches it.
    pub(super) fn start(&self, layout: &Layout) -> Result<Started> {
        let log = layout.logs().join(format!("{}.log", self.name));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("failed to open {}", log.display()))?;
        let mut command = Command::new("setsid");
        if self.inside {
            // Not `ip netns exec`: that mounts another /sys, which hides the control groups from the kubelet.
            command.args(["nsenter", &format!("--net=/run/netns/{NAME}"), "--"]);
        }
        command
            .arg(&self.program)
            .args(&self.arguments)
            .current_dir("/")
            .env_clear()
            .env("HOME", "/root")
            .env(
                "PATH",
                format!(
                    "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    layout.bin.display()
                ),
            )
            .env(MARK, &layout.state)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let child = command
            .spawn()
            .with_context(|| format!("failed to start {}", self.name))?;
        // Each of setsid and nsenter becomes the next program, so this is the process id of the last.
        write(&self.pid_file(), child.id().to_string())?;
        Ok(Started {
            name: self.name,
            child,
            log,
        })
    }

    /// Ends it, the hard way as a crash does, and waits until it has let go of its ports.
    pub(super) fn stop(&self) -> Result<()> {
        let Some(pid) = self.pid() else {
            return Ok(());
        };
        let deadline = Instant::now() + LONGEST_END;
        let _ = kill_process(pid, Signal::KILL);
        while is_running(pid) {
            if Instant::now() > deadline {
                bail!(
                    "{} did not end within {} s of being killed: `cargo xtask cluster down` and `up` start anew",
                    self.name,
                    LONGEST_END.as_secs()
                );
            }
            thread::sleep(POLL / 5);
        }
        Ok(())
    }

    /// The process, when it runs: process ids are used again, so the process must be one of the cluster's.
    pub(super) fn pid(&self) -> Option<Pid> {
        let pid: i32 = fs::read_to_string(self.pid_file())
            .ok()?
            .trim()
            .parse()
            .ok()?;
        is_marked(pid).then_some(())?;
        Pid::from_raw(pid)
    }

    fn pid_file(&self) -> PathBuf {
        Path::new(RUN).join("pids").join(self.name)
    }
}

impl Started {
    /// An error with the end of its log when it has ended.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!(
                "{} ended ({status}); the end of {}:\n{}",
                self.name,
                self.log.display(),
                tail_of(&self.log)
            ),
        }
    }

    /// Whether something listens on this TCP port in the network namespace that it is in.
    pub(super) fn listens_on(&self, port: u16) -> bool {
        let listening = |table: &str| {
            let table = fs::read_to_string(format!("/proc/{}/net/{table}", self.child.id()))
                .unwrap_or_default();
            table.lines().skip(1).any(|line| is_listener(line, port))
        };
        listening("tcp") || listening("tcp6")
    }
}

/// Every process of this or of an earlier cluster, but for what runs in its containers.
pub(super) fn marked() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| is_marked(*pid))
        .collect()
}

/// Whether a process carries the mark. One that has ended but was not yet waited for has no environment.
fn is_marked(pid: i32) -> bool {
    let mark = format!("{MARK}=/");
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry.starts_with(mark.as_bytes()))
    })
}

/// Whether a process still holds anything. One that is being killed gives up its memory first, its environment with it,
/// and its sockets with its last thread: of a large one on a busy machine, much later.
fn is_running(pid: Pid) -> bool {
    let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let threads = fs::read_dir(process.join("task")).map_or(0, Iterator::count);
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    threads > 1 || threads == 1 && !has_ended(&stat)
}

/// Reads /proc/PID/stat: the process id, the name in brackets, which may have any character, and the state.
fn has_ended(stat: &str) -> bool {
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().next());
    matches!(state, None | Some("Z" | "X"))
}

/// Reads a line of /proc/net/tcp: number, local address and port, remote address and port, state.
fn is_listener(line: &str, port: u16) -> bool {
    let mut words = line.split_whitespace().skip(1);
    let local = words.next().unwrap_or_default();
    let state = words.nth(1).unwrap_or_default();
    local.ends_with(&format!(":{port:04X}")) && state == "0A"
}

const LONGEST_END: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
