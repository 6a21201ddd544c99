//! Figures over time as an SVG that can be read on light and on dark pages.

use std::{fmt::Write as _, time::Duration};

use super::soak::Series;

pub(crate) struct Picture<'a> {
    pub(crate) series: &'a [Series],
    pub(crate) pace: Duration,
    /// When somebody was hostile.
    pub(crate) episodes: &'a [(Duration, Duration)],
}

const WIDTH: f64 = 760.0;
/// Of one figure, with its title.
const HEIGHT: f64 = 150.0;
/// Room for numbers on the left, and on the right.
const LEFT: f64 = 48.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 24.0;

const STYLE: &str = "text { font: 12px sans-serif; fill: #333 } .title { font-weight: bold } .grid { stroke: #8886 } \
    .line { fill: none; stroke: #0969da; stroke-width: 1.5 } .hostile { fill: #d4763b40 } \
    @media (prefers-color-scheme: dark) { text { fill: #ccc } .line { stroke: #58a6ff } }";

impl Picture<'_> {
    /// One figure below the other, with hostile episodes shaded in all.
    pub(crate) fn svg(&self) -> String {
        let count = self.series.iter().map(|_| HEIGHT).sum::<f64>();
        let titles: Vec<_> = self.series.iter().map(|series| series.name).collect();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{} over time\">\n<style>{STYLE}</style>\n",
            count + BOTTOM,
            titles.join("; ")
        );
        let mut top = 0.0;
        for series in self.series {
            self.draw(&mut svg, series, top);
            top += HEIGHT;
        }
        let end = self.seconds();
        for part in 0..=6 {
            let at = f64::from(part) / 6.0;
            let _ = writeln!(
                svg,
                "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{:.1}{}</text>",
                LEFT + at * (WIDTH - LEFT - RIGHT),
                top + 14.0,
                at * end / 60.0,
                if part == 0 { " min" } else { "" }
            );
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn draw(&self, svg: &mut String, series: &Series, top: f64) {
        let most = series.values.iter().copied().fold(1.0, f64::max) * 1.1;
        let bottom = top + HEIGHT - 6.0;
        let y = |value: f64| bottom - value / most * (HEIGHT - TOP - 6.0);
        let (early, late) = series.medians();
        let _ = writeln!(
            svg,
            "<text class=\"title\" x=\"{LEFT}\" y=\"{:.0}\">{}: median {early:.0} in the second quarter, {late:.0} in the second half</text>",
            top + TOP - 10.0,
            series.name
        );
        for (from, to) in self.episodes {
            let (from, to) = (self.x(from.as_secs_f64()), self.x(to.as_secs_f64()));
            let _ = writeln!(
                svg,
                "<rect class=\"hostile\" x=\"{from:.1}\" y=\"{:.0}\" width=\"{:.1}\" height=\"{:.0}\"/>",
                top + TOP,
                (to - from).max(1.0),
                HEIGHT - TOP - 6.0
            );
        }
        for part in [0.0, 0.5, 1.0] {
            let value = (most * part).floor();
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/><text x=\"{2:.0}\" y=\"{3:.1}\" text-anchor=\"end\">{value}</text>",
                WIDTH - RIGHT,
                y(value),
                LEFT - 6.0,
                y(value) + 4.0
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
            "<polyline class=\"line\" points=\"{}\"/>",
            points.trim_end()
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
