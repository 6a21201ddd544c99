//! No entry of the webhook configuration stays without its caBundle: whoever applies the chart again and by whatever
//! tool, and whatever is written into it by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    process::Child,
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{
    api::Api,
    cases::{INJECT, SOON, SYSTEM, install_with, receipt},
    figures,
    kube::{
        Namespace, Result, checkout, ensure, eventually, get, helm, kubectl, kubectl_start,
        kubectl_with,
    },
    settled::{CALLED, hurry_kubelets, javelin_is_rolled_out},
};

/// What Helm 4 does to its own release, and a replacement, which takes every caBundle away.
pub(crate) fn helm_4() -> Result {
    let mut bench = Bench::new(["t-helm4", "t-helm4-one", "t-helm4-two"])?;
    bench.there_and_back("helm")?;
    let replacement = &["upgrade", "--server-side=false", "--force-replace"];
    bench.run("helm", &[Step::replacing(replacement, ONE)])?;
    bench.is_in_effect("one")?;
    // Back to how it was found.
    let applied = &["upgrade", "--server-side=true"];
    bench.run("helm", &[Step::keeping(applied, NONE)])?;
    bench.report("Helm 4");
    Ok(())
}

/// The same of Helm 3, whose release Helm 4 then takes over, at first as Helm 3 left it.
pub(crate) fn helm_3() -> Result {
    let mut bench = Bench::new(["t-helm3", "t-helm3-one", "t-helm3-two"])?;
    uninstall()?;
    bench.install("helm3")?;
    bench.there_and_back("helm3")?;
    bench.run("helm3", &[Step::replacing(&["upgrade", "--force"], ONE)])?;
    bench.report("Helm 3");
    bench.run(
        "helm",
        &[
            Step::keeping(&["upgrade"], TWO),
            Step::keeping(&["upgrade", "--server-side=true"], ONE),
            Step::keeping(&["upgrade"], NONE),
            Step::keeping(&["rollback"], ONE),
        ],
    )?;
    bench.report("Helm 4 on a release of Helm 3");
    uninstall()?;
    bench.install("helm")
}

/// The rendered chart, as tools that know nothing of Helm's releases apply it. No difference is ever left.
pub(crate) fn rendered() -> Result {
    let mut bench = Bench::new(["t-rendered", "t-rendered-one", "t-rendered-two"])?;
    uninstall()?;
    let (client, server) = (&["apply"], &["apply", "--server-side"]);
    kubectl_with(client, &bench.render(NONE, &[])?)?;
    javelin_is_rolled_out()?;
    bench.watch = Watch::start()?;
    bench.run(
        "kubectl",
        &[
            Step::keeping(client, ONE),
            Step::keeping(client, TWO),
            Step::keeping(client, NONE),
            Step::keeping(server, NONE),
            Step::keeping(server, ONE),
            Step::keeping(server, TWO),
            Step::keeping(server, NONE),
            Step::replacing(&["replace"], TWO),
            Step::keeping(server, TWO),
        ],
    )?;
    kubectl_with(&["diff"], &bench.render(TWO, &[])?)?;
    // Not earlier, and of this object alone: by the server, kubectl also finds what it noted itself on its way there.
    kubectl_with(&["diff", "--server-side"], &bench.render(TWO, WEBHOOK)?)?;
    bench.is_in_effect("two")?;
    bench.report("kubectl");
    kubectl_with(&["delete"], &bench.render(TWO, &[])?)?;
    bench.install("helm")
}

/// Entries of others, and what a managed control plane adds to ours, stay as they are while ours are repaired.
pub(crate) fn strangers() -> Result {
    let values = found_values()?;
    let mut watch = Watch::start()?;
    let before = watch.last.entries();
    let stranger = |name: &str, bundle: Option<String>| {
        json!({
            "name": name,
            "clientConfig": { "service": { "name": "stranger", "namespace": "default" }, "caBundle": bundle },
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"] }],
            "objectSelector": { "matchLabels": { "stranger": "true" } },
            "failurePolicy": "Ignore", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        })
    };
    // As the Admissions Enforcer of AKS does.
    let enforced = json!({ "key": "control-plane", "operator": "DoesNotExist" });
    let terms = (0..before.len()).map(|n| {
        let path = format!("/webhooks/{n}/namespaceSelector/matchExpressions/-");
        json!({ "op": "add", "path": path, "value": enforced })
    });
    let first = stranger("first.example.com", Some(BASE64.encode(cluster_ca()?)));
    let last = stranger("last.example.com", None);
    let edited = patch(terms.chain([
        json!({ "op": "add", "path": "/webhooks/0", "value": first }),
        json!({ "op": "add", "path": "/webhooks/-", "value": last }),
    ]))?;
    // Whoever took them for its own would mend all of them at once.
    let wipe =
        |n| json!({ "op": "remove", "path": format!("/webhooks/{n}/clientConfig/caBundle") });
    patch((1..=before.len()).map(wipe))?;
    let whole = eventually(
        "every caBundle is back, and nothing else has changed",
        REPAIRED,
        || {
            let now = Configuration::read()?;
            ensure!(
                now.0["webhooks"] == edited.0["webhooks"],
                "{}",
                now.0["webhooks"]
            );
            Ok(now)
        },
    )?;
    let bare = |entries: BTreeMap<String, Value>| -> BTreeMap<String, Value> {
        let bare = |(name, mut entry): (String, Value)| {
            if before.contains_key(&name) {
                entry["clientConfig"]["caBundle"].take();
            }
            (name, entry)
        };
        entries.into_iter().map(bare).collect()
    };
    for (_, version) in watch.until(&edited)?.iter().chain(&watch.until(&whole)?) {
        ensure!(
            bare(version.entries()) == bare(edited.entries()),
            "{}",
            version.0
        );
    }

    let last = format!("/webhooks/{}", before.len() + 1);
    patch([&last, "/webhooks/0"].map(|path| json!({ "op": "remove", "path": path })))?;
    // Helm's own entries again: without the option it refuses, since another has changed them.
    let release = ["javelin", "--namespace", SYSTEM, "--force-conflicts"];
    let given = [&chart(), &values_in(&values)];
    helm(
        "helm",
        &[&["upgrade"], &release[..], &given.map(String::as_str)].concat(),
    )?;
    ensure!(Configuration::read()?.entries() == before, "not as it was");
    Ok(())
}

/// Something else in a caBundle, by a mistake or on purpose.
pub(crate) fn overwritten() -> Result {
    let mut watch = Watch::start()?;
    let before = watch.last.0["webhooks"].clone();
    let ours = watch.last.bundle()?;
    let ours = BASE64.decode(ours).map_err(|error| error.to_string())?;
    let authority = cluster_ca()?.into_bytes();
    let key = "-----BEGIN PUBLIC KEY-----\nbm90IGEga2V5\n-----END PUBLIC KEY-----\n";
    let broken =
        "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    let mut longest = Duration::ZERO;
    for (what, bundle) in [
        ("another authority", authority.clone()),
        ("another authority beside ours", [ours, authority].concat()),
        ("a key", key.into()),
        ("no certificate in a certificate's wrapping", broken.into()),
    ] {
        let path = "/webhooks/4/clientConfig/caBundle";
        patch([json!({ "op": "replace", "path": path, "value": BASE64.encode(bundle) })])?;
        let whole = eventually(what, REPAIRED, || {
            let now = Configuration::read()?;
            ensure!(now.0["webhooks"] == before, "still there");
            Ok(now)
        })?;
        let seen = watch.until(&whole)?;
        ensure!(seen.len() > 1, "{what}: it was never there");
        longest = longest.max(longest_gap(&seen));
    }
    figures::add(format!(
        "caBundle overwritten: for {} ms at most",
        longest.as_millis()
    ));
    Ok(())
}

/// One command on the installed chart.
struct Step {
    /// Without the release, the chart and the values.
    arguments: &'static [&'static str],
    /// The values that are in force afterwards, beside those that were found.
    set: &'static [&'static str],
    /// The command puts a new object in the old one's place.
    replaces: bool,
}

/// An installation that is changed again and again, and watched.
struct Bench {
    api: Api,
    values: NamedTempFile,
    watch: Watch,
    /// Labelled `true`, and with the two profiles' names.
    namespaces: [Namespace; 3],
    commands: usize,
    longest: Duration,
    /// From the end of a command to the moment when every entry was called.
    slowest: Duration,
}

/// Every version of the webhook configuration from the start on, and when it was heard of.
struct Watch {
    kubectl: Child,
    versions: Receiver<(Instant, Configuration)>,
    last: Configuration,
}

#[derive(Clone)]
struct Configuration(Value);

const NONE: &[&str] = &[];
const ONE: &[&str] = &["--set=profiles.one.delivery=image-volume"];
const TWO: &[&str] = &["--set=profiles.two.delivery=image-volume"];
/// Changes every entry, and nothing else.
const CHANGED: &[&str] = &["--set=excludedNamespaces={kube-system,t-excluded}"];

// === impl Step

impl Step {
    const fn keeping(arguments: &'static [&'static str], set: &'static [&'static str]) -> Self {
        Self {
            arguments,
            set,
            replaces: false,
        }
    }

    const fn replacing(arguments: &'static [&'static str], set: &'static [&'static str]) -> Self {
        Self {
            arguments,
            set,
            replaces: true,
        }
    }
}

// === impl Bench

impl Bench {
    fn new([on, one, two]: [&'static str; 3]) -> Result<Self> {
        let of = |name, value| Namespace::new(name, &[(INJECT, value)]);
        Ok(Self {
            api: Api::new()?,
            values: found_values()?,
            watch: Watch::start()?,
            namespaces: [of(on, "true")?, of(one, "one")?, of(two, "two")?],
            commands: 0,
            longest: Duration::ZERO,
            slowest: Duration::ZERO,
        })
    }

    /// A profile comes, goes, comes back, gets another name, gets its own back, and goes.
    fn there_and_back(&mut self, program: &str) -> Result {
        let (upgrade, rollback) = (&["upgrade"], &["rollback"]);
        self.run(
            program,
            &[
                Step::keeping(upgrade, CHANGED),
                Step::keeping(upgrade, ONE),
                Step::keeping(upgrade, NONE),
                Step::keeping(rollback, ONE),
                Step::keeping(upgrade, TWO),
            ],
        )?;
        self.is_in_effect("two")?;
        self.run(
            program,
            &[Step::keeping(rollback, ONE), Step::keeping(upgrade, NONE)],
        )
    }

    fn run(&mut self, program: &str, steps: &[Step]) -> Result {
        for step in steps {
            self.step(program, step).map_err(|error| {
                let (arguments, set) = (step.arguments.join(" "), step.set.join(" "));
                format!("{program} {arguments} {set}: {error}")
            })?;
            self.commands += 1;
        }
        Ok(())
    }

    fn step(&mut self, program: &str, step: &Step) -> Result {
        self.command(program, step)?;
        let webhook = self.render(step.set, WEBHOOK)?;
        self.is_mended(step, &webhook)?;
        if program == "kubectl" {
            kubectl_with(&["diff"], &webhook)?;
        }
        self.are_called()
    }

    fn command(&self, program: &str, step: &Step) -> Result {
        let release = ["javelin", "--namespace", SYSTEM];
        match (program, step.arguments) {
            ("kubectl", arguments) => {
                kubectl_with(arguments, &self.render(step.set, &[])?)?;
            }
            (major, arguments @ ["rollback", ..]) => {
                helm(major, &[arguments, &release].concat())?;
            }
            (major, arguments) => {
                let (chart, values) = (chart(), values_in(&self.values));
                let of_all = [&release[..], &[&chart, &values]].concat();
                helm(major, &[arguments, &of_all, step.set].concat())?;
            }
        }
        Ok(())
    }

    /// The entries are those of the chart, and what has lost its caBundle, or has come without one, gets it.
    fn is_mended(&mut self, step: &Step, webhook: &str) -> Result {
        let rendered = Configuration::parse(webhook)?.entries();
        let before = self.watch.last.clone();
        let after = eventually("every entry is right", REPAIRED, || {
            let now = Configuration::read()?;
            let bundle = now.bundle()?;
            // A replaced Secret is an empty one, and gets a new authority.
            ensure!(
                step.replaces || bundle == before.bundle()?,
                "another caBundle"
            );
            let selectors = |entries: &BTreeMap<String, Value>| -> BTreeMap<String, Value> {
                let selector = |(name, entry): (&String, &Value)| {
                    (name.clone(), entry["namespaceSelector"].clone())
                };
                entries.iter().map(selector).collect()
            };
            ensure!(
                selectors(&now.entries()) == selectors(&rendered),
                "{}",
                now.0["webhooks"]
            );
            Ok(now)
        })?;
        let seen = self.watch.until(&after)?;
        self.longest = self.longest.max(longest_gap(&seen));
        let before = before.entries();
        let stayed = rendered.keys().filter(|name| before.contains_key(*name));
        for (name, (_, version)) in
            stayed.flat_map(|name| seen.iter().map(move |seen| (name, seen)))
        {
            let bundle = &version.entries()[name]["clientConfig"]["caBundle"];
            ensure!(
                step.replaces || bundle.is_string(),
                "{name} was without a caBundle"
            );
        }
        Ok(())
    }

    /// Each kind of namespace has an entry by which the API server reaches us.
    fn are_called(&mut self) -> Result {
        let begun = Instant::now();
        eventually("the API server trusts every entry", CALLED, || {
            for (namespace, is_known) in self.namespaces.iter().zip([true, false, false]) {
                let pod = self.created(namespace)?;
                // A replica that has not read the profile yet, or any more, says so.
                let annotations = &pod["metadata"]["annotations"];
                let is_skipped = annotations["javelin.dev/skipped"].is_string() && !is_known;
                ensure!(
                    receipt(&pod).is_some() || is_skipped,
                    "{}: {annotations}",
                    namespace.0
                );
            }
            Ok(())
        })?;
        self.slowest = self.slowest.max(begun.elapsed());
        Ok(())
    }

    /// Pods of the namespace with this profile's name get it.
    fn is_in_effect(&self, profile: &str) -> Result {
        hurry_kubelets()?;
        let [_, one, two] = &self.namespaces;
        let namespace = if profile == "one" { one } else { two };
        eventually("the profile is in effect", SOON, || {
            let pod = self.created(namespace)?;
            let receipt = receipt(&pod).unwrap_or_default();
            let said = format!("\"profile\":\"{profile}\"");
            ensure!(
                receipt.contains(&said),
                "{}",
                pod["metadata"]["annotations"]
            );
            Ok(())
        })
    }

    /// A pod that says nothing itself. It is not kept.
    fn created(&self, namespace: &Namespace) -> Result<Value> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "try-out" },
            "spec": { "containers": [{ "name": "app", "image": "localhost/javelin-pause:1" }] },
        });
        let answers = self.api.dry_run(namespace.0, &[pod])?;
        answers.first().ok_or("no answer")?.admitted().cloned()
    }

    /// With the values that were found.
    fn install(&mut self, major: &str) -> Result {
        install_with(major, &values_in(&self.values))?;
        self.watch = Watch::start()?;
        Ok(())
    }

    fn render(&self, set: &[&str], of_it: &[&str]) -> Result<String> {
        let (chart, values) = (chart(), values_in(&self.values));
        let all = [
            "template",
            "javelin",
            &chart,
            "--namespace",
            SYSTEM,
            &values,
        ];
        helm("helm", &[&all[..], of_it, set].concat())
    }

    /// From here on it counts anew.
    fn report(&mut self, what: &str) {
        figures::add(format!(
            "caBundle after {} commands of {what}: missing somewhere for {} ms at most, every entry called {} ms after \
             the command at most",
            self.commands,
            self.longest.as_millis(),
            self.slowest.as_millis()
        ));
        (self.commands, self.longest, self.slowest) = (0, Duration::ZERO, Duration::ZERO);
    }
}

// === impl Watch

impl Watch {
    /// Begins with the configuration as it is, which is whole.
    fn start() -> Result<Self> {
        let arguments = [
            "get",
            "mutatingwebhookconfiguration",
            "javelin",
            "-o",
            "json",
            "--watch",
        ];
        let mut kubectl = kubectl_start(&arguments)?;
        let output = kubectl.stdout.take().ok_or("kubectl has no output")?;
        let (sender, versions) = mpsc::channel();
        thread::spawn(move || {
            let stream = serde_json::Deserializer::from_reader(output).into_iter();
            for version in stream.map_while(std::result::Result::ok) {
                if sender
                    .send((Instant::now(), Configuration(version)))
                    .is_err()
                {
                    break;
                }
            }
        });
        let mut watch = Self {
            kubectl,
            versions,
            last: Configuration(Value::Null),
        };
        let whole = Configuration::read()?;
        whole.bundle()?;
        watch.until(&whole)?;
        Ok(watch)
    }

    /// All versions since the last call, up to this one.
    fn until(&mut self, end: &Configuration) -> Result<Vec<(Instant, Configuration)>> {
        let mut seen = Vec::new();
        while self.last.version() < end.version() {
            let version = self
                .versions
                .recv_timeout(SOON)
                .map_err(|error| error.to_string())?;
            self.last = version.1.clone();
            seen.push(version);
        }
        Ok(seen)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

// === impl Configuration

impl Configuration {
    fn read() -> Result<Self> {
        get(&["mutatingwebhookconfiguration", "javelin"]).map(Self)
    }

    fn parse(yaml: &str) -> Result<Self> {
        serde_saphyr::from_str(yaml)
            .map(Self)
            .map_err(|error| error.to_string())
    }

    fn version(&self) -> Option<u64> {
        self.0["metadata"]["resourceVersion"].as_str()?.parse().ok()
    }

    /// By name.
    fn entries(&self) -> BTreeMap<String, Value> {
        let entries = self.0["webhooks"].as_array().into_iter().flatten();
        let named = |entry: &Value| Some((entry["name"].as_str()?.to_owned(), entry.clone()));
        entries.filter_map(named).collect()
    }

    /// The one that all entries have.
    fn bundle(&self) -> Result<String> {
        let entries = self.entries();
        let bundles = entries
            .values()
            .map(|entry| &entry["clientConfig"]["caBundle"]);
        let bundles: BTreeSet<_> = bundles
            .map(|bundle| bundle.as_str().unwrap_or_default())
            .collect();
        let [bundle] = bundles.iter().collect::<Vec<_>>()[..] else {
            return Err(format!("{} different caBundles", bundles.len()));
        };
        ensure!(!bundle.is_empty(), "no caBundle");
        Ok((*bundle).to_owned())
    }
}

// === Helpers

/// Between the first version in which an entry has no caBundle, or another one than the rest, and the next whole one.
fn longest_gap(seen: &[(Instant, Configuration)]) -> Duration {
    let (mut longest, mut since) = (Duration::ZERO, None);
    for (at, version) in seen {
        if version.bundle().is_err() {
            since.get_or_insert(*at);
        } else if let Some(since) = since.take() {
            longest = longest.max(*at - since);
        }
    }
    longest
}

/// What has become of it right then.
fn patch(changes: impl IntoIterator<Item = Value>) -> Result<Configuration> {
    let changes = Value::from_iter(changes).to_string();
    let how = ["--type=json", "-o", "json", "-p", &changes];
    let object = ["patch", "mutatingwebhookconfiguration", "javelin"];
    let patched = kubectl(&[&object[..], &how].concat())?;
    serde_json::from_str(&patched)
        .map(Configuration)
        .map_err(|error| error.to_string())
}

fn uninstall() -> Result {
    let release = ["javelin", "--namespace", SYSTEM];
    helm(
        "helm",
        &[&["uninstall"], &release[..], &["--wait"]].concat(),
    )?;
    Ok(())
}

/// What the user gave to the release, as a file.
pub(crate) fn found_values() -> Result<NamedTempFile> {
    let values = helm(
        "helm",
        &[
            "get",
            "values",
            "javelin",
            "--namespace",
            SYSTEM,
            "-o",
            "json",
        ],
    )?;
    let mut file = NamedTempFile::new().map_err(|error| error.to_string())?;
    file.write_all(values.as_bytes())
        .map_err(|error| error.to_string())?;
    Ok(file)
}

pub(crate) fn values_in(file: &NamedTempFile) -> String {
    format!("--values={}", file.path().display())
}

/// A valid authority that is not ours.
pub(crate) fn cluster_ca() -> Result<String> {
    let published = get(&["configmap", "kube-root-ca.crt", "-n", "default"])?;
    let certificate = published["data"]["ca.crt"].as_str();
    certificate
        .map(str::to_owned)
        .ok_or_else(|| published.to_string())
}

pub(crate) fn chart() -> String {
    checkout("deploy/chart").display().to_string()
}

const WEBHOOK: &[&str] = &["--show-only=templates/webhook.yaml"];

/// Within a second, however often; more on a busy machine, or where another replica came first. How fast it is is measured
/// in `rotation`.
const REPAIRED: Duration = Duration::from_secs(30);
