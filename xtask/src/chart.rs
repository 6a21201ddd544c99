//! The chart: what both majors of Helm render of it, what it refuses, what promtool says of its alerts, and whether its dashboard
//! can be drawn.
//!
//! `tests/chart` has what is expected: `rendered.yaml` and `refused.yaml` for values, `alerts.test.yaml` for alerts. The values
//! files of `deploy/chart/ci` and of `deploy/stack` are rendered, too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use testbed::paths::Paths;
use testbed::process::{create_folder, output, read, write};
use testbed::promql;
use testbed::toolchain::{self, Tool, Toolchain};

use crate::test::{program_of_tests, succeed};

mod dashboard;

/// Everything.
pub(crate) fn test(paths: &Paths) -> Result<()> {
    let tools = toolchain::ensure(paths, &[Tool::Helm4, Tool::Helm3, Tool::Promtool])?;
    let work = paths.cache().join("chart");
    let _ = fs::remove_dir_all(&work);
    create_folder(&work)?;
    let bench = Bench {
        paths,
        tools,
        program: program_of_tests(paths)?,
        work,
        files: AtomicUsize::new(0),
    };
    for helm in MAJORS {
        bench.is_stable(helm)?;
        bench.has_a_parent(helm)?;
    }
    let mut configurations = bench.platforms()?;
    configurations.extend(bench.rendered()?);
    let refused = bench.refused()?;
    bench.configurations_agree(&configurations, &refused)?;
    bench.ports()?;
    bench.a_cluster_name_by_hand_wins()?;
    bench.nulls_are_sentences()?;
    bench.notes()?;
    bench.alerts()?;
    bench.dashboard()
}

/// What the checks share.
struct Bench<'a> {
    paths: &'a Paths,
    tools: Toolchain,
    /// `javelin`.
    program: PathBuf,
    /// For files.
    work: PathBuf,
    /// So that each gets a name of its own.
    files: AtomicUsize,
}

/// Values, and what comes of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rendered {
    name: String,
    /// Of `helm template`.
    #[serde(default)]
    arguments: Vec<String>,
    values: Value,
    #[serde(default)]
    renders: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
}

/// Values that are refused, and a part of what is said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    values: Value,
    says: String,
}

impl Bench<'_> {
    fn chart(&self) -> String {
        self.paths.root().join(CHART).display().to_string()
    }

    fn helm(&self, helm: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.tools.program(helm));
        // The Kubernetes that Helm was built for may be older than the chart allows.
        command
            .args(arguments)
            .arg("--kube-version=1.37.2")
            .current_dir(self.paths.root());
        command
    }

    fn render(&self, helm: &str, arguments: &[&str]) -> Result<String> {
        let chart = self.chart();
        let release = ["template", "javelin", &chart, "--namespace=ns"];
        output(self.helm(helm, &release).args(arguments))
    }

    /// With values, which are written to a file: so they keep their types.
    fn render_values(&self, helm: &str, values: &Value, arguments: &[String]) -> Result<String> {
        let file = self.file("values.json", values.to_string())?;
        let values = format!("--values={}", file.display());
        let arguments = arguments.iter().map(String::as_str);
        let all: Vec<_> = [values.as_str()].into_iter().chain(arguments).collect();
        self.render(helm, &all)
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<PathBuf> {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let file = self.work.join(format!("{number}-{name}"));
        write(&file, contents)?;
        Ok(file)
    }

    fn yaml<T: serde::de::DeserializeOwned>(&self, file: &str) -> Result<T> {
        let file = self.paths.root().join(file);
        let text = String::from_utf8(read(&file)?)?;
        serde_saphyr::from_str(&text).with_context(|| file.display().to_string())
    }

    /// Lint, the same bytes from two renders, and what has been so from the start.
    fn is_stable(&self, helm: &str) -> Result<()> {
        succeed(&mut self.helm(helm, &["lint", "--strict", &self.chart()]))?;
        let profile = ["--set=profiles.checkout.delivery=init-container"];
        let first = self.render(helm, &profile)?;
        ensure!(
            first == self.render(helm, &profile)?,
            "two renders of the chart differ"
        );
        ensure!(
            !first.contains("caBundle:"),
            "the chart mentions caBundle, which is the server's to write"
        );
        let agent = ["--set=profiles.checkout.agent.image=example.com/agent:2"];
        self.images(&self.render(helm, &agent)?)?;
        check_existing_secret(&self.render(helm, &[SECRET, BUNDLE_VALUE])?)?;
        check_cert_manager(&self.render(helm, &[WITH_CERT_MANAGER, ISSUER])?)
    }

    /// `javelin images` lists what the chart names, and nothing else.
    fn images(&self, rendered: &str) -> Result<()> {
        let lines = rendered
            .lines()
            .map(|line| line.trim().trim_start_matches("- "));
        let images = lines.filter_map(|line| line.strip_prefix("image: "));
        let named: BTreeSet<_> = images.map(|image| image.trim_matches('"')).collect();
        ensure!(named.len() == 2, "the chart names {named:?}");
        let file = self.file("rendered.yaml", rendered)?;
        let listed = output(self.javelin(&["images", "-f"]).arg(&file))?;
        let listed: BTreeSet<_> = listed.lines().collect();
        ensure!(
            listed == named,
            "the chart uses {named:?}, and `javelin images` lists {listed:?}"
        );
        Ok(())
    }

    fn javelin(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        command
    }

    /// As the dependency of another chart, which turns it on and off, and shares its mirror.
    fn has_a_parent(&self, helm: &str) -> Result<()> {
        let parent = self.work.join(format!("parent-{helm}"));
        create_folder(&parent.join("charts"))?;
        let root = self.paths.root();
        let copy = parent.join("charts/javelin");
        output(Command::new("cp").arg("-r").arg(root.join(CHART)).arg(copy))?;
        write(&parent.join("Chart.yaml"), PARENT)?;
        let parent = parent.display().to_string();
        let with =
            |set: &str| output(&mut self.helm(helm, &["template", "p", &parent, "--set", set]));
        let on = with("javelin.enabled=true,global.imageRegistry=mirror.example.com")?;
        ensure!(
            on.contains("image: \"mirror.example.com/javelin:"),
            "{helm}: the parent's mirror is not in the rendering"
        );
        let off = with("javelin.enabled=false")?;
        ensure!(
            !off.contains("kind:"),
            "{helm}: the parent's condition is not honoured:\n{off}"
        );
        Ok(())
    }

    /// The values files of `ci`, each by both. Their configurations.
    fn platforms(&self) -> Result<Vec<String>> {
        let folder = self.paths.root().join(CHART).join("ci");
        let mut files = fs::read_dir(&folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        files.sort();
        ensure!(files.len() >= 7, "{} has {files:?}", folder.display());
        let mut values: Vec<_> = files.into_iter().map(|file| vec![file]).collect();
        let stack = self.paths.root().join("deploy/stack");
        values.extend(["example", "sidecar-example"].map(|cluster| {
            let overlay = stack.join("clusters").join(cluster);
            vec![
                stack.join("values/javelin.yaml"),
                overlay.join("javelin.yaml"),
            ]
        }));
        in_parallel(&values, |files| {
            let values = files
                .iter()
                .map(|file| format!("--values={}", file.display()));
            let values: Vec<_> = values.collect();
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            let chart = self.chart();
            let lint = [&["lint", "--strict", chart.as_str()], &values[..]].concat();
            output(&mut self.helm("helm", &lint))?;
            self.render("helm3", &values)?;
            configuration(&self.render("helm", &values)?)
        })
    }

    /// `javelin ports` finds the port that the pods listen on, whatever the values; and the transcripts' short manifest stands
    /// for a whole rendering.
    fn ports(&self) -> Result<()> {
        let folder = self.paths.root().join(CHART).join("ci");
        for entry in fs::read_dir(&folder)? {
            let values = format!("--values={}", entry?.path().display());
            let rendered = self.render("helm", &[&values])?;
            let listens = rendered
                .lines()
                .find_map(|line| line.trim().strip_prefix("containerPort: "))
                .context("no containerPort")?;
            let file = self.file("rendered.yaml", &rendered)?;
            let found = output(self.javelin(&["ports", "-o", "json", "-f"]).arg(&file))?;
            let found: Value = serde_json::from_str(&found)?;
            let port = found.pointer("/ports/0/port").map(Value::to_string);
            ensure!(
                port.as_deref() == Some(listens),
                "{values}: the webhook listens on {listens}, and `javelin ports` says {port:?}"
            );
        }
        let values = self.paths.root().join("deploy/stack/values/javelin.yaml");
        let whole = output(
            self.helm("helm", &["template", "javelin", &self.chart()])
                .args([
                    "--namespace=javelin-system",
                    "--set=image.registry=registry.example.com",
                    &format!("--values={}", values.display()),
                ]),
        )?;
        let whole = self.file("rendered.yaml", whole)?;
        let short = self.paths.root().join("tests/cmd/ports/javelin.yaml");
        let said = |file: &Path| output(self.javelin(&["ports", "-o", "json", "-f"]).arg(file));
        let (whole, short) = (said(&whole)?, said(&short)?);
        ensure!(
            whole == short,
            "`javelin ports` says of tests/cmd/ports/javelin.yaml\n{short}\nand of the whole rendering\n{whole}"
        );
        Ok(())
    }

    /// One that a profile's attributes have says more than we know.
    fn a_cluster_name_by_hand_wins(&self) -> Result<()> {
        let by_hand = r"--set=default.resourceAttributes.k8s\.cluster\.name=own";
        for helm in MAJORS {
            let both = self.render(helm, &[by_hand, "--set=clusterName=seoul-1"])?;
            ensure!(
                both == self.render(helm, &[by_hand])?,
                "clusterName changes an attribute that is set by hand"
            );
        }
        Ok(())
    }

    /// What values do, whether each does anything, and whether all are tried. The configurations that came out.
    fn rendered(&self) -> Result<Vec<String>> {
        let cases: Vec<Rendered> = self.yaml("tests/chart/rendered.yaml")?;
        let configurations = in_parallel(&cases, |case| {
            let of_case = || format!("tests/chart/rendered.yaml: {}", case.name);
            for helm in MAJORS {
                let rendered = self
                    .render_values(helm, &case.values, &case.arguments)
                    .with_context(of_case)?;
                case.check(&rendered)
                    .with_context(|| format!("{}, by {helm}", of_case()))?;
            }
            let whole = self.render_values("helm", &case.values, &case.arguments)?;
            names_of_entries(&whole).with_context(of_case)?;
            for leaf in leaves(&case.values) {
                let rest = without(&case.values, &leaf);
                // What remains may not go together; then the value did something, too.
                let rest = self.render_values("helm", &rest, &case.arguments).ok();
                ensure!(
                    rest.as_ref() != Some(&whole),
                    "{}: {} changes nothing",
                    of_case(),
                    leaf.join(".")
                );
            }
            configuration(&whole)
        })?;
        let tried: Vec<_> = cases.iter().flat_map(|case| leaves(&case.values)).collect();
        let values: Value = self.yaml("deploy/chart/values.yaml")?;
        for mut leaf in leaves(&values) {
            // What an alert has is tried with some of them.
            leaf.truncate(4);
            ensure!(
                tried.iter().any(|each| each.starts_with(&leaf)),
                "tests/chart/rendered.yaml: no case has {}, so nobody knows whether it is read",
                leaf.join(".")
            );
        }
        Ok(configurations)
    }

    /// What is refused, with which words. Those of them that are configurations.
    fn refused(&self) -> Result<Vec<Value>> {
        let cases: Vec<Refused> = self.yaml("tests/chart/refused.yaml")?;
        in_parallel(&cases, |Refused { values, says }| {
            let Err(error) = self.render_values("helm", values, &[]) else {
                bail!("tests/chart/refused.yaml: the chart takes {values}");
            };
            let said = format!("{error:#}");
            ensure!(
                said.contains(says),
                "tests/chart/refused.yaml: of {values} it says nothing of {says:?}, but:\n{said}"
            );
            Ok(())
        })?;
        let values = cases.into_iter().map(|case| case.values);
        Ok(values.filter(is_configuration).collect())
    }

    /// `javelin config check` takes what the chart has rendered, and refuses what the chart refuses.
    fn configurations_agree(&self, good: &[String], bad: &[Value]) -> Result<()> {
        let write = |text: &str| self.file("config.yaml", text);
        let good: Vec<_> = good.iter().map(|text| write(text)).collect::<Result<_>>()?;
        let bad: Vec<_> = bad
            .iter()
            .map(|value| write(&value.to_string()))
            .collect::<Result<_>>()?;
        let mut check = self.javelin(&["config", "check"]);
        check.args(&good).args(&bad);
        let said = check
            .output()
            .context("`javelin config check` did not start")?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let is_good = |file: &Path| said.contains(&format!("{}: good", file.display()));
        for (files, expected) in [(&good, true), (&bad, false)] {
            if let Some(file) = files.iter().find(|file| is_good(file) != expected) {
                bail!(
                    "`javelin config check` and the chart are not of one mind about {}:\n{}",
                    file.display(),
                    String::from_utf8_lossy(&read(file)?)
                );
            }
        }
        Ok(())
    }

    /// Helm's way to take a default away: the chart does without, or says in a sentence that it cannot.
    fn nulls_are_sentences(&self) -> Result<()> {
        let values: Value = self.yaml("deploy/chart/values.yaml")?;
        let everything_on = json!({
            "metrics": { "service": { "enabled": true }, "serviceMonitor": { "enabled": true },
                "podMonitor": { "enabled": true }, "dashboard": { "enabled": true }, "prometheusRule": { "enabled": true } },
            "networkPolicy": { "enabled": true, "egress": { "enabled": true } },
            "autoscaling": { "enabled": true, "targetMemoryUtilizationPercentage": 80 },
        });
        let mut places = BTreeSet::new();
        for leaf in leaves(&values) {
            places.extend(
                (1..=leaf.len()).filter_map(|length| leaf.get(..length).map(<[_]>::to_vec)),
            );
        }
        let places: Vec<_> = places.into_iter().collect();
        in_parallel(&places, |place| {
            let name = place.join(".");
            let rendered =
                self.render_values("helm", &with(&everything_on, place, Value::Null), &[]);
            let (text, is_sentence) = match rendered {
                Ok(text) => (text, true),
                Err(error) => {
                    let text = format!("{error:#}");
                    let says = text.contains(": not set") || text.contains(&format!("{name}:"));
                    (text, says)
                }
            };
            let is_clean = [
                "<nil>",
                "<no value>",
                "nil pointer",
                "invalid memory",
                "wrong type",
            ]
            .iter()
            .all(|word| !text.contains(word));
            ensure!(is_sentence && is_clean, "{name}: null gives\n{text}");
            Ok(())
        })?;
        Ok(())
    }

    /// What Helm says after an install: the port, and the next command.
    fn notes(&self) -> Result<()> {
        for (set, sentences) in NOTES {
            let mut command = Command::new(self.tools.program("helm"));
            command
                .args(["install", "javelin", &self.chart(), "--namespace=ns"])
                .args(["--dry-run=client", "--set", set])
                .current_dir(self.paths.root());
            let said = output(&mut command)?;
            let notes = said.split_once("\nNOTES:\n").map_or("", |(_, notes)| notes);
            for sentence in *sentences {
                ensure!(
                    notes.contains(sentence),
                    "{set}: {sentence:?} is not in\n{notes}"
                );
            }
        }
        Ok(())
    }

    /// Each alert, by promtool; and whether each has its page.
    fn alerts(&self) -> Result<()> {
        let folder = self.work.join("alerts");
        create_folder(&folder)?;
        let rendered = output(&mut self.helm(
            "helm",
            &[
                "template",
                "javelin",
                &self.chart(),
                "--namespace=javelin-system",
                "--set=metrics.prometheusRule.enabled=true",
                "--show-only=templates/prometheusrule.yaml",
            ],
        ))?;
        let rule: Value = serde_saphyr::from_str(&rendered).context("the PrometheusRule")?;
        let groups = rule.get("spec").context("the PrometheusRule has no spec")?;
        // JSON is YAML.
        write(&folder.join("rules.yaml"), groups.to_string())?;
        let tests = "alerts.test.yaml";
        fs::copy(
            self.paths.root().join("tests/chart").join(tests),
            folder.join(tests),
        )?;
        let promtool = |arguments: &[&str]| {
            let mut command = Command::new(self.tools.program("promtool"));
            command.args(arguments).current_dir(&folder);
            output(&mut command)
        };
        promtool(&["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"])?;
        promtool(&["test", "rules", tests])?;

        let tested = String::from_utf8(read(&folder.join(tests))?)?;
        let index = self.paths.root().join("docs/runbooks");
        let listed = String::from_utf8(read(&index.join("README.md"))?)?;
        let names = rule
            .pointer("/spec/groups/0/rules")
            .and_then(Value::as_array);
        let names: Vec<_> = names
            .into_iter()
            .flatten()
            .filter_map(|rule| rule.get("alert")?.as_str())
            .collect();
        ensure!(names.len() >= 14, "only {names:?}");
        for name in names {
            ensure!(tested.contains(name), "{tests} has no test of {name}");
            let page = index.join(format!("{name}.md"));
            let page = String::from_utf8(read(&page)?)?;
            for heading in ["## Meaning", "## Check", "## Fix"] {
                ensure!(page.contains(heading), "{name}.md has no {heading}");
            }
            ensure!(
                listed.contains(&format!("({name}.md)")),
                "docs/runbooks/README.md does not list {name}"
            );
        }
        Ok(())
    }

    /// Layout and queries of the dashboard.
    fn dashboard(&self) -> Result<()> {
        let file = self.paths.root().join(CHART).join("files/dashboard.json");
        let dashboard: Value = serde_json::from_slice(&read(&file)?)?;
        let queries = dashboard::check(&dashboard)?;
        // A parser is what promtool has for rules.
        let rules: Vec<_> = queries
            .iter()
            .enumerate()
            .map(|(at, query)| json!({ "record": format!("query:{at}"), "expr": promql::with_values(query) }))
            .collect();
        let rules = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
        let rules = self.file("dashboard.yaml", rules.to_string())?;
        let mut promtool = Command::new(self.tools.program("promtool"));
        output(promtool.args(["check", "rules"]).arg(&rules)).map(drop)
    }
}

impl Rendered {
    fn check(&self, rendered: &str) -> Result<()> {
        let lines = rendered.lines().map(str::trim);
        let lines = lines.filter(|line| !line.starts_with('#'));
        let text = format!("\n{}\n", lines.collect::<Vec<_>>().join("\n"));
        for part in &self.renders {
            ensure!(text.contains(part), "{part:?} is missing");
        }
        for part in &self.lacks {
            ensure!(!text.contains(part), "{part:?} is there");
        }
        Ok(())
    }
}

/// API servers take a DNS subdomain with three labels at least; and no label of one may have more than 63 characters.
fn names_of_entries(rendered: &str) -> Result<()> {
    let mut names = BTreeSet::new();
    for document in rendered.split("\n---\n") {
        let object: Value = serde_saphyr::from_str(document)?;
        let entries = object.get("webhooks").and_then(Value::as_array);
        for entry in entries.into_iter().flatten() {
            let name = entry.get("name").and_then(Value::as_str);
            let name = name.context("an entry without a name")?;
            let is_sound = |label: &str| {
                let is_of_dns = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                (1..=63).contains(&label.len())
                    && label.chars().all(is_of_dns)
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            };
            ensure!(
                name.len() <= 253 && count(name, ".") >= 2 && name.split('.').all(is_sound),
                "{name} cannot be the name of an entry"
            );
            ensure!(names.insert(name.to_owned()), "two entries {name}");
        }
    }
    ensure!(names.len() > 5, "only {names:?}");
    Ok(())
}

/// A caBundle in each entry, and nothing that asks the API server for anything.
fn check_existing_secret(rendered: &str) -> Result<()> {
    check_files(rendered, "secretName: \"corporate\"")?;
    let bundle = format!("clientConfig:\n      caBundle: {BUNDLE}\n");
    let (entries, bundles) = (count(rendered, "clientConfig:"), count(rendered, &bundle));
    ensure!(
        entries > 5 && entries == bundles,
        "of {entries} entries {bundles} have the caBundle"
    );
    ensure!(
        !rendered.contains("cert-manager"),
        "cert-manager has no part in this"
    );
    Ok(())
}

/// A Certificate into the Secret that is mounted, for the Service's name, and cert-manager to write the caBundle.
fn check_cert_manager(rendered: &str) -> Result<()> {
    check_files(rendered, "secretName: \"javelin-tls\"")?;
    for expected in [
        "kind: Certificate\n",
        "secretName: javelin-tls\n",
        "    - javelin.ns.svc\n",
        "cert-manager.io/inject-ca-from: ns/javelin\n",
    ] {
        ensure!(
            rendered.contains(expected),
            "{expected:?} is missing with cert-manager"
        );
    }
    ensure!(
        !rendered.contains("caBundle:"),
        "the caBundle is cert-manager's to write"
    );
    Ok(())
}

fn check_files(rendered: &str, mount: &str) -> Result<()> {
    for expected in [
        mount,
        "--tls-cert=/etc/javelin-tls/tls.crt\n",
        "--tls-key=/etc/javelin-tls/tls.key\n",
        "automountServiceAccountToken: false\n",
        "javelin.dev/ca-bundle: external\n",
    ] {
        ensure!(rendered.contains(expected), "{expected:?} is missing");
    }
    for useless in [
        "kind: Secret\n",
        "kind: Role",
        "kind: ClusterRole",
        "--secret=",
    ] {
        ensure!(!rendered.contains(useless), "{useless:?} is of no use");
    }
    Ok(())
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// The file that the ConfigMap holds.
fn configuration(rendered: &str) -> Result<String> {
    let (_, text) = rendered
        .split_once("\n  config.yaml: |\n")
        .context("no configuration is rendered")?;
    let lines = text.lines().map_while(|line| line.strip_prefix("    "));
    Ok(lines.collect::<Vec<_>>().join("\n") + "\n")
}

/// Are these keys of the configuration alone?
fn is_configuration(values: &Value) -> bool {
    let keys = [
        "excludedNamespaces",
        "annotations",
        "sidecars",
        "default",
        "profiles",
    ];
    let values = values.as_object();
    values.is_some_and(|values| values.keys().all(|key| keys.contains(&key.as_str())))
}

/// The places of everything in it that is no map, or an empty one.
fn leaves(values: &Value) -> Vec<Vec<String>> {
    let Some(map) = values.as_object().filter(|map| !map.is_empty()) else {
        return vec![Vec::new()];
    };
    let below = |(key, value): (&String, &Value)| {
        let key = key.clone();
        let leaves = leaves(value).into_iter();
        leaves.map(move |leaf| [vec![key.clone()], leaf].concat())
    };
    map.iter().flat_map(below).collect()
}

/// These values with another one at that place.
fn with(values: &Value, place: &[String], value: Value) -> Value {
    let mut all = values.clone();
    let mut at = &mut all;
    for key in place {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[key];
    }
    *at = value;
    all
}

/// These values with nothing at that place.
fn without(values: &Value, place: &[String]) -> Value {
    let mut all = values.clone();
    if let Some((last, above)) = place.split_last() {
        let mut keys = above.iter();
        let at = keys.try_fold(&mut all, |at, key| at.get_mut(key));
        if let Some(map) = at.and_then(Value::as_object_mut) {
            map.remove(last);
        }
    }
    all
}

/// What `work` makes of each; the first error ends it.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Ok(Vec::new()));
    let lock = || done.lock().unwrap_or_else(PoisonError::into_inner);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(item);
                    let mut done = lock();
                    match (result, &mut *done) {
                        (Ok(result), Ok(results)) => results.push(result),
                        (Err(error), Ok(_)) => *done = Err(error),
                        (_, Err(_)) => return,
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

const CHART: &str = "deploy/chart";

const MAJORS: [&str; 2] = ["helm", "helm3"];

const PARENT: &str = "\
apiVersion: v2
name: parent
version: 1.0.0
dependencies:
  - name: javelin
    version: 0.x.x
    condition: javelin.enabled
";

/// Of `--set`, and what is then told.
const NOTES: &[(&str, &[&str])] = &[
    (
        "replicas=2",
        &[
            "Let through the firewall: API server -> pods on TCP 10250.",
            "NOT SET: default.otlp.endpoint",
            "helm test javelin -n ns",
        ],
    ),
    (
        "hostNetwork=true,networkPolicy.enabled=true,default.otlp.endpoint=http://c:4318",
        &[
            "Let through the firewall: API server -> nodes on TCP 10260.",
            "NO EFFECT: networkPolicy.",
        ],
    ),
    (
        "namespaceOverride=observability,tls.existingSecret=corporate",
        &[
            concat!(
                "Javelin ",
                env!("CARGO_PKG_VERSION"),
                " is in observability."
            ),
            "javelin.observability.svc",
            "NOT SET: tls.caBundle.",
        ],
    ),
];

const SECRET: &str = "--set=tls.existingSecret=corporate";
const WITH_CERT_MANAGER: &str = "--set=tls.certManager.enabled=true";
const ISSUER: &str = "--set=tls.certManager.issuerRef.name=corporate";
/// The chart looks at the labels alone.
const BUNDLE_VALUE: &str =
    "--set=tls.caBundle=-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----";
const BUNDLE: &str =
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFRSUQKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dotted: &str) -> Vec<String> {
        dotted.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn places_are_found_taken_out_and_set() {
        let values = json!({ "a": { "b": 1, "c": {} }, "d": [2] });
        let found: Vec<_> = leaves(&values).iter().map(|leaf| leaf.join(".")).collect();
        assert_eq!(found, ["a.b", "a.c", "d"]);
        assert_eq!(
            without(&values, &place("a.b")),
            json!({ "a": { "c": {} }, "d": [2] })
        );
        let set = with(&values, &place("d.e"), Value::Null);
        assert_eq!(set, json!({ "a": { "b": 1, "c": {} }, "d": { "e": null } }));
    }

    #[test]
    fn the_configuration_ends_where_its_indentation_does() {
        let rendered =
            "data:\n  config.yaml: |\n    default:\n      delivery: none\n---\nkind: Secret\n";
        assert_eq!(
            configuration(rendered).unwrap(),
            "default:\n  delivery: none\n"
        );
        configuration("data: {}\n").unwrap_err();
    }

    #[test]
    fn the_first_error_of_many_is_told() {
        let double = |number: &u32| Ok(number * 2);
        let mut doubled = in_parallel(&[1, 2, 3], double).unwrap();
        doubled.sort_unstable();
        assert_eq!(doubled, [2, 4, 6]);
        let result: Result<Vec<u32>> = in_parallel(&[1, 2], |_| bail!("no"));
        assert_eq!(result.unwrap_err().to_string(), "no");
    }
}
