//! System packages: found by what they provide, installed where that is ours to do, named where it is not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cross::C_COMPILER;
use crate::paths::{Paths, find_program};
use crate::process::{create_folder, output, run, run_logged, write};
use crate::progress::{self, Hint};

/// What a chore needs of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Running the one-node cluster.
    Cluster,
    /// Compiling C: the pause and witness images.
    C,
    /// Compiling Java and making a runtime of it.
    Java,
    /// Fetching from a Maven repository.
    Maven,
    /// Linting shell, and copying images the other way.
    Stack,
    /// Compiling C for arm64.
    Cross,
    /// Making a root of another distribution.
    Root,
    /// Running programs of arm64.
    Emulator,
    /// Signing.
    Signature,
}

/// One thing that must be there, and Debian's package that brings it.
struct Need {
    provided: fn() -> bool,
    package: &'static str,
}

/// Makes sure that the groups' packages are there.
pub fn ensure(paths: &Paths, groups: &[Group]) -> Result<()> {
    let missing = missing(groups);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !Path::new("/etc/debian_version").exists() || find_program("apt-get").is_none() {
        bail!(
            "some programs are missing: install what Debian calls `{list}` with this system's package manager, and run \
             the same command again"
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "some packages are missing: run `sudo apt-get update && sudo apt-get install --no-install-recommends {list}`, and the same command again"
        );
    }

    progress::note(&format!("Installing the packages {list}"));
    let log = paths.build_log("packages");
    let hint = Hint {
        first_time: Some(Duration::from_secs(30)),
        log: Some(&log),
    };
    progress::step("Refreshing the package lists", hint, || {
        run_logged(apt_get().arg("update"), &log)
    })?;
    progress::step("Installing packages", hint, || {
        run_logged(
            apt_get()
                .args(["install", "--yes", "--no-install-recommends"])
                .args(&missing),
            &log,
        )
    })?;

    let still_missing = self::missing(groups);
    if !still_missing.is_empty() {
        bail!(
            "{} installed but what is needed of {} was still not found: see {}",
            list,
            still_missing.join(" "),
            log.display()
        );
    }
    Ok(())
}

/// Java 8 in a root of its own, from Debian's unstable distribution: no other has it, and nothing of that one is to come
/// near this system. `work` is a folder to work in.
pub fn unpack_java_8(paths: &Paths, work: &Path, root: &Path) -> Result<()> {
    if find_program("apt-get").is_none() || find_program("dpkg-deb").is_none() {
        bail!("there is no apt-get or no dpkg-deb here");
    }
    let mirror = debian_mirror()?;
    let debs = work.join("debs");
    for folder in ["lists/partial", "cache/archives/partial", "debs"] {
        create_folder(&work.join(folder))?;
    }
    let sources = work.join("sources.list");
    let keys = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
    let signed = if keys.exists() {
        format!("[signed-by={}] ", keys.display())
    } else {
        String::new()
    };
    write(&sources, format!("deb {signed}{mirror} sid main\n"))?;
    let apart = |command: &mut Command| {
        let place = |key: &str, value: &Path| format!("{key}={}", value.display());
        let settings = [
            place("Dir::Etc::SourceList", &sources),
            place("Dir::Etc::SourceParts", Path::new("/dev/null")),
            place("Dir::State::Lists", &work.join("lists")),
            place("Dir::Cache", &work.join("cache")),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        ];
        for setting in settings {
            command.args(["-o", &setting]);
        }
    };
    let log = paths.build_log("java-8");
    let mut update = apt_get();
    apart(update.arg("update"));
    run_logged(&update, &log)?;
    let mut download = apt_get();
    apart(download.arg("download").args(JAVA_8));
    run_logged(download.current_dir(&debs), &log)?;
    for package in fs::read_dir(&debs)?.flatten() {
        run(Command::new("dpkg-deb")
            .arg("--extract")
            .arg(package.path())
            .arg(root))?;
    }
    // As on every Debian; the package that makes them has much else.
    for folder in ["lib", "lib64"] {
        let usr = Path::new("usr").join(folder);
        if root.join(&usr).is_dir() && !root.join(folder).exists() {
            symlink(&usr, root.join(folder))?;
        }
    }
    Ok(())
}

/// Where this machine has Debian's packages from.
pub(crate) fn debian_mirror() -> Result<String> {
    if find_program("apt-get").is_none() {
        bail!("there is no apt-get here, which would name a mirror of Debian's");
    }
    let targets = ["indextargets", "--format", "$(REPO_URI)"];
    let mirrors = output(Command::new("apt-get").args(targets))?;
    let mirror = mirrors.lines().find(|mirror| mirror.ends_with("/debian/"));
    let mirror = mirror.context("apt-get has no mirror of Debian's: run `apt-get update`")?;
    Ok(mirror.to_owned())
}

/// May a mirror's lists be older than they say? So it is where it is a copy that somebody froze, and apt was told.
pub(crate) fn checks_dates_of_mirror() -> Result<bool> {
    let key = "Acquire::Check-Valid-Until";
    let told = output(Command::new("apt-config").args(["dump", key, "--format", "%v"]))?;
    Ok(!matches!(told.as_str(), "false" | "no" | "0"))
}

/// The program that runs those of arm64.
pub fn emulator() -> Option<PathBuf> {
    ["qemu-aarch64-static", "qemu-aarch64"]
        .into_iter()
        .find_map(find_program)
}

/// The folder of the CNI plugins: Debian's, or the one upstream names.
pub fn cni_plugins() -> Option<&'static Path> {
    ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"]
        .map(Path::new)
        .into_iter()
        .find(|folder| {
            ["ptp", "host-local", "portmap", "loopback"]
                .iter()
                .all(|plugin| folder.join(plugin).is_file())
        })
}

fn missing(groups: &[Group]) -> Vec<&'static str> {
    let mut packages: Vec<&str> = groups
        .iter()
        .flat_map(|group| group.needs())
        .filter(|need| !(need.provided)())
        .map(|need| need.package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

impl Group {
    fn needs(self) -> Vec<Need> {
        let need = |package, provided: fn() -> bool| Need { provided, package };
        match self {
            Self::Cluster => vec![
                need("runc", || has("runc")),
                need("containernetworking-plugins", || cni_plugins().is_some()),
                need("iptables", || has("iptables") && has("iptables-restore")),
                need("conntrack", || has("conntrack")),
                need("iproute2", || has("ip")),
                need("socat", || has("socat")),
                need("util-linux", || {
                    has("nsenter") && has("setsid") && has("setpriv")
                }),
                need("mount", || has("mount") && has("umount")),
            ],
            Self::C => vec![
                need("gcc", || has("gcc")),
                need("libc6-dev", || has_static_libc("gcc")),
            ],
            Self::Java => vec![need("default-jdk-headless", || {
                has("javac") && has("jlink")
            })],
            Self::Maven => vec![need("maven", || has("mvn"))],
            Self::Stack => vec![
                need("shellcheck", || has("shellcheck")),
                need("skopeo", || has("skopeo")),
            ],
            Self::Cross => vec![
                need("gcc-aarch64-linux-gnu", || has(C_COMPILER)),
                need("libc6-dev-arm64-cross", || has_static_libc(C_COMPILER)),
            ],
            Self::Root => vec![
                need("debootstrap", || has("debootstrap")),
                need("util-linux", || has("unshare")),
                need("mount", || has("mount")),
            ],
            Self::Emulator => vec![need("qemu-user-static", || emulator().is_some())],
            Self::Signature => vec![need("openssl", || has("openssl"))],
        }
    }
}

fn has(program: &str) -> bool {
    find_program(program).is_some()
}

fn has_static_libc(compiler: &str) -> bool {
    Command::new(compiler)
        .arg("-print-file-name=libc.a")
        .output()
        .is_ok_and(|output| output.stdout.starts_with(b"/"))
}

/// What the JVM without a window is linked to; other dependencies of the package are not.
const JAVA_8: [&str; 5] = [
    "openjdk-8-jre-headless",
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "zlib1g",
];

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("--quiet")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8");
    command
}
