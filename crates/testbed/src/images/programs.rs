//! Programs that are no Java: a Collector and other tools, databases, and two small ones in C.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::{COLLECTOR, DATABASES, PAUSE, WITNESS, cached, short};
use crate::image::{Image, ImageBuilder, Layer};
use crate::packages::{self, Group};
use crate::paths::Paths;
use crate::process::{read, run};
use crate::program::check_static;
use crate::progress::{self, Hint};
use crate::roots;
use crate::toolchain::{self, Tool};

/// A Collector that reads its configuration where the upstream images do not: `/etc/otelcol/config.yaml`.
pub fn collector(paths: &Paths) -> Result<Image> {
    let tools = toolchain::ensure(paths, &[Tool::Collector])?;
    let program = fs::canonicalize(tools.program("otelcol"))
        .context("the Collector is gone from the cache: run `cargo xtask tools`")?;
    let key = program.to_string_lossy().into_owned().into_bytes();
    cached(
        paths,
        "collector",
        &[key, COLLECTOR_CONFIG.as_bytes().to_vec()],
        |_| {
            let layer = Layer::default()
                .folder("/tmp", 0o1777)
                .file("/etc/otelcol/config.yaml", 0o444, COLLECTOR_CONFIG)
                .copy("/otelcol", 0o555, &program)?;
            let builder = ImageBuilder::new(COLLECTOR)
                .entrypoint(&["/otelcol", "--config", "/etc/otelcol/config.yaml"])
                .user(65532)
                .layer(layer);
            Ok(builder)
        },
    )
}

/// A program of a tool's, under a name of its own.
pub fn tool(paths: &Paths, tool: Tool, program: &str) -> Result<Image> {
    let tools = toolchain::ensure(paths, &[tool])?;
    let file = fs::canonicalize(tools.program(program))
        .with_context(|| format!("{program} is gone from the cache: run the same command again"))?;
    let key = file.to_string_lossy().into_owned().into_bytes();
    cached(paths, program, &[key], |_| {
        let inside = format!("/{program}");
        let layer = Layer::default()
            .folder("/tmp", 0o1777)
            .copy(&inside, 0o555, &file)?;
        Ok(ImageBuilder::new(format!("localhost/javelin-{program}:1"))
            .entrypoint(&[&inside])
            .user(65532)
            .layer(layer))
    })
}

/// A Debian root file system with PostgreSQL, Redis and their exporters.
pub fn databases(paths: &Paths) -> Result<Image> {
    let packages = [
        "postgresql",
        "redis-server",
        "prometheus-postgres-exporter",
        "prometheus-redis-exporter",
    ];
    let key = short(&Sha256::digest(packages.join(" ")));
    let name = format!("debian-{DATABASES_FROM}-databases-{key}");
    let root = roots::ensure(paths, &name, DATABASES_FROM, |root, log| {
        let hint = Hint {
            first_time: Some(Duration::from_mins(2)),
            log: Some(log),
        };
        progress::step("Installing databases there", hint, || {
            roots::install(root, log, &packages)
        })
    })?;
    cached(paths, "databases", &[name.into_bytes()], |_| {
        let mut layer = Layer::default()
            .folder("/tmp", 0o1777)
            .folder("/run", 0o755)
            .folder("/data", 0o1777);
        for folder in ["etc", "usr"] {
            layer = layer.copy_tree(folder, &root.join(folder))?;
        }
        // The rest are links into /usr, and what a kernel or a person puts there.
        for folder in ["bin", "lib", "lib64", "sbin"] {
            layer = layer.link(folder, &Path::new("usr").join(folder));
        }
        let passwd = fs::read_to_string(root.join("etc/passwd"))?;
        let user = "databases:x:1000:1000::/tmp:/bin/sh\n";
        Ok(ImageBuilder::new(DATABASES)
            .environment("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .environment("LC_ALL", "C.UTF-8")
            .user(1000)
            .layer(layer)
            .layer(Layer::default().file("/etc/passwd", 0o444, passwd + user)))
    })
}

/// One static program that waits.
pub fn pause(paths: &Paths) -> Result<Image> {
    c_program(paths, "pause", PAUSE)
}

/// One static program that prints its environment, and first reads the files that its arguments name.
pub fn witness(paths: &Paths) -> Result<Image> {
    c_program(paths, "witness", WITNESS)
}

fn c_program(paths: &Paths, name: &str, reference: &str) -> Result<Image> {
    let source = paths
        .root()
        .join(format!("crates/testbed/tools/{name}/{name}.c"));
    cached(paths, name, &[read(&source)?], |work| {
        packages::ensure(paths, &[Group::C])?;
        let program = work.join(name);
        run(Command::new("gcc")
            .args(["-static", "-Os", "-s", "-o"])
            .arg(&program)
            .arg(&source))?;
        check_static(&program)?;
        let inside = format!("/{name}");
        let layer = Layer::default().copy(&inside, 0o555, &program)?;
        Ok(ImageBuilder::new(reference)
            .entrypoint(&[&inside])
            .user(65535)
            .layer(layer))
    })
}

/// The distribution that has the databases and exporters.
const DATABASES_FROM: &str = "bookworm";

const COLLECTOR_CONFIG: &str = "\
receivers:
  otlp:
    protocols:
      grpc: { endpoint: 0.0.0.0:4317 }
      http: { endpoint: 0.0.0.0:4318 }
exporters:
  debug: {}
service:
  telemetry:
    metrics: { level: none }
  pipelines:
    traces: { receivers: [otlp], exporters: [debug] }
    metrics: { receivers: [otlp], exporters: [debug] }
    logs: { receivers: [otlp], exporters: [debug] }
";
