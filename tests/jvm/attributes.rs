//! What we tell the agent of the service, as its own SDK reads it.

use std::collections::BTreeMap;

use javelin_core::{
    config::Config,
    mutate::{Decision, InjectLabel, List, Namespace, Owners, Subject, keys, pod::Pod},
    patch::{Mutation, PodPath},
};
use serde_json::json;

use crate::{
    golden_case,
    kubelet::{self, OPTIONS, World},
    machine::{Jdk, Outcome, Start, Workshop},
    options::{QUIET, UTF_8, at_hand, container, in_pairs, pod},
};

/// Each character by itself, between others, and mixtures of them. In a container without a locale, as most are.
pub(crate) fn all_characters(jdk: &Jdk, workshop: &Workshop) -> Result<(), String> {
    let mut attributes = BTreeMap::new();
    for code in 0..=0x7f_u8 {
        let character = char::from(code);
        attributes.insert(format!("alone.x{code:02x}"), character.to_string());
        attributes.insert(format!("between.x{code:02x}"), format!("a{character}z"));
    }
    let ascii = (0..=0x7f_u8).map(char::from).collect();
    let mixtures = MIXTURES.map(str::to_owned).into_iter().chain([ascii]);
    attributes.extend((0..).map(|n| format!("mixture.{n}")).zip(mixtures));
    let outcome = start(jdk, workshop, &attributes, None)?;
    for (name, value) in &attributes {
        check(&outcome, name, value)?;
    }
    check(&outcome, "k8s.pod.name", "app-6f5d-x2x4z")?;
    check(&outcome, "service.instance.id", "shop.app-6f5d-x2x4z.app")
}

/// The name has a variable of its own, which is not encoded: the JVM must read its bytes as UTF-8.
pub(crate) fn service_names(jdk: &Jdk, workshop: &Workshop) -> Result<(), String> {
    let ascii: String = (0x20..0x7f_u8).map(char::from).collect();
    let names = [
        (ascii.trim(), None),
        (r"a$(HOME)$(JAVELIN_POD_NAME)$$b", None),
        ("größer-サービス-🦀", Some(UTF_8)),
    ];
    in_pairs(names, |(name, locale)| {
        let attributes = BTreeMap::from([("service.name".to_owned(), name.to_owned())]);
        let outcome = start(jdk, workshop, &attributes, locale)?;
        check(&outcome, "service.name", name)
    })
}

fn check(outcome: &Outcome, name: &str, value: &str) -> Result<(), String> {
    let found = outcome.attributes.get(name).map(String::as_str);
    if found == Some(value) {
        return Ok(());
    }
    Err(format!(
        "{name} is {found:?} and not {value:?}; the agent says: {}",
        outcome.stderr
    ))
}

/// Starts the probe as the only container of a pod that is annotated so.
fn start(
    jdk: &Jdk,
    workshop: &Workshop,
    attributes: &BTreeMap<String, String>,
    locale: Option<(&str, &str)>,
) -> Result<Outcome, String> {
    let annotations: BTreeMap<String, &String> = attributes
        .iter()
        .map(|(name, value)| (format!("{}{name}", keys::RESOURCE_PREFIX), value))
        .collect();
    let document = json!({
        "metadata": {"labels": {keys::INJECT: "true"}, "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1.4"}]},
    });
    let manifest = Pod::from_value(&document).map_err(|error| error.to_string())?;
    let subject = Subject {
        pod: &manifest,
        namespace: Namespace {
            name: Some("shop"),
            inject: InjectLabel::Absent,
        },
        owners: Owners::default(),
        from_workload: None,
        claims: Vec::new(),
    };
    let config =
        Config::parse(golden_case::DEFAULT_CONFIG, "config").map_err(|error| error.to_string())?;
    let mutation = Mutation::of(&subject, &document, PodPath::POD, &config);
    let Decision::Inject(_) = mutation.decision else {
        return Err(format!("not injected: {:?}", mutation.decision));
    };
    let patched = pod(PodPath::POD, mutation.patch.result());
    let app = container(patched, List::Containers, "app");
    let mut environment = kubelet::environment(app, &World::new());
    environment.extend(QUIET.map(|(name, value)| (name.to_owned(), value.to_owned())));
    if let Some(options) = environment.get_mut(OPTIONS) {
        *options = at_hand(options, workshop).0;
    }
    let variables = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let outcome = jdk.start(
        workshop,
        &Start {
            environment: variables.chain(locale).collect(),
            resource: true,
        },
    )?;
    if outcome.status.success() {
        Ok(outcome)
    } else {
        Err(format!("the probe failed: {}", outcome.stderr))
    }
}

const MIXTURES: [&str; 16] = [
    " blanks at both ends\t",
    "a=b,c=d",
    "100%",
    "%41%zz%",
    "a+b c%20d",
    r#"'single' "double" \back\\slash"#,
    "$(HOME) $$ ${HOME} $(JAVELIN_POD_NAME)",
    "grüße, größer",
    "e\u{301} combined",
    "日本語のサービス",
    "שלום עולם",
    "🦀🏳️‍🌈 beyond the basic plane \u{10ffff}",
    "\u{feff}mark \u{fffd} \u{2028}line\u{2029} \u{85} \u{a0}",
    "a\0b",
    "line\nfeed\r\n",
    "registry.example:5000/team/app@sha256:0123456789abcdef",
];
