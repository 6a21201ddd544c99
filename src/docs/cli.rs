//! `docs/cli.md`: every verb and flag, as the help has them.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::{GENERATED, row};

pub(super) fn page() -> String {
    let mut command = crate::cli::command();
    command.build();
    let mut text = format!("{GENERATED}{INTRODUCTION}");
    for verb in verbs(&command) {
        section(&mut text, verb, "javelin");
    }
    text
}

fn section(text: &mut String, command: &Command, parent: &str) {
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string);
    let _ = write!(text, "\n## `{name}`\n\n{}.\n", about.unwrap_or_default());
    let arguments = command.get_arguments().filter(|each| !each.is_hide_set());
    let built_in = ["help", "version"];
    let rows: Vec<_> = arguments
        .filter(|each| !built_in.contains(&each.get_id().as_str()))
        .map(of_argument)
        .collect();
    if !rows.is_empty() {
        let _ = write!(
            text,
            "\n| flag | variable | default | what it does |\n|---|---|---|---|\n{}",
            rows.concat()
        );
    }
    for verb in verbs(command) {
        section(text, verb, &name);
    }
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    let verbs = command.get_subcommands();
    verbs.filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

fn of_argument(argument: &Arg) -> String {
    let value = argument.get_value_names().unwrap_or_default().join(" ");
    let takes_value = argument.get_action().takes_values() && !value.is_empty();
    let value = if takes_value { value } else { String::new() };
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    let names: Vec<_> = [short, long].into_iter().flatten().collect();
    let flag = format!("{} {value}", names.join(", "));
    let code = |text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            format!("`{text}`")
        }
    };
    let variable = argument
        .get_env()
        .map(|name| name.to_string_lossy().into_owned());
    let defaults = argument.get_default_values().iter();
    let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
    let default = if takes_value {
        defaults.join(" ")
    } else {
        String::new()
    };
    let help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    row(&[
        &code(flag.trim()),
        &code(&variable.unwrap_or_default()),
        &code(&default),
        &help,
    ])
}

const INTRODUCTION: &str = "
# The command line

`javelin`, or `kubectl javelin` if the program is called `kubectl-javelin`. Data goes to standard output, everything
else to standard error. Colours are used only on a terminal, and not with `NO_COLOR`. A closed output pipe is not an
error.

| exit code | |
|---|---|
| 0 | done |
| 1 | done, with a finding: a change (`preview --check`), a refusal, a problem |
| 2 | wrong usage, or the command could not do its work |
";
