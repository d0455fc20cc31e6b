//! The bar of whatever takes longer than a moment; on a terminal alone.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over so many things of this name, in the plural; without a number until somebody knows it.
pub(super) fn bar(total: Option<u64>, things: &str) -> ProgressBar {
    let terminal = std::io::stderr().is_terminal();
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(total, target);
    let template = format!("{{pos}}/{{len}} {things}  {{bar:30}}  {{percent}} %  {{msg}}  {{eta}} left");
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style.progress_chars("━━╌")),
        Err(_) => bar,
    }
}
