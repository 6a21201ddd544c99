//! `docs/probe.md`: every finding of the probe, what it means and what to do.

use std::fmt::Write as _;

use super::GENERATED;
use crate::api::client::Names;
use crate::certs::ServiceName;
use crate::probe::Reachability;
use crate::probe::advice::{Installation, Platform, next_step};

/// A finding with an example of what the API server says. Written so that a new one does not compile without.
fn findings() -> Vec<Reachability> {
    let post = |cause: &str| {
        format!("Post \"https://javelin.javelin-system.svc:443/probe?timeout=3s\": {cause}")
    };
    let mut all = vec![Reachability::Reached];
    while let Some(next) = all.last().and_then(|last| match last {
        Reachability::Reached => Some(Reachability::NoAnswer(post("context deadline exceeded"))),
        Reachability::NoAnswer(_) => Some(Reachability::Refused(post(
            "dial tcp 10.0.0.1:443: connect: connection refused",
        ))),
        Reachability::Refused(_) => Some(Reachability::NoEndpoint(post(
            "no endpoints available for service \"javelin\"",
        ))),
        Reachability::NoEndpoint(_) => Some(Reachability::Untrusted(post(
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        ))),
        Reachability::Untrusted(_) => Some(Reachability::SomebodyElse(post(
            "tls: failed to verify certificate: x509: certificate is valid for ip-10-0-1-2.ec2.internal, not javelin.javelin-system.svc",
        ))),
        Reachability::SomebodyElse(_) => Some(Reachability::NotCalled),
        Reachability::NotCalled => Some(Reachability::CouldNotProbe(
            "access to ConfigMap javelin-probe is denied (exceeded quota: configmaps); the Role and ClusterRole of the chart allow it".to_owned(),
        )),
        Reachability::CouldNotProbe(_) => None,
    }) {
        all.push(next);
    }
    all
}

/// The headings; a match, so that a new platform does not compile without one.
fn heading(platform: Platform) -> &'static str {
    match platform {
        Platform::Gke => "GKE",
        Platform::Eks => "EKS",
        Platform::K3s => "k3s",
        Platform::Rke2 => "RKE2",
        Platform::Other => "AKS, on-premises and others",
    }
}

pub(super) fn page() -> String {
    let names = ServiceName::new("javelin", "javelin-system").map(|service| Names {
        service,
        secret: "javelin-ca".to_owned(),
        configuration: "javelin".to_owned(),
        probe: "javelin-probe".to_owned(),
    });
    let names = names.unwrap();
    let advice = |finding: &Reachability, platform, port| {
        let place = Installation {
            platform,
            port,
            names: &names,
        };
        next_step(finding, &place)
    };
    let mut text = format!("{GENERATED}{INTRODUCTION}");
    for finding in findings() {
        let _ = write!(
            text,
            "\n### `{}`\n\n{}\n",
            finding.code(),
            finding.meaning()
        );
        if let Some(said) = finding.said() {
            let _ = write!(text, "\nAs in:\n\n```text\n{said}\n```\n");
        }
        let next = match finding {
            Reachability::NoAnswer(_) => "See [the firewall](#the-firewall).".to_owned(),
            Reachability::Refused(_) => {
                let all = advice(&finding, Platform::Other, 10250);
                let firewall = advice(
                    &Reachability::NoAnswer(String::new()),
                    Platform::Other,
                    10250,
                );
                let own = all.strip_suffix(&firewall).unwrap_or(&all);
                format!("{}\n\nThen see [the firewall](#the-firewall).", blocks(own))
            }
            _ => blocks(&advice(&finding, Platform::Other, 10250)),
        };
        if !next.is_empty() {
            let _ = write!(text, "\n{next}\n");
        }
    }
    text.push_str(FIREWALL);
    for (platform, port) in [
        (Platform::Gke, 10260),
        (Platform::Eks, 10250),
        (Platform::K3s, 10250),
        (Platform::Rke2, 10250),
        (Platform::Other, 10250),
    ] {
        let next = advice(&Reachability::NoAnswer(String::new()), platform, port);
        let _ = write!(text, "\n### {}\n\n{}\n", heading(platform), blocks(&next));
    }
    text
}

/// Sentences as paragraphs, and the commands between them as blocks.
fn blocks(advice: &str) -> String {
    let is_command = |line: &&str| {
        let programs = ["kubectl ", "gcloud ", "aws ", "journalctl "];
        programs.iter().any(|program| line.starts_with(program))
    };
    let lines: Vec<_> = advice.lines().collect();
    let blocks = lines.chunk_by(|one, next| is_command(one) == is_command(next));
    let blocks = blocks.map(|block| {
        let is_code = block.first().is_some_and(is_command);
        let block = block.join("\n");
        if is_code {
            format!("```sh\n{block}\n```")
        } else {
            block
        }
    });
    blocks.collect::<Vec<_>>().join("\n\n")
}

const INTRODUCTION: &str = "
# Does the API server reach the webhook?

Each replica tests this by itself: every five minutes, and every few seconds until the test succeeds. It creates a
ConfigMap in Javelin's own namespace as a dry run, and sees whether the webhook was called. The result never affects
readiness.

The result is in four places:

- `/readyz?verbose` of the admin port: the last finding, when it was made, the API server's own words and the next step;
- the log, when the finding changes; a failure counts from the third in a row;
- `javelin_probe_result{result}`, which is 1 for the finding's code;
- `javelin_probe_last_success_timestamp_seconds`, to alert on.

For example, with the port of the first replica forwarded to this machine:

```sh
kubectl port-forward -n javelin-system deployment/javelin 8080 &
curl 'http://localhost:8080/readyz?verbose'
```

With `hostNetwork` the admin port is 10261: write `8080:10261` instead of `8080`.

## Findings
";

const FIREWALL: &str = "
## The firewall

Javelin takes the platform from the API server's version, and the port that is in use. The messages here are for the
namespace `javelin-system`. On GKE 10250 needs no rule, so the example shows the port for `hostNetwork`.
";
