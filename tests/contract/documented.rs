//! What docs/cluster.md lists is all that there is, and nothing that there is no longer.

use std::{collections::BTreeSet, fs, path::Path};

use ragops_operator::{
    api::{ConditionReason, ConditionType},
    metrics::Metrics,
};

fn rows(heading: &str) -> Vec<Vec<String>> {
    rows_of("cluster.md", heading)
}

/// The cells of each row of the table below a heading of a page. The first one's name is in backticks.
pub(crate) fn rows_of(page: &str, heading: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page)).unwrap();
    let below = page.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with('#'));
    let rows = below.filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn names(rows: &[Vec<String>]) -> BTreeSet<String> {
    rows.iter().map(|cells| cells[0].trim_matches('`').to_owned()).collect()
}

#[test]
fn every_reason_of_a_condition_is_documented_with_what_to_do() {
    let rows = rows("### Every reason");
    let all: BTreeSet<String> = ConditionReason::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(names(&rows), all);
    assert_eq!(rows.len(), all.len(), "one row for each");
    let conditions = ConditionType::ALL.map(ConditionType::as_str);
    for cells in &rows {
        assert!(cells[1].split(", ").all(|condition| conditions.contains(&condition)), "{cells:?}");
        assert!(!cells[2].is_empty(), "{cells:?}");
    }
}

#[test]
fn every_metric_of_the_operator_is_documented() {
    let rows = rows("## The operator's metrics");
    assert_eq!(names(&rows), Metrics::new().unwrap().names().iter().cloned().collect());
    assert!(rows.iter().all(|cells| !cells[2].is_empty()), "{rows:?}");
}
