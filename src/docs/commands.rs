//! Commands of ours in the pages, those too that need a cluster and that no test of a page runs: a verb, a flag or a value that
//! does not exist is found.

use std::fs;

use clap::error::ErrorKind;

use super::pages;

#[test]
fn commands_in_pages_are_understood() {
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for command in commands(&text) {
            count += 1;
            if let Err(problem) = understood(&command) {
                panic!("{}: {command}: {problem}", page.display());
            }
        }
    }
    assert!(count > 200, "{count} commands in all");
}

/// What stands for something else may be missing, as the file in a sentence's `javelin config check`.
fn understood(command: &str) -> Result<(), String> {
    let words = command.split_whitespace();
    let words = words.map(|word| word.trim_matches(['\'', '"']));
    let Err(error) = crate::cli::command().try_get_matches_from(words) else {
        return Ok(());
    };
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::DisplayVersion
        | ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand => Ok(()),
        _ => Err(error.to_string()),
    }
}

/// In blocks and in spans; each to the end of its line, or to what takes its output.
fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ").replace("\\|", "|");
    let mut commands = Vec::new();
    for line in text.lines() {
        let begins = line.match_indices("javelin ").filter(|(at, _)| {
            let before = line.get(..*at).unwrap_or_default();
            let before = before.strip_suffix("./").unwrap_or(before);
            let before = before.strip_suffix("kubectl ").unwrap_or(before);
            let is_code = before.matches('`').count() % 2 == 1;
            is_code && before.ends_with('`')
                || before.is_empty()
                || before.ends_with("$ ")
                || before.ends_with("| ")
        });
        commands.extend(begins.filter_map(|(at, _)| {
            let command = line.get(at..)?;
            let end = command.find(['`', '|', '>', ';', '#', '&', '…']);
            let command = command.get(..end.unwrap_or(command.len()))?.trim();
            (command != "javelin").then(|| command.to_owned())
        }));
    }
    commands
}

#[test]
fn commands_are_found_where_they_are() {
    let text = "`javelin check` and `helm template \\| javelin images -f -`\n$ javelin cert > a\n$ helm install javelin deploy/chart\n\
                $ javelin inject \\\n    --check -f a\n    $ kubectl javelin status -A # all\nthe javelin of old\n";
    let expected = [
        "javelin check",
        "javelin images -f -",
        "javelin cert",
        "javelin inject      --check -f a",
        "javelin status -A",
    ];
    assert_eq!(commands(text), expected);
    understood("javelin check").unwrap();
    understood("javelin chekc").unwrap_err();
    understood("javelin check --wiat=2m").unwrap_err();
    understood("javelin preview -o yml -f a").unwrap_err();
}
