//! Where an object keeps the metadata of its pods: the one decoder of pod templates for [`check`](super::check) and
//! [`status`](super::status), each with the fields that it looks at.

use serde::Deserialize;

/// The pod template of most kinds, or of a `CronJob`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplates<M> {
    template: Option<Template<M>>,
    job_template: Option<JobTemplate<M>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Template<M> {
    metadata: Option<M>,
}

#[derive(Debug, Clone, Deserialize)]
struct JobTemplate<M> {
    spec: Option<JobSpec<M>>,
}

#[derive(Debug, Clone, Deserialize)]
struct JobSpec<M> {
    template: Option<Template<M>>,
}

impl<M> PodTemplates<M> {
    /// That of the pods, if there is one.
    pub fn metadata(&self) -> Option<&M> {
        let of_job = || self.job_template.as_ref()?.spec.as_ref()?.template.as_ref();
        self.template.as_ref().or_else(of_job)?.metadata.as_ref()
    }
}
