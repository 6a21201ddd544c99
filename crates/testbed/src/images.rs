//! What is in each image.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::agent;
use crate::image::{Image, ImageBuilder, Layer, hex};
use crate::jdks::{self, Jdk};
use crate::packages::{self, Group};
use crate::paths::{Paths, find_program, variable};
use crate::platform::Platform;
use crate::process::{create_folder, make_folder_once, output, read, run, run_logged};
use crate::program::{self, check_static};
use crate::progress::{self, Hint};
use crate::roots;
use crate::toolchain::{self, Tool};

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

/// What the example and the agent use of the JDK.
const MODULES: &str = "java.base,java.instrument,java.logging,java.management,java.naming,java.net.http,java.sql,\
                       jdk.httpserver,jdk.management,jdk.unsupported";

/// What jlink finds that a small server needs.
const BARE_MODULES: &str = "java.base,jdk.httpserver";

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

/// The example: a small Java runtime, the libraries that it needs, and the compiled classes.
pub fn shop(paths: &Paths) -> Result<Image> {
    packages::ensure(paths, &[Group::Java])?;
    let sources = java_sources(&paths.root().join(SHOP_SOURCES).join("src"))?;
    java_program(paths, "shop", SHOP, &sources, |classes| {
        Layer::default().copy_tree("/app", classes)
    })
}

/// The same with a stock that is in databases, and what that needs from Maven's repository.
pub fn shop_with_databases(paths: &Paths) -> Result<Image> {
    packages::ensure(paths, &[Group::Java, Group::Maven])?;
    let own = paths.root().join(SHOP_SOURCES).join("databases");
    let mut sources = java_sources(&paths.root().join(SHOP_SOURCES).join("src"))?;
    sources.extend(java_sources(&own)?);
    let jars = shop_jars(paths, &own.join("pom.xml"))?;
    let provider = own.join("META-INF/services/Shelf");
    java_program(
        paths,
        "shop-databases",
        SHOP_DATABASES,
        &[sources, jars, vec![provider.clone()]].concat(),
        |classes| {
            Layer::default().copy_tree("/app", classes)?.copy(
                "/app/META-INF/services/Shelf",
                0o444,
                &provider,
            )
        },
    )
}

/// The jars that the project names, with all that they need.
fn shop_jars(paths: &Paths, project: &Path) -> Result<Vec<PathBuf>> {
    let key = short(&Sha256::digest(read(project)?));
    let folder = paths.cache().join("shop-jars").join(key);
    let waiting = "Waiting for another xtask that fetches jars";
    make_folder_once(&folder, waiting, |unfinished| {
        let log = paths.build_log("shop-jars");
        let hint = Hint {
            first_time: Some(Duration::from_secs(20)),
            log: Some(&log),
        };
        progress::step("Fetching the shop's jars for its databases", hint, || {
            let mut maven = Command::new("mvn");
            maven
                .args(["--batch-mode", "--no-transfer-progress", "--file"])
                .arg(project)
                .arg("org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies")
                .arg(format!("-DoutputDirectory={}", unfinished.display()))
                .arg("-DincludeScope=runtime");
            run_logged(&maven, &log)
        })
    })?;
    let files = fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
    let mut jars: Vec<_> = files.filter(|file| has_extension(file, "jar")).collect();
    ensure!(!jars.is_empty(), "{} has no jar", folder.display());
    jars.sort();
    Ok(jars)
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found == extension)
}

/// A Java program that starts at the class `Shop`, beside a runtime of [`MODULES`]. The image is made anew when one of the
/// files changes, of which sources are compiled and jars copied.
fn java_program(
    paths: &Paths,
    name: &str,
    reference: &str,
    files: &[PathBuf],
    application: impl FnOnce(&Path) -> Result<Layer>,
) -> Result<Image> {
    let java_home = java_home()?;
    let mut parts = vec![
        MODULES.as_bytes().to_vec(),
        read(&java_home.join("release"))?,
    ];
    for file in files {
        parts.push(read(file)?);
    }
    let jars: Vec<_> = files
        .iter()
        .filter(|file| has_extension(file, "jar"))
        .collect();
    let sources = files.iter().filter(|file| has_extension(file, "java"));
    cached(paths, name, &parts, |work| {
        let classes = work.join("classes");
        let runtime = work.join("java");
        let class_path = env::join_paths(&jars)?;
        run(Command::new(java_home.join("bin/javac"))
            .arg("-d")
            .arg(&classes)
            .arg("-classpath")
            .arg(class_path)
            .args(sources))?;
        link(&java_home, MODULES, &runtime)?;
        let mut base = Layer::default()
            .folder("/tmp", 0o1777)
            .file(
                "/etc/passwd",
                0o444,
                "shop:x:1000:1000::/tmp:/sbin/nologin\n",
            )
            .file("/etc/group", 0o444, "shop:x:1000:\n")
            .copy_tree("/opt/java", &runtime)?;
        for library in libraries(&runtime)? {
            base = base.copy(&library.to_string_lossy(), 0o555, &library)?;
        }
        let mut application = application(&classes)?;
        for jar in jars {
            let file = jar.file_name().unwrap_or_default().to_string_lossy();
            application = application.copy(&format!("/app/{file}"), 0o444, jar)?;
        }
        Ok(ImageBuilder::new(reference)
            .entrypoint(&["/opt/java/bin/java", "-cp", "/app:/app/*", "Shop"])
            .user(1000)
            .environment("JAVA_HOME", "/opt/java")
            .layer(base)
            .layer(application))
    })
}

/// The runtimes of [`RUNTIMES`], and the versions among them.
pub fn runtimes(paths: &Paths) -> Result<(Image, Vec<u32>)> {
    packages::ensure(paths, &[Group::Java])?;
    let jdks = jdks::find()?;
    let (first, others) = jdks.split_first().context("there is no JDK")?;
    let mut parts = vec![read(&hello(paths))?];
    for jdk in &jdks {
        parts.push(read(&jdk.home.join("release"))?);
    }
    let image = cached(paths, "runtimes", &parts, |work| {
        let mut layer = with_hello(paths, first, work)?.folder("/tmp", 0o1777);
        let mut needed = BTreeSet::new();
        let bare = ("bare".to_owned(), first, BARE_MODULES);
        let others = others
            .iter()
            .map(|jdk| (jdk.major.to_string(), jdk, MODULES));
        for (name, jdk, modules) in others.chain([bare]) {
            let inside = format!("/opt/java-{name}");
            let runtime = work.join(format!("java-{name}"));
            link(&jdk.home, modules, &runtime)?;
            needed.extend(libraries(&runtime)?);
            layer = layer.folder(&inside, 0o755).copy_tree(&inside, &runtime)?;
        }
        for library in needed {
            layer = layer.copy(&library.to_string_lossy(), 0o555, &library)?;
        }
        Ok(ImageBuilder::new(RUNTIMES).user(1000).layer(layer))
    })?;
    Ok((image, others.iter().map(|jdk| jdk.major).collect()))
}

/// Java 8, which few machines have: an error says why it cannot be had here.
pub fn java_8(paths: &Paths) -> Result<Image> {
    packages::ensure(paths, &[Group::Java])?;
    let compiler = jdks::find()?.into_iter().next();
    let compiler = compiler.context("there is no JDK")?;
    cached(paths, "java-8", &[read(&hello(paths))?], |work| {
        let root = work.join("root");
        create_folder(&root)?;
        packages::unpack_java_8(paths, work, &root)?;
        let jvm = root.join("usr/lib/jvm");
        let jvm = fs::read_dir(&jvm)?.flatten().map(|entry| entry.path());
        let mut java =
            jvm.filter(|folder| folder.join("jre/bin/java").is_file() && !folder.is_symlink());
        let java = java.next().context("the package has no jre/bin/java")?;
        let layer = Layer::default()
            .folder("/tmp", 0o1777)
            .copy_tree("", &root)?;
        let link = Layer::default().link(
            "/opt/java-8",
            &Path::new("/").join(java.strip_prefix(&root)?).join("jre"),
        );
        Ok(ImageBuilder::new(JAVA_8)
            .user(1000)
            .layer(layer)
            .layer(link)
            .layer(with_hello(paths, &compiler, work)?))
    })
}

fn hello(paths: &Paths) -> PathBuf {
    paths.root().join("crates/testbed/tools/hello/Hello.java")
}

/// The program in `/app`, as Java 8 reads it too.
fn with_hello(paths: &Paths, jdk: &Jdk, work: &Path) -> Result<Layer> {
    let classes = work.join("classes");
    run(Command::new(jdk.home.join("bin/javac"))
        .args(["--release", "8", "-Xlint:-options", "-d"])
        .arg(&classes)
        .arg(hello(paths)))?;
    Layer::default().copy_tree("/app", &classes)
}

/// Makes a runtime of these modules.
fn link(java_home: &Path, modules: &str, runtime: &Path) -> Result<()> {
    run(Command::new(java_home.join("bin/jlink"))
        .args(["--add-modules", modules])
        .args([
            "--strip-java-debug-attributes",
            "--no-header-files",
            "--no-man-pages",
        ])
        .arg("--output")
        .arg(runtime))
}

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

/// Where the JDK is: what the environment says, else where `javac` is.
pub fn java_home() -> Result<PathBuf> {
    if let Some(home) = variable("JAVA_HOME").map(PathBuf::from) {
        ensure!(
            home.join("bin/jlink").is_file(),
            "JAVA_HOME is {}, which has no bin/jlink: set it to a JDK, not a runtime, or unset it",
            home.display()
        );
        return Ok(home);
    }
    let compiler = find_program("javac").context("javac is not on PATH: install a JDK")?;
    let compiler = fs::canonicalize(&compiler)
        .with_context(|| format!("failed to follow {}", compiler.display()))?;
    let home = compiler
        .ancestors()
        .nth(2)
        .context("javac is not in a JDK: set JAVA_HOME to one")?;
    Ok(home.to_path_buf())
}

fn java_sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| {
        format!(
            "failed to read {}: is the checkout whole?",
            folder.display()
        )
    })?;
    let mut sources: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| has_extension(path, "java"))
        .collect();
    sources.sort();
    ensure!(
        !sources.is_empty(),
        "{} has no Java source: is the checkout whole?",
        folder.display()
    );
    Ok(sources)
}

/// The system's libraries that a Java runtime is linked to, and their loader.
fn libraries(runtime: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut programs = vec![runtime.join("bin/java")];
    let mut folders = vec![runtime.join("lib")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "so") {
                programs.push(path);
            }
        }
    }
    let own = format!("{0}/lib:{0}/lib/server", runtime.display());
    let listed = output(
        Command::new("ldd")
            .args(&programs)
            .env("LD_LIBRARY_PATH", own),
    )?;
    let mut found = BTreeSet::new();
    for line in listed.lines() {
        // `libz.so.1 => /lib/.../libz.so.1 (0x...)`, or the loader with its path alone.
        let line = line.trim();
        if line.ends_with("=> not found") {
            bail!("the Java runtime needs a library that is not installed: {line}");
        }
        let path = line
            .split(" => ")
            .last()
            .and_then(|rest| rest.split(' ').next())
            .unwrap_or_default();
        if path.starts_with('/') && !line.ends_with(':') && !Path::new(path).starts_with(runtime) {
            found.insert(PathBuf::from(path));
        }
    }
    Ok(found)
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the example's sources are.
const SHOP_SOURCES: &str = "deploy/examples/shop";

/// The distribution that has the databases and exporters.
const DATABASES_FROM: &str = "bookworm";

/// Bumped when what is put into an image changes otherwise than by its sources.
const RECIPE: &str = "1";

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
