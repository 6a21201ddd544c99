//! The signature of a release: one, over the sums of all its files.
//!
//! It is a plain ECDSA signature over SHA-256, which `openssl` and `cosign verify-blob` check alike: the first is on nearly every
//! machine, also where there is no network. The key stays where it is; OpenSSL reads it, and asks for its password.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use testbed::packages::{self, Group};
use testbed::paths::Paths;
use testbed::process::{output, run as run_quietly, write};

use super::SUMS;

/// Writes the signature and the public key, and looks at them as their reader will.
pub(crate) fn run(paths: &Paths, key: &Path, folder: &Path) -> Result<()> {
    packages::ensure(paths, &[Group::Signature])?;
    let public = output(
        Command::new("openssl")
            .args(["pkey", "-pubout", "-in"])
            .arg(key)
            // For the password of the key.
            .stdin(Stdio::inherit()),
    )
    .with_context(|| {
        format!(
            "{} is no private key that OpenSSL reads: make one by `openssl genpkey -algorithm EC -pkeyopt \
             ec_paramgen_curve:P-256 -aes256 -out FILE`",
            key.display()
        )
    })?;
    write(&folder.join(PUBLIC_KEY), public + "\n")?;
    run_quietly(
        Command::new("openssl")
            .args(["dgst", "-sha256", "-sign"])
            .arg(key)
            .args(["-out", SIGNATURE, SUMS])
            .current_dir(folder),
    )?;
    verify(folder)
}

/// As the page for closed networks has it.
fn verify(folder: &Path) -> Result<()> {
    let said = output(
        Command::new("openssl")
            .args(["dgst", "-sha256", "-verify", PUBLIC_KEY])
            .args(["-signature", SIGNATURE, SUMS])
            .current_dir(folder),
    )?;
    ensure!(said == "Verified OK", "openssl says \"{said}\"");
    run_quietly(
        Command::new("sha256sum")
            .args(["--check", "--quiet", "--strict", SUMS])
            .current_dir(folder),
    )
}

const PUBLIC_KEY: &str = "javelin.pub";
const SIGNATURE: &str = "SHA256SUMS.sig";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_signature_holds_until_a_byte_changes() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let key = folder.join("key.pem");
        run_quietly(
            Command::new("openssl")
                .args([
                    "genpkey",
                    "-algorithm",
                    "EC",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-out",
                ])
                .arg(&key),
        )
        .unwrap();
        write(&folder.join("file"), "text").unwrap();
        let sum = "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1";
        write(&folder.join(SUMS), format!("{sum}  file\n")).unwrap();
        let paths = Paths::from_environment().unwrap();
        run(&paths, &key, folder).unwrap();

        write(&folder.join("file"), "texT").unwrap();
        verify(folder).unwrap_err();
        write(&folder.join("file"), "text").unwrap();
        verify(folder).unwrap();
        let sums = fs::read_to_string(folder.join(SUMS)).unwrap();
        write(&folder.join(SUMS), sums.replace("file", "elif")).unwrap();
        verify(folder).unwrap_err();
        let told = run(&paths, &folder.join("file"), folder).unwrap_err();
        assert!(told.to_string().contains("openssl genpkey"), "{told}");
    }
}
