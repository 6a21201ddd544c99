//! Tables in Markdown: of the pages, and of what goes into somebody's form.

/// A row of a table; a bar would end the cell, and what looks like an element of HTML would vanish.
pub(crate) fn row(cells: &[&str]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| of_cell(cell)).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn of_cell(text: &str) -> String {
    let mut is_code = true;
    let parts = text.replace('|', "\\|");
    let parts = parts.split('`').map(|part| {
        is_code = !is_code;
        if is_code {
            part.to_owned()
        } else {
            part.replace('<', "&lt;")
        }
    });
    parts.collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_they_are_meant() {
        let cells = row(&["a|b <c>", "`d|e <f>` <g>"]);
        assert_eq!(cells, "| a\\|b &lt;c> | `d\\|e <f>` &lt;g> |\n");
    }
}
