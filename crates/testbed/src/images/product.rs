//! The image of the product itself.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::archive;
use crate::agent;
use crate::image::{Image, ImageBuilder, Layer};
use crate::paths::Paths;
use crate::platform::Platform;
use crate::process::read;
use crate::program;
use crate::progress::{self, Hint};

/// The product for this machine: one static program, the agent's jar, and the licences of both.
pub fn javelin(paths: &Paths) -> Result<Image> {
    let program = program::of_this_machine(paths)?;
    let product = Product {
        platform: Platform::host()?,
        program: &program,
        source: "",
        revision: "",
    };
    progress::step("Writing the image", Hint::default(), || {
        let builder = product.image(paths, &format!("localhost/javelin:{VERSION}"))?;
        builder.write(&archive(paths, "javelin", VERSION))
    })
}

/// What the image has of the agent.
#[derive(Debug)]
pub struct Jar {
    /// All of it.
    pub contents: Vec<u8>,
    /// Texts by their names.
    pub licences: BTreeMap<String, Vec<u8>>,
}

/// What the product's image is made of, beside what the checkout holds.
#[derive(Debug)]
pub struct Product<'a> {
    /// The program's.
    pub platform: Platform,
    /// The program.
    pub program: &'a Path,
    /// The address of the repository; empty where nobody has said it.
    pub source: &'a str,
    /// The commit; empty where nobody has said it.
    pub revision: &'a str,
}

impl Product<'_> {
    /// The Dockerfile makes the same, which a test of `xtask` looks at.
    pub fn image(&self, paths: &Paths, reference: &str) -> Result<ImageBuilder> {
        let jar = agent::jar(paths)?;
        let jar = Jar {
            contents: read(&jar)?,
            licences: agent::licences(&jar)?,
        };
        self.image_with(paths, reference, jar)
    }

    /// The same with a jar that need not be the agent.
    pub fn image_with(&self, paths: &Paths, reference: &str, jar: Jar) -> Result<ImageBuilder> {
        let root = paths.root();
        let mut agent = Layer::default()
            .file("/javaagent.jar", 0o444, jar.contents)
            .copy(
                "/licenses/javaagent/agent.lock",
                0o444,
                &root.join("agent.lock"),
            )?;
        for (name, text) in jar.licences {
            agent = agent.file(&format!("/licenses/javaagent/{name}"), 0o444, text);
        }
        let program = Layer::default()
            .copy("/javelin", 0o555, self.program)?
            .copy("/licenses/javelin/LICENSE", 0o444, &root.join("LICENSE"))?
            .copy(
                "/licenses/javelin/THIRD-PARTY",
                0o444,
                &root.join("THIRD-PARTY"),
            )?;
        let label = |name: &str| format!("org.opencontainers.image.{name}");
        Ok(ImageBuilder::new(reference)
            .platform(self.platform)
            .entrypoint(&["/javelin"])
            .user(65532)
            // Or the allocator asks for huge pages, and a server that idles holds 12 MB of nothing.
            .environment("MIMALLOC_ALLOW_THP", "0")
            // Or it can stop giving memory back for good.
            .environment("MIMALLOC_PURGE_DELAY", "0")
            .label(&label("title"), "javelin")
            .label(
                &label("description"),
                "Puts the OpenTelemetry Java agent into labelled Kubernetes pods",
            )
            .label(&label("version"), VERSION)
            .label(&label("licenses"), "Apache-2.0")
            .label(&label("base.name"), "scratch")
            .label(&label("source"), self.source)
            .label(&label("revision"), self.revision)
            // The large part that seldom changes comes first.
            .layer(agent)
            .layer(program))
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
