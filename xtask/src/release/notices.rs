//! `THIRD-PARTY`: the licences of what is in the program.
//!
//! It is in the repository, since the Dockerfile has no other way to it, and the layer `deny` fails where it differs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use testbed::paths::Paths;
use testbed::process::{read, write};

use super::tree::{self, Member};

/// Writes the file, or fails where it is not what the crates say.
pub(crate) fn run(paths: &Paths, check: bool) -> Result<()> {
    let file = paths.root().join("THIRD-PARTY");
    let text = text(paths)?;
    if !check {
        return write(&file, text);
    }
    ensure!(
        read(&file)? == text.as_bytes(),
        "THIRD-PARTY is not what Cargo.lock says: write it anew by `cargo xtask notices`"
    );
    Ok(())
}

fn text(paths: &Paths) -> Result<String> {
    let tree = tree::read(paths)?;
    let mut by_text: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut list = String::new();
    for member in tree.values().filter(|member| !member.is_ours) {
        let Member { name, version, .. } = member;
        let licence = member.licence.as_deref().unwrap_or("see its licence file");
        writeln!(list, "  {name} {version}: {licence}")?;
        for text in licence_files(member)? {
            by_text
                .entry(text)
                .or_default()
                .push(format!("{name} {version}"));
        }
    }
    let mut all = format!("{PREFACE}\n{list}");
    for (text, crates) in by_text {
        write!(all, "\n{RULE}\n{}\n{RULE}\n\n{text}\n", crates.join("\n"))?;
    }
    Ok(all)
}

/// The texts at the top of a crate's folder, in the order of their names.
fn licence_files(member: &Member) -> Result<Vec<String>> {
    let entries = fs::read_dir(&member.folder).with_context(|| {
        format!(
            "failed to read {}: run `cargo fetch`",
            member.folder.display()
        )
    })?;
    let mut files: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.is_file()
                && path
                    .file_name()
                    .is_some_and(|name| is_licence(&name.to_string_lossy()))
        })
        .collect();
    files.sort();
    let text = |path| -> Result<String> {
        let text = String::from_utf8_lossy(&read(path)?).replace("\r\n", "\n");
        let lines = text.lines().map(str::trim_end).collect::<Vec<_>>();
        Ok(lines.join("\n").trim_matches('\n').to_owned())
    };
    files.iter().map(|path| text(path)).collect()
}

fn is_licence(name: &str) -> bool {
    let extension = Path::new(name).extension();
    let is_source = extension.is_some_and(|extension| extension == "rs" || extension == "toml");
    let name = name.to_ascii_uppercase();
    let begins = [
        "LICENSE",
        "LICENCE",
        "NOTICE",
        "COPYING",
        "COPYRIGHT",
        "UNLICENSE",
    ];
    !is_source && begins.iter().any(|begin| name.starts_with(begin))
}

const RULE: &str = "------------------------------------------------------------------------------";

const PREFACE: &str = "\
Licences of what is in the program `javelin` beside Javelin itself. `cargo xtask notices` writes this file.
The licences in the agent's jar are beside this file in the image, in `/licenses/javaagent`, and in the jar.

The program is linked statically to the GNU C Library, which is under the LGPL, version 2.1 or later, and to parts of GCC,
which are under the GPL, version 3 or later, with the GCC Runtime Library Exception. All of Javelin's source is public, and
the program can be linked anew with another version of them. Rust's standard library is under MIT or Apache-2.0.

Crates:
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_files_are_known_by_their_names() {
        for name in [
            "LICENSE",
            "LICENSE-MIT",
            "License.txt",
            "COPYING.md",
            "NOTICE",
        ] {
            assert!(is_licence(name), "{name}");
        }
        for name in ["license.rs", "README.md", "Cargo.toml"] {
            assert!(!is_licence(name), "{name}");
        }
    }
}
