//! `javelin completions`: what a shell needs to complete the command line.

use std::io::{self, Write as _};

use clap_complete::Shell;

use super::Exit;

/// Print a shell's completions for javelin
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// bash, zsh, fish, powershell or elvish
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    shell: Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "javelin", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(Exit::Done)
}

const EXAMPLES: &str = "\
Examples:
  javelin completions bash > /etc/bash_completion.d/javelin
  javelin completions zsh > ~/.zfunc/_javelin                         a folder of $fpath
  javelin completions fish > ~/.config/fish/completions/javelin.fish
  javelin completions powershell >> $PROFILE";
