//! Takes agents back as the [`guard`](super::guard) decides, one workload after the other, and tells of it.
//!
//! Invariants: what is changed was read just before, and is changed at the version that was read; how many a round would change is
//! known before the first is changed. What may have been done counts as done.
//!
//! Deliberately not here: which, and what is written.

use std::time::Instant;

use javelin_core::kinds::Kind;
use tokio::time::sleep;

use super::findings::{Finding, Findings, Workload};
use super::guard::{Change, Circumstances, Evidence, MOST_IN_A_WHILE, Memory, Refusal, Target};
use super::{Audit, say_once};
use crate::api::request::ClusterError;
use crate::controller::workload_events::Notice;
use crate::metrics::GuardResult;
use crate::standing;
use crate::time::{jittered, now, rfc3339};

/// What the guard is about to do, and what kept it from doing more.
#[derive(Default)]
struct Plans {
    workloads: Vec<Workload>,
    /// Sentences for the log.
    problems: Vec<String>,
}

impl Audit {
    /// Takes the agent back from workloads that do not run with it and did without, if that is this replica's to do.
    pub(super) async fn take_back(&mut self, findings: &Findings) {
        let at = Instant::now();
        let Some(mut memory) = self.guard.take() else {
            return;
        };
        memory.refresh(at);
        let Plans {
            workloads,
            mut problems,
        } = self.plan(&memory, findings).await;
        if memory.is_too_much(workloads.len(), at) {
            self.metrics.guarded(GuardResult::TooMany);
            problems.push(format!(
                "more than {MOST_IN_A_WHILE} workloads would lose the agent within an hour, and keep it: look at Javelin, the \
                 agent and the configuration first"
            ));
        } else {
            for workload in workloads {
                let outcome = self.take_back_from(&mut memory, findings, &workload, at);
                match outcome.await {
                    Ok(()) | Err(ClusterError::Missing(_)) => {}
                    Err(error) => problems.push(self.failed(&workload, error)),
                }
            }
        }
        self.guard = Some(memory);
        let is_warning = !problems.is_empty();
        say_once(&mut self.guard_said, problems.join("; "), is_warning);
    }

    /// What is to be changed, one workload more than may be at most.
    async fn plan(&self, memory: &Memory, findings: &Findings) -> Plans {
        let mut plans = Plans::default();
        for (workload, evidence) in &findings.evidence {
            if let Err(refusal) = evidence.judge(&workload.kind) {
                tracing::debug!(?workload, ?refusal, "the agent is not taken back");
                continue;
            }
            sleep(jittered(self.pace.pause)).await;
            match self.change(memory, findings, workload, evidence).await {
                Ok(Ok(_)) => plans.workloads.push(workload.clone()),
                Ok(Err(refusal)) => {
                    tracing::debug!(?workload, ?refusal, "the agent is not taken back");
                    if refusal == Refusal::PutBack {
                        self.metrics.guarded(GuardResult::PutBack);
                        plans.problems.push(format!(
                            "{} crashes with the agent again, which was taken back within a day and is there again by somebody \
                             else's change: that is left as it is",
                            title(workload)
                        ));
                    }
                }
                // It was deleted in the meantime.
                Err(ClusterError::Missing(_)) => {}
                Err(error) => plans.problems.push(self.failed(workload, error)),
            }
            if plans.workloads.len() > MOST_IN_A_WHILE {
                break;
            }
        }
        plans
    }

    /// Reads it again, as the others have taken a while, and changes it.
    async fn take_back_from(
        &mut self,
        memory: &mut Memory,
        findings: &Findings,
        workload: &Workload,
        at: Instant,
    ) -> Result<(), ClusterError> {
        let Some(evidence) = findings.evidence.get(workload) else {
            return Ok(());
        };
        let change = match self.change(memory, findings, workload, evidence).await? {
            Ok(change) => change,
            Err(refusal) => {
                tracing::debug!(?workload, ?refusal, "the agent is not taken back");
                return Ok(());
            }
        };
        // Before it is sent: where no answer comes, it may have been done.
        memory.add(workload.clone(), at);
        let outcome = self.write(workload, change).await;
        if outcome.as_ref().is_err_and(is_refusal) {
            memory.forget(workload);
        }
        outcome
    }

    async fn change(
        &self,
        memory: &Memory,
        findings: &Findings,
        workload: &Workload,
        evidence: &Evidence,
    ) -> Result<Result<Change, Refusal>, ClusterError> {
        let (kind, path) = place(workload);
        let target: Target = self
            .cluster
            .reader()
            .get(kind, &workload.name, &path)
            .await?;
        let around = Circumstances {
            namespace_asks: findings.does_namespace_ask(&workload.namespace),
            annotations_count: findings.annotations_count(),
            was_guarded: memory.has(workload),
            at: &rfc3339(now()),
        };
        Ok(target.change(workload, evidence, around))
    }

    /// Takes one back, and tells of it instead of the crash.
    async fn write(&mut self, workload: &Workload, change: Change) -> Result<(), ClusterError> {
        let (_, path) = place(workload);
        let reader = self.cluster.reader();
        reader.change_template(&path, &change.patch).await?;
        self.metrics.guarded(GuardResult::TakenBack);
        tracing::warn!("{}: {}", title(workload), change.note);
        let notice = Notice {
            action: "Guard",
            kind: "Warning",
            reason: "AgentTakenBack",
            note: change.note,
        };
        self.write_event(workload, notice).await;
        self.told
            .insert((workload.clone(), Finding::Crashing), Instant::now());
        Ok(())
    }

    fn failed(&self, workload: &Workload, error: ClusterError) -> String {
        self.metrics.guarded(GuardResult::Failed);
        let error = anyhow::Error::from(error);
        format!(
            "the agent of {} could not be taken back: {error:#}",
            title(workload)
        )
    }
}

/// Was it certainly not done?
fn is_refusal(error: &ClusterError) -> bool {
    match error {
        ClusterError::Conflict(_) | ClusterError::Missing(_) | ClusterError::Denied { .. } => true,
        ClusterError::Refused { code, .. } => *code < 500,
        _ => false,
    }
}

/// Kind and path of a workload; of a kind that is not known there is no path, and nothing to be found there.
fn place(workload: &Workload) -> (&'static str, String) {
    let kind = Kind::named(None, &workload.kind);
    kind.map_or(("path", String::new()), |kind| {
        let path = kind.path(Some(&workload.namespace));
        (kind.name, format!("{path}/{}", workload.name))
    })
}

/// `shop/deployment.apps/orders`.
fn title(workload: &Workload) -> String {
    let resource = standing::resource(&workload.kind, &workload.name);
    format!("{}/{resource}", workload.namespace)
}
