//! What Prometheus' clients tell of every process, under the names that they share. From `/proc`, at each look; what cannot be
//! read there is left out.

use std::fmt;
use std::fs;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// This process.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut tell = |name: &str, help: &str, unit: Option<&Unit>, value: &dyn EncodeMetric| {
            let metric = encoder.encode_descriptor(name, help, unit, value.metric_type())?;
            value.encode(metric)
        };
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some(used) = cpu(&stat) {
            let used = ConstCounter::new(used.as_secs_f64());
            tell("process_cpu", "CPU time used", Some(&Unit::Seconds), &used)?;
        }
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        if let Some(began) = start(&stat, &boot) {
            let began = ConstGauge::new(began);
            let help = "When the process started";
            tell("process_start_time", help, Some(&Unit::Seconds), &began)?;
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(bytes) = resident(&status) {
            let bytes = ConstGauge::new(bytes);
            let help = "Resident memory";
            tell("process_resident_memory", help, Some(&Unit::Bytes), &bytes)?;
        }
        // The one of the folder itself is counted, too.
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            let open = ConstGauge::new(open.count().saturating_sub(1) as u64);
            tell("process_open_fds", "Open file descriptors", None, &open)?;
        }
        if let Some(most) = most_descriptors() {
            let most = ConstGauge::new(most as u64);
            let help = "How many file descriptors there may be";
            tell("process_max_fds", help, None, &most)?;
        }
        Ok(())
    }
}

/// How many descriptors the process may have, as far as the kernel tells; `None` also where there is no limit.
pub fn most_descriptors() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| {
        let values = line.strip_prefix("Max open files")?;
        values.split_whitespace().next()?.parse().ok()
    })
}

/// A field of `/proc/self/stat` by its number in `proc_pid_stat(5)`; the second, a name, may hold anything.
fn field(stat: &str, number: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(number - 3)?.parse().ok()
}

fn cpu(stat: &str) -> Option<Duration> {
    let ticks = field(stat, 14)?.checked_add(field(stat, 15)?)?;
    Some(Duration::from_millis(ticks.saturating_mul(TICK)))
}

/// In seconds since 1970; `boot` is `/proc/stat`.
fn start(stat: &str, boot: &str) -> Option<u64> {
    let booted: u64 = boot
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    Some(booted + field(stat, 22)?.saturating_mul(TICK) / 1000)
}

fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Milliseconds in a tick: Linux tells programs 100 of them a second, whatever it counts itself (`USER_HZ`).
const TICK: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_brackets() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 1234 9 8";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(start(stat, "cpu 1 2\nbtime 1000\n"), Some(1012));
        assert_eq!(cpu("7 (a"), None);
    }

    #[test]
    fn memory_is_told_in_bytes() {
        let status = "Name:\tjavelin\nVmRSS:\t   15360 kB\nThreads:\t3\n";
        assert_eq!(resident(status), Some(15 * 1024 * 1024));
        assert_eq!(resident("VmRSS:\t15360\n"), None);
    }
}
