//! The shop, and runtimes of several versions: programs in Java, beside no more of a JDK than they use.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::{JAVA_8, RUNTIMES, SHOP, SHOP_DATABASES, cached, short};
use crate::image::{Image, ImageBuilder, Layer};
use crate::jdks::{self, Jdk, java_home};
use crate::packages::{self, Group};
use crate::paths::Paths;
use crate::process::{create_folder, make_folder_once, output, read, run, run_logged};
use crate::progress::{self, Hint};

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
            } else if has_extension(&path, "so") {
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

/// What the example and the agent use of the JDK.
const MODULES: &str = "java.base,java.instrument,java.logging,java.management,java.naming,java.net.http,java.sql,\
                       jdk.httpserver,jdk.management,jdk.unsupported";

/// What jlink finds that a small server needs.
const BARE_MODULES: &str = "java.base,jdk.httpserver";

/// Where the example's sources are.
const SHOP_SOURCES: &str = "deploy/examples/shop";
