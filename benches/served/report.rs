//! What was measured, as tables of ratios and as a picture that can be read on light and on dark pages.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use crate::svg;

/// All of it. In pairs the handler that does nothing comes first.
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    pub(crate) handshakes: Handshakes,
    pub(crate) footprint: Footprint,
}

/// One kind of review.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) at: [Cost; 3],
}

/// Multiples of what the handler that does nothing does and takes.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) connections: usize,
    /// Answers in a second.
    pub(crate) rate: f64,
    /// How long half of the answers take at most, and 99 of 100.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Processor time of the server for each.
    pub(crate) processor: f64,
    /// How many were answered by the program.
    pub(crate) reviews: usize,
}

/// Multiples of the processor time of a handshake with one request.
pub(crate) struct Handshakes {
    pub(crate) full: f64,
    pub(crate) resumed: f64,
}

/// Resident MiB, and the time from the start until it is ready.
pub(crate) struct Footprint {
    pub(crate) idle: [f64; 2],
    pub(crate) after: [f64; 2],
    pub(crate) start: Duration,
}

impl Report {
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from(
            "| review | connections | answers in a second | p50 | p99 | processor time of the server |\n\
             |---|---:|---:|---:|---:|---:|\n",
        );
        for row in &self.rows {
            for cost in &row.at {
                let _ = writeln!(
                    text,
                    "| {} | {} | {:.0} % | {:.1} | {:.1} | {:.1} |",
                    row.name,
                    cost.connections,
                    cost.rate * 100.0,
                    cost.p50,
                    cost.p99,
                    cost.processor
                );
            }
        }
        let reviews: usize = self
            .rows
            .iter()
            .flat_map(|row| &row.at)
            .map(|cost| cost.reviews)
            .sum();
        let Handshakes { full, resumed } = self.handshakes;
        let Footprint { idle, after, start } = &self.footprint;
        let _ = write!(
            text,
            "\n| beside that | the handler that does nothing | Javelin |\n|---|---:|---:|\n\
             | resident memory, idle | {:.1} MiB | {:.1} MiB |\n\
             | the same after {reviews} reviews | {:.1} MiB | {:.1} MiB |\n\
             | processor time of a full handshake with one request | 1 | {full:.2} |\n\
             | of a resumed one | 1 | {resumed:.2} |\n\
             | from its start until it is ready, on that machine | | {} ms |\n",
            idle[0],
            idle[1],
            after[0],
            after[1],
            start.as_millis()
        );
        text
    }

    /// Puts tables and picture into the pages of `docs`.
    pub(crate) fn write(&self, docs: &Path) {
        let page = docs.join("performance.md");
        let text = fs::read_to_string(&page).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let text = format!("{before}{BEGIN}\n\n{}\n{END}{after}", self.markdown());
        fs::write(page, text).unwrap();
        fs::write(docs.join("served.svg"), self.svg()).unwrap();
    }

    /// A bar for the answers of each, as a part of what the handler that does nothing answers.
    fn svg(&self) -> String {
        let bars: usize = self.rows.iter().map(|row| row.at.len()).sum();
        let height = HEAD + (bars as f64) * BAR + (self.rows.len() as f64) * GAP + FOOT;
        let label = "Answers in a second as a part of those of a handler that does nothing";
        let mut svg = svg::begin(WIDTH, height, label, STYLE);
        svg.push_str(
            "<text class=\"head\" x=\"16\" y=\"22\">Answers in a second, of 100 that a handler gives that does nothing</text>\n",
        );
        let bottom = height - FOOT;
        for part in 0..=5 {
            let percent = f64::from(part) * 20.0;
            let x = Self::x(percent / 100.0);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.0}\" x2=\"{x:.0}\" y1=\"{HEAD}\" y2=\"{bottom}\"/>\
                 <text x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{percent:.0}</text>",
                bottom + 18.0
            );
        }
        let mut y = HEAD;
        for row in &self.rows {
            let _ = writeln!(
                svg,
                "<text class=\"title\" x=\"16\" y=\"{:.0}\">{}</text>",
                y + 14.0,
                row.name
            );
            for cost in &row.at {
                let end = Self::x(cost.rate.min(MOST));
                let _ = writeln!(
                    svg,
                    "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
                     <rect class=\"bar\" x=\"{LEFT}\" y=\"{:.0}\" width=\"{:.1}\" height=\"{:.0}\"/>\
                     <text x=\"{:.1}\" y=\"{1:.0}\">{:.0}</text>",
                    LEFT - 8.0,
                    y + 14.0,
                    if cost.connections == 1 {
                        "1 connection".to_owned()
                    } else {
                        format!("{} connections", cost.connections)
                    },
                    y + 3.0,
                    end - LEFT,
                    BAR - 6.0,
                    end + 6.0,
                    cost.rate * 100.0
                );
                y += BAR;
            }
            y += GAP;
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn x(part: f64) -> f64 {
        LEFT + part / MOST * (WIDTH - LEFT - RIGHT)
    }
}

const BEGIN: &str = "<!-- served: written by `cargo xtask bench` -->";
const END: &str = "<!-- end of served -->";

const WIDTH: f64 = 800.0;
/// Room for names on the left, and for a number on the right.
const LEFT: f64 = 300.0;
const RIGHT: f64 = 48.0;
const HEAD: f64 = 40.0;
const FOOT: f64 = 28.0;
const BAR: f64 = 20.0;
/// Between two kinds of review.
const GAP: f64 = 10.0;
/// What the width stands for: noise may lift one over the handler that does nothing.
const MOST: f64 = 1.05;

const STYLE: &str =
    ".bar { fill: #0969da } @media (prefers-color-scheme: dark) { .bar { fill: #58a6ff } }";
