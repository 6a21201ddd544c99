//! What to do about a finding of the probe: values in, text out.
//!
//! The firewall statement is for the platform in use, with the port in use, because those who probe and those who may
//! change a firewall are seldom the same people: the text is made to be forwarded.
//!
//! Invariant: a few lines each; a command stands alone in its line, and words in capitals are to be filled in.
//!
//! Deliberately not here: finding out. Whether Javelin's pods have the host's network is not known here either, so
//! the texts say what is different with it.

use super::Reachability;
use crate::api::client::Names;

/// Who runs the control plane, as far as its version tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Platform {
    /// Google Kubernetes Engine.
    Gke,
    /// Amazon Elastic Kubernetes Service.
    Eks,
    /// k3s.
    K3s,
    /// RKE2.
    Rke2,
    /// Anything else: on-premises, and AKS, whose versions have no mark.
    #[default]
    Other,
}

impl Platform {
    /// By the `gitVersion` of the API server's `/version`.
    pub fn of(git_version: &str) -> Self {
        [
            ("-gke.", Self::Gke),
            ("-eks-", Self::Eks),
            ("+k3s", Self::K3s),
            ("+rke2", Self::Rke2),
        ]
        .into_iter()
        .find(|(mark, _)| git_version.contains(mark))
        .map_or(Self::Other, |(_, platform)| platform)
    }
}

/// Where Javelin runs.
#[derive(Debug, Clone, Copy)]
pub struct Installation<'a> {
    /// Who runs the control plane.
    pub platform: Platform,
    /// Where the webhook listens.
    pub port: u16,
    /// The objects' names, for the commands.
    pub names: &'a Names,
}

/// The next step after `finding`; empty if there is nothing to do.
pub fn next_step(finding: &Reachability, place: &Installation<'_>) -> String {
    let Installation {
        platform,
        port,
        names,
    } = *place;
    let (service, namespace) = (names.service.service(), names.service.namespace());
    let (configuration, probe) = (&names.configuration, &names.probe);
    let endpoints = format!(
        "kubectl get endpointslices -n {namespace} -l kubernetes.io/service-name={service}"
    );
    match finding {
        Reachability::Reached => String::new(),
        Reachability::NoAnswer(_) => firewall(platform, port, namespace),
        Reachability::Refused(_) => format!(
            "Each ready replica must be listed, with port {port}. If so, a firewall is the cause:\n\
             {endpoints}\n\
             {}",
            firewall(platform, port, namespace)
        ),
        Reachability::NoEndpoint(_) => format!(
            "The Service must exist with port 443, and a ready replica must be behind it; the same `helm upgrade` \
             again brings back what is missing:\n\
             kubectl get service,pods -n {namespace}\n\
             {endpoints}"
        ),
        Reachability::Untrusted(_) => format!(
            "Javelin repairs the caBundle by itself. If this persists, its log says why, or who else writes it:\n\
             kubectl get mutatingwebhookconfiguration {configuration} --show-managed-fields -o yaml\n\
             If the message mentions a time, synchronise the clocks of control plane and nodes (`chronyc tracking`)."
        ),
        Reachability::SomebodyElse(_) => format!(
            "Only ready replicas may be behind the Service, with port {port}. Exclude that port from a service mesh:\n\
             {endpoints}\n\
             {}",
            somebody_else(platform, port)
        ),
        Reachability::NotCalled => format!(
            "The entry probe.javelin.dev must select ConfigMaps with the label javelin.dev/probe in {namespace}, with \
             failurePolicy Fail; the same `helm upgrade` again brings it back:\n\
             kubectl get mutatingwebhookconfiguration {configuration} -o yaml\n\
             If a policy sets it to Ignore, a failed call also looks like this: exempt the entry, or look for the \
             failure in the API server's log."
        ),
        Reachability::CouldNotProbe(_) => format!(
            "The message says what refused it. Javelin's Role must allow create and patch of ConfigMap {probe} in \
             {namespace}; quotas, policies and other webhooks must allow its dry run. Injection does not need it.\n\
             kubectl get role,rolebinding,resourcequota -n {namespace}"
        ),
    }
}

/// What to ask of whoever may change the firewall.
fn firewall(platform: Platform, port: u16, namespace: &str) -> String {
    let policies = format!("kubectl get networkpolicies -n {namespace}");
    match platform {
        Platform::Gke if matches!(port, 443 | 10250) => format!(
            "GKE lets the control plane reach TCP {port} by a rule of its own. Look for a DENY that comes before it, and for \
             a NetworkPolicy:\n\
             gcloud compute firewall-rules list --filter=direction=INGRESS --sort-by=priority\n\
             {policies}"
        ),
        Platform::Gke => format!(
            "Allow TCP {port} from the control plane to the nodes (or set port=10250, if hostNetwork is off: that needs no \
             rule). Network, range and tag are in the rule that ends with -master. A NetworkPolicy must allow it too:\n\
             gcloud compute firewall-rules list --filter='name~^gke-CLUSTER' --format='table(name,network,sourceRanges.list(),targetTags.list())'\n\
             gcloud compute firewall-rules create javelin-webhook --network=NETWORK --direction=INGRESS --allow=tcp:{port} \
             --source-ranges=RANGE --target-tags=TAG\n\
             {policies}"
        ),
        Platform::Eks => format!(
            "Allow TCP {port} from the cluster's security group to the one of the nodes, or of the pods if they have \
             their own. A NetworkPolicy must allow it too:\n\
             aws ec2 authorize-security-group-ingress --group-id NODES --source-group CLUSTER --protocol tcp --port {port}\n\
             {policies}\n\
             With an overlay CNI the control plane reaches nodes only: set hostNetwork=true (then TCP 10260). On Fargate \
             10250 is the kubelet's: set port=10260."
        ),
        Platform::K3s | Platform::Rke2 => {
            let unit = if platform == Platform::K3s {
                "k3s"
            } else {
                "rke2-server"
            };
            format!(
                "The servers' egress-selector-mode sets how they call pods. With `disabled` or `agent`, each server \
                 must run an agent, and reach TCP {port} of the pods (of the nodes with hostNetwork). With `pod` and \
                 `cluster`, calls go through tunnels. Check a server's log, and look for a NetworkPolicy:\n\
                 journalctl -u {unit} | grep -iE 'egress|tunnel'\n\
                 {policies}"
            )
        }
        Platform::Other => format!(
            "Allow TCP {port} from each control plane node to the pods on every node (with hostNetwork: to the nodes). \
             If pods are not routable, set hostNetwork=true (then TCP 10260). A NetworkPolicy must allow it too:\n\
             {policies}\n\
             On AKS, and wherever konnectivity carries the calls, no port has to be opened, but its agents must run:\n\
             kubectl get pods -n kube-system -l app=konnectivity-agent"
        ),
    }
}

/// Whose answer it may be.
fn somebody_else(platform: Platform, port: u16) -> String {
    match (platform, port) {
        (Platform::Eks, 10250) => {
            "On Fargate, and on nodes, 10250 is the kubelet's: set port=10260.".to_owned()
        }
        (_, 10250) => {
            "With hostNetwork 10250 is the kubelet's: leave port empty, or set another.".to_owned()
        }
        _ => format!("With hostNetwork another program of the node may have {port}."),
    }
}

#[cfg(test)]
mod tests;
