//! Pods as people really write them, and worse: what the properties and the cluster suite throw at the engine.
//!
//! Most of them are such that an API server takes them. What it would refuse is there too, with a small weight: the
//! engine meets it in manifests that nobody has tried yet.

use std::collections::BTreeSet;

use javelin_core::mutate::keys;
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{select, subsequence},
    strategy::Union,
};
use serde_json::{Map, Value, json};

/// A pod without our label.
pub(crate) fn pod() -> impl Strategy<Value = Value> {
    let init = maybe(0.4, vec(init_container(), 0..3).prop_map(Value::from));
    let regular = vec(container(), 1..4).prop_map(Value::from);
    let spec = object(vec![
        ("containers", regular.prop_map(Some).boxed()),
        ("initContainers", init),
        ("volumes", maybe(0.5, volumes())),
        ("resources", maybe(0.15, one_of(pod_resources()))),
        ("securityContext", maybe(0.5, one_of(pod_security()))),
        ("imagePullSecrets", maybe(0.2, one_of(pull_secrets()))),
    ]);
    let rest = subsequence(spec_members(), 0..5);
    (metadata(), spec, rest).prop_map(|(metadata, mut spec, rest)| {
        for (list, letter) in [("containers", 'c'), ("initContainers", 'i')] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            for (index, container) in containers.into_iter().flatten().enumerate() {
                // Some have a name of their own already; two of a kind would be one sidecar too many.
                if index > 0 || container["name"].is_null() {
                    container["name"] = json!(format!("{letter}{index}"));
                }
            }
        }
        for (key, value) in rest {
            spec[key] = value;
        }
        add_missing_volumes(&mut spec);
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })
    })
}

fn metadata() -> impl Strategy<Value = Value> {
    let name = weighted(vec![
        (30, json!({ "name": "ugly" })),
        (30, json!({ "name": "b-0.c" })),
        (20, json!({ "generateName": "gen-" })),
        (5, json!({ "name": "both", "generateName": "gen-" })),
        (3, json!({})),
    ]);
    let owner = option::weighted(
        0.3,
        select(vec![
            (
                json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-5d4f8c7b9" }),
                json!({ "pod-template-hash": "5d4f8c7b9" }),
            ),
            (
                json!({ "apiVersion": "batch/v1", "kind": "Job", "name": "migrate-29384756" }),
                json!({ "job-name": "migrate-29384756" }),
            ),
            (
                json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db" }),
                json!({}),
            ),
            (
                json!({ "apiVersion": "example.com/v1", "kind": "Thing", "name": "odd.name" }),
                json!({}),
            ),
        ]),
    );
    let annotations = subsequence(annotations(), 0..4);
    (name, owner, option::weighted(0.6, annotations)).prop_map(
        |(mut metadata, owner, annotations)| {
            if let Some((mut owner, labels)) = owner {
                owner["controller"] = json!(true);
                owner["uid"] = json!("0f8fad5b-d9cb-469f-a165-70867728950e");
                metadata["ownerReferences"] = json!([owner]);
                metadata["labels"] = labels;
            }
            if let Some(annotations) = annotations {
                let annotations = annotations
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), json!(value)));
                metadata["annotations"] = Value::Object(annotations.collect());
            }
            metadata
        },
    )
}

fn annotations() -> Vec<(&'static str, &'static str)> {
    vec![
        (keys::SAFE_TO_EVICT_VOLUMES, "keep"),
        (keys::SAFE_TO_EVICT_VOLUMES, "a,javelin-agent"),
        (keys::SAFE_TO_EVICT_VOLUMES, ""),
        ("o/k~e", "y"),
        (keys::CONTAINER_NAMES, "*"),
        (keys::JAVA_CONTAINER_NAMES, "c1, i0"),
        (keys::DEFAULT_CONTAINER, "c1"),
        (keys::ALLOW_OTHER_AGENT, "true"),
        (keys::JAVA_TOOL_OPTIONS_BASE, "-Xss1m -Dp=$(BASE)"),
        ("javelin.dev/env.OTEL_LOGS_EXPORTER", "none"),
        ("resource.opentelemetry.io/team", "a b, ü=$(x)"),
        ("resource.opentelemetry.io/service.name", "till"),
    ]
}

fn container() -> BoxedStrategy<Value> {
    let members = object(vec![
        ("livenessProbe", maybe(0.2, one_of(probes()))),
        ("readinessProbe", maybe(0.2, one_of(probes()))),
        ("startupProbe", maybe(0.1, one_of(probes()))),
        ("lifecycle", maybe(0.1, one_of(hooks()))),
        ("resizePolicy", maybe(0.1, one_of(resize_policies()))),
        (
            "name",
            maybe(
                0.15,
                one_of(vec![json!("istio-proxy"), json!("a"), json!("app-0")]),
            ),
        ),
    ]);
    merged(any_container(), members)
}

fn init_container() -> BoxedStrategy<Value> {
    let sidecar = object(vec![
        ("restartPolicy", Just(Some(json!("Always"))).boxed()),
        ("startupProbe", maybe(0.3, one_of(probes()))),
        ("livenessProbe", maybe(0.2, one_of(probes()))),
    ]);
    let name = object(vec![(
        "name",
        maybe(
            0.1,
            one_of(vec![json!(keys::AGENT_NAME), json!("istio-init")]),
        ),
    )]);
    merged(
        merged(any_container(), name),
        prop_oneof![Just(json!({})), sidecar],
    )
}

fn any_container() -> BoxedStrategy<Value> {
    let env = vec(variable(), 0..7).prop_map(Value::from);
    let env_from = vec(one_of(env_sources()), 0..3).prop_map(Value::from);
    let mounts = vec(one_of_weighted_mounts(), 0..3).prop_map(|mounts| {
        let mut paths = BTreeSet::new();
        let is_new = |mount: &Value| paths.insert(mount["mountPath"].to_string());
        mounts.into_iter().filter(is_new).collect()
    });
    object(vec![
        ("image", maybe(0.98, one_of(images()))),
        ("env", maybe(0.8, env)),
        ("envFrom", maybe(0.3, env_from)),
        ("volumeMounts", maybe(0.5, mounts)),
        ("volumeDevices", maybe(0.05, one_of(devices()))),
        ("resources", maybe(0.6, one_of(resources()))),
        ("securityContext", maybe(0.4, one_of(container_security()))),
        ("ports", maybe(0.2, one_of(ports()))),
        ("command", maybe(0.2, one_of(commands()))),
        ("args", maybe(0.2, one_of(commands()))),
        (
            "imagePullPolicy",
            maybe(0.2, one_of(vec![json!("Always"), json!("Never")])),
        ),
        ("workingDir", maybe(0.1, Just(json!("/work")))),
        ("tty", maybe(0.1, Just(json!(true)))),
        (
            "terminationMessagePath",
            maybe(0.1, Just(json!("/dev/ending"))),
        ),
        (
            "terminationMessagePolicy",
            maybe(0.1, Just(json!("FallbackToLogsOnError"))),
        ),
    ])
}

fn variable() -> impl Strategy<Value = Value> {
    let names = vec![
        "JAVA_TOOL_OPTIONS",
        "JAVA_TOOL_OPTIONS",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_SERVICE_NAME",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "JDK_JAVA_OPTIONS",
        "BASE",
        "BASE",
        "OTHER",
        "LATER",
        "a.b-c",
    ];
    let literals = vec![
        json!({}),
        json!({ "value": "" }),
        json!({ "value": "-Xmx1g -Da='b c'" }),
        json!({ "value": "$(BASE) $(LATER) $$ $" }),
        json!({ "value": "$$(BASE) $(a.b-c) $(UNKNOWN)" }),
        json!({ "value": "team=a,service.name=b" }),
        json!({ "value": "team=a,", "other": 1 }),
        json!({ "value": "$(OTEL_RESOURCE_ATTRIBUTES),x=$(OTHER)" }),
        json!({ "value": "$(JAVA_TOOL_OPTIONS) -Dx" }),
        json!({ "value": "-javaagent:/opt/jmx_exporter.jar=8080:/c.yaml" }),
        json!({ "value": "two\nlines\tand a tab" }),
    ];
    let elsewhere = vec![
        json!({ "secretKeyRef": { "name": "s", "key": "k" } }),
        json!({ "secretKeyRef": { "name": "s", "key": "k", "optional": true } }),
        json!({ "configMapKeyRef": { "name": "s", "key": "k", "optional": true } }),
        json!({ "configMapKeyRef": { "name": "s", "key": "k", "optional": false } }),
        json!({ "fieldRef": { "fieldPath": "metadata.name" } }),
        json!({ "fieldRef": { "apiVersion": "v1", "fieldPath": "status.hostIP" } }),
        json!({ "fieldRef": { "fieldPath": "metadata.annotations['o/k']" } }),
        json!({ "fieldRef": { "fieldPath": "metadata.labels['app']" } }),
        json!({ "resourceFieldRef": { "resource": "limits.memory", "divisor": "1Mi" } }),
        json!({ "resourceFieldRef": { "resource": "requests.cpu" } }),
        json!({ "fileKeyRef": { "volumeName": "data", "path": "e.env", "key": "K", "optional": true } }),
    ];
    let rare = vec![
        json!({ "value": "-Da='b" }),
        json!({ "value": "-javaagent:/opt/dd-java-agent.jar" }),
        json!({ "valueFrom": { "somethingNew": {} } }),
    ];
    let elsewhere: Vec<_> = elsewhere
        .into_iter()
        .map(|source| json!({ "valueFrom": source }))
        .collect();
    let values = Union::new_weighted(vec![
        (60, select(literals)),
        (36, select(elsewhere)),
        (3, select(rare)),
    ]);
    (select(names), values).prop_map(|(name, mut variable)| {
        variable["name"] = json!(name);
        variable
    })
}

fn env_sources() -> Vec<Value> {
    vec![
        json!({ "configMapRef": { "name": "cm" } }),
        json!({ "configMapRef": { "name": "cm2", "optional": true } }),
        json!({ "secretRef": { "name": "s" }, "prefix": "JAVA_" }),
        json!({ "secretRef": { "name": "s", "optional": true }, "prefix": "X_" }),
        json!({ "secretRef": { "name": "s" }, "prefix": "JAVA_TOOL_OPTIONS" }),
    ]
}

fn one_of_weighted_mounts() -> impl Strategy<Value = Value> {
    weighted(vec![
        (20, json!({ "name": "data", "mountPath": "/data" })),
        (
            20,
            json!({ "name": "data", "mountPath": "/javelin-agents", "readOnly": true }),
        ),
        (
            20,
            json!({ "name": "config", "mountPath": "/etc/app.yaml", "subPath": "app.yaml" }),
        ),
        (
            10,
            json!({ "name": "data", "mountPath": "relative/path", "subPathExpr": "a-$(BASE)" }),
        ),
        (
            10,
            json!({ "name": "data", "mountPath": "/p", "mountPropagation": "HostToContainer" }),
        ),
        (3, json!({ "name": "data", "mountPath": "/javelin-agent/" })),
        (3, json!({ "name": "data", "mountPath": "javelin-agent" })),
        (
            3,
            json!({ "name": "data", "mountPath": "/x/../javelin-agent/y" }),
        ),
    ])
}

fn devices() -> Vec<Value> {
    vec![
        json!([{ "name": "disk", "devicePath": "/dev/xvda" }]),
        json!([{ "name": "disk", "devicePath": "/javelin-agent" }]),
    ]
}

fn volumes() -> impl Strategy<Value = Value> {
    let known = vec![
        json!({ "name": "data", "emptyDir": { "medium": "Memory", "sizeLimit": "16Mi" } }),
        json!({ "name": "config", "configMap": { "name": "cm", "optional": true } }),
        json!({ "name": "secret", "secret": { "secretName": "s", "defaultMode": 256 } }),
        json!({ "name": "down", "downwardAPI": { "items": [
            { "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } }),
        json!({ "name": "token", "projected": { "sources": [
            { "serviceAccountToken": { "path": "token", "audience": "vault" } }] } }),
        json!({ "name": "host", "hostPath": { "path": "/var/log" } }),
        json!({ "name": "image", "image": { "reference": "r/data:1", "pullPolicy": "IfNotPresent" } }),
        json!({ "name": "claim", "persistentVolumeClaim": { "claimName": "c" } }),
        json!({ "name": "own", "ephemeral": { "volumeClaimTemplate": { "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } } } }),
        json!({ "name": "driver", "csi": { "driver": "secrets-store.csi.k8s.io", "readOnly": true } }),
    ];
    let taken = json!([{ "name": keys::AGENT_NAME, "emptyDir": {} }]);
    Union::new_weighted(vec![
        (20, subsequence(known, 0..4).prop_map(Value::from).boxed()),
        (1, Just(taken).boxed()),
    ])
}

fn resources() -> Vec<Value> {
    vec![
        json!({}),
        json!({ "limits": {}, "requests": null }),
        json!({ "limits": { "memory": "1Gi", "nvidia.com/gpu": 1 } }),
        json!({ "requests": { "cpu": 1, "memory": "256Mi" }, "limits": { "cpu": "2" } }),
        json!({ "requests": { "cpu": "50m" } }),
        json!({ "requests": { "cpu": "0.1", "memory": "3e8" }, "limits": { "cpu": "100m", "memory": "300M" } }),
        json!({ "limits": { "cpu": "1500m", "memory": "512Mi", "ephemeral-storage": "1Gi" } }),
        json!({ "requests": { "ephemeral-storage": "100Mi" } }),
        json!({ "requests": { "memory": "1Gi", "cpu": "1" }, "limits": { "hugepages-2Mi": "64Mi", "memory": "1Gi" } }),
        json!({ "limits": { "memory": "64Mi" } }),
        json!({ "limits": { "memory": "200Mi" }, "claims": [{ "name": "device" }] }),
    ]
}

fn pod_resources() -> Vec<Value> {
    vec![
        json!({ "requests": { "cpu": "12", "memory": "16Gi" }, "limits": { "cpu": "12", "memory": "16Gi" } }),
        json!({ "limits": { "memory": "16Gi" } }),
        json!({ "requests": { "cpu": "16" } }),
        json!({ "limits": { "cpu": "16", "memory": "100Mi" } }),
    ]
}

fn pod_security() -> Vec<Value> {
    vec![
        json!({}),
        json!({ "runAsUser": 0 }),
        json!({ "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 3000, "fsGroupChangePolicy": "OnRootMismatch" }),
        json!({ "runAsNonRoot": true }),
        json!({ "runAsNonRoot": false, "runAsUser": 0 }),
        json!({ "seccompProfile": { "type": "RuntimeDefault" }, "appArmorProfile": { "type": "Unconfined" } }),
        json!({ "supplementalGroups": [2000], "supplementalGroupsPolicy": "Strict" }),
        json!({ "sysctls": [{ "name": "net.ipv4.tcp_syncookies", "value": "1" }] }),
        json!({ "seLinuxOptions": { "level": "s0:c1,c2" } }),
        json!({ "windowsOptions": { "runAsUserName": "ContainerUser" } }),
    ]
}

fn container_security() -> Vec<Value> {
    vec![
        json!({}),
        json!({ "privileged": true }),
        json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"], "add": ["NET_BIND_SERVICE"] } }),
        json!({ "runAsUser": 0 }),
        json!({ "runAsUser": 1001, "runAsNonRoot": true, "readOnlyRootFilesystem": true }),
        json!({ "seccompProfile": { "type": "Localhost", "localhostProfile": "p.json" } }),
        json!({ "procMount": "Default" }),
    ]
}

fn pull_secrets() -> Vec<Value> {
    vec![
        json!([]),
        json!([{ "name": "mirror" }]),
        json!([{}, { "name": "a" }]),
    ]
}

fn images() -> Vec<Value> {
    vec![
        json!("app:1"),
        json!("r:5000/team/app"),
        json!("r/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
        json!("app:2@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    ]
}

fn commands() -> Vec<Value> {
    vec![
        json!([]),
        json!(["sh", "-c", "exec java $(JAVA_OPTS) -jar /app.jar"]),
        json!(["java", "-Xmx1g", "-jar", "app.jar"]),
        json!(["java", "-javaagent:/opt/jacoco.jar", "Main"]),
    ]
}

fn ports() -> Vec<Value> {
    vec![
        json!([{ "containerPort": 8080 }]),
        json!([{ "name": "http", "containerPort": 8080 }, { "name": "dns", "containerPort": 53, "protocol": "UDP" }]),
        json!([{ "containerPort": 9000, "hostPort": 9000 }]),
    ]
}

fn probes() -> Vec<Value> {
    vec![
        json!({ "httpGet": { "path": "/healthz", "port": 8080 } }),
        json!({ "exec": { "command": ["true"] }, "periodSeconds": 1, "failureThreshold": 1 }),
        json!({ "tcpSocket": { "port": "http" }, "initialDelaySeconds": 60 }),
        json!({ "grpc": { "port": 9090 } }),
    ]
}

fn hooks() -> Vec<Value> {
    vec![
        json!({ "preStop": { "sleep": { "seconds": 5 } } }),
        json!({ "postStart": { "exec": { "command": ["true"] } } }),
    ]
}

fn resize_policies() -> Vec<Value> {
    vec![json!([{ "resourceName": "cpu", "restartPolicy": "NotRequired" }])]
}

/// What else a pod may say, one key each.
fn spec_members() -> Vec<(&'static str, Value)> {
    let nodes = |os: &str| {
        json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
            { "matchExpressions": [{ "key": "kubernetes.io/os", "operator": "In", "values": [os] }] }] } } })
    };
    vec![
        ("restartPolicy", json!("Never")),
        ("restartPolicy", json!("OnFailure")),
        ("activeDeadlineSeconds", json!(600)),
        ("automountServiceAccountToken", json!(false)),
        ("enableServiceLinks", json!(false)),
        ("shareProcessNamespace", json!(true)),
        ("hostPID", json!(true)),
        ("hostUsers", json!(false)),
        ("hostNetwork", json!(true)),
        ("os", json!({ "name": "linux" })),
        ("os", json!({ "name": "windows" })),
        ("nodeSelector", json!({ "kubernetes.io/os": "linux" })),
        ("nodeSelector", json!({ "kubernetes.io/os": "windows" })),
        ("affinity", nodes("linux")),
        ("affinity", nodes("windows")),
        (
            "tolerations",
            json!([{ "key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5 }]),
        ),
        (
            "topologySpreadConstraints",
            json!([{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway" }]),
        ),
        ("schedulingGates", json!([{ "name": "example.com/wait" }])),
        (
            "readinessGates",
            json!([{ "conditionType": "example.com/ready" }]),
        ),
        (
            "hostAliases",
            json!([{ "ip": "10.0.0.1", "hostnames": ["a"] }]),
        ),
        (
            "dnsConfig",
            json!({ "options": [{ "name": "ndots", "value": "2" }] }),
        ),
        ("subdomain", json!("sub")),
        ("priorityClassName", json!("system-node-critical")),
        ("schedulerName", json!("mine")),
        ("nodeName", json!("elsewhere")),
        ("serviceAccountName", json!("nobody-made-it")),
        (
            "resourceClaims",
            json!([{ "name": "device", "resourceClaimName": "c" }]),
        ),
        ("terminationGracePeriodSeconds", json!(0)),
        ("preemptionPolicy", json!(null)),
        ("aFieldOfTomorrow", json!({ "x": [1] })),
    ]
}

/// What containers mount is there, nearly always: else no API server would look any further.
fn add_missing_volumes(spec: &mut Value) {
    let mut missing = BTreeSet::new();
    let mut claims = false;
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array().into_iter().flatten() {
            for key in ["volumeMounts", "volumeDevices"] {
                let mounts = container[key].as_array().into_iter().flatten();
                missing
                    .extend(mounts.filter_map(|mount| mount["name"].as_str().map(str::to_owned)));
            }
            for variable in container["env"].as_array().into_iter().flatten() {
                let volume = variable["valueFrom"]["fileKeyRef"]["volumeName"].as_str();
                missing.extend(volume.map(str::to_owned));
            }
            claims |= !container["resources"]["claims"].is_null();
        }
    }
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        missing.remove(volume["name"].as_str().unwrap_or_default());
    }
    for name in missing {
        let source = if name == "disk" {
            json!({ "name": name, "persistentVolumeClaim": { "claimName": "disk" } })
        } else {
            json!({ "name": name, "emptyDir": {} })
        };
        match spec["volumes"].as_array_mut() {
            Some(volumes) => volumes.push(source),
            None => spec["volumes"] = json!([source]),
        }
    }
    if claims {
        spec["resourceClaims"] = json!([{ "name": "device", "resourceClaimName": "c" }]);
    }
}

type Member = (&'static str, BoxedStrategy<Option<Value>>);

/// An object of those of the members that there are.
fn object(members: Vec<Member>) -> BoxedStrategy<Value> {
    let (keys, values): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    values
        .prop_map(move |values| {
            let members = keys
                .iter()
                .zip(values)
                .filter_map(|(key, value)| Some(((*key).to_owned(), value?)));
            Value::Object(members.collect::<Map<_, _>>())
        })
        .boxed()
}

fn merged(
    one: BoxedStrategy<Value>,
    other: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<Value> {
    let merge = |(mut one, other): (Value, Value)| {
        for (key, value) in other.as_object().into_iter().flatten() {
            one[key] = value.clone();
        }
        one
    };
    (one, other).prop_map(merge).boxed()
}

fn maybe(
    probability: f64,
    value: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<Option<Value>> {
    option::weighted(probability, value).boxed()
}

fn one_of(values: Vec<Value>) -> impl Strategy<Value = Value> {
    select(values)
}

fn weighted(values: Vec<(u32, Value)>) -> Union<Just<Value>> {
    Union::new_weighted(
        values
            .into_iter()
            .map(|(weight, value)| (weight, Just(value)))
            .collect(),
    )
}
