//! `javelin man`: manual pages, from the same text as the help.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::Context as _;

use super::Exit;

/// Print the manual page, or write the pages of all verbs into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Write javelin.1, javelin-preview.1 and so on into this folder
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let command = super::command();
    if let Some(folder) = &args.output {
        fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(command, folder))
            .with_context(|| format!("cannot write to {}", folder.display()))?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        io::stdout().lock().write_all(&page)?;
    }
    Ok(Exit::Done)
}

const EXAMPLES: &str = "\
Examples:
  javelin man | man -l -
  javelin man --output /usr/local/share/man/man1";
