//! `javelin preview`: the engine over manifests, or over an object in the cluster. What it shows is what the cluster
//! gets.
//!
//! Deliberately not here: the decisions ([`mutate`](javelin_core::mutate)), what other manifests tell
//! ([`lints`](crate::offline::lints)), and changed manifests to keep: that is `javelin inject`.

use std::{fs, io::Write, iter, path::PathBuf};

use anyhow::Context as _;
use javelin_core::{
    config::Config,
    guard,
    kinds::{self, Kind},
    mutate::{self, Decision, Reason, Source, Step, pod::Pod},
    patch::{Mutation, PodPath},
    workload::{self, Workload},
};
use serde_json::Value;

use self::server::{Acceptance, Server};
use super::{
    Exit, Hinted,
    manifest::{Document, Input},
    note,
    progress::ProgressLine,
};
use crate::agent;
use crate::api::reference::Reference;
use crate::offline::inject::{Injector, Operation, What};
use crate::offline::inputs::Inputs;
use crate::offline::lints::{self, Lint};

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
    /// Have the API server try each pod with the agent (a dry run), and report what refuses it
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
    /// Show every rule that was evaluated, and why it did or did not apply
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
struct Mutated {
    document: Document,
    mutation: Mutation,
    lints: Vec<Lint>,
    /// Empty unless it was asked for.
    steps: Vec<Step>,
    /// What its pods are measured against, as far as the manifests tell.
    restrictions: Vec<String>,
    dry_run: Option<Acceptance>,
    /// Why its label counts as `false`, where nothing else keeps the agent away.
    guarded: Option<String>,
    /// Why `javelin inject` leaves it as it is, if the webhook does not.
    not_by_inject: Option<String>,
    /// Is it the first pod of its object?
    is_first: bool,
}

/// Why a pod stays as it is.
struct Skip {
    code: &'static str,
    why: String,
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
    let mut inputs = Inputs::new(args.namespace.clone(), &args.namespace_label);
    input.teach(&mut inputs)?;
    for document in &live {
        inputs.learn(&document.value);
    }
    let injector = Injector::new(&config, &inputs, Operation::Inject);

    let mut stdout = anstream::stdout().lock();
    let (mut exit, mut is_first_unseen) = (Exit::Done, true);
    let mut progress = ProgressLine::new();
    for document in input.documents().chain(live.into_iter().map(Ok)) {
        progress.step();
        let Some(document) = unwrapped(document?, &config)? else {
            continue;
        };
        let places = kinds::pods(&document.value);
        if places.is_empty() {
            tell_passed_over(&document, &injector);
        }
        let copies = iter::repeat_n(document, places.len());
        for (index, (path, document)) in places.into_iter().zip(copies).enumerate() {
            let mut mutated = mutate(document, path, args.explain, &inputs, &config)?;
            let Mutated {
                document, mutation, ..
            } = &mutated;
            mutated.not_by_inject = injector.obstacle(&document.value, path, mutation);
            mutated.is_first = index == 0;
            if args.check && !mutated.mutation.patch.is_empty() {
                exit = exit.max(Exit::Found);
            }
            if let Some(server) = server.as_ref().filter(|_| args.server) {
                let namespace = inputs.namespace_of(&mutated.document.value);
                mutated.dry_run = server.try_out(&mutated, path, namespace)?;
                if mutated.dry_run.as_ref().is_some_and(Acceptance::is_refused) {
                    exit = exit.max(Exit::Found);
                }
            }
            mutated.print(&mut stdout, args.output, &injector, &mut is_first_unseen)?;
        }
    }
    Ok(exit)
}

/// Says why nothing is done about the pods of an object, if it asks for something.
fn tell_passed_over(document: &Document, injector: &Injector<'_>) {
    for report in injector.value(&document.value).1 {
        if let What::Left { code, why } = report.what {
            note(&format!("{}: skipped: {code}: {why}", document.title()));
        }
    }
}

/// What an AdmissionReview that somebody captured asks about, in its namespace, after what the webhook does to a label;
/// everything else as it is. `None` where the webhook leaves the object alone on that operation, which is told.
fn unwrapped(mut document: Document, config: &Config) -> anyhow::Result<Option<Document>> {
    if document.kind() != "AdmissionReview" {
        return Ok(Some(document));
    }
    let operation = document.text(&["request", "operation"]).map(str::to_owned);
    let operation = operation.unwrap_or_else(|| "CREATE".to_owned());
    let namespace = document.text(&["request", "namespace"]).map(str::to_owned);
    let object = document.value.pointer_mut("/request/object");
    let Some(mut object) = object.map(Value::take).filter(Value::is_object) else {
        return Ok(Some(document));
    };
    if let (Some(namespace), Some(Value::Object(metadata))) =
        (&namespace, object.get_mut("metadata"))
    {
        metadata
            .entry("namespace")
            .or_insert_with(|| namespace.as_str().into());
    }
    document.value = object;
    let place = format!("{} ({})", document.title(), document.origin);
    let kind = Kind::of(&document.value).filter(|kind| kind.is_label_copied_on(&operation));
    if kind.is_none() && operation != "CREATE" {
        let (title, kind) = (document.title(), document.kind());
        note(&format!(
            "{title}: skipped: not-selected: the webhook changes nothing on {operation} of a {kind}"
        ));
        return Ok(None);
    }
    if let Some(kind) = kind {
        let workload =
            Workload::from_value(kind, &document.value).with_context(|| place.clone())?;
        let namespace = namespace.as_deref();
        // What was there before the update changes what a person is told, no more.
        let labelling =
            workload::apply_label_rule(&workload, &document.value, None, namespace, config)
                .context(place)?;
        if !labelling.patch.is_empty() {
            let (title, change) = (document.title(), labelling.change.code());
            note(&format!(
                "{title}: {change}: the webhook changes its label in the pod template"
            ));
            document.value = labelling.patch.result().clone();
        }
    }
    Ok(Some(document))
}

impl Mutated {
    /// Why it stays as it is, if it does.
    fn skip(&self) -> Option<Skip> {
        let Decision::Skip(reason) = &self.mutation.decision else {
            return None;
        };
        if let Some(why) = self.guarded.clone() {
            return Some(Skip {
                code: guard::CODE,
                why,
            });
        }
        let not_copied = kinds::label_not_copied(&self.document.value);
        Some(
            match not_copied.filter(|_| *reason == Reason::NotSelected) {
                Some(why) => Skip {
                    code: kinds::NOT_COPIED,
                    why,
                },
                None => Skip {
                    code: reason.code(),
                    why: reason.to_string(),
                },
            },
        )
    }

    fn print(
        &self,
        out: &mut impl Write,
        output: Output,
        injector: &Injector<'_>,
        is_first_unseen: &mut bool,
    ) -> anyhow::Result<()> {
        let patch = &self.mutation.patch;
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
                if !self.is_first {
                    return Ok(());
                }
                // What a manifest says is a little less than what a webhook may do.
                let (written, _) = injector.value(&self.document.value);
                let written = written.as_ref().unwrap_or(&self.document.value);
                writeln!(out, "---\n{}", serde_saphyr::to_string(written)?.trim_end())?;
            }
            Output::Json => {
                writeln!(out, "{}", serde_json::to_string(&record::json(self))?)?;
            }
        }
        Ok(())
    }

    /// The object as it will be.
    fn result(&self) -> &Value {
        let patch = &self.mutation.patch;
        if patch.is_empty() {
            &self.document.value
        } else {
            patch.result()
        }
    }
}

fn mutate(
    document: Document,
    path: PodPath,
    explain: bool,
    inputs: &Inputs,
    config: &Config,
) -> anyhow::Result<Mutated> {
    let place = || format!("{}: {} cannot be read", document.origin, document.title());
    let pod = path.of(&document.value).unwrap_or(&Value::Null);
    let pod = Pod::from_value(pod).with_context(place)?;
    let namespace = inputs.namespace_around(&document.value);
    let name = namespace.name;
    let subject = workload::subject_in(&document.value, path, &pod, namespace);
    let mutation = Mutation::of(&subject, &document.value, path, config);
    let steps = if explain {
        mutate::explain(&subject, config)
    } else {
        Vec::new()
    };
    let after = path.of(mutation.patch.result()).map(Pod::from_value);
    let lints = match (&mutation.decision, after) {
        (Decision::Inject(plan), Some(Ok(after))) => {
            let profile = config.profile(&plan.profile);
            let of_nodes = profile.and_then(|it| lints::of_nodes(&pod, it, agent::architecture()));
            let mut lints = lints::find(&pod, &after, plan, name, inputs);
            lints.extend(of_nodes);
            lints
        }
        _ => Vec::new(),
    };
    let restrictions = inputs.restrictions(name).map(str::to_owned);
    let guarded = match &mutation.decision {
        Decision::Skip(Reason::OptedOut(Source::Workload)) => {
            guard::sentence(&document.value, name)
        }
        _ => None,
    };
    Ok(Mutated {
        guarded,
        lints,
        steps,
        restrictions: restrictions.collect(),
        dry_run: None,
        not_by_inject: None,
        is_first: true,
        mutation,
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
