//! The values in `deploy/stack`: each key is one that its chart knows.
//!
//! `keys/CHART.txt` has the keys that a chart knows beside those that we use, a path a line, and `/*` where what is below
//! is not the chart's: labels, Kubernetes' own fields, a program's configuration. The charts are others' and not in this
//! repository. Where `JAVELIN_CHARTS` names a folder with them, at the versions of `charts.txt` and with their own
//! dependencies in `charts/`, the lists are held to the charts, and all files are rendered and looked at;
//! `JAVELIN_CHARTS=FOLDER cargo xtask bless` writes the lists anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{golden_case::yaml, is_blessing};

const STACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/stack");

/// Whose keys are not the chart's to know, and who checks them.
const FREE: &[&str] = &[
    // The Collector, which refuses what it does not know: `cargo xtask stack` runs it.
    "opentelemetry-collector/alternateConfig",
    // Promtail, which refuses what it does not know.
    "promtail/config/snippets",
    // Grafana passes over what it does not know.
    "kube-prometheus-stack/grafana/grafana.ini",
    "kube-prometheus-stack/grafana/additionalDataSources",
    // Prometheus: the label's name is ours.
    "kube-prometheus-stack/prometheus/prometheusSpec/externalLabels",
    // Loki, which refuses what it does not know.
    "loki/loki/limits_config",
    "loki/loki/compactor",
    "loki/loki/analytics",
    "loki/loki/schemaConfig",
    // Tempo, which refuses what it does not know.
    "tempo/tempo/storage",
];

/// Keys below which everything is Kubernetes' own, in every chart.
const KUBERNETES: &[&str] = &[
    "annotations",
    "podLabels",
    "resources",
    "securityContext",
    "podSecurityContext",
    "tolerations",
    "extraEnvs",
    "extraEnvFrom",
    "extraVolumes",
    "extraVolumeMounts",
    "rules",
    "storageSpec",
    "imagePullSecrets",
    "pullSecrets",
];

/// A release of `charts.txt`.
struct Release {
    name: String,
    chart: String,
    version: String,
}

fn releases() -> Vec<Release> {
    let text = fs::read_to_string(Path::new(STACK).join("charts.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            let [name, chart, version, _application, from] = <[_; 5]>::try_from(words).unwrap();
            assert!(from.starts_with("oci://") || from.starts_with("https://"));
            Release {
                name,
                chart,
                version,
            }
        })
        .collect()
}

/// The files of values for a release: `values/NAME.yaml`, and those of that name in `storage` and `clusters`.
fn files(release: &str) -> Vec<PathBuf> {
    let name = format!("{release}.yaml");
    let mut files = vec![Path::new(STACK).join("values").join(&name)];
    for folder in ["storage", "clusters"] {
        for entry in fs::read_dir(Path::new(STACK).join(folder)).unwrap() {
            files.push(entry.unwrap().path().join(&name));
        }
    }
    files.retain(|file| file.exists());
    files.sort();
    files
}

/// The path of every key in the values, and where what is below is not the chart's, `/*`.
fn used(chart: &str, values: &Value) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    walk(chart, values, "", &mut paths);
    paths
}

fn walk(chart: &str, value: &Value, at: &str, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = marked(chart, at, key);
                if !path.ends_with("/*") {
                    walk(chart, value, &path, paths);
                }
                paths.insert(path);
            }
        }
        Value::Array(list) => {
            for value in list {
                walk(chart, value, &format!("{at}/[]"), paths);
            }
        }
        _ => {}
    }
}

/// A key's path, with a mark where what is below is not the chart's.
fn marked(chart: &str, parent: &str, key: &str) -> String {
    let path = if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}/{key}")
    };
    let is_free = FREE.contains(&format!("{chart}/{path}").as_str());
    if is_free || KUBERNETES.contains(&key) {
        path + "/*"
    } else {
        path
    }
}

fn list_of(chart: &str) -> PathBuf {
    Path::new(STACK).join("keys").join(format!("{chart}.txt"))
}

/// The keys that a chart knows, as they are kept; its version is in the first line.
fn known(chart: &str, version: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(list_of(chart)).unwrap();
    let mut lines = text.lines();
    assert_eq!(
        lines.next().unwrap(),
        format!("# {chart} {version}"),
        "the keys of another version: {REMEDY}"
    );
    lines.map(str::to_owned).collect()
}

#[test]
fn every_key_is_one_of_its_charts() {
    let mut faults = Vec::new();
    for release in releases() {
        let known = known(&release.chart, &release.version);
        for file in files(&release.name) {
            for path in used(&release.chart, &yaml(&file)) {
                if !known.contains(&path) {
                    let file = file.strip_prefix(STACK).unwrap().display();
                    faults.push(format!("{file}: {path} is no key of {}", release.chart));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}\n{REMEDY}", faults.join("\n"));
}

const REMEDY: &str = "If the chart has it, write the lists anew from the charts: JAVELIN_CHARTS=FOLDER cargo xtask bless";

#[test]
fn a_misspelt_key_is_told() {
    let known = known("prometheus-postgres-exporter", "8.2.0");
    for (values, expected) in [
        (r#"{"annotations":{"a":"b"}}"#, None),
        (r#"{"annotaions":{"a":"b"}}"#, Some("annotaions")),
        (
            r#"{"serviceMonitor":{"enabled":true,"label":{}}}"#,
            Some("serviceMonitor/label"),
        ),
        (
            r#"{"config":{"datasource":{"passwordSecrets":{}}}}"#,
            Some("config/datasource/passwordSecrets"),
        ),
    ] {
        let used = used(
            "prometheus-postgres-exporter",
            &serde_json::from_str(values).unwrap(),
        );
        let unknown: Vec<_> = used.difference(&known).map(String::as_str).collect();
        assert_eq!(unknown.first().copied(), expected, "{values}");
    }
}

/// `registry.yaml` goes to every chart that reads globals; each of its keys has to be read by one of them.
#[test]
fn each_key_of_the_registry_is_read_by_a_chart() {
    let all: BTreeSet<_> = releases()
        .iter()
        .flat_map(|release| known(&release.chart, &release.version))
        .collect();
    for path in used("", &yaml(&Path::new(STACK).join("registry.yaml"))) {
        let is_known = all.contains(&path) || ON_THE_WAY.contains(&path.as_str());
        assert!(is_known, "{path} is no key of any chart");
    }
}

/// Only what is below is read.
const ON_THE_WAY: [&str; 2] = ["global", "global/image"];

/// Every file of values belongs to a release, and what each of them must not have.
#[test]
fn what_is_named_once_is_named_nowhere_else_and_nothing_is_secret() {
    let mut names: BTreeSet<_> = releases().into_iter().map(|release| release.name).collect();
    names.insert("javelin".to_owned());
    let mut seen = BTreeSet::new();
    for folder in ["values", "storage", "clusters"] {
        for file in all_files(&Path::new(STACK).join(folder)) {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(names.contains(&name), "{}: no release", file.display());
            let text = fs::read_to_string(&file).unwrap();
            let is_place = folder == "values" && name == "javelin";
            assert_eq!(
                text.matches("observability").count(),
                usize::from(is_place),
                "{}: the namespace is named in values/javelin.yaml alone",
                file.display()
            );
            assert!(
                !text.contains("registry.example.com"),
                "{}: the registry is named in registry.yaml alone",
                file.display()
            );
            for (path, value) in leaves(&yaml(&file), String::new()) {
                let last = path.rsplit('/').next().unwrap().to_lowercase();
                let is_secret = SECRETS.contains(&last.replace(['_', '-'], "").as_str());
                assert!(
                    !is_secret,
                    "{}: {path}: {value} stands there for all to read; name a Secret",
                    file.display()
                );
            }
            if folder == "values" {
                seen.insert(name);
            }
        }
    }
    assert_eq!(seen, names);
}

const SECRETS: &[&str] = &[
    "password",
    "adminpassword",
    "redispassword",
    "accountkey",
    "storageaccountkey",
    "accesskey",
    "accesskeyid",
    "secretkey",
    "secretaccesskey",
    "connectionstring",
    "bearertoken",
];

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn leaves(value: &Value, at: String) -> Vec<(String, String)> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| leaves(value, format!("{at}/{key}")))
            .collect(),
        Value::Array(list) => list
            .iter()
            .flat_map(|value| leaves(value, at.clone()))
            .collect(),
        leaf => vec![(at, leaf.to_string())],
    }
}

/// The commands of `install.sh` name files that are there, and every file is in one of them.
#[test]
fn the_commands_to_install_name_every_file() {
    let mut named = BTreeSet::new();
    for (storage, cluster) in [
        ("azure-blob", "example"),
        ("s3", "sidecar-example"),
        ("filesystem", "example"),
    ] {
        let mut command = install();
        command.args([
            "--print",
            "--storage",
            storage,
            "--cluster",
            cluster,
            "--charts",
            "charts",
        ]);
        let printed =
            succeed(&mut command) + &succeed(install().args(["--print", "alloy", "promtail"]));
        let mut words = printed.split_whitespace();
        while let Some(word) = words.next() {
            if word == "--values" {
                named.insert(fs::canonicalize(words.next().unwrap()).unwrap());
            }
        }
    }
    for folder in ["values", "storage", "clusters"] {
        for file in all_files(&Path::new(STACK).join(folder)) {
            let file = fs::canonicalize(file).unwrap();
            assert!(named.contains(&file), "{} is never used", file.display());
        }
    }
    let mut without = install();
    without.args(["--print", "loki"]);
    let told = String::from_utf8(without.output().unwrap().stderr).unwrap();
    assert!(told.contains("azure-blob, s3 or filesystem"), "{told}");
}

/// What the guides have people type: the same in both languages, and taken by the scripts.
#[test]
fn the_commands_of_the_guides_are_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let commands = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("$ "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let guide = commands(&read("docs/private-cluster.md"));
    assert_eq!(guide, commands(&read("docs/private-cluster.ko.md")));
    let readme = commands(&read("README.md"));
    for command in commands(&read("README.ko.md")) {
        assert!(readme.contains(&command), "README.md has no {command:?}");
    }
    let mut installed = BTreeSet::new();
    for command in guide {
        let mut words = command.split_whitespace().skip(1);
        let harmless = match words.next().unwrap() {
            "deploy/stack/install.sh" => "--print",
            "deploy/stack/mirror.sh" => "--dry-run",
            _ => continue,
        };
        let program = command.split_whitespace().nth(1).unwrap();
        let words: Vec<_> = words
            .take_while(|word| ![">", "|"].contains(word))
            .collect();
        if words.contains(&"--from") {
            continue;
        }
        let mut run = Command::new("sh");
        run.current_dir(root).args([program, harmless]).args(&words);
        if harmless == "--dry-run" {
            run.args(["--tool", "crane"]);
        }
        let told = succeed(&mut run);
        let releases = told
            .lines()
            .filter_map(|line| line.split_whitespace().nth(3));
        installed.extend(releases.map(str::to_owned));
    }
    for release in releases() {
        let is_instead = ["alloy", "promtail"].contains(&release.name.as_str());
        assert!(
            is_instead || installed.contains(&release.name),
            "{}",
            release.name
        );
    }
}

fn install() -> Command {
    let mut command = Command::new("sh");
    command.arg(Path::new(STACK).join("install.sh"));
    command
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The lists are what the charts have; only where these are.
#[test]
fn the_lists_of_keys_are_the_charts() {
    let Some(charts) = env::var_os("JAVELIN_CHARTS").map(PathBuf::from) else {
        return;
    };
    let mut paths: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for release in releases() {
        let all = paths
            .entry((release.chart.clone(), release.version))
            .or_default();
        for file in files(&release.name) {
            all.extend(used(&release.chart, &yaml(&file)));
        }
    }
    for ((chart, version), mut used) in paths {
        let folder = charts.join(&chart);
        let found = yaml(&folder.join("Chart.yaml"));
        assert_eq!(found["version"], version.as_str(), "{chart}");
        used.extend(self::used(
            "",
            &yaml(&Path::new(STACK).join("registry.yaml")),
        ));
        let list = derived(&chart, &folder, &used);
        let text = list
            .iter()
            .fold(format!("# {chart} {version}\n"), |text, path| {
                text + path + "\n"
            });
        if is_blessing() {
            fs::write(list_of(&chart), text).unwrap();
        } else {
            let kept = fs::read_to_string(list_of(&chart)).unwrap();
            assert!(kept == text, "{chart}: {REMEDY}");
        }
    }
}

/// What a chart knows of the paths that are used: its default values have them, and then their neighbours are known, too;
/// or, where those are an empty map or a comment, its files have the word. Globals that it does not read are left out.
fn derived(chart: &str, folder: &Path, used: &BTreeSet<String>) -> BTreeSet<String> {
    let values = all_values(folder);
    let text = text_of(folder);
    let words: BTreeSet<_> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)))
        .collect();
    let mut list = BTreeSet::new();
    for path in used {
        let plain = path.trim_end_matches("/*");
        let (parent, key) = plain.rsplit_once('/').unwrap_or(("", plain));
        if plain.starts_with("global") {
            let steps = plain.replace('/', ".").replacen('.', ").", 1);
            let is_read = text.contains(&steps) || text.contains(&steps.replace(')', ""));
            if at(&values, plain).is_some() || is_read && !ON_THE_WAY.contains(&plain) {
                list.insert(path.clone());
            }
            continue;
        }
        let is_known = at(&values, plain).is_some() || words.contains(key);
        assert!(is_known, "{chart} has no {plain}");
        list.insert(path.clone());
        for key in at(&values, parent)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            list.insert(marked(chart, parent, key.0));
        }
    }
    list
}

/// The chart's default values, those of its own charts below their names.
fn all_values(folder: &Path) -> Value {
    let mut values = yaml(&folder.join("values.yaml"));
    let Ok(charts) = fs::read_dir(folder.join("charts")) else {
        return values;
    };
    for entry in charts {
        let path = entry.unwrap().path();
        if path.join("values.yaml").exists() {
            let name = path.file_name().unwrap().to_str().unwrap();
            let theirs = serde_json::json!({ name: all_values(&path) });
            merge(&mut values, theirs);
        }
    }
    values
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) if into.is_null() => *into = from,
        _ => {}
    }
}

fn at<'a>(values: &'a Value, path: &str) -> Option<&'a Value> {
    let mut steps = path.split('/').filter(|step| !step.is_empty());
    steps.try_fold(values, |value, step| match step {
        "[]" => value.get(0),
        step => value.get(step),
    })
}

/// All that the chart's files say.
fn text_of(folder: &Path) -> String {
    let texts = all_files(folder).into_iter().map(fs::read_to_string);
    texts.flatten().collect::<Vec<_>>().join("\n")
}

/// Everything rendered by both majors of Helm; only where the charts are.
#[test]
fn what_the_values_say_arrives() {
    let Some(charts) = env::var_os("JAVELIN_CHARTS") else {
        return;
    };
    for helm in ["helm", "helm3"] {
        let Some(helm) = crate::pipelines::program(helm) else {
            continue;
        };
        let mut images = BTreeSet::new();
        for storage in ["azure-blob", "s3", "filesystem"] {
            let render = |releases: &[&str]| {
                let mut command = install();
                command.args(["--template", "--cluster", "example", "--storage", storage]);
                command.arg("--charts").arg(&charts).args(releases);
                command.env("HELM", helm.get_program());
                succeed(command.env("KUBE_VERSION", "1.37.2"))
            };
            for (release, facts) in FACTS {
                let rendered = render(&[release]);
                for fact in *facts {
                    let fact = fact.replace("STORAGE", storage.trim_end_matches("-blob"));
                    assert!(
                        rendered.contains(&fact),
                        "{release} with {storage}: {fact:?} did not arrive in\n{rendered}"
                    );
                }
                images.extend(images_of(release, &rendered));
            }
        }
        assert_eq!(images, listed(), "what is rendered, and images.txt");
    }
}

/// What is pulled; all of it from the mirror.
fn images_of(release: &str, rendered: &str) -> BTreeSet<String> {
    for line in rendered.lines().map(str::trim_start) {
        let line = line.trim_start_matches("- ");
        if let Some(image) = line.strip_prefix("image: ") {
            assert!(
                image.trim_matches('"').starts_with(MIRROR),
                "{release}: {image} is not in the mirror"
            );
        }
    }
    let words = rendered.split(|c: char| c.is_whitespace() || "\"'=".contains(c));
    words
        .filter_map(|word| word.strip_prefix(MIRROR))
        .map(str::to_owned)
        .collect()
}

/// `images.txt`, as the mirror has them.
fn listed() -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(STACK).join("images.txt")).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once('/').unwrap().1.to_owned())
        .collect()
}

const MIRROR: &str = "registry.example.com/";

const FACTS: &[(&str, &[&str])] = &[
    (
        "kube-prometheus-stack",
        &[
            "  enableOTLPReceiver: true\n",
            "  enableFeatures:\n  - exemplar-storage\n",
            "    - k8s.cluster.name\n",
            "    translationStrategy: UnderscoreEscapingWithSuffixes\n",
            "    outOfOrderTimeWindow: 30m\n",
            "  externalLabels:\n    cluster: example\n",
            "  serviceMonitorSelector: {}\n",
            "  podMonitorSelector: {}\n",
            "  retention: \"15d\"\n",
            "            storage: 20Gi\n",
            "  remoteWrite:\n    - basicAuth:\n        password:\n          key: password\n          name: remote-write\n",
            "        exemplarTraceIdDestinations:\n        - datasourceUid: tempo\n          name: trace_id\n",
            "        tracesToLogsV2:\n          customQuery: true\n          datasourceUid: loki\n",
            "          query: '{$${__tags}} | trace_id = \"$${__trace.traceId}\"'\n",
            "        tracesToMetrics:\n          datasourceUid: prometheus\n",
            "        serviceMap:\n          datasourceUid: prometheus\n",
            "        - datasourceUid: tempo\n          matcherRegex: trace_id\n          matcherType: label\n",
            "      url: http://tempo:3200\n",
            "      url: http://loki:3100\n",
            "    preinstall_disabled = true\n",
            "    reporting_enabled = false\n",
            "                  name: grafana-admin\n",
            "--thanos-default-base-image=registry.example.com/thanos/thanos:",
        ],
    ),
    (
        "loki",
        &[
            "        object_store: STORAGE\n",
            "      delete_request_store: STORAGE\n",
            "      retention_period: 168h\n",
            "      allow_structured_metadata: true\n",
            "    auth_enabled: false\n",
            "      reporting_enabled: false\n",
            "        STORAGE:\n",
        ],
    ),
    (
        "tempo",
        &[
            "        block_retention: 168h\n",
            "      reporting_enabled: false\n",
            "                  endpoint: 0.0.0.0:4317\n",
        ],
    ),
    (
        "opentelemetry-collector",
        &[
            "        endpoint: http://kps-prometheus:9090/api/v1/otlp\n",
            "        endpoint: http://loki:3100/otlp\n",
            "        endpoint: tempo:4317\n",
            "  name: otel-collector\n",
            "              value: example\n",
        ],
    ),
    (
        "opentelemetry-collector-node",
        &[
            "        endpoint: otel-collector:4317\n",
            "            path: /var/log/pods\n",
            "kind: DaemonSet\n",
        ],
    ),
    (
        "prometheus-postgres-exporter",
        &["                name: postgres-exporter\n                key: password\n"],
    ),
    (
        "prometheus-redis-exporter",
        &[
            "                  name: redis-exporter\n                  key: password\n",
            "kind: ServiceMonitor\n",
        ],
    ),
    (
        "alloy",
        &[
            "--disable-reporting\n",
            "url = \"http://loki:3100/loki/api/v1/push\"\n",
        ],
    ),
    ("promtail", &["url: http://loki:3100/loki/api/v1/push\n"]),
];
