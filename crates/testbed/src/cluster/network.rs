//! The cluster's network namespace.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::{NAME, NODE_ADDRESS, RUN};
use crate::process::{run, write};

/// Makes the namespace, with the node's address and a default route on a bridge that has no other end: nothing leaves.
pub(super) fn create() -> Result<()> {
    if !Path::new("/run/netns").exists() {
        write(&made_folder(), "")?;
    }
    run(ip().args(["netns", "add", NAME]))?;
    let links = format!(
        "link set lo up\n\
         link add {LINK} type bridge\n\
         address add {NODE_ADDRESS}/24 dev {LINK}\n\
         link set {LINK} up\n\
         route add default dev {LINK}\n"
    );
    let mut batch = ip()
        .args(["-n", NAME, "-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .context("failed to start ip")?;
    if let Some(mut input) = batch.stdin.take() {
        input.write_all(links.as_bytes())?;
    }
    if !batch.wait()?.success() {
        bail!("the links of the cluster's network could not be made: see above what `ip` says");
    }
    // Pods reach one another, and what listens on the node, through it.
    run(Command::new("nsenter").args([
        &format!("--net=/run/netns/{NAME}"),
        "--",
        "sh",
        "-c",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
    ]))
}

/// Removes the namespace and, when it was not there before, the folder of namespaces.
pub(super) fn remove() -> Result<()> {
    if Path::new("/run/netns").join(NAME).exists() {
        run(ip().args(["netns", "delete", NAME]))?;
    }
    if made_folder().exists() {
        // Somebody else's namespaces may be in it by now, and then it stays.
        let empty = Path::new("/run/netns")
            .read_dir()
            .is_ok_and(|mut entries| entries.next().is_none());
        if empty {
            let _ = rustix::mount::unmount("/run/netns", rustix::mount::UnmountFlags::DETACH);
            let _ = std::fs::remove_dir("/run/netns");
        }
    }
    Ok(())
}

fn ip() -> Command {
    Command::new("ip")
}

fn made_folder() -> std::path::PathBuf {
    Path::new(RUN).join("made-netns-folder")
}

const LINK: &str = "node";
