//! Whether a dashboard can be drawn: what Grafana does with a wrong one is to show less of it, without a word.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Checks layout, ids and data sources. All queries.
pub(super) fn check(dashboard: &Value) -> Result<Vec<String>> {
    let panels = list(dashboard, "panels");
    let rows = panels.iter().filter(|panel| text(panel, "type") == "row");
    ensure!(rows.count() == 5, "not five rows");
    let (mut ids, mut places, mut queries) = (BTreeSet::new(), Vec::new(), Vec::new());
    for panel in panels {
        let title = text(panel, "title");
        let of_panel = || format!("panel {title:?}");
        ensure!(!title.is_empty(), "a panel without a title");
        let id = panel.get("id").and_then(Value::as_u64);
        ensure!(
            id.is_some() && ids.insert(id),
            "{} has no id of its own",
            of_panel()
        );
        let place = Place::of(panel).with_context(of_panel)?;
        ensure!(
            place.x + place.w <= WIDTH,
            "{} is too far to the right",
            of_panel()
        );
        if let Some((other, _)) = places.iter().find(|(_, other)| place.overlaps(other)) {
            anyhow::bail!("{} lies over panel {other:?}", of_panel());
        }
        places.push((title, place));
        if text(panel, "type") == "row" {
            continue;
        }
        let targets = list(panel, "targets");
        ensure!(!targets.is_empty(), "{} has no query", of_panel());
        for target in targets {
            let source = target.pointer("/datasource/uid").and_then(Value::as_str);
            ensure!(
                source == Some("${datasource}"),
                "{} asks a data source of somebody's own",
                of_panel()
            );
            queries.push(text(target, "expr").to_owned());
        }
    }
    Ok(queries)
}

#[derive(Debug, Clone, Copy)]
struct Place {
    x: u64,
    y: u64,
    w: u64,
    h: u64,
}

impl Place {
    fn of(panel: &Value) -> Result<Self> {
        let at = |key| {
            let place = panel.get("gridPos").and_then(|place| place.get(key));
            let number = place.and_then(Value::as_u64);
            number.with_context(|| format!("no gridPos.{key}"))
        };
        Ok(Self {
            x: at("x")?,
            y: at("y")?,
            w: at("w")?,
            h: at("h")?,
        })
    }

    fn overlaps(&self, other: &Self) -> bool {
        let beside = self.x + self.w <= other.x || other.x + other.w <= self.x;
        let below = self.y + self.h <= other.y || other.y + other.h <= self.y;
        !beside && !below
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value.get(key).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Of every dashboard, in units of its grid.
const WIDTH: u64 = 24;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn panel(id: u64, x: u64, y: u64) -> Value {
        json!({
            "id": id, "title": "t", "type": "stat", "gridPos": { "x": x, "y": y, "w": 12, "h": 8 },
            "targets": [{ "datasource": { "uid": "${datasource}" }, "expr": "up" }],
        })
    }

    fn row(id: u64) -> Value {
        json!({ "id": id, "title": "r", "type": "row", "gridPos": { "x": 0, "y": 100 + id, "w": 24, "h": 1 } })
    }

    fn with(panels: &[Value]) -> Result<Vec<String>, String> {
        let panels: Vec<_> = (1..=5).map(row).chain(panels.iter().cloned()).collect();
        check(&json!({ "panels": panels })).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn panels_lie_beside_each_other() {
        assert_eq!(
            with(&[panel(6, 0, 0), panel(7, 12, 0)]).unwrap(),
            ["up", "up"]
        );
        let told = with(&[panel(6, 0, 0), panel(7, 11, 7)]).unwrap_err();
        assert!(told.contains("lies over"), "{told}");
        let told = with(&[panel(6, 13, 0)]).unwrap_err();
        assert!(told.contains("too far"), "{told}");
        let told = with(&[panel(5, 0, 0)]).unwrap_err();
        assert!(told.contains("id of its own"), "{told}");
    }

    #[test]
    fn panels_ask_the_data_source_that_is_chosen() {
        let mut own = panel(6, 0, 0);
        own["targets"][0]["datasource"]["uid"] = json!("P1234");
        assert!(with(&[own]).unwrap_err().contains("somebody's own"));
        let mut without = panel(6, 0, 0);
        without["targets"] = json!([]);
        assert!(with(&[without]).unwrap_err().contains("no query"));
    }
}
