//! The links of the pages that people read: each leads to a file of the checkout, and its anchor to a heading there.
//!
//! Markdown is read as far as that takes: blocks and spans of code have no links, and headings get the anchors of the common
//! forges.
//!
//! Deliberately not here: addresses of the web, which no test may ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use testbed::process::read;

/// A page of Markdown.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) text: String,
    /// Where in the text the target of each link stands.
    pub(crate) links: Vec<Range<usize>>,
    anchors: BTreeSet<String>,
}

/// By their paths in the checkout.
pub(crate) type Pages = BTreeMap<PathBuf, Page>;

/// Every page, if all of their links are good.
pub(crate) fn check(root: &Path) -> Result<Pages> {
    let pages = read_all(root)?;
    let mut problems = Vec::new();
    for (path, page) in &pages {
        for link in &page.links {
            let target = page.text.get(link.clone()).unwrap_or_default();
            if let Some(problem) = problem_of(root, &pages, path, target) {
                let before = page.text.get(..link.start).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                problems.push(format!("{}:{line}: {target}: {problem}", path.display()));
            }
        }
    }
    problems.extend(not_in_the_summary(&pages));
    if !problems.is_empty() {
        bail!("links that lead nowhere:\n  {}", problems.join("\n  "));
    }
    Ok(pages)
}

/// The file that a relative link of a page leads to, and its anchor; nothing for an address.
pub(crate) fn resolve<'a>(page: &Path, target: &'a str) -> Option<(PathBuf, Option<&'a str>)> {
    let is_address = target.contains("://") || target.starts_with("mailto:");
    if is_address {
        return None;
    }
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    if path.is_empty() {
        return Some((page.to_path_buf(), anchor));
    }
    let folder = page.parent().unwrap_or_else(|| Path::new(""));
    let mut resolved = PathBuf::new();
    for component in folder.join(path).components() {
        match component {
            Component::ParentDir => drop(resolved.pop()),
            Component::Normal(name) => resolved.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Some((resolved, anchor))
}

fn problem_of(root: &Path, pages: &Pages, page: &Path, target: &str) -> Option<String> {
    let (path, anchor) = resolve(page, target)?;
    let file = root.join(&path);
    if !file.exists() {
        return Some(format!("there is no {}", path.display()));
    }
    if file.is_dir() && !file.join("README.md").exists() {
        return Some("a folder without a README.md: link to a file in it".to_owned());
    }
    let anchor = anchor?;
    let Some(page) = pages.get(&path) else {
        return Some("only a page has anchors".to_owned());
    };
    (!page.anchors.contains(anchor)).then(|| format!("no heading of {} has it", path.display()))
}

/// Pages of `docs` that the site would not have.
fn not_in_the_summary(pages: &Pages) -> Vec<String> {
    let path = Path::new(SUMMARY);
    let Some(summary) = pages.get(path) else {
        return vec![format!("there is no {SUMMARY}")];
    };
    let listed = summary.links.iter().filter_map(|link| {
        let target = summary.text.get(link.clone())?;
        Some(resolve(path, target)?.0)
    });
    let listed: BTreeSet<_> = listed.collect();
    let pages = pages
        .keys()
        .filter(|page| page.starts_with("docs") && *page != path);
    let missing = pages.filter(|page| !listed.contains(*page));
    missing
        .map(|page| format!("{SUMMARY}: {} is missing", page.display()))
        .collect()
}

fn read_all(root: &Path) -> Result<Pages> {
    let mut pages = Pages::new();
    for name in names_in(root)? {
        let path = Path::new(&name);
        let is_folder = FOLDERS.contains(&name.as_str());
        if is_folder || is_page(path) {
            add(root, path, &mut pages)?;
        }
    }
    Ok(pages)
}

fn add(root: &Path, path: &Path, pages: &mut Pages) -> Result<()> {
    let file = root.join(path);
    if file.is_dir() {
        for name in names_in(&file)? {
            add(root, &path.join(name), pages)?;
        }
    } else if is_page(path) {
        let text = String::from_utf8(read(&file)?)
            .with_context(|| format!("{} is not UTF-8", path.display()))?;
        pages.insert(path.to_path_buf(), Page::of(text));
    }
    Ok(())
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("failed to read the folder {}", folder.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

impl Page {
    fn of(text: String) -> Self {
        let without_blocks = without_blocks(&text);
        let links = links_of(&without_spans(&without_blocks));
        let anchors = anchors_of(&without_blocks);
        Self {
            text,
            links,
            anchors,
        }
    }
}

/// The text with its fenced blocks blanked out, so that all else stays where it is.
fn without_blocks(text: &str) -> String {
    let mut fence: Option<&str> = None;
    let lines = text.split_inclusive('\n').map(|line| {
        let start = line.trim_start();
        let mark = if start.starts_with("~~~") { '~' } else { '`' };
        let length = start.len() - start.trim_start_matches(mark).len();
        let marks = start.get(..length).unwrap_or_default();
        match fence {
            None if length < 3 => return line.to_owned(),
            None => fence = Some(marks),
            Some(open) if marks.starts_with(open) && start.trim_end() == marks => fence = None,
            Some(_) => {}
        }
        blank(line)
    });
    lines.collect()
}

/// The same with spans of code.
fn without_spans(text: &str) -> String {
    let mut blanked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('`') {
        let (before, from) = rest.split_at(at);
        blanked.push_str(before);
        let run = from.len() - from.trim_start_matches('`').len();
        let (ticks, inner) = from.split_at(run);
        let paragraph = inner.split("\n\n").next().unwrap_or_default();
        rest = if let Some(end) = run_of(paragraph, run) {
            let (span, after) = from.split_at(run + end + run);
            blanked.push_str(&blank(span));
            after
        } else {
            blanked.push_str(ticks);
            inner
        };
    }
    blanked.push_str(rest);
    blanked
}

/// Where the next run of exactly so many backticks begins.
fn run_of(text: &str, wanted: usize) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = at + text.get(at..)?.find('`')?;
        let from = text.get(found..)?;
        let length = from.len() - from.trim_start_matches('`').len();
        if length == wanted {
            return Some(found);
        }
        at = found + length;
    }
}

/// Of the same length, with its line breaks.
fn blank(text: &str) -> String {
    let blank = |c: char| {
        if c == '\n' {
            "\n".to_owned()
        } else {
            " ".repeat(c.len_utf8())
        }
    };
    text.chars().map(blank).collect()
}

/// Targets in brackets, and those of pictures in HTML.
fn links_of(text: &str) -> Vec<Range<usize>> {
    let mut links = Vec::new();
    for (begin, end) in [
        ("](", ')'),
        ("src=\"", '"'),
        ("href=\"", '"'),
        ("srcset=\"", '"'),
    ] {
        for (at, _) in text.match_indices(begin) {
            let start = at + begin.len();
            let target = text.get(start..).unwrap_or_default();
            let length = target.find([end, ' ', '\n']).unwrap_or(target.len());
            links.push(start..start + length);
        }
    }
    links.sort_by_key(|link| link.start);
    links
}

fn anchors_of(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        let title = line.trim_start_matches('#');
        let level = line.len() - title.len();
        let Some(title) = title.strip_prefix(' ').filter(|_| (1..=6).contains(&level)) else {
            continue;
        };
        let slug = slug(title);
        let numbered = (1..).map(|number| format!("{slug}-{number}"));
        let mut candidates = [slug.clone()].into_iter().chain(numbered);
        anchors.extend(candidates.find(|anchor| !anchors.contains(anchor)));
    }
    anchors
}

/// Letters and digits in lower case, and hyphens for blanks. Of a link its text.
fn slug(title: &str) -> String {
    let mut text = String::new();
    let mut rest = title.trim();
    while let Some((before, target)) = rest.split_once("](") {
        text.push_str(before);
        rest = target.split_once(')').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let kept = text.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c => c.is_alphanumeric().then_some(c),
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// The site's table of contents.
pub(crate) const SUMMARY: &str = "docs/SUMMARY.md";

/// Those of the checkout that have pages for people; beside what is at its root.
const FOLDERS: [&str; 5] = ["certs", "crates", "deploy", "docs", "xtask"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_leads_somewhere() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let pages = check(root).unwrap();
        let links: usize = pages.values().map(|page| page.links.len()).sum();
        assert!(
            pages.len() > 40 && links > 200,
            "{} pages, {links} links",
            pages.len()
        );
    }

    fn targets(text: &str) -> Vec<String> {
        let page = Page::of(text.to_owned());
        let targets = page
            .links
            .iter()
            .map(|link| page.text[link.clone()].to_owned());
        targets.collect()
    }

    #[test]
    fn links_are_found_outside_of_code() {
        assert_eq!(
            targets("[a](b.md) and [`c`](d.md#e), ![f](g.svg \"h\")"),
            ["b.md", "d.md#e", "g.svg"]
        );
        assert_eq!(targets("`[a](b)` ``[`](c)`` é `x\ny` [z](w)"), ["w"]);
        assert_eq!(
            targets("```text\n[a](b)\n```\n~~~\n```\n[c](d)\n~~~\n[e](f)"),
            ["f"]
        );
        assert_eq!(targets("````md\n```\n[a](b)\n```\n````\n[c](d)"), ["d"]);
        assert_eq!(targets("an open ` and\n\n[a](b) `"), ["b"]);
        assert_eq!(targets("<img src=\"a.svg\">"), ["a.svg"]);
    }

    #[test]
    fn headings_get_the_anchors_of_forges() {
        let page = Page::of(
            "# A `b_c`, d!\n## [E](f) g\n## A b_c d\n```\n# no\n```\n#no\n### 망이 분리된\n"
                .to_owned(),
        );
        let expected = ["a-b_c-d", "a-b_c-d-1", "e-g", "망이-분리된"];
        assert_eq!(page.anchors.iter().collect::<Vec<_>>(), expected);
        assert_eq!(slug("[E](f) g"), "e-g");
    }

    #[test]
    fn what_leads_nowhere_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("docs/SUMMARY.md", "- [a](a.md)\n");
        write(
            "docs/a.md",
            "# A\n\n[](#a) [](../README.md)\n[](no.md) [](#b) [](../LICENSE#a) [](x)\n",
        );
        write("docs/left-out.md", "");
        write("docs/x/y", "");
        write("README.md", "[](https://example.com/no)");
        write("LICENSE", "");
        let told = check(folder.path()).unwrap_err().to_string();
        for problem in [
            "docs/a.md:4: no.md: there is no docs/no.md",
            "docs/a.md:4: #b: no heading of docs/a.md has it",
            "docs/a.md:4: ../LICENSE#a: only a page has anchors",
            "docs/a.md:4: x: a folder without a README.md",
            "docs/left-out.md is missing",
        ] {
            assert!(told.contains(problem), "{problem} is not in {told}");
        }
        assert_eq!(told.lines().count(), 6, "{told}");
    }
}
