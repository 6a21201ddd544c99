//! Manifests as they come: files, folders, standard input; YAML or JSON, several documents, Lists.
//!
//! They are read one document at a time, and as often as anybody likes: what comes from standard input and is large is
//! kept in a file without a name.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use javelin_manifest::{Documents, Piece, Syntax, TreeError, tree};
use serde_json::Value;

pub(super) use crate::offline::document::Document;
use crate::offline::inputs::Inputs;

/// Where manifests come from. Nothing is read but standard input, which cannot be read twice.
#[derive(Debug)]
pub(super) struct Input {
    sources: Vec<InputSource>,
}

/// One stream of documents.
#[derive(Debug)]
pub(super) enum InputSource {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin(Spool),
}

/// A document as text, and where it stands.
#[derive(Debug)]
pub(super) struct ManifestText {
    /// The file, or standard input.
    pub(super) source: String,
    /// Its number there, from 1.
    pub(super) number: usize,
    /// The text.
    pub(super) piece: Piece,
}

impl Input {
    /// Files, folders, and `-` for standard input.
    pub(super) fn open(files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut sources = Vec::new();
        for file in files {
            if file.as_os_str() == "-" {
                let spool = Spool::of(io::stdin().lock());
                sources.push(InputSource::Stdin(
                    spool.context("cannot read standard input")?,
                ));
            } else if file.is_dir() {
                sources.extend(manifests_in(file)?.into_iter().map(InputSource::File));
            } else {
                sources.push(InputSource::File(file.clone()));
            }
        }
        Ok(Self { sources })
    }

    /// The streams, in order.
    pub(super) fn sources(&self) -> &[InputSource] {
        &self.sources
    }

    /// All objects of all of them, in order.
    pub(super) fn documents(&self) -> impl Iterator<Item = anyhow::Result<Document>> + '_ {
        self.documents_of(|_| true)
    }

    /// Tells what the objects say about others, wherever they stand: so manifests are read twice, but those that surely say
    /// nothing.
    pub(super) fn teach(&self, inputs: &mut Inputs) -> anyhow::Result<()> {
        for document in self.documents_of(|text| Inputs::may_learn(&text.piece.text)) {
            inputs.learn(&document?.value);
        }
        Ok(())
    }

    fn documents_of<'a>(
        &'a self,
        wanted: impl Fn(&ManifestText) -> bool + 'a,
    ) -> impl Iterator<Item = anyhow::Result<Document>> + 'a {
        let texts = self.sources.iter().flat_map(InputSource::texts_or_error);
        let texts = texts.filter(move |text| !text.as_ref().is_ok_and(|text| !wanted(text)));
        texts.flat_map(|text| match text.and_then(|text| text.objects()) {
            Ok(objects) => objects.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    }
}

impl InputSource {
    /// What a person calls it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin(_) => "standard input".to_owned(),
        }
    }

    /// Its documents, as they are written.
    pub(super) fn texts(
        &self,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<ManifestText>> + '_> {
        let name = self.name();
        let cannot_read = || format!("cannot read {name}");
        let reader: Box<dyn BufRead + '_> = match self {
            Self::File(path) => {
                Box::new(BufReader::new(File::open(path).with_context(cannot_read)?))
            }
            Self::Stdin(spool) => spool.reader().with_context(cannot_read)?,
        };
        let pieces = Documents::of(reader).enumerate();
        Ok(pieces.map(move |(index, piece)| {
            let piece = piece.with_context(|| format!("{name} cannot be read"))?;
            Ok(ManifestText {
                source: name.clone(),
                number: index + 1,
                piece,
            })
        }))
    }

    fn texts_or_error(&self) -> Box<dyn Iterator<Item = anyhow::Result<ManifestText>> + '_> {
        match self.texts() {
            Ok(texts) => Box::new(texts),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }
}

impl ManifestText {
    /// How it is written.
    pub(super) fn syntax(&self) -> Syntax {
        if self.piece.is_json {
            Syntax::Json
        } else {
            Syntax::Yaml
        }
    }

    /// Where it stands, as a person would say it: `FILE, document 2 (line 7)`.
    pub(super) fn place(&self) -> String {
        let Self {
            source,
            number,
            piece,
        } = self;
        if *number == 1 {
            return source.clone();
        }
        format!("{source}, document {number} (line {})", piece.line)
    }

    /// An error in it, with the line of its file.
    pub(super) fn error(&self, error: &TreeError) -> anyhow::Error {
        let line = self.piece.line + error.line.saturating_sub(1);
        let (column, problem) = (error.column, &error.problem);
        anyhow!("line {line}, column {column}: {problem}")
            .context(format!("{} is neither YAML nor JSON", self.source))
    }

    /// The objects in it: none, one, or the items of a List.
    pub(super) fn objects(&self) -> anyhow::Result<Vec<Document>> {
        let value =
            tree::read(&self.piece.text, self.syntax()).map_err(|error| self.error(&error))?;
        let origin = self.place();
        Ok(match value {
            // An empty document, or one of comments.
            Value::Null => Vec::new(),
            Value::Object(mut object) if is_list(&object) => {
                let items = object.remove("items").unwrap_or_default();
                let Value::Array(items) = items else {
                    return Ok(Vec::new());
                };
                let document = |value| Document {
                    origin: origin.clone(),
                    value,
                };
                items.into_iter().map(document).collect()
            }
            Value::Object(_) => vec![Document { origin, value }],
            _ => {
                return Err(anyhow!(
                    "{origin} is not a Kubernetes object: it is no mapping"
                ));
            }
        })
    }
}

/// What is kept for later: in memory, and past a size in a file that has no name any more.
#[derive(Debug)]
pub(super) enum Spool {
    Memory {
        bytes: Vec<u8>,
        /// How many there may be.
        limit: usize,
    },
    File(File),
}

impl Spool {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self::limited(IN_MEMORY)
    }

    fn limited(limit: usize) -> Self {
        let bytes = Vec::new();
        Self::Memory { bytes, limit }
    }

    /// What a stream has that cannot be read twice.
    fn of(mut input: impl io::Read) -> io::Result<Self> {
        let mut spool = Self::new();
        io::copy(&mut input, &mut spool)?;
        Ok(spool)
    }

    /// All of it, from the beginning.
    pub(super) fn reader(&self) -> io::Result<Box<dyn BufRead + '_>> {
        Ok(match self {
            Self::Memory { bytes, .. } => Box::new(bytes.as_slice()),
            Self::File(file) => {
                let mut file = file;
                file.seek(SeekFrom::Start(0))?;
                Box::new(BufReader::new(file))
            }
        })
    }
}

impl io::Write for Spool {
    fn write(&mut self, new: &[u8]) -> io::Result<usize> {
        match self {
            Self::Memory { bytes, limit } if bytes.len() + new.len() > *limit => {
                let mut file = unnamed_file()?;
                file.write_all(bytes)?;
                *self = Self::File(file);
                self.write(new)
            }
            Self::Memory { bytes, .. } => bytes.write(new),
            Self::File(file) => file.write(new),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file of ours alone, which is gone when it is closed.
fn unnamed_file() -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut attempt = 0;
    loop {
        let name = format!("javelin-{}-{attempt}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut options = File::options();
        match options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(file) => {
                fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Reads all objects of all files, in order. `-` is standard input.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    Input::open(files)?.documents().collect()
}

/// Files with a manifest's ending, by name: what `kubectl apply -f DIR` takes.
fn manifests_in(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot read {}", dir.display()))?
            .path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if path.is_file() && ending.is_some_and(|ending| ["yaml", "yml", "json"].contains(&ending))
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// `List`, `PodList`, …: what `kubectl get -o yaml` prints for several objects.
fn is_list(object: &serde_json::Map<String, Value>) -> bool {
    let kind = object
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    kind.ends_with("List") && object.contains_key("items")
}

/// As much of one stream as is kept in memory.
const IN_MEMORY: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn parse(name: &str, text: &str) -> anyhow::Result<Vec<Document>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join(name);
        fs::write(&path, text)?;
        let documents = read(&[path]);
        documents.map_err(|error| {
            let prefix = format!("{}/", dir.path().display());
            anyhow!("{}", format!("{error:#}").replace(&prefix, ""))
        })
    }

    fn titles(text: &str) -> Vec<String> {
        parse("f.yaml", text)
            .unwrap()
            .iter()
            .map(Document::title)
            .collect()
    }

    #[test]
    fn documents_lists_and_json_streams_are_read_in_order() {
        let yaml = "# first\n---\nkind: Pod\nmetadata: {name: a, namespace: ns}\n---\n---\n\
                    kind: List\nitems:\n- {kind: Pod, metadata: {generateName: b-}}\n- {kind: Job, metadata: {}}\n";
        assert_eq!(titles(yaml), ["Pod ns/a", "Pod b-", "Job (no name)"]);
        assert_eq!(
            titles("{\"kind\":\"Pod\"}\n\t{\"kind\":\"Job\"}"),
            ["Pod (no name)", "Job (no name)"]
        );
        assert_eq!(titles(""), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_place() {
        let error = format!(
            "{:#}",
            parse("f.yaml", "kind: Pod\n---\n- a\n").unwrap_err()
        );
        assert_eq!(
            error,
            "f.yaml, document 2 (line 2) is not a Kubernetes object: it is no mapping"
        );
        let error = format!("{:#}", parse("f.yaml", "kind: Pod\n  a: b\n").unwrap_err());
        assert!(
            error.contains("f.yaml is neither YAML nor JSON") && error.contains("line 2"),
            "{error}"
        );
    }

    #[test]
    fn a_line_that_is_wrong_is_the_line_of_the_file() {
        let error = parse("f.yaml", "a: 1\n---\nkind: Pod\n  a: b\n").unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("f.yaml") && error.contains("line 4"),
            "{error}"
        );
    }

    #[test]
    fn what_cannot_be_read_twice_is_kept() {
        for limit in [3, 100] {
            let mut spool = Spool::limited(limit);
            for part in ["a: 1\n", "---\n", "b: 2\n"] {
                spool.write_all(part.as_bytes()).unwrap();
            }
            assert_eq!(matches!(spool, Spool::File(_)), limit == 3);
            let source = InputSource::Stdin(spool);
            for _ in 0..2 {
                let texts: Vec<_> = source.texts().unwrap().map(Result::unwrap).collect();
                assert_eq!(texts.len(), 2);
                assert_eq!(texts[1].place(), "standard input, document 2 (line 2)");
            }
        }
    }
}
