//! What an evaluation found, as a value: figures of each mode, how sure they are, each question, and what to do.
//!
//! Pure. Everything that is shown, sent or written as a page is read from here.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    bootstrap::{Interval, intervals},
    headings::KnownItems,
    measures::{mean, percentile},
};
use crate::model::Mode;

/// Places that nDCG looks at.
pub const NDCG_DEPTH: usize = 10;
/// Places that success looks at: as many passages as an answer cites by default.
pub const SUCCESS_DEPTH: usize = 5;
/// Questions below which nothing is recommended. C. Buckley and E. Voorhees, "Evaluating Evaluation Measure Stability", SIGIR 2000: at least 25, better 50.
pub const MIN_QUERIES: usize = 25;

/// What is measured, and against what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The mode that questions are searched in now; always measured.
    pub configured: Mode,
    /// The modes to measure.
    pub modes: Vec<Mode>,
    /// Places that recall and the reciprocal rank look at.
    pub k: usize,
}

impl Settings {
    /// The configured mode, then the others, each once.
    pub fn modes(&self) -> Vec<Mode> {
        let mut modes = vec![self.configured];
        for mode in &self.modes {
            if !modes.contains(mode) {
                modes.push(*mode);
            }
        }
        modes
    }
}

/// Where the questions come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// They were given, with the documents that answer them.
    Judged,
    /// They are headings of the stored documents.
    KnownItems(KnownItems),
}

/// Relevant documents that are not stored. They count as not found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Unknown {
    /// How many.
    pub count: usize,
    /// The first of them, by name.
    pub documents: Vec<String>,
}

/// What one mode made of one question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueryInMode {
    /// The mode.
    pub mode: Mode,
    /// nDCG@10.
    pub ndcg: f64,
    /// recall@k.
    pub recall: f64,
    /// One divided by the place of the first relevant document of the first k, or 0.
    pub reciprocal_rank: f64,
    /// Whether a relevant document is among the first five.
    pub success: bool,
    /// How long the search took.
    pub millis: f64,
    /// Whether nothing was evidence, so that a question would be refused.
    pub refused: bool,
    /// Whether something was left out because a service failed.
    pub degraded: bool,
}

/// One question in every mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueryFigures {
    /// Its id.
    pub id: String,
    /// Its text, or the beginning of it.
    pub text: String,
    /// Each mode, the configured one first.
    pub modes: Vec<QueryInMode>,
}

impl QueryFigures {
    /// nDCG@10 in the configured mode.
    pub fn configured(&self) -> f64 {
        self.modes.first().map_or(0.0, |first| first.ndcg)
    }
}

/// One mode over all questions. A refused question counts as nothing found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModeFigures {
    /// The mode.
    pub mode: Mode,
    /// nDCG@10.
    pub ndcg: Interval,
    /// How much nDCG@10 is above that of the configured mode, question by question; absent for the configured mode itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Interval>,
    /// recall@k.
    pub recall: f64,
    /// Mean reciprocal rank, MRR@k.
    pub mrr: f64,
    /// Share of the questions with a relevant document among the first five.
    pub success_at_5: f64,
    /// Half of the searches took at most so many milliseconds.
    pub p50_millis: f64,
    /// 95 % of the searches took at most so many milliseconds.
    pub p95_millis: f64,
    /// Questions that would be refused.
    pub refused: usize,
    /// Questions of which something was left out because a service failed.
    pub degraded: usize,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recommendation {
    /// The mode to configure.
    pub mode: Mode,
    /// Whether that is another one than now.
    pub change: bool,
    /// Why, in a sentence.
    pub text: String,
}

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Evaluation)]
pub struct Report {
    /// Where the questions come from.
    pub origin: Origin,
    /// How many there were.
    pub queries: usize,
    /// Relevant documents that are not stored.
    pub unknown: Unknown,
    /// Places that recall and the reciprocal rank look at.
    pub k: usize,
    /// The configured mode first.
    pub modes: Vec<ModeFigures>,
    /// What to do.
    pub recommendation: Recommendation,
    /// Every question.
    pub per_query: Vec<QueryFigures>,
}

impl Report {
    /// Sums up. Every question has the modes of the settings in their order.
    pub fn new(settings: &Settings, origin: Origin, unknown: Unknown, per_query: Vec<QueryFigures>) -> Self {
        let modes: Vec<ModeFigures> = figures(&settings.modes(), &per_query);
        let recommendation = recommendation(&modes, per_query.len(), settings.configured);
        Self { origin, queries: per_query.len(), unknown, k: settings.k, modes, recommendation, per_query }
    }

    /// Whether the configured mode finds this share of the documents among the first five; without a share, it always does.
    pub fn reaches(&self, least: Option<f64>) -> bool {
        let found = self.modes.first().map(|configured| configured.success_at_5);
        least.is_none_or(|least| found.is_some_and(|found| found >= least))
    }

    /// The questions that the configured mode does worst on; of equal ones first those that another mode does better on.
    pub fn worst(&self, most: usize) -> Vec<&QueryFigures> {
        let missed = |query: &QueryFigures| {
            let best = query.modes.iter().map(|mode| mode.ndcg).fold(0.0, f64::max);
            best - query.configured()
        };
        let mut worst: Vec<&QueryFigures> = self.per_query.iter().filter(|query| query.configured() < 1.0).collect();
        let order = |a: &&QueryFigures, b: &&QueryFigures| {
            a.configured()
                .total_cmp(&b.configured())
                .then(missed(b).total_cmp(&missed(a)))
                .then_with(|| a.id.cmp(&b.id))
        };
        worst.sort_by(order);
        worst.truncate(most);
        worst
    }

    /// What has to be known with the figures, in sentences.
    pub fn caveats(&self) -> Vec<String> {
        let mut caveats = Vec::new();
        if let Origin::KnownItems(items) = &self.origin {
            let KnownItems { documents, documents_read, headings, repeated, unusable } = items;
            caveats.push(format!(
                "the questions are headings of {documents_read} of {documents} documents: {headings} headings, {repeated} left out because several documents have them, {unusable} because they are no question"
            ));
            caveats.push(
                "a passage is searched with its headings, which favours the lexical leg: confirm with questions of your own"
                    .to_owned(),
            );
        }
        let Unknown { count, documents } = &self.unknown;
        if *count > 0 {
            let more = if documents.len() < *count { ", ..." } else { "" };
            caveats.push(format!(
                "relevant documents that are not stored count as not found ({count}): {}{more}",
                documents.join(", ")
            ));
        }
        let refused = self.modes.first().map_or(0, |configured| configured.refused);
        if refused > 0 {
            caveats.push(format!(
                "refused questions ({refused}) count as nothing found; the threshold of a refusal (retrieval.min_score) decides on them, and hardly the mode"
            ));
        }
        let degraded = self.modes.iter().map(|mode| mode.degraded).max().unwrap_or(0);
        if degraded > 0 {
            caveats.push(format!(
                "the reranker failed for up to {degraded} questions of a mode; their fused order was measured"
            ));
        }
        caveats
    }
}

fn figures(modes: &[Mode], per_query: &[QueryFigures]) -> Vec<ModeFigures> {
    let column = |at: usize| per_query.iter().filter_map(move |query| query.modes.get(at));
    let gains: Vec<Vec<f64>> = (0..modes.len()).map(|at| column(at).map(|found| found.ndcg).collect()).collect();
    let against = |gains_of: &Vec<f64>| gains_of.iter().zip(&gains[0]).map(|(a, b)| a - b).collect();
    let differences: Vec<Vec<f64>> = gains.iter().skip(1).map(against).collect();
    // All in one go, so that every series is resampled by the same questions.
    let series: Vec<Vec<f64>> = gains.iter().cloned().chain(differences).collect();
    let intervals = intervals(&series);
    let count = modes.len();
    let figures = |(at, mode): (usize, &Mode)| {
        let all = |value: fn(&QueryInMode) -> f64| column(at).map(value).collect::<Vec<f64>>();
        let millis = all(|found| found.millis);
        ModeFigures {
            mode: *mode,
            ndcg: intervals[at],
            difference: at.checked_sub(1).and_then(|other| intervals.get(count + other).copied()),
            recall: mean(&all(|found| found.recall)),
            mrr: mean(&all(|found| found.reciprocal_rank)),
            success_at_5: mean(&all(|found| f64::from(u8::from(found.success)))),
            p50_millis: percentile(&millis, 50),
            p95_millis: percentile(&millis, 95),
            refused: column(at).filter(|found| found.refused).count(),
            degraded: column(at).filter(|found| found.degraded).count(),
        }
    };
    modes.iter().enumerate().map(figures).collect()
}

/// The configured mode, unless another one is better with an interval above 0: then the best of those.
///
/// With three modes two differences are looked at, each on its upper side alone, so that a set on which no mode is better leads to a change in at most 5 % of all cases.
fn recommendation(modes: &[ModeFigures], queries: usize, configured: Mode) -> Recommendation {
    let keep = |text: String| Recommendation { mode: configured, change: false, text };
    let others: Vec<(Mode, Interval)> = modes.iter().filter_map(|mode| Some((mode.mode, mode.difference?))).collect();
    if others.is_empty() {
        return keep(format!("keep {configured:?}: no other mode was measured"));
    }
    if queries < MIN_QUERIES {
        return keep(format!(
            "keep {configured:?}: too few questions to tell modes apart ({queries}); judge at least {MIN_QUERIES}, better 50"
        ));
    }
    let better = others.iter().filter(|(_, difference)| difference.low > 0.0);
    match better.max_by(|(_, a), (_, b)| a.mean.total_cmp(&b.mean)) {
        Some((mode, difference)) => Recommendation {
            mode: *mode,
            change: true,
            text: format!(
                "set retrieval.mode to {mode:?}: its nDCG@{NDCG_DEPTH} is above that of {configured:?} by {}",
                shown(difference)
            ),
        },
        None => {
            let differences: Vec<String> =
                others.iter().map(|(mode, difference)| format!("{mode:?} {}", shown(difference))).collect();
            keep(format!(
                "keep {configured:?}: no other mode is better with an interval above 0 (nDCG@{NDCG_DEPTH} against it: {})",
                differences.join(", ")
            ))
        }
    }
}

/// A difference with its interval.
pub fn shown(Interval { mean, low, high }: &Interval) -> String {
    format!("{mean:+.3} [{low:+.3}, {high:+.3}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_mode(mode: Mode, ndcg: f64, millis: f64) -> QueryInMode {
        QueryInMode {
            mode,
            ndcg,
            recall: ndcg,
            reciprocal_rank: ndcg / 2.0,
            success: ndcg > 0.5,
            millis,
            refused: ndcg == 0.0,
            degraded: false,
        }
    }

    /// Questions with nDCG in Hybrid and in Dense.
    fn report(gains: &[(f64, f64)]) -> Report {
        let query = |(at, (hybrid, dense)): (usize, &(f64, f64))| QueryFigures {
            id: format!("q{at:02}"),
            text: "why?".to_owned(),
            modes: vec![in_mode(Mode::Hybrid, *hybrid, at as f64), in_mode(Mode::Dense, *dense, 1.0)],
        };
        let settings = Settings { configured: Mode::Hybrid, modes: vec![Mode::Dense, Mode::Hybrid], k: 10 };
        let per_query = gains.iter().enumerate().map(query).collect();
        Report::new(&settings, Origin::Judged, Unknown::default(), per_query)
    }

    #[test]
    fn the_configured_mode_stands_first_and_each_mode_once() {
        let modes = |configured, modes: &[Mode]| Settings { configured, modes: modes.to_vec(), k: 1 }.modes();
        let (hybrid, dense, lexical) = (Mode::Hybrid, Mode::Dense, Mode::Lexical);
        assert_eq!(modes(dense, &[hybrid, dense, lexical, hybrid]), [dense, hybrid, lexical]);
        assert_eq!(modes(lexical, &[]), [lexical]);
    }

    #[test]
    fn the_figures_of_hand_computed_questions() {
        let report = report(&[(1.0, 0.5), (0.5, 0.5), (0.0, 1.0), (0.5, 1.0)]);
        let [hybrid, dense] = &report.modes[..] else { panic!("two modes") };
        assert_eq!((hybrid.ndcg.mean, dense.ndcg.mean), (0.5, 0.75));
        assert_eq!((hybrid.difference, dense.difference.unwrap().mean), (None, 0.25));
        assert_eq!((hybrid.recall, hybrid.mrr, hybrid.success_at_5), (0.5, 0.25, 0.25));
        assert_eq!((hybrid.refused, dense.refused), (1, 0));
        assert_eq!((hybrid.p50_millis, hybrid.p95_millis), (1.0, 3.0));
    }

    #[test]
    fn a_mode_is_recommended_only_when_it_is_surely_better() {
        let all = |gains: (f64, f64)| report(&[gains; 30]).recommendation;
        let better = all((0.5, 0.7));
        assert_eq!((better.mode, better.change), (Mode::Dense, true));
        assert_eq!(
            better.text,
            "set retrieval.mode to Dense: its nDCG@10 is above that of Hybrid by +0.200 [+0.200, +0.200]"
        );
        for (same, text) in [((0.5, 0.5), "Dense +0.000 [+0.000, +0.000]"), ((0.7, 0.5), "Dense -0.200 [")] {
            let kept = all(same);
            assert_eq!((kept.mode, kept.change), (Mode::Hybrid, false));
            assert!(kept.text.contains(text), "{}", kept.text);
        }
        // Better by the mean alone: half of the questions win, half lose nearly as much.
        let mixed: Vec<(f64, f64)> = (0..30).map(|at| if at % 2 == 0 { (0.0, 1.0) } else { (0.9, 0.0) }).collect();
        let unsure = report(&mixed);
        assert!(unsure.modes[1].difference.unwrap().mean > 0.0);
        assert!(!unsure.recommendation.change);
    }

    #[test]
    fn nothing_is_recommended_of_few_questions_or_of_one_mode() {
        let few = report(&[(0.0, 1.0); MIN_QUERIES - 1]).recommendation;
        assert!(!few.change && few.text.contains("too few questions to tell modes apart (24)"), "{}", few.text);
        let settings = Settings { configured: Mode::Dense, modes: Vec::new(), k: 10 };
        let alone = Report::new(&settings, Origin::Judged, Unknown::default(), Vec::new());
        assert_eq!(alone.recommendation.text, "keep Dense: no other mode was measured");
    }

    #[test]
    fn the_worst_questions_are_those_that_another_mode_could_answer() {
        let report = report(&[(1.0, 1.0), (0.0, 0.0), (0.5, 0.9), (0.0, 0.8)]);
        let worst: Vec<&str> = report.worst(3).iter().map(|query| query.id.as_str()).collect();
        assert_eq!(worst, ["q03", "q01", "q02"], "what is right in first place is not among them");
    }

    #[test]
    fn what_is_missing_is_said_by_name() {
        let mut report = report(&[(1.0, 1.0)]);
        assert_eq!(report.caveats(), Vec::<String>::new());
        report.unknown = Unknown { count: 3, documents: vec!["a.md".to_owned(), "b.md".to_owned()] };
        report.origin = Origin::KnownItems(KnownItems { repeated: 4, ..KnownItems::default() });
        let said = report.caveats().join("\n");
        assert!(said.contains("not stored count as not found (3)") && said.contains("a.md, b.md, ..."), "{said}");
        assert!(said.contains("4 left out because several") && said.contains("favours the lexical leg"), "{said}");
    }

    #[test]
    fn a_report_reads_back_as_it_was_written() {
        let report = report(&[(1.0, 0.25)]);
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
