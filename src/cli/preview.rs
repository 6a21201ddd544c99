//! `javelin preview`: the engine over manifests, or over an object in the cluster. What it shows is what the cluster
//! gets.
//!
//! Deliberately not here: the decisions ([`mutate`](crate::mutate)), what other manifests tell
//! ([`caveats`](crate::caveats)), and changed manifests to keep: that is `javelin inject`.

use std::{fs, io::Write, path::PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use self::server::{Server, Trial};
use super::{
    Exit, Hinted,
    manifest::{Document, Input},
    note,
    progress::Progress,
};
use crate::{
    agent,
    caveats::{self, Caveat},
    cluster::objects::Reference,
    config::Config,
    inject::{Action, Injector},
    mutate::{self, Decision, Namespace, NamespaceLabel, Step, Subject, pod::Pod},
    patch::{PodPath, Treatment},
    surroundings::Surroundings,
    workload,
};

mod record;
mod server;
mod text;

/// Show what the agent would change, and why
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A manifest, a captured `AdmissionReview`, a folder of such files, or - for standard input; may be repeated
    #[arg(
        short,
        long = "filename",
        value_name = "FILE",
        required_unless_present = "from_cluster"
    )]
    filename: Vec<PathBuf>,
    /// An object in the cluster, as shop/deployment/orders, read with your own rights; may be repeated
    #[arg(long, value_name = "[NAMESPACE/]KIND/NAME", value_parser = Reference::parse)]
    from_cluster: Vec<Reference>,
    /// Have the API server try each pod with the agent (a dry run), and tell who refuses it
    #[arg(long)]
    server: bool,
    /// Context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Javelin's configuration [default: built-in values]
    #[arg(long, value_name = "FILE", env = "JAVELIN_CONFIG")]
    config: Option<PathBuf>,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// A label of that namespace; may be repeated. Namespaces in the manifests are read as well
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    namespace_label: Vec<(String, String)>,
    /// diff, patch (JSON Patch, a line for each object), yaml (the objects), json (a record for each)
    #[arg(short, long, value_enum, default_value_t = Output::Diff, hide_possible_values = true)]
    output: Output,
    /// Tell every rule that was looked at, and why it did or did not apply
    #[arg(long)]
    explain: bool,
    /// Exit with 1 when something would change
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Diff,
    Patch,
    Yaml,
    Json,
}

/// One object, and what became of it.
struct Treated {
    document: Document,
    treatment: Treatment,
    caveats: Vec<Caveat>,
    /// Empty unless it was asked for.
    steps: Vec<Step>,
    /// What its pods are measured against, as far as the manifests tell.
    restrictions: Vec<String>,
    trial: Option<Trial>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.explain && !matches!(args.output, Output::Diff | Output::Json) {
        return Err(Hinted {
            message: "--explain goes with the outputs diff and json only".to_owned(),
            hint: "leave -o away, or write -o json".to_owned(),
            source: None,
        }
        .into());
    }
    let config = read_config(args.config.as_ref())?;
    let server = (args.server || !args.from_cluster.is_empty())
        .then(|| Server::connect(args.context.as_deref()))
        .transpose()?;
    let input = Input::open(&args.filename)?;
    let mut live = Vec::new();
    if let Some(server) = &server {
        for reference in &args.from_cluster {
            live.extend(server.read(reference, args.namespace.as_deref())?);
        }
    }
    let mut surroundings = Surroundings::new(args.namespace.clone(), &args.namespace_label);
    input.teach(&mut surroundings)?;
    for document in &live {
        surroundings.learn(&document.value);
    }
    let injector = Injector::new(&config, &surroundings, Action::Inject);

    let mut stdout = anstream::stdout().lock();
    let (mut exit, mut is_first_unseen) = (Exit::Done, true);
    let mut progress = Progress::new();
    for document in input.documents().chain(live.into_iter().map(Ok)) {
        let document = unwrapped(document?);
        progress.step();
        let Some(path) = pod_path(&document) else {
            continue;
        };
        let mut treated = treat(document, path, args.explain, &surroundings, &config)?;
        if args.check && !treated.treatment.patch.is_empty() {
            exit = exit.max(Exit::Found);
        }
        if let Some(server) = server.as_ref().filter(|_| args.server) {
            let namespace = surroundings.namespace_of(&treated.document.value);
            treated.trial = server.try_out(&treated, path, namespace)?;
            if treated.trial.as_ref().is_some_and(Trial::is_refused) {
                exit = exit.max(Exit::Found);
            }
        }
        treated.print(&mut stdout, args.output, &injector, &mut is_first_unseen)?;
    }
    Ok(exit)
}

/// What an AdmissionReview that somebody captured asks about, in its namespace; everything else as it is.
fn unwrapped(mut document: Document) -> Document {
    if document.kind() != "AdmissionReview" {
        return document;
    }
    let Some(mut object) = document
        .value
        .pointer_mut("/request/object")
        .map(Value::take)
    else {
        return document;
    };
    let namespace = document.text(&["request", "namespace"]).map(Value::from);
    if let (Some(namespace), Some(Value::Object(metadata))) =
        (namespace, object.get_mut("metadata"))
    {
        metadata.entry("namespace").or_insert(namespace);
    }
    document.value = object;
    document
}

/// Others have kinds of the same names, and some of them no pod template.
fn pod_path(document: &Document) -> Option<PodPath> {
    PodPath::of_kind(document.kind()).filter(|path| path.of(&document.value).is_some())
}

impl Treated {
    fn print(
        &self,
        out: &mut impl Write,
        output: Output,
        injector: &Injector<'_>,
        is_first_unseen: &mut bool,
    ) -> anyhow::Result<()> {
        let patch = &self.treatment.patch;
        match output {
            Output::Diff => {
                text::tell(self, is_first_unseen);
                text::explanation(out, self)?;
                text::diff(out, self)?;
            }
            Output::Patch => {
                text::tell(self, is_first_unseen);
                writeln!(out, "{}", serde_json::to_string(patch)?)?;
            }
            Output::Yaml => {
                text::tell(self, is_first_unseen);
                // What a manifest says is a little less than what a webhook may do.
                let (written, _) = injector.value(&self.document.value);
                let written = written.as_ref().unwrap_or(&self.document.value);
                writeln!(out, "---\n{}", serde_saphyr::to_string(written)?.trim_end())?;
            }
            Output::Json => {
                writeln!(out, "{}", serde_json::to_string(&record::of(self))?)?;
            }
        }
        Ok(())
    }

    /// The object as it will be.
    fn result(&self) -> &Value {
        let patch = &self.treatment.patch;
        if patch.is_empty() {
            &self.document.value
        } else {
            patch.result()
        }
    }
}

fn treat(
    document: Document,
    path: PodPath,
    explain: bool,
    surroundings: &Surroundings,
    config: &Config,
) -> anyhow::Result<Treated> {
    let place = || format!("{}: {} cannot be read", document.origin, document.title());
    let pod = path.of(&document.value).unwrap_or(&Value::Null);
    let pod = Pod::from_value(pod).with_context(place)?;
    let name = surroundings.namespace_of(&document.value);
    let label = surroundings.inject_label(name);
    let (owners, from_workload) = workload::surroundings(document.kind(), &document.value, &pod);
    let subject = Subject {
        pod: &pod,
        namespace: Namespace {
            name,
            inject: label.map_or(NamespaceLabel::Absent, NamespaceLabel::Value),
        },
        owners,
        from_workload,
        claims: workload::claims(path, &document.value),
    };
    let treatment = Treatment::of(&subject, &document.value, path, config);
    let steps = if explain {
        mutate::explain(&subject, config)
    } else {
        Vec::new()
    };
    let after = path.of(treatment.patch.result()).map(Pod::from_value);
    let caveats = match (&treatment.decision, after) {
        (Decision::Inject(plan), Some(Ok(after))) => {
            let profile = config.profile(&plan.profile);
            let of_nodes =
                profile.and_then(|it| caveats::of_nodes(&pod, it, agent::architecture()));
            let mut caveats = caveats::of(&pod, &after, plan, name, surroundings);
            caveats.extend(of_nodes);
            caveats
        }
        _ => Vec::new(),
    };
    let restrictions = surroundings.restrictions(name).map(str::to_owned);
    Ok(Treated {
        caveats,
        steps,
        restrictions: restrictions.collect(),
        trial: None,
        treatment,
        document,
    })
}

pub(super) fn read_config(file: Option<&PathBuf>) -> anyhow::Result<Config> {
    let Some(file) = file else {
        return Ok(Config::default());
    };
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Config::parse(&text, &file.display().to_string())?)
}

pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "write KEY=VALUE".to_owned())
}

const EXAMPLES: &str = "\
Examples:
  javelin preview -f deployment.yaml
  helm template shop | javelin preview -f - --config javelin.yaml --explain
  javelin preview -f k8s/ -n shop --namespace-label instrumentation.opentelemetry.io/inject-java=true
  javelin preview --from-cluster shop/deployment/orders --server";
