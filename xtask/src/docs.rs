//! The site: the pages of `docs/`, and the others that people read, by mdBook.
//!
//! mdBook wants all pages in one folder, and makes a page of each that its table of contents names. So the pages are laid
//! into a folder as they lie in the checkout, where their links hold, and every link of what comes out is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use testbed::paths::Paths;
use testbed::process::{create_folder, read, run, write};

use crate::crates::Crate;
use crate::links::{self, Page, Pages, SUMMARY, resolve};

/// Builds the site, and gives its folder.
pub(crate) fn build(paths: &Paths) -> Result<PathBuf> {
    let pages = links::check(paths.root())?;
    let program = MDBOOK.ensure(paths)?;
    let site = paths.root().join("target/site");
    let _ = fs::remove_dir_all(&site);
    let source = site.join("src");
    create_folder(&source)?;
    lay_out(paths.root(), &source, &pages)?;
    for name in ["book.toml", "site.css"] {
        copy(&paths.root().join("docs").join(name), &site.join(name))?;
    }
    run(Command::new(program).arg("build").current_dir(&site))?;
    let book = site.join("book");
    check(&book)?;
    Ok(book)
}

/// Is mdBook there, so that building takes seconds?
pub(crate) fn is_quick(paths: &Paths) -> bool {
    MDBOOK.program(paths).is_file()
}

fn lay_out(root: &Path, source: &Path, pages: &Pages) -> Result<()> {
    for (path, page) in pages {
        let (text, files) = laid_out(root, path, page);
        let target = if path == Path::new(SUMMARY) {
            source.join("SUMMARY.md")
        } else {
            source.join(path)
        };
        create_parent(&target)?;
        write(&target, text)?;
        for file in files {
            copy(&root.join(&file), &source.join(&file))?;
        }
    }
    Ok(())
}

/// A page as it has to be, and the files that it leads to.
///
/// The table of contents lies at the root, so its links are written anew. A link to a folder leads to its page.
fn laid_out(root: &Path, path: &Path, page: &Page) -> (String, Vec<PathBuf>) {
    let mut text = page.text.clone();
    let mut files = Vec::new();
    for link in page.links.iter().rev() {
        let target = page.text.get(link.clone()).unwrap_or_default();
        let Some((found, _)) = resolve(path, target) else {
            continue;
        };
        if path == Path::new(SUMMARY) {
            text.replace_range(link.clone(), &found.display().to_string());
        } else if root.join(&found).is_dir() {
            let target = target.trim_end_matches('/');
            text.replace_range(link.clone(), &format!("{target}/README.md"));
        } else if found.extension().is_none_or(|extension| extension != "md") {
            files.push(found);
        }
    }
    (text, files)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    create_parent(to)?;
    write(to, read(from)?)
}

fn create_parent(file: &Path) -> Result<()> {
    file.parent().map_or(Ok(()), create_folder)
}

/// Every relative link of every page leads to a file, and its anchor to an element.
fn check(book: &Path) -> Result<()> {
    let mut pages = BTreeMap::new();
    collect(book, Path::new(""), &mut pages)?;
    let mut problems = Vec::new();
    for (path, html) in &pages {
        for target in values(html, &["href", "src"]) {
            let Some((found, anchor)) = resolve(path, target) else {
                // What the page itself loads, as a font, would not come in a private network.
                continue;
            };
            let found = Path::new(&decoded(&found.display().to_string())).to_path_buf();
            let is_there = book.join(&found).is_file();
            let has_anchor = |anchor: &str| {
                let anchor = decoded(anchor);
                let page = pages.get(&found);
                page.is_some_and(|html| values(html, &["id", "name"]).any(|id| id == anchor))
            };
            if !is_there || !anchor.is_none_or(|anchor| anchor.is_empty() || has_anchor(anchor)) {
                problems.push(format!("{}: {target}", path.display()));
            }
        }
        let loaded = values(html, &["src"]).filter(|target| target.contains("://"));
        problems.extend(
            loaded.map(|target| format!("{}: {target} is loaded from the web", path.display())),
        );
    }
    if !problems.is_empty() {
        bail!(
            "links of the site that lead nowhere:\n  {}",
            problems.join("\n  ")
        );
    }
    Ok(())
}

/// The HTML below a folder, by its path; what is shown for a page that is not there has no place of its own.
fn collect(book: &Path, path: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    let folder = book.join(path);
    let entries = fs::read_dir(&folder)
        .with_context(|| format!("failed to read the folder {}", folder.display()))?;
    for entry in entries {
        let path = path.join(entry?.file_name());
        let file = book.join(&path);
        let is_html = path
            .extension()
            .is_some_and(|extension| extension == "html");
        if file.is_dir() {
            collect(book, &path, pages)?;
        } else if is_html && path != Path::new("404.html") {
            let html = String::from_utf8(read(&file)?)
                .with_context(|| format!("{} is not UTF-8", path.display()))?;
            pages.insert(path, html);
        }
    }
    Ok(())
}

/// Values of attributes; text has its quotes escaped.
fn values<'a>(html: &'a str, attributes: &[&str]) -> impl Iterator<Item = &'a str> {
    let begins: Vec<_> = attributes
        .iter()
        .map(|name| format!(" {name}=\""))
        .collect();
    let found: BTreeSet<&str> = begins
        .iter()
        .flat_map(|begin| html.split(begin.as_str()).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    found.into_iter()
}

/// With `%C3%A9` as the letter that it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        let length = if byte.is_some() { 2 } else { 0 };
        rest = after.get(length..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const MDBOOK: Crate = Crate {
    name: "mdbook",
    program: "mdbook",
    version: "0.5.4",
    // Nobody is served by it, and nothing is watched.
    options: &["--no-default-features", "--features=search"],
    first_time: Duration::from_mins(5),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_and_text_is_not() {
        let html = "<a href=\"b.html#c\">href=&quot;d&quot;</a><h2 id=\"c\">";
        assert_eq!(values(html, &["href"]).collect::<Vec<_>>(), ["b.html#c"]);
        assert_eq!(values(html, &["id"]).collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn links_of_a_site_that_lead_nowhere_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let page = |name: &str, html: &str| fs::write(folder.path().join(name), html).unwrap();
        page(
            "a.html",
            "<a href=\"b.html#c\"><img src=\"d.svg\"><a href=\"https://example.com/e\">",
        );
        page("b.html", "<h2 id=\"c\">");
        page("d.svg", "");
        page("404.html", "<a href=\"nowhere\">");
        check(folder.path()).unwrap();
        page(
            "b.html",
            "<h2 id=\"f\"><a href=\"g.html\"><script src=\"https://example.com/h.js\">",
        );
        let told = check(folder.path()).unwrap_err().to_string();
        for problem in [
            "a.html: b.html#c",
            "b.html: g.html",
            "h.js is loaded from the web",
        ] {
            assert!(told.contains(problem), "{problem} is not in {told}");
        }
    }

    #[test]
    fn letters_of_addresses_are_decoded() {
        assert_eq!(decoded("%EB%A7%9D-b%zz%"), "망-b%zz%");
    }
}
