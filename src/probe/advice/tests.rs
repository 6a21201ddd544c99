use super::*;
use crate::certs::ServiceName;
use crate::probe::tests::every_finding;

const PLATFORMS: [Platform; 5] = [
    Platform::Gke,
    Platform::Eks,
    Platform::K3s,
    Platform::Rke2,
    Platform::Other,
];

fn advice(finding: &Reachability, platform: Platform, port: u16) -> String {
    let names = Names {
        service: ServiceName::new("spear", "monitoring").unwrap(),
        secret: "spear-ca".to_owned(),
        configuration: "spear-hooks".to_owned(),
        probe: "spear-probe".to_owned(),
    };
    let place = Installation {
        platform,
        port,
        names: &names,
    };
    next_step(finding, &place)
}

#[test]
fn the_version_tells_the_platform() {
    for (version, platform) in [
        ("v1.33.4-gke.1172000", Platform::Gke),
        ("v1.34.1-eks-d96d92f", Platform::Eks),
        ("v1.33.3+k3s1", Platform::K3s),
        ("v1.35.0-rc1+rke2r1", Platform::Rke2),
        ("v1.37.2", Platform::Other),
        ("", Platform::Other),
    ] {
        assert_eq!(Platform::of(version), platform, "{version}");
    }
}

#[test]
fn the_firewall_statement_is_the_platforms_own() {
    let said = || "its words".to_owned();
    for (platform, port, needed, wrong) in [
        (
            Platform::Gke,
            8443,
            &[
                "gcloud compute firewall-rules create javelin-webhook",
                "--allow=tcp:8443 --source-ranges=",
                "port=10250",
            ][..],
            &["aws ", "konnectivity"][..],
        ),
        // Needs no rule.
        (
            Platform::Gke,
            10250,
            &["by a rule of its own", "gcloud compute firewall-rules list"],
            &["firewall-rules create", "aws "],
        ),
        (
            Platform::Eks,
            10250,
            &[
                "authorize-security-group-ingress",
                "--protocol tcp --port 10250",
                "hostNetwork=true",
                "Fargate",
            ],
            &["gcloud", "konnectivity"],
        ),
        (
            Platform::K3s,
            10250,
            &["egress-selector-mode", "journalctl -u k3s |", "TCP 10250"],
            &["rke2", "gcloud", "aws "],
        ),
        (
            Platform::Rke2,
            10250,
            &["egress-selector-mode", "journalctl -u rke2-server |"],
            &["-u k3s", "gcloud", "aws "],
        ),
        (
            Platform::Other,
            10260,
            &[
                "Allow TCP 10260 from each control plane node to the pods on every node",
                "AKS",
                "-l app=konnectivity-agent",
            ],
            &["gcloud", "aws ", "egress-selector"],
        ),
    ] {
        for finding in [
            Reachability::NoAnswer(said()),
            Reachability::Refused(said()),
        ] {
            let text = advice(&finding, platform, port);
            for word in needed.iter().chain(&["networkpolicies -n monitoring"]) {
                assert!(text.contains(word), "{platform:?}: {word}:\n{text}");
            }
            for word in wrong {
                assert!(!text.contains(word), "{platform:?}: {word}:\n{text}");
            }
        }
    }
}

#[test]
fn each_finding_has_its_own_next_step() {
    let endpoints =
        "kubectl get endpointslices -n monitoring -l kubernetes.io/service-name=spear\n";
    let needed: [&[&str]; 8] = [
        &[],
        &["Allow TCP 10250"],
        &["with port 10250", endpoints, "Allow TCP 10250"],
        &["helm upgrade", "kubectl get service,pods -n monitoring\n"],
        &[
            "kubectl get mutatingwebhookconfiguration spear-hooks ",
            "chronyc tracking",
        ],
        &["with port 10250", endpoints, "kubelet's"],
        &[
            "failurePolicy Fail",
            "kubectl get mutatingwebhookconfiguration spear-hooks -o yaml\n",
            "policy sets it to Ignore",
        ],
        &["ConfigMap spear-probe in monitoring", "-n monitoring\n"],
    ];
    for (finding, needed) in every_finding().iter().zip(needed) {
        let text = advice(finding, Platform::Other, 10250) + "\n";
        for word in needed {
            assert!(text.contains(word), "{finding:?}: {word}:\n{text}");
        }
    }
    let fargate = advice(
        &Reachability::SomebodyElse(String::new()),
        Platform::Eks,
        10250,
    );
    assert!(fargate.contains("set port=10260"), "{fargate}");
}

#[test]
fn advice_is_short_and_a_command_stands_alone() {
    for platform in PLATFORMS {
        for finding in every_finding() {
            for port in [10250, 10260] {
                let text = advice(&finding, platform, port);
                assert_eq!(text.is_empty(), finding == Reachability::Reached);
                assert!(text.lines().count() <= 6, "{text}");
                for line in text.lines() {
                    let is_command = ["kubectl ", "gcloud ", "aws ", "journalctl "]
                        .iter()
                        .any(|program| line.starts_with(program));
                    let ends_well = line.ends_with(['.', ':']);
                    assert!(is_command != ends_well, "{line}");
                }
            }
        }
    }
}
