//! The images that tests and the demo run: their names, and each made once for what it is made of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::Result;
use sha2::{Digest as _, Sha256};

use crate::image::{Image, ImageBuilder, hex};
use crate::paths::Paths;
use crate::process::create_folder;
use crate::progress::{self, Hint};

mod java;
mod product;
mod programs;

pub use java::{java_8, runtimes, shop, shop_with_databases};
pub use product::{Jar, Product, javelin};
pub use programs::{collector, databases, pause, tool, witness};

/// What holds a pod's namespaces open.
pub const PAUSE: &str = "localhost/javelin-pause:1";
/// The Java example application.
pub const SHOP: &str = "localhost/javelin-shop:1";
/// An OpenTelemetry Collector.
pub const COLLECTOR: &str = "localhost/javelin-collector:1";
/// What tells the cluster suite how a container finds its environment and its files.
pub const WITNESS: &str = "localhost/javelin-witness:1";
/// Java runtimes beside the one of [`SHOP`], with a program that answers requests: `/opt/java-25` and so on, and
/// `/opt/java-bare`, which is as small as that program allows and lacks `java.instrument`.
pub const RUNTIMES: &str = "localhost/javelin-runtimes:1";
/// Java 8 and the same program, in a root of Debian's.
pub const JAVA_8: &str = "localhost/javelin-java-8:1";
/// The example, with its stock in databases.
pub const SHOP_DATABASES: &str = "localhost/javelin-shop-databases:1";
/// PostgreSQL, Redis and their exporters, of Debian's.
pub const DATABASES: &str = "localhost/javelin-databases:1";

/// Gives what is in the cache under the parts' hash, or makes it with a folder to work in.
fn cached(
    paths: &Paths,
    name: &str,
    parts: &[Vec<u8>],
    build: impl FnOnce(&Path) -> Result<ImageBuilder>,
) -> Result<Image> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.update(RECIPE);
    let key = short(&hash.finalize());
    let archive = archive(paths, name, &key);
    if let Some(image) = Image::cached(&archive) {
        return Ok(image);
    }
    let work = paths
        .cache()
        .join("work")
        .join(format!("{name}-{}", process::id()));
    progress::step(
        &format!("Writing the {name} image"),
        Hint::default(),
        || {
            create_folder(&work)?;
            let image = build(&work).and_then(|builder| builder.write(&archive));
            let _ = fs::remove_dir_all(&work);
            image
        },
    )
}

/// Enough of a digest to tell one recipe's result from another's.
fn short(digest: &[u8]) -> String {
    hex(digest).chars().take(12).collect()
}

fn archive(paths: &Paths, name: &str, key: &str) -> PathBuf {
    paths
        .cache()
        .join("images")
        .join(format!("{name}-{key}.tar"))
}

/// Bumped when what is put into an image changes otherwise than by its sources.
const RECIPE: &str = "1";
