//! The frame of a picture that can be read on light and on dark pages: it brings its own page.

/// The beginning of an SVG. `style` is what this picture has beside text, page and grid.
pub(crate) fn begin(width: f64, height: f64, label: &str, style: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">\n\
         <style>{STYLE} {style}</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n"
    )
}

const STYLE: &str = "text { font: 12px sans-serif; fill: #1f2328 } .head { font-size: 15px } .head, .title { font-weight: bold } \
    .page { fill: #ffffff } .grid { stroke: #8888; stroke-width: 0.5 } \
    @media (prefers-color-scheme: dark) { text { fill: #f0f6fc } .page { fill: #0d1117 } }";
