//! `javelin inject`: manifests with the agent in them, for clusters in which nothing may call us, and for Git.

use std::{
    fs,
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use javelin_core::config::Config;
use javelin_manifest::{Edited, Tree, edit};
use serde_json::Value;

use super::{
    Exit, Hinted,
    manifest::{Input, InputSource, ManifestText, Spool},
    note,
    preview::{key_value, read_config},
    progress::ProgressLine,
};
use crate::offline::inject::{
    self, InjectError, Injection, Injector, ObjectReport, Operation, What,
};
use crate::offline::inputs::Inputs;

/// Put the agent into manifests, or take it out again
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Args {
    /// A manifest, a folder of manifests, or - for standard input; may be repeated [default: -]
    #[arg(short, long = "filename", value_name = "FILE")]
    filename: Vec<PathBuf>,
    /// Javelin's configuration [default: built-in values]
    #[arg(long, value_name = "FILE", env = "JAVELIN_CONFIG")]
    config: Option<PathBuf>,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// A label of that namespace; may be repeated. Namespaces in the manifests are read as well
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    namespace_label: Vec<(String, String)>,
    /// Remove the agent instead: only what an earlier run added
    #[arg(long)]
    remove: bool,
    /// Replace the agent that an earlier run added with another configuration or version
    #[arg(long, conflicts_with = "remove")]
    update: bool,
    /// Rewrite the files instead of printing them; unchanged files are not touched
    #[arg(short, long, conflicts_with = "check")]
    in_place: bool,
    /// Print nothing, and exit with 1 if something would change, or asks for the agent and cannot get it
    #[arg(long)]
    check: bool,
    /// Exit with 1, and print nothing, if something asks for the agent and cannot get it
    #[arg(long)]
    strict: bool,
    /// Report only problems
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Args {
        filename,
        config,
        namespace,
        namespace_label,
        remove,
        update,
        in_place,
        check,
        strict,
        quiet,
    } = args;
    let config = read_config(config.as_ref())?;
    let input = open(filename, *in_place)?;
    let mut inputs = Inputs::new(namespace.clone(), namespace_label);
    input.teach(&mut inputs)?;
    let run = Run {
        inputs,
        config,
        action: match (remove, update) {
            (true, _) => Operation::Remove,
            (false, true) => Operation::Update,
            (false, false) => Operation::Inject,
        },
        is_quiet: *quiet,
    };
    let mut seen = Seen::default();
    let mut progress = ProgressLine::new();
    if *in_place {
        for source in input.sources() {
            if let InputSource::File(path) = source {
                seen.add(run.in_place(source, path, &mut progress)?);
            }
        }
    } else if *check {
        for source in input.sources() {
            seen.add(run.stream(source, &mut io::sink(), &mut progress)?);
        }
    } else {
        // Whoever reads from us must not take a part of the stream for all of it: nothing leaves before all is good.
        let mut out = Joined::of(Spool::new());
        for source in input.sources() {
            out.next_stream();
            seen.add(run.stream(source, &mut out, &mut progress)?);
        }
        if *strict && seen.is_left {
            note("nothing is printed because of --strict: something is left unchanged");
        } else {
            out.print(&mut io::stdout().lock())?;
        }
    }
    Ok(
        if (*check && seen.is_changed) || ((*check || *strict) && seen.is_left) {
            Exit::Found
        } else {
            Exit::Done
        },
    )
}

/// What happened to the objects of a stream, or of several.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Something changes.
    is_changed: bool,
    /// Something is not as it was asked for.
    is_left: bool,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.is_changed |= other.is_changed;
        self.is_left |= other.is_left;
    }
}

fn open(files: &[PathBuf], in_place: bool) -> anyhow::Result<Input> {
    let stdin = PathBuf::from("-");
    if in_place && (files.is_empty() || files.contains(&stdin)) {
        return Err(Hinted {
            message: "--in-place needs files".to_owned(),
            hint: "name them: javelin inject --in-place -f k8s/".to_owned(),
            source: None,
        }
        .into());
    }
    if files.is_empty() && io::stdin().is_terminal() {
        return Err(Hinted {
            message: "no manifests".to_owned(),
            hint: "name files with -f, or pipe manifests in: helm template shop | javelin inject"
                .to_owned(),
            source: None,
        }
        .into());
    }
    Input::open(if files.is_empty() {
        std::slice::from_ref(&stdin)
    } else {
        files
    })
}

/// What is the same for all manifests.
struct Run {
    config: Config,
    inputs: Inputs,
    action: Operation,
    is_quiet: bool,
}

impl Run {
    /// Passes one stream through.
    fn stream(
        &self,
        source: &InputSource,
        out: &mut impl Write,
        progress: &mut ProgressLine,
    ) -> anyhow::Result<Seen> {
        let injector = Injector::new(&self.config, &self.inputs, self.action);
        let mut seen = Seen::default();
        for text in source.texts()? {
            let text = text?;
            progress.step();
            let outcome = match self.function(&text)? {
                Some(outcome) => outcome,
                None => injector
                    .document(&text.piece.text, text.syntax())
                    .map_err(|error| explain(error, &text))?,
            };
            self.tell(&outcome.reports);
            let edited = outcome.edited;
            seen.add(Seen {
                is_changed: edited.is_some(),
                is_left: outcome.reports.iter().any(ObjectReport::is_left),
            });
            if let Some(Edited { rewritten, .. }) = &edited {
                tell_rewritten(&text, rewritten);
            }
            let new = edited
                .as_ref()
                .map_or(&text.piece.text, |edited| &edited.text);
            out.write_all(new.as_bytes())?;
        }
        Ok(seen)
    }

    /// What becomes of a `ResourceList`, which gets results, and may bring a configuration; `None` for anything else.
    fn function(&self, text: &ManifestText) -> anyhow::Result<Option<Injection>> {
        if !text.piece.text.contains("ResourceList") {
            return Ok(None);
        }
        let tree = Tree::parse(&text.piece.text).map_err(|error| text.error(&error))?;
        if tree.value.get("kind").and_then(Value::as_str) != Some("ResourceList") {
            return Ok(None);
        }
        let own = function_config(&tree.value)?;
        let config = own.as_ref().unwrap_or(&self.config);
        let injector = Injector::new(config, &self.inputs, self.action);
        let (new, reports) = injector.value(&tree.value);
        let new = inject::with_results(new.as_ref().unwrap_or(&tree.value), &reports);
        let edited = (new != tree.value).then(|| {
            let edited = edit(&text.piece.text, &tree, &new, text.syntax());
            edited.ok_or_else(|| explain(InjectError::NotEdited, text))
        });
        Ok(Some(Injection {
            edited: edited.transpose()?,
            reports,
        }))
    }

    /// Writes a file anew, whole or not at all.
    fn in_place(
        &self,
        source: &InputSource,
        path: &Path,
        progress: &mut ProgressLine,
    ) -> anyhow::Result<Seen> {
        let cannot = || format!("cannot write {}", path.display());
        // What a link points to is changed, not the link.
        let path = fs::canonicalize(path).with_context(cannot)?;
        let mut new = Vec::new();
        let seen = self.stream(source, &mut new, progress)?;
        if !seen.is_changed {
            return Ok(seen);
        }
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let beside = path.with_file_name(format!(
            ".{}.javelin-{}",
            name.unwrap_or_default(),
            std::process::id()
        ));
        let written = fs::metadata(&path).and_then(|metadata| {
            fs::write(&beside, &new)?;
            fs::set_permissions(&beside, metadata.permissions())?;
            fs::rename(&beside, &path)
        });
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written.with_context(cannot)?;
        Ok(seen)
    }

    fn tell(&self, reports: &[ObjectReport]) {
        for ObjectReport {
            object,
            what,
            warnings,
        } in reports
        {
            let title = object.title();
            match what {
                What::Injected {
                    brings,
                    containers,
                    profile,
                } if !self.is_quiet => {
                    for (container, service) in containers {
                        let service = service.as_ref().map_or_else(
                            || "its own service name".to_owned(),
                            |name| format!("service name {name}"),
                        );
                        note(&format!(
                            "{title}: container {container}: {brings}, {service}, profile {profile}"
                        ));
                    }
                }
                What::Removed if !self.is_quiet => note(&format!("{title}: the agent is out")),
                What::Left { code, why } => note(&format!("{title}: left as it is: {code}: {why}")),
                What::Injected { .. } | What::Removed | What::Untouched => {}
            }
            for warning in warnings {
                note(&format!("{title}: warning: {warning}"));
            }
        }
    }
}

fn explain(error: InjectError, text: &ManifestText) -> anyhow::Error {
    match error {
        InjectError::Unreadable(error) => text.error(&error),
        error @ InjectError::NotEdited => anyhow!(error).context(text.place()),
    }
}

fn tell_rewritten(text: &ManifestText, lines: &[usize]) {
    for line in lines {
        let (source, line) = (&text.source, text.piece.line + line - 1);
        note(&format!(
            "{source}: warning: what starts at line {line} could not be changed in place and was rewritten, without \
             its comments and anchors"
        ));
    }
}

/// Our configuration in a function's: the `data` of a `ConfigMap` at `javelin.yaml`, or `config` of any other kind.
fn function_config(list: &Value) -> anyhow::Result<Option<Config>> {
    let Some(function) = list
        .get("functionConfig")
        .filter(|config| !config.is_null())
    else {
        return Ok(None);
    };
    let text = match (
        function.get("config"),
        function.pointer("/data/javelin.yaml"),
    ) {
        (Some(config), _) => config.to_string(),
        (None, Some(Value::String(text))) => text.clone(),
        (None, _) => return Ok(None),
    };
    Ok(Some(Config::parse(&text, "the function's configuration")?))
}

/// Streams behind one another: a marker between two of them, where the second has none of its own.
struct Joined {
    out: Spool,
    /// The last byte that was written.
    last: Option<u8>,
    is_start: bool,
    /// Was nothing written but blanks?
    is_blank: bool,
}

impl Joined {
    fn of(out: Spool) -> Self {
        Self {
            out,
            last: None,
            is_start: false,
            is_blank: true,
        }
    }

    /// Hands over everything. Helm 4 takes nothing at all for an error of the post-renderer: a chart may have no objects.
    fn print(self, to: &mut impl Write) -> io::Result<()> {
        io::copy(&mut self.out.reader()?, to)?;
        if self.is_blank {
            to.write_all(b"# javelin inject: the input has no objects\n")?;
        }
        to.flush()
    }

    fn next_stream(&mut self) {
        self.is_start = self.last.is_some();
    }
}

impl Write for Joined {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_start && !bytes.is_empty() {
            self.is_start = false;
            if self.last != Some(b'\n') {
                self.out.write_all(b"\n")?;
            }
            if !bytes.starts_with(b"---") {
                self.out.write_all(b"---\n")?;
            }
        }
        self.out.write_all(bytes)?;
        self.last = bytes.last().copied().or(self.last);
        self.is_blank &= bytes.trim_ascii().is_empty();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

const EXAMPLES: &str = "\
Reads all documents before it prints them; documents without the agent are printed byte for byte. Without -f it
works as a post-renderer for Helm and as a function for kustomize. Messages go to stderr.

Examples:
  kustomize build . | javelin inject | kubectl apply -f -
  helm upgrade shop ./shop --post-renderer javelin --post-renderer-args inject
  javelin inject --in-place -f k8s/ -n shop     for Git; --remove undoes it
  javelin inject --check -f k8s/                does everything that asks for the agent have it?";
