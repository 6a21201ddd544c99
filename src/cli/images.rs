//! `javelin images`: what to copy into the mirror.
//!
//! Deliberately not here: copying. The script does it, with whatever tool is there.

use std::{fmt::Write as _, io::Write as _, path::PathBuf};

use serde_json::json;

use super::{Exit, manifest::Input, preview};
use crate::images::{self, Image, Uses};

/// List the images that a mirror has to have
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Manifests, a folder of them, or - for standard input, as `helm template` prints them; may be repeated
    #[arg(short, long = "filename", value_name = "FILE")]
    filename: Vec<PathBuf>,
    /// Javelin's configuration [default, without -f: built-in values]
    #[arg(long, value_name = "FILE", env = "JAVELIN_CONFIG")]
    config: Option<PathBuf>,
    /// The mirror, as registry.example.com/folder: names become those that the images have there
    #[arg(long, value_name = "REGISTRY", required_if_eq("output", "script"))]
    registry: Option<String>,
    /// list (a name in each line), json, script (copies them, by crane, skopeo or docker)
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
    let mut uses = Uses::new();
    if args.filename.is_empty() || args.config.is_some() {
        let config = preview::read_config(args.config.as_ref())?;
        uses.extend(images::of_config(&config));
    }
    for document in Input::open(&args.filename)?.documents() {
        for (image, what) in images::of_object(&document?.value) {
            uses.entry(image).or_default().extend(what);
        }
    }
    let mut out = std::io::stdout().lock();
    let registry = args.registry.as_deref();
    match args.output {
        Output::List => {
            for image in uses.keys() {
                writeln!(out, "{}", mirrored(image, registry))?;
            }
        }
        Output::Json => {
            let list: Vec<_> = uses
                .iter()
                .map(|(image, used_by)| {
                    json!({
                        "image": image.to_string(),
                        "registry": image.registry,
                        "repository": image.repository,
                        "tag": image.tag,
                        "digest": image.digest,
                        "usedBy": used_by,
                        "mirror": registry.map(|to| image.in_registry(to).to_string()),
                    })
                })
                .collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?;
        }
        Output::Script => {
            let text = script(&uses, registry.unwrap_or_default());
            out.write_all(text.as_bytes())?;
        }
    }
    Ok(Exit::Done)
}

fn mirrored(image: &Image, registry: Option<&str>) -> Image {
    registry.map_or_else(|| image.clone(), |registry| image.in_registry(registry))
}

/// A name is quoted: it comes from somebody's manifests.
fn script(uses: &Uses, registry: &str) -> String {
    let quoted = |image: Image| format!("'{}'", image.to_string().replace('\'', r"'\''"));
    let mut text = SCRIPT.to_owned();
    for image in uses.keys() {
        let to = quoted(image.in_registry(registry));
        let _ = writeln!(text, "copy {} {to}", quoted(image.clone()));
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
  javelin images --config javelin.yaml --registry registry.example.com/otel
  javelin images --registry registry.example.com -o script | sh";
