//! `javelin install`: the copier of the init container.
//!
//! Runs as any uid on a read-only root. What stands at the end is the whole jar or nothing: it is written
//! beside its place, checked, and renamed. Beside it may go a file of settings that the agent ranks below its
//! environment.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::{Hinted, note};
use crate::agent;

/// Copy the agent's jar into a volume and check it; run by the init container
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The volume's directory; the jar becomes DIR/javaagent.jar, mode 0444
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The jar to copy
    #[arg(long, value_name = "FILE", default_value = "/javaagent.jar")]
    from: PathBuf,
    /// The expected SHA-256 of the jar [default: the digest of the agent that this version ships]
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// A setting of the agent that any variable of the container overrides; written to DIR/defaults.properties
    #[arg(long = "default", value_name = "PROPERTY=VALUE", value_parser = property)]
    defaults: Vec<(String, String)>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let Args {
        to,
        from,
        sha256,
        defaults,
    } = args;
    if !defaults.is_empty() {
        write_defaults(&to.join("defaults.properties"), defaults)?;
    }
    let expected = sha256.as_deref().unwrap_or_else(|| agent::sha256());
    let target = to.join("javaagent.jar");
    // Left over from a run that was killed, or ours: one name, since one init container runs at a time.
    let temporary = to.join(".javaagent.jar.part");
    let size = copy(from, &temporary, expected).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })?;
    fs::rename(&temporary, &target)
        .with_context(|| format!("cannot put {} in its place", target.display()))?;
    let ours = sha256
        .is_none()
        .then(|| format!("OpenTelemetry Java agent {}, ", agent::version()));
    let ours = ours.unwrap_or_default();
    note(&format!(
        "{}: {ours}{size} bytes, sha256 {expected}",
        target.display()
    ));
    Ok(())
}

fn copy(from: &Path, to: &Path, expected: &str) -> anyhow::Result<u64> {
    let mut jar = File::open(from).map_err(|error| Hinted {
        message: format!("cannot read {}", from.display()),
        hint:
            "the image does not carry the agent there; check agent.image in Javelin's configuration"
                .to_owned(),
        source: Some(error.into()),
    })?;
    // Anew each time: a mode of 0444 would keep us from writing into what an earlier run left.
    let _ = fs::remove_file(to);
    let mut part = File::options()
        .write(true)
        .create_new(true)
        .open(to)
        .map_err(|e| cannot_write(to, e))?;
    let (mut digest, mut size, mut buffer) = (Sha256::new(), 0, vec![0; BUFFER_SIZE]);
    loop {
        let read = jar
            .read(&mut buffer)
            .with_context(|| format!("cannot read {}", from.display()))?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        digest.update(chunk);
        part.write_all(chunk)
            .map_err(|error| cannot_write(to, error))?;
        size += chunk.len() as u64;
    }
    let actual = HEXLOWER.encode(&digest.finalize());
    if !actual.eq_ignore_ascii_case(expected) {
        return Err(Hinted {
            message: format!("{} has the sha256 {actual}, not {expected}", from.display()),
            hint: "the jar is damaged or was replaced: mirror the image again, by digest; \
                   for a jar of your own pass its digest with --sha256"
                .to_owned(),
            source: None,
        }
        .into());
    }
    part.set_permissions(Permissions::from_mode(0o444))
        .map_err(|error| cannot_write(to, error))?;
    // Only what is on the volume counts: a full one may say so no earlier than here.
    part.sync_all().map_err(|error| cannot_write(to, error))?;
    Ok(size)
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write PROPERTY=VALUE")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || !name.chars().all(fits) {
        return Err(format!("{name:?} is not a property's name"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn write_defaults(path: &Path, defaults: &[(String, String)]) -> anyhow::Result<()> {
    let lines = defaults
        .iter()
        .map(|(name, value)| format!("{name}={}\n", escaped(value)));
    // An earlier run's may be there, and is read-only.
    let _ = fs::remove_file(path);
    fs::write(path, lines.collect::<String>()).map_err(|error| cannot_write(path, error))?;
    fs::set_permissions(path, Permissions::from_mode(0o444))
        .map_err(|error| cannot_write(path, error))?;
    Ok(())
}

/// A value as `java.util.Properties` reads it back.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for unit in value.encode_utf16() {
        match u8::try_from(unit).map(char::from) {
            Ok(c) if c.is_ascii_graphic() && c != '\\' => text.push(c),
            // Blanks count or not by their place, and other bytes are read differently by Java's versions.
            _ => text.extend(["\\u", &format!("{unit:04x}")]),
        }
    }
    text
}

fn cannot_write(path: &Path, error: io::Error) -> Hinted {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the volume is full: it needs twice the jar's size for a moment (64Mi are enough); \
             look at the node's disk and at ephemeral-storage limits"
        }
        io::ErrorKind::PermissionDenied => {
            "the volume is not writable for this uid: an fsGroup or another init container narrowed its mode"
        }
        io::ErrorKind::NotFound => "the directory does not exist: is the volume mounted there?",
        io::ErrorKind::ReadOnlyFilesystem => "the volume is mounted read-only in this container",
        _ => "check the node: its disk or the volume",
    };
    Hinted {
        message: format!("cannot write {}", path.display()),
        hint: hint.to_owned(),
        source: Some(error.into()),
    }
}

const BUFFER_SIZE: usize = 256 * 1024;

#[cfg(test)]
mod tests;
