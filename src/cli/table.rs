//! A table as `kubectl` prints them: a head, and columns as wide as what is in them.

use std::fmt::Write as _;

use anstyle::Style;

/// Of these lines; empty where there are none. `style` is told the column, from 0, and the cell.
pub(super) fn render<const N: usize>(
    head: &[&str; N],
    lines: &[[String; N]],
    style: impl Fn(usize, &str) -> Style,
) -> String {
    let mut text = String::new();
    if lines.is_empty() {
        return text;
    }
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        let cells = cells.map(|cell| cell.chars().count());
        let head = head.get(column).map(|cell| cell.chars().count());
        cells.chain(head).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut write = |cells: &[(Style, &str)]| {
        let mut line = String::new();
        for ((style, cell), width) in cells.iter().zip(&widths) {
            let gap = " ".repeat(width - cell.chars().count() + 2);
            let _ = write!(line, "{style}{cell}{style:#}{gap}");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    };
    write(&head.map(|cell| (Style::new().bold(), cell)));
    for line in lines {
        let cells = line.iter().enumerate();
        let cells: Vec<_> = cells
            .map(|(column, cell)| (style(column, cell), cell.as_str()))
            .collect();
        write(&cells);
    }
    text
}
