//! Workloads and Services, and how a Service's port becomes a pod's.

use std::collections::{BTreeMap, BTreeSet};

use javelin_core::kinds;
use serde_json::Value;

use super::{CORRECT, ManifestProblem, PortsReport};
use crate::entries::Selector;
use crate::offline::document::Document;

/// All objects, and what is looked for among them.
pub(super) struct Index<'a> {
    pub(super) documents: &'a [Document],
    pub(super) workloads: Vec<IndexedWorkload<'a>>,
    /// By name: an object of a rendering may lack its namespace.
    services: BTreeMap<&'a str, Vec<&'a Document>>,
    /// By the name of their Service.
    slices: BTreeMap<&'a str, Vec<&'a Document>>,
}

/// Something with pods.
pub(super) struct IndexedWorkload<'a> {
    pub(super) document: &'a Document,
    /// The pod, or its template.
    pub(super) pod: &'a Value,
    labels: BTreeMap<String, String>,
}

/// Where a port of a Service leads to.
#[derive(Debug, Default)]
pub(super) struct Lead {
    /// Ports of pods; none where the objects do not tell.
    pub(super) ports: BTreeSet<u16>,
    /// The pods' workloads, by their place in the index.
    pub(super) workloads: Vec<usize>,
    /// Where they are, for people.
    pub(super) to: String,
    /// The Service stands for a host outside.
    pub(super) outside: Option<String>,
    /// `TCP`, unless the Service says otherwise.
    pub(super) transport: String,
    /// What the Service calls the port.
    pub(super) name: String,
    /// Titles of the objects that say so.
    pub(super) read_in: Vec<String>,
    /// The field that names a port which no container has.
    pub(super) gap: Option<(String, String)>,
}

impl<'a> Index<'a> {
    /// Looks through them once.
    pub(super) fn of(documents: &'a [Document]) -> Self {
        let mut index = Self {
            documents,
            workloads: Vec::new(),
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
        };
        for document in documents {
            let paths = kinds::pods(&document.value);
            let pods = paths
                .into_iter()
                .filter_map(|path| path.of(&document.value));
            index.workloads.extend(pods.map(|pod| IndexedWorkload {
                document,
                pod,
                labels: labels_of(pod),
            }));
            if is_service(document) {
                let name = document.text(&["metadata", "name"]).unwrap_or_default();
                index.services.entry(name).or_default().push(document);
            }
            let service = document.text(&["metadata", "labels", SERVICE_OF_SLICE]);
            if let ("EndpointSlice", Some(service)) = (document.kind(), service) {
                index.slices.entry(service).or_default().push(document);
            }
        }
        index
    }

    /// All Services.
    pub(super) fn services(&self) -> impl Iterator<Item = &'a Document> + '_ {
        self.services.values().flatten().copied()
    }

    /// The Service of that name, where there is one.
    pub(super) fn service(&self, namespace: Option<&str>, name: &str) -> Option<&'a Document> {
        let mut all = self.services.get(name)?.iter();
        all.find(|service| are_in_one(namespace, namespace_of(service)))
            .copied()
    }

    /// Objects of a kind.
    pub(super) fn kind(&self, kind: &'static str) -> impl Iterator<Item = &'a Document> + '_ {
        let all = self.documents.iter();
        all.filter(move |document| document.kind() == kind)
    }

    /// Workloads of a namespace whose pods have labels that fit.
    pub(super) fn selected(&self, namespace: Option<&str>, selector: &Selector) -> Vec<usize> {
        let all = self.workloads.iter().enumerate();
        let fitting = all.filter(|(_, workload)| {
            are_in_one(namespace, namespace_of(workload.document)) && workload.is_selected(selector)
        });
        fitting.map(|(at, _)| at).collect()
    }

    /// Workloads behind a Service.
    pub(super) fn behind(&self, service: &Document) -> Vec<usize> {
        let labels = service.value.pointer("/spec/selector");
        let match_labels: BTreeMap<_, _> = texts(labels);
        // One without a selector has its endpoints from somebody else.
        if match_labels.is_empty() {
            return Vec::new();
        }
        let selector = Selector {
            match_labels,
            match_expressions: Vec::new(),
        };
        self.selected(namespace_of(service), &selector)
    }

    /// Where a port of a Service leads to; `None` if it has none of that number.
    pub(super) fn lead(
        &self,
        service: &Document,
        called: u16,
    ) -> Result<Option<Lead>, ManifestProblem> {
        let mut lead = Lead {
            to: format!("pods behind {}", service.title()),
            transport: "TCP".to_owned(),
            read_in: vec![service.title()],
            ..Lead::default()
        };
        if service.text(&["spec", "type"]) == Some("ExternalName") {
            let host = service.text(&["spec", "externalName"]).unwrap_or_default();
            lead.ports.insert(called);
            lead.outside = Some(host.to_owned());
            return Ok(Some(lead));
        }
        lead.workloads = self.behind(service);
        if !lead.workloads.is_empty() {
            lead.to = self.place(&lead.workloads);
            let titles = lead.workloads.iter();
            let titles = titles.filter_map(|at| Some(self.workloads.get(*at)?.document.title()));
            lead.read_in.extend(titles);
        }
        let ports = Self::ports(service)?;
        let found = ports.iter().position(|(port, _)| *port == called);
        let entry = found.and_then(|at| Some((at, ports.get(at)?.1)));
        if let Some((_, entry)) = entry {
            let text = |key: &str| entry.get(key).and_then(Value::as_str);
            lead.name.push_str(text("name").unwrap_or_default());
            if let Some(protocol) = text("protocol") {
                protocol.clone_into(&mut lead.transport);
            }
        }
        // Whoever calls a headless one calls the pod, and so the pod's port.
        if service.text(&["spec", "clusterIP"]) == Some("None") {
            lead.ports.insert(called);
            return Ok(Some(lead));
        }
        let Some((at, entry)) = entry else {
            return Ok(None);
        };
        self.resolve(service, (at, called, entry), &mut lead)?;
        if lead.ports.is_empty() {
            lead.ports = self.of_slices(service, &lead.name)?;
        }
        Ok(Some(lead))
    }

    /// The same of a Service by its name; what is not among the objects leads nowhere, and a note says so.
    pub(super) fn lead_of(
        &self,
        (namespace, name): (&str, &str),
        called: u16,
        report: &mut PortsReport,
    ) -> Result<Lead, ManifestProblem> {
        let found = match self.service(Some(namespace), name) {
            Some(service) => self.lead(service, called)?,
            None => None,
        };
        let lead = found.unwrap_or_else(|| Lead::unknown(namespace, name));
        if lead.ports.is_empty() {
            report.note(format!(
                "which port of its pods Service {namespace}/{name} means by {called} is not among the objects"
            ));
        }
        Ok(lead)
    }

    fn resolve(
        &self,
        service: &Document,
        (at, called, entry): (usize, u16, &Value),
        lead: &mut Lead,
    ) -> Result<(), ManifestProblem> {
        let field = format!("spec.ports[{at}].targetPort");
        match entry.get("targetPort") {
            None | Some(Value::Null) => {
                lead.ports.insert(called);
            }
            Some(Value::String(name)) => {
                for workload in lead
                    .workloads
                    .iter()
                    .filter_map(|at| self.workloads.get(*at))
                {
                    lead.ports.extend(workload.port_called(name)?);
                }
                if lead.ports.is_empty() && !lead.workloads.is_empty() {
                    let workloads: Vec<_> = lead.read_in.iter().skip(1).cloned().collect();
                    let workloads = workloads.join(", ");
                    let what = format!("no container of {workloads} has a port called {name:?}");
                    lead.gap = Some((field, what));
                }
            }
            Some(number) => {
                lead.ports.insert(port(service, number, &field)?);
            }
        }
        Ok(())
    }

    /// A Service's ports, each with its entry.
    pub(super) fn ports(service: &Document) -> Result<Vec<(u16, &Value)>, ManifestProblem> {
        let entries = list(&service.value, "/spec/ports").iter().enumerate();
        let ports = entries.map(|(at, entry)| {
            let number = entry.get("port").unwrap_or(&Value::Null);
            let field = format!("spec.ports[{at}].port");
            Ok((port(service, number, &field)?, entry))
        });
        ports.collect()
    }

    /// What the slices of a Service say of a port.
    pub(super) fn of_slices(
        &self,
        service: &Document,
        name: &str,
    ) -> Result<BTreeSet<u16>, ManifestProblem> {
        let called = service.text(&["metadata", "name"]).unwrap_or_default();
        self.of_slices_called(namespace_of(service), called, Some(name))
    }

    /// The same of a Service that need not be there; of all its ports, without a name.
    pub(super) fn of_slices_called(
        &self,
        namespace: Option<&str>,
        service: &str,
        name: Option<&str>,
    ) -> Result<BTreeSet<u16>, ManifestProblem> {
        let mut ports = BTreeSet::new();
        for slice in self.slices.get(service).into_iter().flatten() {
            if !are_in_one(namespace, namespace_of(slice)) {
                continue;
            }
            for (at, entry) in list(&slice.value, "/ports").iter().enumerate() {
                let own = entry
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let number = entry.get("port").filter(|port| !port.is_null());
                if let (Some(number), true) = (number, name.is_none_or(|name| name == own)) {
                    ports.insert(port(slice, number, &format!("ports[{at}].port"))?);
                }
            }
        }
        Ok(ports)
    }

    /// Where the pods of workloads are, for people.
    pub(super) fn place(&self, workloads: &[usize]) -> String {
        let all = workloads.iter().filter_map(|at| self.workloads.get(*at));
        let places: BTreeSet<_> = all
            .map(|workload| {
                let who = if workload.has_host_network() {
                    "nodes that run"
                } else {
                    "pods of"
                };
                format!("{who} {}", workload.document.title())
            })
            .collect();
        places.into_iter().collect::<Vec<_>>().join(", ")
    }
}

impl Lead {
    /// What is known of a Service that is not among the objects.
    fn unknown(namespace: &str, name: &str) -> Self {
        Self {
            to: format!("pods behind Service {namespace}/{name}"),
            transport: "TCP".to_owned(),
            ..Self::default()
        }
    }
}

impl IndexedWorkload<'_> {
    /// Does a selector select its pods?
    pub(super) fn is_selected(&self, selector: &Selector) -> bool {
        selector.selects(&self.labels)
    }

    /// Do its pods have the node's network?
    pub(super) fn has_host_network(&self) -> bool {
        self.pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true))
    }

    /// Its containers.
    pub(super) fn containers(&self) -> impl Iterator<Item = &Value> {
        let containers = list(self.pod, "/spec/containers").iter();
        // Sidecars are init containers.
        containers.chain(list(self.pod, "/spec/initContainers"))
    }

    /// What one of its containers is started with, by a flag or by the variable that stands for it.
    pub(super) fn setting(&self, flag: &str, name: &str) -> Option<&str> {
        self.containers().find_map(|container| {
            let by_flag =
                words(container).find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
            by_flag.or_else(|| variable(container, name)?.get("value")?.as_str())
        })
    }

    /// Ports of that name.
    pub(super) fn port_called(&self, name: &str) -> Result<BTreeSet<u16>, ManifestProblem> {
        let mut found = BTreeSet::new();
        for container in self.containers() {
            for entry in list(container, "/ports") {
                if entry.get("name").and_then(Value::as_str) == Some(name) {
                    let container = container.get("name").and_then(Value::as_str);
                    let container = container.unwrap_or("(no name)");
                    let field = format!("container {container}, port {name:?}, containerPort");
                    let number = entry.get("containerPort").unwrap_or(&Value::Null);
                    found.insert(port(self.document, number, &field)?);
                }
            }
        }
        Ok(found)
    }

    /// A port as probes and monitors have it: a number, or a container port's name.
    pub(super) fn port(&self, value: &Value, field: &str) -> Result<Option<u16>, ManifestProblem> {
        match value {
            Value::String(name) => Ok(self.port_called(name)?.into_iter().next()),
            number => port(self.document, number, field).map(Some),
        }
    }
}

/// A number that is a port.
pub(super) fn port(
    document: &Document,
    value: &Value,
    field: &str,
) -> Result<u16, ManifestProblem> {
    let number = value.as_u64().and_then(|port| u16::try_from(port).ok());
    number.filter(|port| *port > 0).ok_or_else(|| {
        let what = match value {
            Value::Null => "is missing, and has to be a number from 1 to 65535".to_owned(),
            value => {
                let value: String = value.to_string().chars().take(MOST_SHOWN).collect();
                format!("{value} is no port, which is a number from 1 to 65535")
            }
        };
        ManifestProblem::at(document, field, what, CORRECT)
    })
}

/// Each port, for a row of its own; one that is not known where the objects tell none.
pub(super) fn each_or_unknown(ports: &BTreeSet<u16>) -> impl Iterator<Item = Option<u16>> {
    let unknown = ports.is_empty().then_some(None);
    ports.iter().copied().map(Some).chain(unknown)
}

/// What a container is started with.
pub(super) fn words(container: &Value) -> impl Iterator<Item = &str> {
    let words = list(container, "/args").iter();
    words
        .chain(list(container, "/command"))
        .filter_map(Value::as_str)
}

/// A variable of a container.
pub(super) fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a Value> {
    let mut variables = list(container, "/env").iter();
    variables.find(|each| each.get("name").is_some_and(|found| found == name))
}

/// A list at a path; empty where there is none.
pub(super) fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    let list = value.pointer(path).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// A selector at a path: everything where there is none, and `None` for what is no selector.
pub(super) fn selector(object: &Value, path: &str) -> Option<Selector> {
    match object.pointer(path) {
        None | Some(Value::Null) => Some(Selector::default()),
        Some(value) => serde_json::from_value(value.clone()).ok(),
    }
}

/// The namespace, where it is written.
pub(super) fn namespace_of(document: &Document) -> Option<&str> {
    document.text(&["metadata", "namespace"])
}

/// Are two namespaces the same, as far as can be told? A rendering may leave out its own.
pub(super) fn are_in_one(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one == other)
}

pub(super) fn labels_of(object: &Value) -> BTreeMap<String, String> {
    texts(object.pointer("/metadata/labels"))
}

fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    let entries =
        entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    entries.collect()
}

/// Knative has a kind of that name, too.
fn is_service(document: &Document) -> bool {
    document.kind() == "Service"
        && document
            .text(&["apiVersion"])
            .is_none_or(|version| version == "v1")
}

const SERVICE_OF_SLICE: &str = "kubernetes.io/service-name";

/// Of a value that is wrong.
const MOST_SHOWN: usize = 60;
