//! Javelin on a real Kubernetes: API server, kubelet, JVMs, a Collector.
//!
//! `cargo xtask test` brings the cluster, the images and the tools; without them everything here is ignored, and
//! a line says so. The cases run one after the other, in this order, on one installation.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test: it fails by panics, and prints"
)]

mod alerts;
mod api;
mod audit;
mod cases;
mod certificates_cli;
mod charts;
mod check;
mod environment;
mod faults;
mod figures;
#[path = "../common/golden.rs"]
mod golden_case;
mod injectors;
mod installs;
mod judge;
mod kube;
mod load;
mod openssl;
mod own_certificate;
mod own_telemetry;
mod policy;
mod ports;
mod preview_live;
mod process;
mod profiles;
mod reach;
mod resources;
mod rights;
mod rotation;
mod runtimes;
mod second_chance;
mod security;
mod settled;
mod status;
mod trial;
#[path = "../common/ugly.rs"]
mod ugly;
mod upgrades;
mod webhooks;
mod workload_events;
mod workload_warnings;

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    #[expect(
        clippy::disallowed_methods,
        reason = "how `cargo xtask test` says that there is a cluster"
    )]
    let cluster = std::env::var("JAVELIN_CLUSTER").is_ok();
    let mut arguments = Arguments::from_args();
    // They share one installation, and some take it away for a while.
    arguments.test_threads = Some(1);
    let cases = CASES.iter().map(|case| (case, cluster));
    let scenarios = SCENARIOS.iter().map(|scenario| (scenario, false));
    let trials = cases.chain(scenarios).map(|((name, case), runs)| {
        let run = move || attempt(name, *case).map_err(Failed::from);
        Trial::test(*name, run).with_ignored_flag(!runs)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    settled::end();
    if cluster {
        figures::print();
    } else {
        println!("ignored: there is no cluster to run these on; `cargo xtask test` brings one\n");
    }
    conclusion.exit_code()
}

/// Runs a case. Of one that fails the reason is printed at once and whole, and what else is known stands behind it. The
/// reason alone comes once more, when all have run: no log of another case stands between it and its reader.
fn attempt(name: &str, case: Case) -> kube::Result {
    let began = load::LogPosition::now();
    let outcome = guarded(|| prepare(name)).map_err(|error| format!("before the case: {error}"));
    let outcome = outcome.and_then(|()| guarded(case));
    if let Err(reason) = &outcome {
        println!("\n\n=== {name} failed\n{reason}");
        let known = guarded(|| {
            println!("{}", circumstances(began.as_ref()));
            Ok(())
        });
        // The cases after it are not to fail for that alone.
        let mended = guarded(cases::install_again);
        for (what, outcome) in [
            ("how things are cannot be told", known),
            ("Javelin is not installed again", mended),
        ] {
            if let Err(error) = outcome {
                println!("--- {what}: {error}");
            }
        }
        println!("=== so much of {name}");
    }
    outcome
}

/// What a case relies on. The first one installs; to each of the others Javelin is there, and what the one before has done
/// is known to all by now. Where the first one does not run, others find what it would have left, on a cluster that may
/// have seen anything.
fn prepare(name: &str) -> kube::Result {
    let is_known = IS_KNOWN.swap(true, Ordering::SeqCst);
    if name == CASES[0].0 {
        return cases::take_away_if_there();
    }
    if is_known {
        settled::javelin_is_rolled_out()
    } else {
        cases::install_again()
    }
}

/// A case of this run has begun: whatever it found, it or what mended it has left Javelin there.
static IS_KNOWN: AtomicBool = AtomicBool::new(false);

/// A panic is a failure like any other.
fn guarded(run: impl FnOnce() -> kube::Result) -> kube::Result {
    let outcome = panic::catch_unwind(AssertUnwindSafe(run));
    outcome.unwrap_or_else(|panic| Err(format!("it panicked: {}", words_of(&*panic))))
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a word")
}

/// How things are when a case has failed: where nobody can look later, that is all there is.
fn circumstances(began: Option<&load::LogPosition>) -> String {
    let said = |arguments: &[&str]| {
        let output = kube::kubectl_output(arguments);
        let both = [output.stdout, output.stderr].concat();
        format!("\n{}", String::from_utf8_lossy(&both).trim_end())
    };
    let pods = said(&["get", "pods", "-n", cases::SYSTEM, "-o", "wide"]);
    let logs = [
        "logs",
        "-n",
        cases::SYSTEM,
        "-l",
        "app.kubernetes.io/name=javelin",
    ];
    let logs = said(&[&logs[..], &["--prefix", "--tail=15"]].concat());
    let calls = began.map(load::LogPosition::failed_calls);
    let calls = calls.and_then(Result::ok).unwrap_or_default();
    let last = calls.len().saturating_sub(5);
    let calls = calls.get(last..).unwrap_or_default().join("\n");
    format!("--- pods{pods}\n--- their logs{logs}\n--- calls that failed, the last\n{calls}")
}

type Case = fn() -> kube::Result;

/// What takes longer than a test may, and is run by name.
const SCENARIOS: [(&str, Case); 4] = [
    (
        "each_alert_fires_by_its_fault_and_resolves",
        alerts::each_fires_and_resolves,
    ),
    (
        "a_dying_replica_costs_ten_times_fewer_pods_with_second_chances",
        faults::dying_replicas,
    ),
    (
        "right_after_an_install_pods_get_the_agent",
        installs::a_pod_right_after_each,
    ),
    (
        "an_upgrade_and_the_way_back_miss_no_pod",
        upgrades::no_pod_is_missed,
    ),
];

const CASES: [(&str, Case); 70] = [
    (
        "the_chart_installs_and_every_entry_gets_its_ca_bundle",
        cases::install,
    ),
    (
        "a_labelled_deployment_rolls_out_and_is_traced",
        cases::labelled_deployment,
    ),
    ("a_labelled_namespace_is_traced", cases::labelled_namespace),
    (
        "a_labelled_pod_template_is_traced",
        cases::labelled_pod_template,
    ),
    (
        "false_in_a_labelled_namespace_is_not_even_sent",
        cases::opted_out,
    ),
    (
        "an_unlabelled_pod_is_untouched_and_not_even_sent",
        cases::unlabelled,
    ),
    (
        "the_restricted_level_admits_and_starts_injected_pods",
        cases::restricted,
    ),
    (
        "what_the_api_server_admits_it_admits_with_the_agent",
        judge::ugly_pods,
    ),
    (
        "requests_limits_and_their_class_stay_in_every_combination",
        resources::every_combination,
    ),
    (
        "limit_ranges_admit_with_the_agent_what_they_admit_without",
        resources::under_limit_ranges,
    ),
    (
        "an_exactly_full_quota_admits_the_agent",
        resources::under_full_quotas,
    ),
    (
        "an_exactly_full_quota_of_storage_admits_the_agent",
        resources::under_a_full_quota_of_storage,
    ),
    (
        "every_level_of_pod_security_admits_the_agent",
        security::pod_security,
    ),
    ("every_user_starts_and_reads_the_jar", security::users),
    (
        "golden_containers_start_with_the_environment_that_the_engine_predicts",
        environment::of_golden_cases,
    ),
    (
        "through_the_webhook_environments_are_as_predicted_and_nothing_is_lost",
        environment::through_the_webhook,
    ),
    ("every_delivery_starts_and_is_traced", profiles::deliveries),
    (
        "an_extension_is_loaded_and_variables_come_alone",
        profiles::extensions,
    ),
    (
        "what_env_from_brings_wins_over_the_profile",
        profiles::settings_below_env_from,
    ),
    (
        "an_annotation_counts_where_the_chart_says_so",
        profiles::annotations,
    ),
    (
        "a_replicaset_of_nobody_is_labelled_and_a_deployments_is_not",
        profiles::replica_sets,
    ),
    (
        "preview_prints_the_bytes_of_the_webhooks_patch",
        cases::preview,
    ),
    (
        "preview_reads_live_objects_and_tells_who_refuses_the_pod",
        preview_live::server,
    ),
    (
        "another_webhooks_change_finds_the_pod_complete",
        cases::second_pass,
    ),
    (
        "every_java_is_traced_and_what_has_none_starts",
        runtimes::all_start,
    ),
    (
        "a_runtime_that_loads_no_agent_is_told_with_the_way_back",
        runtimes::one_that_loads_no_agent,
    ),
    (
        "other_injectors_before_and_after_lose_nothing_and_get_one_agent",
        injectors::in_both_orders,
    ),
    (
        "a_second_chance_decides_what_a_failed_call_has_left",
        second_chance::decides_what_a_failed_call_has_left,
    ),
    (
        "a_workload_whose_review_was_missed_is_shown_and_mended",
        second_chance::a_missed_workload_is_shown_and_mended,
    ),
    ("a_wiped_ca_bundle_is_repaired", cases::wiped_ca_bundle),
    (
        "javelin_cert_shows_what_is_there_and_pretends_to_rotate",
        certificates_cli::show,
    ),
    ("an_overwritten_ca_bundle_is_repaired", charts::overwritten),
    (
        "ca_bundles_are_repaired_and_what_others_wrote_beside_them_stays",
        charts::strangers,
    ),
    ("helm_4_loses_no_ca_bundle", charts::helm_4),
    (
        "helm_3_loses_no_ca_bundle_nor_does_helm_4_that_takes_over",
        charts::helm_3,
    ),
    ("kubectl_loses_no_ca_bundle", charts::rendered),
    (
        "the_probe_tells_why_the_webhook_is_not_reached",
        reach::causes,
    ),
    ("javelin_may_do_what_is_stated_and_no_more", rights::stated),
    (
        "without_each_right_something_fails_and_heals_when_it_is_back",
        rights::needed,
    ),
    (
        "openssl_takes_what_is_served_and_for_no_other_name",
        openssl::judges,
    ),
    (
        "a_certificate_of_ones_own_is_served_renewed_and_given_up",
        own_certificate::there_and_back,
    ),
    (
        "certificates_rotate_under_load_and_no_pod_is_missed",
        rotation::under_load,
    ),
    (
        "a_rotation_goes_on_when_a_replica_is_killed_at_any_step",
        rotation::replicas_are_killed,
    ),
    (
        "a_rotation_goes_on_when_the_secret_is_lost",
        rotation::the_secret_is_lost,
    ),
    (
        "a_rotation_goes_on_while_bundles_are_wiped_every_second",
        rotation::bundles_are_wiped,
    ),
    (
        "a_rotation_goes_on_when_the_api_server_restarts",
        rotation::the_api_server_restarts,
    ),
    (
        "a_rotation_goes_on_with_a_clock_an_hour_off",
        rotation::a_clock_is_wrong,
    ),
    (
        "three_replicas_at_once_make_one_authority",
        rotation::three_at_once,
    ),
    (
        "an_authority_that_expired_while_all_slept_is_replaced",
        rotation::expired,
    ),
    (
        "policies_inject_what_the_engine_says_or_leave_alone_what_is_listed",
        policy::equals_the_engine,
    ),
    (
        "javelin_check_finds_nothing_wrong_with_what_the_chart_installs",
        check::all_is_well,
    ),
    (
        "javelin_check_tells_exactly_what_is_broken",
        check::one_thing_at_a_time,
    ),
    (
        "javelin_check_tells_that_nobody_is_there_and_waits_for_it",
        check::nobody_is_there,
    ),
    (
        "javelin_ports_finds_in_the_cluster_what_the_chart_renders",
        ports::of_the_installation,
    ),
    (
        "javelin_status_shows_what_was_missed_and_a_restart_mends_it",
        status::missed_and_mended,
    ),
    (
        "javelin_status_counts_what_operators_own_and_jobs_that_were_missed",
        status::owned_and_immutable,
    ),
    (
        "a_restart_stops_at_the_first_that_is_missed_again",
        status::a_restart_stops_at_the_first_that_fails,
    ),
    (
        "policies_copy_labels_of_workloads_and_warn_of_pods_without_the_agent",
        policy::copy_labels_and_warn,
    ),
    (
        "policies_have_a_jvm_traced_with_no_javelin_in_the_cluster",
        policy::trace_without_javelin,
    ),
    (
        "the_label_removed_takes_the_agent_away",
        cases::label_removed,
    ),
    (
        "the_webhook_restarts_while_pods_are_created",
        cases::restart_under_load,
    ),
    (
        "without_the_webhook_pods_start_and_a_missed_removal_is_mended",
        cases::webhook_away,
    ),
    (
        "a_policy_tells_of_pods_that_no_call_decides_about",
        second_chance::the_policy_tells_what_no_call_decides,
    ),
    (
        "events_tell_workloads_what_became_of_their_pods",
        workload_events::on_a_deployment,
    ),
    (
        "javelins_own_spans_are_in_the_trace_of_whoever_calls",
        own_telemetry::in_the_callers_trace,
    ),
    (
        "whoever_applies_a_workload_in_a_labelled_namespace_is_warned_once",
        workload_warnings::reach_the_terminal,
    ),
    (
        "an_audit_tells_of_pods_that_were_missed_or_crash_with_the_agent",
        audit::missed_and_crashing,
    ),
    (
        "the_guard_takes_the_agent_back_where_a_rollout_is_stuck_with_it",
        audit::guard,
    ),
    ("figures", figures::take),
    (
        "uninstall_leaves_nothing_behind_and_helm_3_installs_too",
        cases::uninstall,
    ),
];
