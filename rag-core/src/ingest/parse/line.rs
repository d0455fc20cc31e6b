//! A line of text as it is read: with what stands raised or lowered in it, and with formulas.

use super::script::{lowered, raised};

/// Words that are left around the number of a page at least, where they are more than its frame, such as `Page of`.
const RUNNING_WORDS: usize = 3;

/// Whether what stands around the number of a page is its frame alone.
pub(super) fn is_frame(text: &str) -> bool {
    text.split_whitespace().count() < RUNNING_WORDS
}

/// How characters stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stands {
    #[default]
    OnTheLine,
    Raised,
    Lowered,
}

#[derive(Default)]
pub(super) struct Line {
    text: String,
    /// What stands raised or lowered and may go on.
    script: Option<(Stands, String)>,
}

impl Line {
    /// A line that goes on with a text.
    pub(super) fn after(text: String) -> Self {
        Self { text, script: None }
    }

    pub(super) fn text(&mut self, text: &str, stands: Stands) {
        match (stands, &mut self.script) {
            (Stands::OnTheLine, _) => {
                self.end_script();
                self.text.push_str(text);
            }
            (stands, Some((open, script))) if *open == stands => script.push_str(text),
            (stands, _) => {
                self.end_script();
                self.script = Some((stands, text.to_owned()));
            }
        }
    }

    /// Adds a formula; its digits and those before it are no number together.
    pub(super) fn formula(&mut self, formula: &str) {
        self.end_script();
        if self.text.ends_with(char::is_numeric) && formula.starts_with(char::is_numeric) {
            self.text.push(' ');
        }
        self.text.push_str(formula);
    }

    /// Bytes that it has so far.
    pub(super) fn len(&self) -> usize {
        self.text.len() + self.script.as_ref().map_or(0, |(_, script)| script.len())
    }

    /// Its text, which is taken out.
    pub(super) fn finish(&mut self) -> String {
        self.end_script();
        std::mem::take(&mut self.text)
    }

    fn end_script(&mut self) {
        let Some((stands, script)) = self.script.take() else { return };
        let (lead, text, trail) = blanks(&script);
        self.text.push_str(lead);
        let text = match stands {
            Stands::Raised => raised(&self.text, text, false),
            Stands::Lowered => lowered(&self.text, text),
            Stands::OnTheLine => text.to_owned(),
        };
        self.text.push_str(&text);
        self.text.push_str(trail);
    }
}

/// The blanks before a text, the text, and those after it.
fn blanks(text: &str) -> (&str, &str, &str) {
    let (lead, rest) = text.split_at(text.len() - text.trim_start().len());
    let (middle, trail) = rest.split_at(rest.trim_end().len());
    (lead, middle, trail)
}
