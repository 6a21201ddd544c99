//! Running other programs, with errors that show what was run and what it said.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::paths::find_program;
use crate::progress::{self, Hint};

/// How much of a program's output an error shows.
const TAIL_LINES: usize = 20;

/// Runs to the end; an exit code other than zero is an error that shows the end of the output.
pub fn run(command: &mut Command) -> Result<()> {
    capture(command).map(drop)
}

/// Runs to the end and gives what it wrote to standard output, less the last line break.
pub fn output(command: &mut Command) -> Result<String> {
    let output = capture(command)?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// Runs to the end with all output in a log file. The program ends when this process is killed.
pub fn run_logged(command: &Command, log: &Path) -> Result<()> {
    if let Some(folder) = log.parent() {
        create_folder(folder)?;
    }
    let file = File::create(log)
        .with_context(|| format!("failed to create the log file {}", log.display()))?;
    let mut bound = bound_to_us(command);
    bound
        .stdin(Stdio::null())
        .stderr(file.try_clone()?)
        .stdout(file);
    let status = bound.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!(
            "`{}` failed ({status}); the end of {}:\n{}",
            show(command),
            log.display(),
            tail_of(log)
        );
    }
    Ok(())
}

/// The last lines of a file, indented, for an error message.
pub fn tail_of(file: &Path) -> String {
    match fs::read(file) {
        Ok(bytes) => tail(&bytes),
        Err(error) => format!("    (cannot be read: {error})"),
    }
}

/// With all folders above it.
pub fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("failed to create {}: make it writable", folder.display()))
}

/// A folder that is made once, and is there only when it is whole: `make` is given another name to fill. What a killed run
/// has left under that is removed first. The lock file beside it keeps two runs apart; `waiting` is what the second one says.
pub fn make_folder_once(
    folder: &Path,
    waiting: &str,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let _lock = lock_file(&folder.with_added_extension("lock"), waiting)?;
    if folder.is_dir() {
        return Ok(());
    }
    let unfinished = folder.with_added_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .with_context(|| format!("failed to remove {}", unfinished.display()))?;
    }
    make(&unfinished)?;
    fs::rename(&unfinished, folder)
        .with_context(|| format!("failed to move what was made to {}", folder.display()))
}

/// In place of what is there.
pub fn write(file: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    fs::write(file, contents).with_context(|| format!("failed to write {}", file.display()))
}

/// All of it.
pub fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("failed to read {}", file.display()))
}

/// Holds a lock file; it is let go when the result is dropped, or by the kernel when this process is killed.
pub fn lock_file(path: &Path, waiting: &str) -> Result<File> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    let file =
        File::create(path).with_context(|| format!("failed to create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress::step(waiting, Hint::default(), || Ok(file.lock()?))?;
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("failed to lock {}", path.display()));
        }
    }
    Ok(file)
}

fn capture(command: &mut Command) -> Result<Output> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| cannot_start(command))?;
    if !output.status.success() {
        let said = if output.stderr.is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        bail!(
            "`{}` failed ({}):\n{}",
            show(command),
            output.status,
            tail(said)
        );
    }
    Ok(output)
}

fn cannot_start(command: &Command) -> String {
    format!(
        "failed to start {}: is it installed and on PATH?",
        command.get_program().display()
    )
}

/// The same command, to be killed by the kernel when this process dies: a build that nobody waits for is a waste.
fn bound_to_us(command: &Command) -> Command {
    let mut bound = match find_program("setpriv") {
        Some(setpriv) => {
            let mut bound = Command::new(setpriv);
            bound
                .args(["--pdeathsig", "KILL", "--"])
                .arg(command.get_program());
            bound
        }
        None => Command::new(command.get_program()),
    };
    bound.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        bound.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    bound
}

fn show(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(
        command
            .get_args()
            .map(|argument| argument.to_string_lossy()),
    );
    words.join(" ")
}

fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let shown = lines
        .get(lines.len().saturating_sub(TAIL_LINES)..)
        .unwrap_or_default();
    if shown.is_empty() {
        return String::from("    (it said nothing)");
    }
    shown
        .iter()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_once_and_never_by_half() {
        let work = tempfile::tempdir().unwrap();
        let folder = work.path().join("deep/made-1.2");
        let fill = |name: &'static str| {
            move |unfinished: &Path| {
                create_folder(unfinished)?;
                write(&unfinished.join(name), "")
            }
        };
        let half = |unfinished: &Path| {
            fill("half")(unfinished)?;
            bail!("killed")
        };
        make_folder_once(&folder, "", half).unwrap_err();
        assert!(!folder.exists());
        make_folder_once(&folder, "", fill("whole")).unwrap();
        make_folder_once(&folder, "", fill("again")).unwrap();
        let files: Vec<_> = fs::read_dir(&folder).unwrap().flatten().collect();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].file_name(), "whole");
    }
}
