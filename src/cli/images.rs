//! `javelin images`: what to copy into the mirror.
//!
//! Deliberately not here: copying. The script does it, with whatever tool is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::Write as _,
    path::PathBuf,
};

use serde_json::{Value, json};

use super::{Exit, manifest::Input, note, preview, printable};
use crate::offline::images::{self, FoundImages, Image, Uses};

/// List the images that a mirror needs
///
/// Lists the images of workloads' containers and volumes, and of Javelin's configuration. What a custom resource, an
/// argument or a variable probably names is reported on standard error, and listed with --probable. Kinds that Javelin
/// knows nothing about are also reported.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Manifests, a folder of them, or - for standard input, as `helm template` prints them; may be repeated
    #[arg(short, long = "filename", value_name = "FILE")]
    filename: Vec<PathBuf>,
    /// Javelin's configuration [default, without -f: built-in values]
    #[arg(long, value_name = "FILE", env = "JAVELIN_CONFIG")]
    config: Option<PathBuf>,
    /// The mirror, as registry.example.com/folder: prints the names that the images have there
    #[arg(long, value_name = "REGISTRY", required_if_eq("output", "script"))]
    registry: Option<String>,
    /// Also list what is probably an image: in custom resources, arguments and variables
    #[arg(long, requires = "filename")]
    probable: bool,
    /// list (one name per line), json, script (copies them, with crane, skopeo or docker)
    #[arg(short, long, value_enum, default_value_t = Output::List, hide_possible_values = true)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    List,
    Json,
    Script,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Args {
        filename,
        config,
        registry,
        probable: with_probable,
        output,
    } = args;
    let mut all = Images::default();
    if filename.is_empty() || config.is_some() {
        let config = preview::read_config(config.as_ref())?;
        all.sure = images::of_config(&config);
    }
    for document in Input::open(filename)?.documents() {
        all.add(images::of_object(&document?.value));
    }
    let Images {
        sure,
        mut probable,
        unknown,
    } = all;
    probable.retain(|image, _| !sure.contains_key(image));
    let (listed, left) = if *with_probable {
        (probable, Uses::new())
    } else {
        (Uses::new(), probable)
    };
    let mut out = std::io::stdout().lock();
    let registry = registry.as_deref();
    match output {
        Output::List => {
            for image in sure.keys().chain(listed.keys()) {
                writeln!(out, "{}", mirrored(image, registry))?;
            }
        }
        Output::Json => {
            let sure = sure.iter().map(|uses| json_of(uses, false, registry));
            let listed = listed.iter().map(|uses| json_of(uses, true, registry));
            let list: Vec<_> = sure.chain(listed).collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?;
        }
        Output::Script => {
            let text = script(&sure, &listed, &left, registry.unwrap_or_default());
            out.write_all(text.as_bytes())?;
        }
    }
    out.flush()?;
    tell(&left, &unknown);
    Ok(Exit::Done)
}

/// What all documents say.
#[derive(Default)]
struct Images {
    sure: Uses,
    probable: Uses,
    /// Kinds, and how many objects of each there are.
    unknown: BTreeMap<String, usize>,
}

impl Images {
    fn add(&mut self, found: FoundImages) {
        let FoundImages {
            sure,
            probable,
            unknown,
        } = found;
        for (uses, all) in [(sure, &mut self.sure), (probable, &mut self.probable)] {
            for (image, what) in uses {
                all.entry(image).or_default().extend(what);
            }
        }
        if let Some(kind) = unknown {
            *self.unknown.entry(kind).or_default() += 1;
        }
    }
}

/// What the list may lack: a mirror without it does not start.
fn tell(left: &Uses, unknown: &BTreeMap<String, usize>) {
    for (image, what) in left {
        note(&printable(&format!(
            "probably an image: {image} ({})",
            first(what)
        )));
    }
    if !left.is_empty() {
        note("note: what is probably an image is not listed; --probable lists it with the others");
    }
    if !unknown.is_empty() {
        let kinds = unknown
            .iter()
            .map(|(kind, count)| format!("{kind} ({count})"));
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        let text = format!(
            "note: it is not known which images these kinds use, beyond the probable ones: {kinds}"
        );
        note(&printable(&text));
    }
}

/// One of those that use it, and how many more there are.
fn first(what: &BTreeSet<String>) -> String {
    let first = what.first().map(String::as_str).unwrap_or_default();
    match what.len() {
        0 | 1 => first.to_owned(),
        all => format!("{first}, and {} more", all - 1),
    }
}

fn json_of(
    (image, used_by): (&Image, &BTreeSet<String>),
    probable: bool,
    registry: Option<&str>,
) -> Value {
    json!({
        "image": image.to_string(),
        "registry": image.registry,
        "repository": image.repository,
        "tag": image.tag,
        "digest": image.digest,
        "usedBy": used_by,
        "probable": probable,
        "mirror": registry.map(|to| image.in_registry(to).to_string()),
    })
}

fn mirrored(image: &Image, registry: Option<&str>) -> Image {
    registry.map_or_else(|| image.clone(), |registry| image.in_registry(registry))
}

/// A name is quoted: it comes from somebody's manifests. What is left out stands there as a comment.
fn script(sure: &Uses, listed: &Uses, left: &Uses, registry: &str) -> String {
    let quoted = |image: Image| format!("'{}'", image.to_string().replace('\'', r"'\''"));
    let copy = |image: &Image| {
        let to = quoted(image.in_registry(registry));
        format!("copy {} {to}", quoted(image.clone()))
    };
    let mut text = SCRIPT.to_owned();
    for image in sure.keys() {
        let _ = writeln!(text, "{}", copy(image));
    }
    for (mark, uses) in [("", listed), ("# ", left)] {
        for (image, what) in uses {
            let comment = printable(&format!("probably an image: {}", first(what)));
            let _ = writeln!(text, "# {comment}\n{mark}{}", copy(image));
        }
    }
    text
}

const SCRIPT: &str = r#"#!/bin/sh
# Copies images into a mirror, with all their platforms. TOOL=crane, skopeo or docker; else the first of them that is there.
# What is named localhost/… is in no registry: it comes from the archive ARCHIVE, or out of docker itself.
set -eu
for tool in crane skopeo docker; do
  if [ -z "${TOOL:-}" ] && command -v "$tool" >/dev/null; then TOOL=$tool; fi
done
copy() {
  echo "$1 -> $2" >&2
  case "${TOOL:-} $1" in
    "crane localhost/"*) crane push "${ARCHIVE:?names the archive of $1}" "$2" ;;
    "skopeo localhost/"*) skopeo copy --all "oci-archive:${ARCHIVE:?names the archive of $1}" "docker://$2" ;;
    "docker localhost/"*) docker tag "$1" "$2" && docker push "$2" ;;
    crane*) crane copy "$1" "$2" ;;
    skopeo*) skopeo copy --all --preserve-digests "docker://$1" "docker://$2" ;;
    docker*) docker buildx imagetools create --tag "${2%@*}" "$1" ;;
    *) echo "install crane, skopeo or docker, or name it in TOOL" >&2; exit 1 ;;
  esac
}
"#;

const EXAMPLES: &str = "\
Examples:
  helm template javelin deploy/chart --values values.yaml | javelin images -f -
  helm template monitoring kube-prometheus-stack | javelin images --probable -f -
  javelin images --config javelin.yaml --registry registry.example.com/otel
  javelin images --registry registry.example.com -o script | sh";
