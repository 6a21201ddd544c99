//! A pod as it is, with the patch of this checkout's engine, and through the installed webhook: what the API server
//! says to each.

use javelin_core::{
    config::Config,
    mutate::{Decision, InjectLabel, Namespace, Subject, keys, pod::Pod},
    patch::{Mutation, PodPath},
};
use serde_json::{Value, json};

use crate::{
    api::{Answer, Api},
    cases::{INJECT, SYSTEM},
    kube::{Result, ensure, get},
};

/// The engine with the configuration that the installed webhook has.
pub(crate) struct Engine(Config);

/// A pod as it is, and as the engine leaves it. Neither is sent to the webhook.
pub(crate) struct Pair {
    original: Value,
    patched: Value,
    /// The agent is in the second.
    pub(crate) is_injected: bool,
}

/// What the API server said to one pod in three forms. The namespace is labelled `true`.
pub(crate) struct Trial {
    pub(crate) pair: Pair,
    pub(crate) original: Answer,
    patched: Answer,
    live: Answer,
}

/// All three forms, as the API server took them.
pub(crate) struct Admitted<'a> {
    pub(crate) original: &'a Value,
    pub(crate) patched: &'a Value,
    pub(crate) live: &'a Value,
}

impl Engine {
    pub(crate) fn of_cluster() -> Result<Self> {
        let config = get(&["configmap", "javelin", "-n", SYSTEM])?;
        let text = config["data"]["config.yaml"].as_str().unwrap_or_default();
        let config = Config::parse(text, "the ConfigMap").map_err(|error| error.to_string())?;
        Ok(Self(config))
    }

    /// What becomes of a pod in a namespace that is labelled `true`.
    fn pair(&self, namespace: &str, document: &Value) -> Result<Pair> {
        let pod = Pod::from_value(document).map_err(|error| format!("{error}: {document}"))?;
        let subject = Subject::of_pod(
            &pod,
            Namespace {
                name: Some(namespace),
                inject: InjectLabel::Value("true"),
            },
        );
        let mutation = Mutation::of(&subject, document, PodPath::POD, &self.0);
        let patched = if mutation.patch.is_empty() {
            document
        } else {
            mutation.patch.result()
        };
        Ok(Pair {
            original: opted_out(document),
            patched: opted_out(patched),
            is_injected: matches!(mutation.decision, Decision::Inject(_)),
        })
    }

    /// Creates each pod in each form, by dry run.
    pub(crate) fn trials(&self, api: &Api, namespace: &str, pods: &[Value]) -> Result<Vec<Trial>> {
        let pairs = pods.iter().map(|pod| self.pair(namespace, pod));
        let pairs = pairs.collect::<Result<Vec<_>>>()?;
        let originals: Vec<_> = pairs.iter().map(|pair| pair.original.clone()).collect();
        let patched: Vec<_> = pairs.iter().map(|pair| pair.patched.clone()).collect();
        let originals = api.dry_run(namespace, &originals)?;
        let patched = api.dry_run(namespace, &patched)?;
        let live = api.dry_run(namespace, pods)?;
        let answers = originals.into_iter().zip(patched).zip(live);
        let trial = |(pair, ((original, patched), live))| Trial {
            pair,
            original,
            patched,
            live,
        };
        Ok(pairs.into_iter().zip(answers).map(trial).collect())
    }
}

impl Trial {
    /// Nothing when the API server refuses the pod as it is. It is an error when it refuses only what we make of it, or
    /// drops some of that.
    pub(crate) fn admitted(&self) -> Result<Option<Admitted<'_>>> {
        let Ok(original) = self.original.admitted() else {
            return Ok(None);
        };
        let of_users = self.pair.original["spec"].to_string();
        ensure!(
            of_users.contains(keys::AGENT_NAME)
                || !original["spec"].to_string().contains(keys::AGENT_NAME),
            "the original came back injected: it tells nothing"
        );
        let patched = self.patched.admitted();
        let patched = patched.map_err(|refusal| format!("patched, it is refused: {refusal}"))?;
        let live = self.live.admitted();
        let live =
            live.map_err(|refusal| format!("through the webhook it is refused: {refusal}"))?;
        if self.pair.is_injected {
            check_complete(patched)?;
            check_complete(live).map_err(|problem| format!("through the webhook: {problem}"))?;
        }
        Ok(Some(Admitted {
            original,
            patched,
            live,
        }))
    }
}

/// What went wrong with which of many; the first few are shown whole.
#[derive(Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    pub(crate) fn add(&mut self, pod: &Value, outcome: Result) {
        if let Err(problem) = outcome {
            self.0.push(format!("{problem}\n{pod}"));
        }
    }

    pub(crate) fn none(&self) -> Result {
        let shown = &self.0[..self.0.len().min(5)];
        ensure!(
            self.0.is_empty(),
            "{} of them, the first:\n{}",
            self.0.len(),
            shown.join("\n")
        );
        Ok(())
    }
}

/// The pod with a label that keeps it from the webhook, in a labelled namespace too.
fn opted_out(pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["labels"][INJECT] = json!("false");
    pod
}

/// Nothing was dropped: everything that one injection adds is in what the API server gave back.
fn check_complete(admitted: &Value) -> Result {
    let receipt = admitted["metadata"]["annotations"][keys::INJECTED].as_str();
    let receipt: Value =
        serde_json::from_str(receipt.ok_or("no receipt")?).map_err(|error| error.to_string())?;
    let spec = &admitted["spec"];
    let first = &spec["initContainers"][0];
    if first["name"] != keys::AGENT_NAME || first["command"][1] != "install" {
        return Err(format!("the first init container is {first}"));
    }
    if first["securityContext"]["runAsNonRoot"] != true {
        return Err(format!("our init container lost its settings: {first}"));
    }
    let named = |list: &Value| {
        let mut list = list.as_array().into_iter().flatten();
        list.any(|element| element["name"] == keys::AGENT_NAME)
    };
    if !named(&spec["volumes"]) {
        return Err("no volume".into());
    }
    let containers = receipt["containers"].as_object().ok_or("no containers")?;
    for (name, variables) in containers {
        let lists = ["containers", "initContainers"].map(|list| spec[list].as_array());
        let container = lists
            .into_iter()
            .flatten()
            .flatten()
            .find(|container| container["name"] == name.as_str())
            .ok_or_else(|| format!("no container {name}"))?;
        if !named(&container["volumeMounts"]) {
            return Err(format!("{name} has no mount"));
        }
        let env = container["env"].as_array().ok_or("no env")?;
        for variable in variables.as_array().into_iter().flatten() {
            if !env.iter().any(|entry| entry["name"] == *variable) {
                return Err(format!("{name} has no {variable}"));
            }
        }
        let options = env.iter().rfind(|e| e["name"] == "JAVA_TOOL_OPTIONS");
        let options = options.and_then(|options| options["value"].as_str());
        if !options.is_some_and(|options| options.ends_with(JAVAAGENT_OPTION)) {
            return Err(format!("{name} has the options {options:?}"));
        }
    }
    Ok(())
}

/// What the engine adds, with an init container.
pub(crate) const JAVAAGENT_OPTION: &str = "-javaagent:/javelin-agent/javaagent.jar";
