//! What others have written: is it used, under which licence, and is anything known against it?

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testbed::paths::{Paths, variable};
use testbed::process::{create_folder, read, run as run_quietly, write};
use testbed::progress::note;

use super::succeed;
use crate::crates::Crate;
use crate::release;

/// `cargo machete`: dependencies that nobody uses. `cargo deny`: licences, sources, versions, advisories.
///
/// The advisories come from `JAVELIN_ADVISORY_DB`, a tar archive of them, where there is no way to their own
/// repository. Where there is neither, they are left out, and that is said.
pub(super) fn check(paths: &Paths) -> Result<()> {
    succeed(Command::new(CARGO_MACHETE.ensure(paths)?).current_dir(paths.root()))?;
    release::notices::run(paths, true)?;
    let program = CARGO_DENY.ensure(paths)?;
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(["--workspace", "--locked"])
            .args(arguments)
            .current_dir(paths.root());
        command
    };
    succeed(&mut deny(&["check", "bans", "licenses", "sources"]))?;
    if let Some(archive) = variable("JAVELIN_ADVISORY_DB") {
        let Mirror { config, repository } = mirror_of_advisories(paths, Path::new(&archive))?;
        let mut check = deny(&["--config", &config, "check", "advisories"]);
        // Git then takes the mirror wherever the database's own address is named.
        check
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", format!("url.{repository}.insteadOf"))
            .env("GIT_CONFIG_VALUE_0", ADVISORIES);
        return succeed(&mut check);
    }
    let reachable = run_quietly(Command::new("git").args(["ls-remote", ADVISORIES, "HEAD"]));
    if reachable.is_err() {
        note(&format!(
            "SKIPPED: advisories. {ADVISORIES} cannot be reached; name a tar archive of it in JAVELIN_ADVISORY_DB"
        ));
        return Ok(());
    }
    succeed(&mut deny(&["check", "advisories"]))
}

/// The advisories of an archive, as a git repository.
struct Mirror {
    /// A copy of `deny.toml` that keeps them apart from those of the network.
    config: String,
    /// The repository's address.
    repository: String,
}

fn mirror_of_advisories(paths: &Paths, archive: &Path) -> Result<Mirror> {
    let folder = paths.cache().join("advisory-db");
    let databases = paths.cache().join("advisory-dbs");
    for stale in [&folder, &databases] {
        let _ = fs::remove_dir_all(stale);
    }
    create_folder(&folder)?;
    let git = |arguments: &[&str]| {
        let identity = [
            "-c",
            "user.name=javelin",
            "-c",
            "user.email=javelin@localhost",
        ];
        run_quietly(
            Command::new("git")
                .args(identity)
                .arg("-C")
                .arg(&folder)
                .args(arguments),
        )
    };
    run_quietly(
        Command::new("tar")
            .arg("-xf")
            .arg(archive)
            .arg("-C")
            .arg(&folder),
    )
    .context("JAVELIN_ADVISORY_DB must be a tar archive of the advisory database")?;
    git(&["init", "--quiet", "--initial-branch=main"])?;
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--message=as archived"])?;
    let settings = String::from_utf8(read(&paths.root().join("deny.toml"))?)?;
    let theirs = "$CARGO_HOME/advisory-dbs";
    ensure!(
        settings.contains(theirs) && settings.contains(ADVISORIES),
        "deny.toml does not name {theirs} and {ADVISORIES}"
    );
    let config = paths.cache().join("deny.toml");
    write(
        &config,
        settings.replace(theirs, &databases.display().to_string()),
    )?;
    Ok(Mirror {
        config: config.display().to_string(),
        repository: format!("file://{}", folder.display()),
    })
}

const CARGO_DENY: Crate = Crate {
    name: "cargo-deny",
    program: "cargo-deny",
    version: "0.20.2",
    options: &[],
    first_time: Duration::from_mins(5),
};
/// Finds dependencies that no source file names.
const CARGO_MACHETE: Crate = Crate {
    name: "cargo-machete",
    program: "cargo-machete",
    version: "0.9.2",
    options: &[],
    first_time: Duration::from_mins(1),
};
const ADVISORIES: &str = "https://github.com/rustsec/advisory-db";
