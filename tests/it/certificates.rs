//! A certificate of somebody else: what `certs/corporate-ca.sh` makes, through the program itself and through the same
//! loader that it uses. The handshakes are OpenSSL's.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use javelin::{
    certs::{ServiceName, files::CertificateFiles},
    server::tls::Identity,
    time,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::running::{Running, free_ports};

const NAME: &str = "javelin.javelin-system.svc";

/// Long, because others may be using the machine.
const DEADLINE: Duration = Duration::from_mins(1);

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("certs/corporate-ca.sh")
}

fn corporate_ca(folder: &Path, name: &str) {
    let output = Command::new(script())
        .arg(folder)
        .arg(name)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn files(folder: &Path) -> CertificateFiles {
    CertificateFiles {
        certificate: folder.join("tls.crt"),
        key: folder.join("tls.key"),
    }
}

/// `javelin serve` with the files of `folder`, as the chart's Deployment starts it.
fn serve(folder: &Path, listen: &str) -> Command {
    let CertificateFiles { certificate, key } = files(folder);
    let mut command = Command::new(env!("CARGO_BIN_EXE_javelin"));
    command
        .arg("serve")
        .args([&format!("--listen={listen}"), "--admin-listen=127.0.0.1:0"])
        .args(["--service=javelin", "--namespace=javelin-system"])
        .arg(format!("--tls-cert={}", certificate.display()))
        .arg(format!("--tls-key={}", key.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// OpenSSL's opinion of who answers at `port`, if `ca` is whom it trusts.
fn handshake(port: u16, ca: &Path) -> Output {
    Command::new("openssl")
        .args(["s_client", "-verify_return_error", "-verify_hostname", NAME])
        .args([
            "-servername",
            NAME,
            "-connect",
            &format!("127.0.0.1:{port}"),
        ])
        .arg("-CAfile")
        .arg(ca)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn the_example_authoritys_certificate_is_served_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    corporate_ca(folder.path(), NAME);
    let mode = fs::metadata(folder.path().join("tls.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "only the owner reads the key");
    let stranger = tempfile::tempdir().unwrap();
    corporate_ca(stranger.path(), NAME);

    let [port] = free_ports();
    let child = serve(folder.path(), &format!("127.0.0.1:{port}"))
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let end = Instant::now() + DEADLINE;
    loop {
        let output = handshake(port, &folder.path().join("ca.crt"));
        if output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
            break;
        }
        if running.0.try_wait().unwrap().is_some() || Instant::now() > end {
            let _ = running.0.kill();
            let mut said = String::new();
            let stderr = running.0.stderr.as_mut().unwrap();
            stderr.read_to_string(&mut said).unwrap();
            panic!("{said}\n{output:?}");
        }
    }
    let other = handshake(port, &stranger.path().join("ca.crt"));
    assert!(
        !other.status.success(),
        "another authority must not do: {other:?}"
    );
}

#[test]
fn the_program_does_not_start_with_a_certificate_that_api_servers_would_refuse() {
    let folder = tempfile::tempdir().unwrap();
    corporate_ca(folder.path(), "javelin.example.com");
    let output = serve(folder.path(), "127.0.0.1:0").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let remedy = format!("have it issued with the subject alternative name DNS:{NAME}");
    assert!(said.contains(&remedy), "{said}");

    // A key of the authority, as if the wrong file had been taken.
    corporate_ca(folder.path(), NAME);
    fs::copy(
        folder.path().join("root.key"),
        folder.path().join("tls.key"),
    )
    .unwrap();
    let output = serve(folder.path(), "127.0.0.1:0").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("the key has to be that of the first certificate"),
        "{said}"
    );
}

/// What the program does with the files, step by step, on a mount as the kubelet makes it.
#[test]
fn a_renewal_of_the_same_authority_comes_through_a_swapped_mount() {
    let made = tempfile::tempdir().unwrap();
    let mount = tempfile::tempdir().unwrap();
    let path = mount.path();
    let swap_to = |generation: &str| {
        corporate_ca(made.path(), NAME);
        fs::create_dir(path.join(generation)).unwrap();
        for file in ["tls.crt", "tls.key"] {
            fs::copy(made.path().join(file), path.join(generation).join(file)).unwrap();
        }
        symlink(generation, path.join("..data_tmp")).unwrap();
        fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
    };
    for file in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), path.join(file)).unwrap();
    }
    let name = ServiceName::new("javelin", "javelin-system").unwrap();
    let identity = Identity::new();
    let load = || files(path).load(Some(&name), time::now());

    swap_to("..2026_1");
    let first = load().unwrap();
    swap_to("..2026_2");
    let second = load().unwrap();

    assert_ne!(first.chain[0], second.chain[0], "another leaf");
    assert_eq!(first.chain[1], second.chain[1], "the same intermediate");
    let root = fs::read(made.path().join("ca.crt")).unwrap();
    let root = CertificateDer::from_pem_slice(&root).unwrap();
    for leaf in [first, second] {
        identity.install(leaf).unwrap();
        identity
            .verify(std::slice::from_ref(&root), &name, time::now())
            .unwrap();
    }

    // The links are swapped one by one by somebody who does not know better: the key is still the old one.
    fs::remove_file(path.join("tls.crt")).unwrap();
    symlink("..2026_1/tls.crt", path.join("tls.crt")).unwrap();
    let refused = identity.install(load().unwrap());
    assert!(refused.is_err(), "two generations");
    identity.verify(&[root], &name, time::now()).unwrap();
}

#[test]
fn the_script_refuses_to_put_keys_into_the_checkout() {
    let inside = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corporate-ca");
    let output = Command::new(script()).arg(&inside).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(fs::read_dir(&inside).unwrap().count(), 0);
    fs::remove_dir(inside).unwrap();
}
