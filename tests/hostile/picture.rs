//! Figures over time as an SVG.

use std::{fmt::Write as _, time::Duration};

use super::{soak::Series, svg};

pub(crate) struct Picture<'a> {
    pub(crate) series: &'a [Series],
    pub(crate) pace: Duration,
    /// When somebody was hostile.
    pub(crate) episodes: &'a [(Duration, Duration)],
}

const WIDTH: f64 = 800.0;
/// Room for numbers on the left, and on the right.
const LEFT: f64 = 48.0;
const RIGHT: f64 = 16.0;
/// Of the title and the legend.
const HEAD: f64 = 58.0;
/// Of one figure, with its own title, and of what is drawn in it.
const HEIGHT: f64 = 140.0;
const PLOT: f64 = 96.0;
/// Of the axis below them.
const FOOT: f64 = 40.0;

const STYLE: &str = ".line { fill: none; stroke: #0969da; stroke-width: 1.5 } \
    .bound { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 6 4 } .hostile { fill: #fb8f44; fill-opacity: 0.3 } \
    @media (prefers-color-scheme: dark) { .line { stroke: #58a6ff } .bound { stroke: #ff7b72 } }";

impl Picture<'_> {
    /// One figure below the other, with hostile episodes shaded in all.
    pub(crate) fn svg(&self) -> String {
        let figures: f64 = self.series.iter().map(|_| HEIGHT).sum();
        let height = HEAD + figures + FOOT;
        let titles: Vec<_> = self.series.iter().map(|series| series.name).collect();
        let minutes = self.seconds() / 60.0;
        let label = format!("{}: over {minutes:.0} minutes", titles.join("; "));
        let mut svg = svg::begin(WIDTH, height, &label, STYLE);
        self.legend(&mut svg);
        let mut top = HEAD;
        for series in self.series {
            self.draw(&mut svg, series, top);
            top += HEIGHT;
        }
        for part in 0..=6 {
            let seconds = f64::from(part) / 6.0 * self.seconds();
            let (x, minutes) = (self.x(seconds), seconds / 60.0);
            let _ = writeln!(
                svg,
                "<text x=\"{x:.0}\" y=\"{top:.0}\" text-anchor=\"middle\">{minutes:.1}</text>"
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">minutes</text>\n</svg>",
            WIDTH / 2.0,
            top + 22.0
        );
        svg
    }

    fn legend(&self, svg: &mut String) {
        let _ = writeln!(
            svg,
            "<text class=\"head\" x=\"{LEFT}\" y=\"22\">What javelin serve holds, for {:.0} minutes of everything at once</text>\n\
             <line class=\"line\" x1=\"48\" x2=\"72\" y1=\"40\" y2=\"40\"/><text x=\"78\" y=\"44\">sampled</text>\n\
             <line class=\"bound\" x1=\"146\" x2=\"170\" y1=\"40\" y2=\"40\"/><text x=\"176\" y=\"44\">what the median of the second half may be</text>\n\
             <rect class=\"hostile\" x=\"470\" y=\"33\" width=\"24\" height=\"14\"/><text x=\"500\" y=\"44\">hostile clients beside the honest ones</text>",
            self.seconds() / 60.0
        );
    }

    fn draw(&self, svg: &mut String, series: &Series, top: f64) {
        let (early, late) = series.medians();
        let bound = early + series.slack;
        let most = series.values.iter().copied().fold(bound, f64::max) * 1.05;
        let bottom = top + HEIGHT - 20.0;
        let y = |value: f64| bottom - value / most * PLOT;
        let _ = writeln!(
            svg,
            "<text class=\"title\" x=\"{LEFT}\" y=\"{:.0}\">{}</text><text x=\"{:.0}\" y=\"{0:.0}\" text-anchor=\"end\">median {early:.1} in the second quarter, {late:.1} in the second half</text>",
            bottom - PLOT - 8.0,
            series.name,
            WIDTH - RIGHT
        );
        for (from, to) in self.episodes {
            let (from, to) = (self.x(from.as_secs_f64()), self.x(to.as_secs_f64()));
            let width = (to.min(WIDTH - RIGHT) - from).max(1.0);
            let _ = writeln!(
                svg,
                "<rect class=\"hostile\" x=\"{from:.1}\" y=\"{:.0}\" width=\"{width:.1}\" height=\"{PLOT}\"/>",
                bottom - PLOT
            );
        }
        for part in [0.0, 0.5, 1.0] {
            let value = (most * part).floor();
            let (y, right) = (y(value), WIDTH - RIGHT);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        let mut points = String::new();
        let mut seconds = 0.0;
        for value in &series.values {
            let _ = write!(points, "{:.1},{:.1} ", self.x(seconds), y(*value));
            seconds += self.pace.as_secs_f64();
        }
        let _ = writeln!(
            svg,
            "<polyline class=\"line\" points=\"{}\"/>\n<line class=\"bound\" x1=\"{:.0}\" x2=\"{:.0}\" y1=\"{3:.1}\" y2=\"{3:.1}\"/>",
            points.trim_end(),
            self.x(self.seconds() / 2.0),
            WIDTH - RIGHT,
            y(bound)
        );
    }

    /// How long it was.
    fn seconds(&self) -> f64 {
        let samples = self.series.iter().map(|series| series.values.len()).max();
        self.pace.as_secs_f64() * f64::from(u32::try_from(samples.unwrap_or(0)).unwrap_or(u32::MAX))
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.seconds().max(1.0) * (WIDTH - LEFT - RIGHT)
    }
}
