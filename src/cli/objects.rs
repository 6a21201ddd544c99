//! Which objects of the cluster are Javelin's, as flags that several verbs share.

use anyhow::Result;

use crate::api::client::Names;
use crate::certs::ServiceName;

/// The names of Javelin's objects, as the chart gives them to a release called `javelin`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Objects {
    /// Name of the Service that the API server calls
    #[arg(
        long,
        env = "JAVELIN_SERVICE",
        value_name = "NAME",
        default_value = "javelin"
    )]
    service: String,

    /// Name of the Secret with the certificate authority
    #[arg(
        long,
        env = "JAVELIN_SECRET",
        value_name = "NAME",
        default_value = "javelin-ca"
    )]
    secret: String,

    /// Name of the MutatingWebhookConfiguration whose entries get the caBundle
    #[arg(
        long,
        env = "JAVELIN_WEBHOOK_CONFIGURATION",
        value_name = "NAME",
        default_value = "javelin"
    )]
    webhook_configuration: String,

    /// Name of the probe's ConfigMap, which is only created as a dry run
    #[arg(
        long,
        env = "JAVELIN_PROBE_CONFIGMAP",
        value_name = "NAME",
        default_value = "javelin-probe"
    )]
    probe_configmap: String,
}

impl Objects {
    /// The Service's name in `namespace`.
    pub(super) fn service(&self, namespace: &str) -> Result<ServiceName> {
        Ok(ServiceName::new(&self.service, namespace)?)
    }

    /// All of them, in `namespace`.
    pub(super) fn names(self, namespace: &str) -> Result<Names> {
        Ok(Names {
            service: self.service(namespace)?,
            secret: self.secret,
            configuration: self.webhook_configuration,
            probe: self.probe_configmap,
        })
    }
}
