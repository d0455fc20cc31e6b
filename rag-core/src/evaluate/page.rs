//! A report as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.
//!
//! Pure. Questions and names of documents are written by anybody; whatever the template is given is escaped.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    plots::{self, PlotError},
    report::{ModeFigures, NDCG_DEPTH, QueryFigures, Report, SUCCESS_DEPTH, shown},
};

/// Questions that are listed.
const WORST: usize = 25;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .75rem;border-bottom:1px solid #ddd;text-align:right}\
th:first-child,td:first-child{text-align:left}td.text{text-align:left;overflow-wrap:anywhere}\
strong{font-size:1.1em}li,p.note{color:#555}svg{max-width:100%;height:auto}";

/// The page.
pub fn html(report: &Report) -> Result<String, PlotError> {
    let (bars, differences) = (plots::bars(report)?, plots::differences(report)?);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                // Nothing may be loaded and nothing run, whatever got into the page.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { "Evaluation of retrieval" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Evaluation of retrieval" }
                p { strong { (report.recommendation.text) } }
                p { "Questions, each in every mode: " (report.queries) }
                ul { @for caveat in report.caveats() { li { (caveat) } } }
                (modes(report))
                h2 { "Modes with their intervals" }
                (PreEscaped(bars))
                @if report.modes.len() > 1 {
                    h2 { "Question by question, against the configured mode" }
                    (PreEscaped(differences))
                }
                (worst(report))
            }
        }
    };
    Ok(page.into_string())
}

fn modes(report: &Report) -> Markup {
    html! {
        table {
            tr {
                th { "mode" }
                th { "nDCG@" (NDCG_DEPTH) } th { "95 % interval" } th { "against the configured mode" }
                th { "recall@" (report.k) } th { "MRR@" (report.k) } th { "success@" (SUCCESS_DEPTH) }
                th { "p50 ms" } th { "p95 ms" } th { "refused" }
            }
            @for mode in &report.modes { (row(mode)) }
        }
        p class="note" {
            "The intervals are of a paired bootstrap over the questions (95 %). A refused question counts as nothing found."
        }
    }
}

fn row(mode: &ModeFigures) -> Markup {
    html! {
        tr {
            td { (format!("{:?}", mode.mode)) @if mode.difference.is_none() { " (configured)" } }
            td { (format!("{:.3}", mode.ndcg.mean)) }
            td { (format!("{:.3} to {:.3}", mode.ndcg.low, mode.ndcg.high)) }
            td { @if let Some(difference) = &mode.difference { (shown(difference)) } }
            td { (format!("{:.3}", mode.recall)) } td { (format!("{:.3}", mode.mrr)) }
            td { (format!("{:.3}", mode.success_at_5)) }
            td { (format!("{:.1}", mode.p50_millis)) } td { (format!("{:.1}", mode.p95_millis)) }
            td { (mode.refused) }
        }
    }
}

fn worst(report: &Report) -> Markup {
    let worst = report.worst(WORST);
    html! {
        h2 { "The worst questions" }
        @if worst.is_empty() {
            p { "None: every question has its best documents in front." }
        } @else {
            p class="note" { "By nDCG@" (NDCG_DEPTH) " of the configured mode; of equal ones first those that another mode does better on." }
            table {
                tr {
                    th { "id" } th { "question" }
                    @for mode in &report.modes { th { (format!("{:?}", mode.mode)) } }
                }
                @for query in worst { (question(query)) }
            }
        }
    }
}

fn question(query: &QueryFigures) -> Markup {
    html! {
        tr {
            td class="text" { (query.id) } td class="text" { (query.text) }
            @for mode in &query.modes { td { (format!("{:.3}", mode.ndcg)) @if mode.refused { " refused" } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluate::report::{Origin, QueryInMode, Settings, Unknown},
        model::Mode,
    };

    fn report(id: &str, text: &str, modes: &[Mode]) -> Report {
        let in_mode = |mode: &Mode| QueryInMode {
            mode: *mode,
            ndcg: 0.5,
            recall: 1.0,
            reciprocal_rank: 0.5,
            success: true,
            millis: 1.0,
            refused: false,
            degraded: false,
        };
        let query =
            QueryFigures { id: id.to_owned(), text: text.to_owned(), modes: modes.iter().map(in_mode).collect() };
        let settings = Settings { configured: modes[0], modes: modes.to_vec(), k: 10 };
        Report::new(&settings, Origin::Judged, Unknown::default(), vec![query])
    }

    #[test]
    fn a_hostile_question_is_text_and_nothing_else() {
        let hostile = "<script>alert(1)</script>\"'&<img src=x onerror=y>";
        let mut report = report(hostile, hostile, &[Mode::Hybrid, Mode::Dense, Mode::Lexical]);
        report.unknown = Unknown { count: 1, documents: vec![hostile.to_owned()] };
        let page = html(&report).unwrap();
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count(), 3, "{page}");
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = html(&report("q", "why?", &[Mode::Hybrid, Mode::Dense])).unwrap();
        let page = page.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(outside), "{outside} in {page}");
        }
        assert_eq!(page.matches("<svg").count(), 2);
        for shown in ["nDCG@10", "Dense", "0.500", "keep Hybrid", "why?"] {
            assert!(page.contains(shown), "{shown} is not in {page}");
        }
    }

    #[test]
    fn a_report_of_nothing_and_one_of_one_mode_are_pages_too() {
        assert_eq!(html(&report("q", "why?", &[Mode::Dense])).unwrap().matches("<svg").count(), 1);
        let settings = Settings { configured: Mode::Hybrid, modes: vec![Mode::Dense], k: 10 };
        let empty = Report::new(&settings, Origin::Judged, Unknown::default(), Vec::new());
        assert!(html(&empty).unwrap().contains("None: every question"));
    }
}
