//! Two text formats: OpenMetrics, and the older one of Prometheus, which is what whoever asks for nothing expects.
//!
//! They differ in names and in three kinds of lines, so the second is made of the first:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write as _;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus's own, version 0.0.4.
    Prometheus,
}

impl TextFormat {
    /// By an `Accept` header: OpenMetrics for whoever names it and does not rule it out.
    pub fn accepted(accept: &str) -> Self {
        let names_open_metrics = accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let ruled_out = parts
                .filter_map(|part| part.strip_prefix("q="))
                .any(|quality| quality.parse::<f32>().is_ok_and(|quality| quality <= 0.0));
            name.eq_ignore_ascii_case("application/openmetrics-text") && !ruled_out
        });
        if names_open_metrics {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// For the header of that name.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// What [`Metrics::encode`](super::Metrics::encode) has written, in this format.
    pub fn of(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Prometheus => prometheus(&open_metrics),
        }
    }
}

/// Metadata names a counter as its samples are named, an `info` is a gauge, and neither units nor an end are written.
fn prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // Of which metric it is comes before of what kind that is.
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(said) = line.strip_prefix("# HELP ") {
            help = said.split_once(' ');
        } else if let Some(said) = line.strip_prefix("# TYPE ") {
            let (name, kind) = said.split_once(' ').unwrap_or((said, "unknown"));
            let (ending, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, sentence)) = help.take() {
                let _ = writeln!(text, "# HELP {name}{ending} {sentence}");
            }
            let _ = writeln!(text, "# TYPE {name}{ending} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::told_by_a_busy_process;

    #[test]
    fn who_asks_for_open_metrics_gets_it_and_everybody_else_the_older_format() {
        for (accept, expected) in [
            ("", TextFormat::Prometheus),
            ("*/*", TextFormat::Prometheus),
            ("text/plain;version=0.0.4", TextFormat::Prometheus),
            ("application/openmetrics-text", TextFormat::OpenMetrics),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1",
                TextFormat::OpenMetrics,
            ),
            (
                "text/plain, Application/OpenMetrics-Text; q=0.5",
                TextFormat::OpenMetrics,
            ),
            ("application/openmetrics-text;q=0", TextFormat::Prometheus),
            ("application/openmetrics-textual", TextFormat::Prometheus),
        ] {
            assert_eq!(TextFormat::accepted(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn each_kind_of_metric_is_named_as_prometheus_names_it() {
        let open_metrics = "# HELP a Counts.\n# TYPE a counter\na_total{x=\"# 1\"} 3\n\
            # HELP b_seconds Takes.\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\nb_seconds_sum 0\n\
            # HELP c Is.\n# TYPE c info\nc_info{v=\"1\"} 1\n# HELP d Stands.\n# TYPE d gauge\nd 2\n# EOF\n";
        let expected = "# HELP a_total Counts.\n# TYPE a_total counter\na_total{x=\"# 1\"} 3\n\
            # HELP b_seconds Takes.\n# TYPE b_seconds histogram\nb_seconds_sum 0\n\
            # HELP c_info Is.\n# TYPE c_info gauge\nc_info{v=\"1\"} 1\n# HELP d Stands.\n# TYPE d gauge\nd 2\n";
        assert_eq!(prometheus(open_metrics), expected);
    }

    #[test]
    fn both_formats_have_the_same_samples() {
        let open_metrics = told_by_a_busy_process();
        let prometheus = TextFormat::Prometheus.of(open_metrics.clone());
        let samples = |text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(samples(&prometheus), samples(&open_metrics));
        let families = |text: &str| text.matches("# TYPE ").count();
        assert_eq!(families(&prometheus), families(&open_metrics));
    }
}
