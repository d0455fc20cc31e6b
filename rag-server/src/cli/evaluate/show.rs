//! What a person sees of an evaluation: a bar, then a table, what has to be known with it, and what to do.

use std::fmt::Write as _;

use indicatif::ProgressBar;

use crate::{
    cli::{printable, progress},
    evaluate::report::{ModeFigures, NDCG_DEPTH, Report, SUCCESS_DEPTH, shown},
};

/// How far an evaluation is, on a terminal alone.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new() -> Self {
        Self(progress::bar(None, "questions"))
    }

    pub(super) fn at(&self, done: usize, total: usize) {
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// The figures as text: the table, the caveats, the recommendation.
pub(in crate::cli) fn readable(report: &Report) -> String {
    let rows: Vec<_> = std::iter::once(header(report)).chain(report.modes.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = format!("{:<width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let _infallible = write!(line, "  {cell:>width$}");
        }
        let _infallible = writeln!(text, "{}", line.trim_end());
    }
    text.push('\n');
    for caveat in report.caveats() {
        let _infallible = writeln!(text, "note: {}", printable::line(&caveat));
    }
    let s = if report.queries == 1 { "" } else { "s" };
    let _infallible = writeln!(text, "{} question{s}: {}", report.queries, report.recommendation.text);
    text
}

fn header(report: &Report) -> [String; 9] {
    let k = report.k;
    [
        "mode".to_owned(),
        format!("nDCG@{NDCG_DEPTH}"),
        "against configured".to_owned(),
        format!("recall@{k}"),
        format!("MRR@{k}"),
        format!("success@{SUCCESS_DEPTH}"),
        "p50 ms".to_owned(),
        "p95 ms".to_owned(),
        "refused".to_owned(),
    ]
}

fn row(mode: &ModeFigures) -> [String; 9] {
    let configured = if mode.difference.is_none() { " (configured)" } else { "" };
    [
        format!("{:?}{configured}", mode.mode),
        format!("{:.3}", mode.ndcg.mean),
        mode.difference.as_ref().map(shown).unwrap_or_default(),
        format!("{:.3}", mode.recall),
        format!("{:.3}", mode.mrr),
        format!("{:.3}", mode.success_at_5),
        format!("{:.1}", mode.p50_millis),
        format!("{:.1}", mode.p95_millis),
        mode.refused.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluate::report::{Origin, QueryFigures, QueryInMode, Settings, Unknown},
        model::Mode,
    };

    #[test]
    fn the_table_is_aligned_and_the_recommendation_stands_last() {
        let in_mode = |mode| QueryInMode {
            mode,
            ndcg: 0.5,
            recall: 1.0,
            reciprocal_rank: 0.25,
            success: true,
            millis: 12.34,
            refused: false,
            degraded: false,
        };
        let modes = vec![in_mode(Mode::Hybrid), in_mode(Mode::Dense)];
        let query = QueryFigures { id: "q".to_owned(), text: "why?".to_owned(), modes };
        let settings = Settings { configured: Mode::Hybrid, modes: vec![Mode::Dense], k: 3 };
        let unknown = Unknown { count: 1, documents: vec!["a\u{202e}b".to_owned()] };
        let text = readable(&Report::new(&settings, Origin::Judged, unknown, vec![query]));
        assert_eq!(
            text,
            "mode                 nDCG@10       against configured  recall@3  MRR@3  success@5  p50 ms  p95 ms  refused\n\
             Hybrid (configured)    0.500                              1.000  0.250      1.000    12.3    12.3        0\n\
             Dense                  0.500  +0.000 [+0.000, +0.000]     1.000  0.250      1.000    12.3    12.3        0\n\
             \n\
             note: relevant documents that are not stored count as not found (1): a\u{fffd}b\n\
             1 question: keep Hybrid: too few questions to tell modes apart (1); judge at least 25, better 50\n"
        );
    }
}
