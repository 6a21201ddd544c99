//! Certificates that live for seconds instead of years, while pods are created all the time.
//!
//! Each rotation is seen through: a successor is stored, published, takes over, and what it replaced is dropped. The cases
//! leave short lifetimes to the next one; the last of them brings the usual ones back.

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use crate::{
    cases::{INJECT, SOON, SYSTEM, counted, name_of, pods_get_the_agent, upgrade_with},
    figures,
    kube::{
        Namespace, Result, ca_bundles, checkout, ensure, eventually, get, kubectl, kubectl_with,
        pods, wipe_ca_bundles,
    },
    load,
    settled::javelin_is_called,
};

// === Without a gap

/// Three rotations and twenty renewals, two replicas, and no pod that is missed.
pub(crate) fn under_load() -> Result {
    set_lifetimes(&SHORT)?;
    let mut authorities = BTreeSet::new();
    let before = signed()?;
    let tally = load::during("t-rotation", || {
        // The authority in use lives for years: the first rotation is asked for, the others come by age.
        request_rotation()?;
        eventually("three rotations, seen through", ROTATIONS, || {
            let secret = Secret::read()?;
            authorities.insert(secret.signing()?);
            ensure!(
                authorities.len() > 3 && secret.step() == Step::Steady,
                "{} authorities so far, {:?}",
                authorities.len(),
                secret.step()
            );
            let renewals = signed()?.saturating_sub(before);
            ensure!(renewals >= 20, "{renewals} renewals so far");
            Ok(())
        })
    })?;
    let renewals = signed()?.saturating_sub(before);
    tally.is_without_a_gap()?;
    figures::add(format!(
        "rotation under load: {tally}; {} rotations, {renewals} certificates signed",
        authorities.len() - 1
    ));
    Ok(())
}

// === Whatever happens meanwhile

/// A replica is killed at each step of a rotation.
pub(crate) fn replicas_are_killed() -> Result {
    set_lifetimes(&SHORTER)?;
    let mut killed = Vec::new();
    let steps = [
        ("t-killed-prepared", Step::Prepared),
        ("t-killed-promoted", Step::Promoted),
        ("t-killed-after", Step::Steady),
    ];
    for (n, (namespace, step)) in steps.into_iter().enumerate() {
        let tally = load::during(namespace, || {
            request_rotation()?;
            eventually("a successor is stored", SOON, || {
                Secret::read()?.is_at(Step::Prepared)
            })?;
            eventually("the step has come", SOON, || Secret::read()?.is_at(step))?;
            kill_a_replica(n % 2)?;
            killed.push(Instant::now());
            seen_through()
        })?;
        tally.is_at_rate()?;
        tally.is_without_a_tls_error()?;
        let refused = tally.refused();
        ensure!(refused.is_empty(), "{step:?}: {tally}: {refused:?}");
        // Calls that were on their way to it are lost, and those until its endpoint is gone; that is no certificate's doing.
        let when = *killed.last().ok_or("nobody was killed")?;
        let after = |at: Instant| at + Duration::from_secs(1) < when || at > when + ENDPOINT_GONE;
        let blind = tally.blind(after);
        ensure!(blind.is_empty(), "{step:?}: {tally}: {blind:?}");
        figures::add(format!("a replica killed, {step:?}: {tally}"));
        replicas_are_ready(2)?;
    }
    Ok(())
}

/// The Secret is deleted, or cut off, while a rotation is under way, or just after.
pub(crate) fn the_secret_is_lost() -> Result {
    set_lifetimes(&SHORTER)?;
    let cut_off = r#"{"data":{"ca.key":"bm9uc2Vuc2U="}}"#;
    let emptied = r#"[{"op":"remove","path":"/data"}]"#;
    let delete = ["delete", "secret", "-n", SYSTEM, SECRET];
    let patch = |kind, patch| ["patch", "secret", "-n", SYSTEM, SECRET, kind, "-p", patch];
    let losses: [(&str, Step, Vec<&str>); 4] = [
        ("deleted", Step::Prepared, delete.to_vec()),
        ("deleted", Step::Promoted, delete.to_vec()),
        (
            "cut off",
            Step::Prepared,
            patch("--type=merge", cut_off).to_vec(),
        ),
        (
            "emptied",
            Step::Promoted,
            patch("--type=json", emptied).to_vec(),
        ),
    ];
    let tally = load::during("t-lost", || {
        for (what, step, command) in &losses {
            request_rotation()?;
            eventually("the step has come", SOON, || Secret::read()?.is_at(*step))?;
            let before = Secret::read()?.trusted()?;
            kubectl(command)?;
            eventually("the Secret is sound again", SOON, || {
                Secret::read()?.signing().map(drop)
            })?;
            let after = Secret::read()?.trusted()?;
            ensure!(
                before.is_subset(&after),
                "{what} when {step:?}: of {before:?} only {after:?} are still trusted"
            );
            seen_through()?;
        }
        Ok(())
    })?;
    tally.is_without_a_gap()?;
    let events = kubectl(&[
        "get",
        "events",
        "-n",
        SYSTEM,
        "-o",
        "jsonpath={.items[*].reason}",
    ])?;
    for reason in ["AuthorityRestored", "SecretCreated", "AuthorityPrepared"] {
        ensure!(events.contains(reason), "no Event {reason}: {events}");
    }
    figures::add(format!("the Secret lost four times in rotations: {tally}"));
    Ok(())
}

/// Somebody takes the caBundles away every second.
pub(crate) fn bundles_are_wiped() -> Result {
    set_lifetimes(&SHORTER)?;
    let (mut repairs, mut slowest_wipe) = (Vec::new(), Duration::ZERO);
    let tally = load::during("t-wiped", || {
        request_rotation()?;
        let begun = Instant::now();
        while repairs.len() < 10 {
            let wiped = Instant::now();
            wipe_ca_bundles()?;
            slowest_wipe = slowest_wipe.max(wiped.elapsed());
            eventually("the bundles are back", SOON, bundled)?;
            repairs.push(wiped.elapsed());
            thread::sleep(
                (wiped + Duration::from_secs(1)).saturating_duration_since(Instant::now()),
            );
        }
        ensure!(begun.elapsed() < ROTATIONS, "it takes too long");
        seen_through()
    })?;
    tally.is_at_rate()?;
    let slowest = repairs.iter().max().copied().unwrap_or_default();
    // A repair is a few calls, as a wipe is one: on a busy machine both take longer.
    let bound = Duration::from_secs(2) + 5 * slowest_wipe;
    ensure!(
        slowest < bound,
        "a repair took {slowest:?}, and a wipe {slowest_wipe:?}"
    );
    // Without a bundle nobody can be trusted: those pods are lost. All others are not.
    let share = tally.blind(|_| true).len();
    figures::add(format!(
        "caBundles wiped every second: {tally}; repaired after {} ms at most; {share} pods fell into the gaps",
        slowest.as_millis()
    ));
    Ok(())
}

/// The API server goes away and comes back. Until it is ready it may not know of any Service, and so call nobody; only
/// who does not ask whether it is ready meets that.
pub(crate) fn the_api_server_restarts() -> Result {
    if load::logs().is_none() {
        figures::add("left out: the API server's restart, for the cluster is not ours".to_owned());
        return Ok(());
    }
    set_lifetimes(&SHORTER)?;
    let mut restart = None;
    let tally = load::during("t-restarted", || {
        request_rotation()?;
        eventually("a successor is stored", SOON, || {
            Secret::read()?.is_at(Step::Prepared)
        })?;
        let begun = Instant::now();
        restart_api_server()?;
        restart = Some(begun..=Instant::now());
        seen_through()
    })?;
    tally.is_without_a_tls_error()?;
    let is_ready = |at| {
        restart
            .as_ref()
            .is_none_or(|restart| !restart.contains(&at))
    };
    let blind = tally.blind(is_ready);
    ensure!(blind.is_empty(), "{tally}: without the agent: {blind:?}");
    let before_it_was_ready = tally.blind(|_| true);
    ensure!(
        before_it_was_ready.is_empty() || tally.has_failed_by("service \"javelin\" not found"),
        "{tally}: without the agent, and not for want of a Service: {before_it_was_ready:?}"
    );
    figures::add(format!(
        "the API server restarted in a rotation: {tally}; those without it were asked for before it was ready"
    ));
    Ok(())
}

fn restart_api_server() -> Result {
    let mut restart = Command::new(env!("CARGO"));
    restart
        .args(["xtask", "cluster", "restart-apiserver"])
        .current_dir(checkout("."));
    let output = restart.output().map_err(|error| error.to_string())?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// A third replica whose clock is wrong by an hour, either way, signs, rotates and serves like the others.
pub(crate) fn a_clock_is_wrong() -> Result {
    // Of a leaf that lives for seconds nothing would be left.
    set_lifetimes(&[
        "--set=tls.settleTime=3s",
        "--set=tls.leafLifetime=4h",
        "--set=tls.authorityLifetime=30d",
    ])?;
    for (namespace, offset) in [("t-clock-ahead", "3600"), ("t-clock-behind", "-3600")] {
        let wrong = WrongClock::new(offset)?;
        let tally = load::during(namespace, || {
            let before = Secret::read()?.signing()?;
            request_rotation()?;
            eventually("the new authority signs", SOON, || {
                let secret = Secret::read()?;
                ensure!(
                    secret.signing()? != before && secret.data("next.crt").is_none(),
                    "{:?}",
                    secret.step()
                );
                Ok(())
            })
        })?;
        tally.is_without_a_gap()?;
        figures::add(format!("a clock wrong by {offset} s: {tally}"));
        drop(wrong);
        replicas_are_ready(2)?;
    }
    // What was replaced would stay for hours.
    start_afresh(2)
}

// === From nothing

/// Three replicas at once, on an empty Secret, make one authority.
pub(crate) fn three_at_once() -> Result {
    start_afresh(3)?;
    let secret = Secret::read()?;
    let trusted = secret.trusted()?;
    ensure!(trusted.len() == 1, "{} authorities", trusted.len());
    ensure!(secret.data("previous.crt").is_none(), "one was replaced");
    for bundle in ca_bundles()? {
        ensure!(bundle.matches("BEGIN CERTIFICATE").count() == 1, "{bundle}");
    }
    ensure!(
        counted("javelin_events_total{reason=\"AuthorityMade\"}")? == 1,
        "made more than once"
    );
    scale(2)?;
    replicas_are_ready(2)
}

/// Stopped for longer than an authority lives, and started again.
pub(crate) fn expired() -> Result {
    set_lifetimes(&SHORTER)?;
    request_rotation()?;
    seen_through()?;
    stop_all()?;
    let old = Secret::read()?.signing()?;
    eventually("the authority expires", Duration::from_mins(2), || {
        ensure!(Secret::read()?.has_expired()?, "not yet");
        Ok(())
    })?;
    scale(2)?;
    replicas_are_ready(2)?;
    ensure!(
        Secret::read()?.signing()? != old,
        "the expired authority signs"
    );
    let namespace = Namespace::new("t-again", &[(INJECT, "true")])?;
    pods_get_the_agent(namespace.0)?;
    set_lifetimes(&USUAL)
}

// === Helpers

/// The release with other lifetimes.
fn set_lifetimes(values: &[&str]) -> Result {
    upgrade(&[&["--reuse-values"], values].concat())
}

fn upgrade(values: &[&str]) -> Result {
    upgrade_with(values)?;
    // A replica that is on its way out has the earlier lifetimes, and would make an authority that lives for as long.
    eventually("the earlier replicas are gone", SOON, || {
        let pods = kubectl(&["get", "pods", "-n", SYSTEM, "-o", "name"])?;
        ensure!(pods.lines().count() == 2, "{pods}");
        Ok(())
    })?;
    replicas_are_ready(2)
}

/// How far a rotation has come, by what the Secret holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There is one authority.
    Steady,
    /// There is a successor.
    Prepared,
    /// There is a predecessor.
    Promoted,
}

/// The Secret with the authorities.
pub(crate) struct Secret(Value);

impl Secret {
    pub(crate) fn read() -> Result<Self> {
        Ok(Self(get(&["secret", SECRET, "-n", SYSTEM])?))
    }

    fn data(&self, key: &str) -> Option<String> {
        let bytes = BASE64.decode(self.0["data"][key].as_str()?).ok()?;
        String::from_utf8(bytes).ok()
    }

    fn step(&self) -> Step {
        if self.data("next.crt").is_some() {
            Step::Prepared
        } else if self.data("previous.crt").is_some() {
            Step::Promoted
        } else {
            Step::Steady
        }
    }

    fn is_at(&self, step: Step) -> Result {
        ensure!(self.step() == step, "it is {:?}", self.step());
        Ok(())
    }

    /// The certificate that signs.
    pub(crate) fn signing(&self) -> Result<String> {
        let key = self.data("ca.key").unwrap_or_default();
        ensure!(key.contains("PRIVATE KEY"), "there is no key");
        self.data("ca.crt")
            .ok_or_else(|| "there is no authority".to_owned())
    }

    /// All certificates that it has.
    fn trusted(&self) -> Result<BTreeSet<String>> {
        let mut text = self.data("ca.crt").ok_or("there is no authority")?;
        for key in ["next.crt", "previous.crt"] {
            text.push_str(&self.data(key).unwrap_or_default());
        }
        let blocks = text.split_inclusive("-----END CERTIFICATE-----\n");
        Ok(blocks.map(str::to_owned).collect())
    }

    /// By openssl, which is not ours.
    fn has_expired(&self) -> Result<bool> {
        let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        fs::write(file.path(), self.signing()?).map_err(|error| error.to_string())?;
        let mut openssl = Command::new("openssl");
        openssl
            .args(["x509", "-noout", "-checkend", "0", "-in"])
            .arg(file.path());
        let output = openssl.output().map_err(|error| error.to_string())?;
        Ok(!output.status.success())
    }
}

pub(crate) fn request_rotation() -> Result {
    eventually("the Secret can be annotated", SOON, || {
        kubectl(&[
            "annotate",
            "--overwrite",
            "secret",
            "-n",
            SYSTEM,
            SECRET,
            "javelin.dev/rotate=now",
        ])
    })?;
    Ok(())
}

/// The rotation that was asked for is over, up to what it replaced.
fn seen_through() -> Result {
    eventually("the rotation is seen through", ROTATIONS, || {
        let secret = Secret::read()?;
        let asked = &secret.0["metadata"]["annotations"]["javelin.dev/rotate"];
        ensure!(asked.is_null(), "the request is still there");
        secret.signing()?;
        secret.is_at(Step::Steady)?;
        bundled()
    })
}

fn bundled() -> Result {
    ensure!(
        ca_bundles()?.iter().all(|bundle| !bundle.is_empty()),
        "an entry has no caBundle"
    );
    Ok(())
}

/// SIGKILL to the process of a replica; without our own machine's processes, to the pod.
fn kill_a_replica(which: usize) -> Result {
    let pods = pods(SYSTEM)?;
    let pod = pods.get(which).ok_or("there are fewer replicas")?;
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    if load::logs().is_none() {
        kubectl(&[
            "delete",
            "pod",
            "-n",
            SYSTEM,
            name_of(pod),
            "--grace-period=0",
            "--force",
        ])?;
        return Ok(());
    }
    let mut kill = Command::new("pkill");
    kill.args(["-KILL", "-f", "--", &format!("--pod-uid={uid}")]);
    let output = kill.output().map_err(|error| error.to_string())?;
    ensure!(output.status.success(), "there is no process of pod {uid}");
    Ok(())
}

pub(crate) fn scale(replicas: u32) -> Result {
    kubectl(&[
        "scale",
        "deployment",
        "javelin",
        "-n",
        SYSTEM,
        &format!("--replicas={replicas}"),
    ])?;
    Ok(())
}

/// No replica is left, not even one that drains: it would write back what it knows.
fn stop_all() -> Result {
    scale(0)?;
    eventually("no replica is left", SOON, || {
        let pods = kubectl(&["get", "pods", "-n", SYSTEM, "-o", "name"])?;
        ensure!(pods.is_empty(), "{pods}");
        Ok(())
    })
}

fn replicas_are_ready(count: usize) -> Result {
    eventually("as many replicas are ready as should be", SOON, || {
        let pods = pods(SYSTEM)?;
        let ready = |pod: &&Value| {
            let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            conditions
                .into_iter()
                .any(|each| each["type"] == "Ready" && each["status"] == "True")
        };
        let ready = pods.iter().filter(ready).count();
        ensure!(
            pods.len() == count && ready == count,
            "{ready} of {}",
            pods.len()
        );
        Ok(())
    })?;
    javelin_is_called()
}

/// Everything that was known of authorities is gone, and so many replicas start.
fn start_afresh(replicas: u32) -> Result {
    stop_all()?;
    let empty = r#"[{"op":"remove","path":"/data"}]"#;
    kubectl(&[
        "patch",
        "secret",
        "-n",
        SYSTEM,
        SECRET,
        "--type=json",
        "-p",
        empty,
    ])?;
    wipe_ca_bundles()?;
    scale(replicas)?;
    replicas_are_ready(usize::try_from(replicas).unwrap_or_default())
}

/// Certificates that all replicas have signed.
fn signed() -> Result<u64> {
    counted("javelin_certificates_signed_total")
}

/// A Deployment of one replica, behind the same Service, whose clock is wrong; gone when the value is dropped.
struct WrongClock;

impl WrongClock {
    fn new(seconds: &str) -> Result<Self> {
        let mut deployment = get(&["deployment", "javelin", "-n", SYSTEM])?;
        let own = json!({ "app.kubernetes.io/part-of": "wrong-clock" });
        deployment["metadata"] = json!({ "name": "javelin-wrong-clock", "namespace": SYSTEM });
        let spec = &mut deployment["spec"];
        spec["replicas"] = 1.into();
        for labels in ["/selector/matchLabels", "/template/metadata/labels"] {
            let labels = spec.pointer_mut(labels).ok_or("there are no labels")?;
            labels["app.kubernetes.io/part-of"] = own["app.kubernetes.io/part-of"].clone();
        }
        let container = spec
            .pointer_mut("/template/spec/containers/0")
            .ok_or("there is no container")?;
        let offset = json!({ "name": "JAVELIN_CLOCK_OFFSET", "value": seconds });
        container["env"]
            .as_array_mut()
            .ok_or("there are no variables")?
            .push(offset);
        if let Some(deployment) = deployment.as_object_mut() {
            deployment.remove("status");
        }
        kubectl_with(&["create"], &deployment.to_string())?;
        let wrong = Self;
        replicas_are_ready(3)?;
        Ok(wrong)
    }
}

impl Drop for WrongClock {
    fn drop(&mut self) {
        let _ = kubectl(&["delete", "deployment", "javelin-wrong-clock", "-n", SYSTEM]);
    }
}

const SECRET: &str = "javelin-ca";

/// An authority is replaced half a minute after it was made, a leaf eight seconds after.
const SHORT: [&str; 3] = [
    "--set=tls.authorityLifetime=45s",
    "--set=tls.leafLifetime=12s",
    "--set=tls.settleTime=3s",
];

/// What a rotation replaced is dropped after twelve seconds.
const SHORTER: [&str; 3] = [
    "--set=tls.authorityLifetime=60s",
    "--set=tls.leafLifetime=6s",
    "--set=tls.settleTime=2s",
];

/// As the chart has them.
const USUAL: [&str; 3] = [
    "--set=tls.authorityLifetime=730d",
    "--set=tls.leafLifetime=1d",
    "--set=tls.settleTime=2m",
];

const ROTATIONS: Duration = Duration::from_mins(4);

/// A readiness probe that fails twice, and what kube-proxy needs.
const ENDPOINT_GONE: Duration = Duration::from_secs(8);
