//! Runs what is to be released: the copier and `preview` of each program, by an emulator where this machine is another. All have
//! to give the same bytes for every golden case.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use testbed::agent;
use testbed::packages::{self, Group};
use testbed::paths::Paths;
use testbed::platform::Platform;
use testbed::process::{create_folder, output, read};
use testbed::program::Released;
use testbed::progress::{self, Hint, note};

/// An error where a program does not run, or answers otherwise than the first.
pub(crate) fn run(paths: &Paths, programs: &[Released]) -> Result<()> {
    let mut first: Option<(Platform, Vec<Answer>)> = None;
    for program in programs {
        let platform = program.platform;
        let runner = Runner::of(paths, program)?;
        let title = format!("Trying the program for {platform}");
        let answers = progress::step(&title, Hint::default(), || {
            runner.version()?;
            runner.copier(paths)?;
            runner.previews(paths)
        })?;
        ensure!(
            answers.len() >= FEWEST,
            "tests/cases/pod has {} cases: is the checkout whole?",
            answers.len()
        );
        match &first {
            None => {
                note(&format!("{platform}: {} golden cases", answers.len()));
                first = Some((platform, answers));
            }
            Some((with, expected)) => {
                same(expected, &answers)
                    .with_context(|| format!("the programs for {with} and {platform} differ"))?;
                note(&format!(
                    "{platform}: {} golden cases, each with the bytes of {with}",
                    answers.len()
                ));
            }
        }
    }
    Ok(())
}

/// What a program said of a case.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    case: String,
    code: Option<i32>,
    output: Vec<u8>,
    errors: Vec<u8>,
}

fn same(expected: &[Answer], found: &[Answer]) -> Result<()> {
    ensure!(
        expected.len() == found.len(),
        "{} cases, and {} cases",
        expected.len(),
        found.len()
    );
    for (expected, found) in expected.iter().zip(found) {
        if expected != found {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            bail!(
                "{}: exit codes {:?} and {:?}\n{}{}\nand\n{}{}",
                expected.case,
                expected.code,
                found.code,
                text(&expected.output),
                text(&expected.errors),
                text(&found.output),
                text(&found.errors)
            );
        }
    }
    Ok(())
}

/// A program, and what runs it where this machine does not.
struct Runner {
    program: PathBuf,
    emulator: Option<PathBuf>,
}

impl Runner {
    fn of(paths: &Paths, program: &Released) -> Result<Self> {
        let mut emulator = None;
        if program.platform != Platform::host()? {
            packages::ensure(paths, &[Group::Emulator])?;
            let found = packages::emulator();
            emulator = Some(found.context("the emulator is gone from PATH")?);
        }
        Ok(Self {
            program: program.program.clone(),
            emulator,
        })
    }

    fn command(&self) -> Command {
        match &self.emulator {
            Some(emulator) => {
                let mut command = Command::new(emulator);
                command.arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        }
    }

    fn version(&self) -> Result<()> {
        let said = output(self.command().arg("--version"))?;
        ensure!(
            said == format!("javelin {}", super::VERSION),
            "the program says that it is \"{said}\""
        );
        Ok(())
    }

    /// The jar comes over whole, by the digest that the program has in it.
    fn copier(&self, paths: &Paths) -> Result<()> {
        let jar = agent::jar(paths)?;
        let work = paths.cache().join("work/trial");
        let _ = fs::remove_dir_all(&work);
        create_folder(&work)?;
        output(
            self.command()
                .args(["install", "--from"])
                .arg(&jar)
                .arg("--to")
                .arg(&work),
        )?;
        ensure!(
            read(&work.join("javaagent.jar"))? == read(&jar)?,
            "the copier wrote another jar than {}",
            jar.display()
        );
        fs::remove_dir_all(&work).with_context(|| format!("failed to remove {}", work.display()))
    }

    fn previews(&self, paths: &Paths) -> Result<Vec<Answer>> {
        let folder = paths.root().join("tests/cases/pod");
        let mut cases = Vec::new();
        for entry in
            fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))?
        {
            cases.push(entry?.path());
        }
        cases.sort();
        cases.iter().map(|case| self.preview(case)).collect()
    }

    /// With the configuration of the case alone: what the engine is told beside it, no command line knows.
    fn preview(&self, case: &Path) -> Result<Answer> {
        let mut command = self.command();
        command
            .args(["preview", "-o", "patch", "-f", "pod.yaml"])
            .current_dir(case)
            .env_remove("JAVELIN_CONFIG")
            .stdin(Stdio::null());
        if case.join("config.yaml").is_file() {
            command.args(["--config", "config.yaml"]);
        }
        let output = command
            .output()
            .with_context(|| format!("{} did not start", command.get_program().display()))?;
        ensure!(
            output.status.code().is_some(),
            "the program died of {} in {}",
            output.status,
            case.display()
        );
        let name = case.file_name().unwrap_or_default();
        Ok(Answer {
            case: name.to_string_lossy().into_owned(),
            code: output.status.code(),
            output: output.stdout,
            errors: output.stderr,
        })
    }
}

/// Far fewer than there are.
const FEWEST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(case: &str, output: &str) -> Answer {
        Answer {
            case: case.to_owned(),
            code: Some(0),
            output: output.as_bytes().to_vec(),
            errors: Vec::new(),
        }
    }

    #[test]
    fn one_byte_is_a_difference_and_is_named() {
        same(&[answer("a", "x")], &[answer("a", "x")]).unwrap();
        let told = same(
            &[answer("a", "x"), answer("b", "x")],
            &[answer("a", "x"), answer("b", "y")],
        );
        assert!(told.unwrap_err().to_string().starts_with("b: exit codes"));
        same(&[answer("a", "x")], &[]).unwrap_err();
    }
}
