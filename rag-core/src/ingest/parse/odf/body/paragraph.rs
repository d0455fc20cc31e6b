//! A paragraph as far as it is read. Blanks are one blank, as the format says; more of them have elements of their own.

use quick_xml::events::BytesStart;

use super::super::{
    super::{
        line::{Line, Stands},
        markup::attribute,
    },
    lists::Label,
};

/// Spans inside each other whose look counts.
const MAX_SPANS: usize = 100;

#[derive(Default)]
pub(super) struct Paragraph {
    pub(super) line: Line,
    pub(super) style: String,
    /// The level of the heading that it is, whether it is counted, and from where on.
    pub(super) heading: Option<usize>,
    pub(super) counts: bool,
    pub(super) from: Option<u32>,
    pub(super) label: Option<Label>,
    /// What stands in its text boxes.
    pub(super) boxes: String,
    pub(super) hidden: bool,
    /// Whether it shows the number of its page.
    pub(super) has_page: bool,
    /// Of each open span, whether it is read, and how it stands where it says so.
    spans: Vec<(bool, Option<Stands>)>,
    blank: bool,
}

impl Paragraph {
    pub(super) fn begin(heading: bool, tag: &BytesStart<'_>, label: Option<Label>) -> Self {
        let number = |name: &str| attribute(tag, name).and_then(|number| number.parse::<u32>().ok());
        let restarts = attribute(tag, "restart-numbering").is_some_and(|restarts| restarts == "true");
        Self {
            style: attribute(tag, "style-name").unwrap_or_default(),
            heading: heading.then(|| number("outline-level").unwrap_or(1).clamp(1, 10) as usize),
            counts: attribute(tag, "is-list-header").is_none_or(|header| header != "true"),
            from: number("start-value").filter(|_| restarts),
            label,
            blank: true,
            ..Self::default()
        }
    }

    pub(super) fn begin_span(&mut self, read: bool, stands: Option<Stands>) {
        if self.spans.len() < MAX_SPANS {
            self.spans.push((read, stands));
        }
    }

    pub(super) fn end_span(&mut self) {
        self.spans.pop();
    }

    /// Adds text as it stands in the XML.
    pub(super) fn text(&mut self, text: &str) {
        if !self.is_read() {
            return;
        }
        let mut written = String::with_capacity(text.len());
        for character in text.chars() {
            let blank = matches!(character, ' ' | '\t' | '\r' | '\n');
            if !(blank && self.blank) {
                written.push(if blank { ' ' } else { character });
            }
            self.blank = blank;
        }
        self.line.text(&written, self.stands());
    }

    /// Adds blanks that are meant.
    pub(super) fn exactly(&mut self, text: &str) {
        if self.is_read() {
            self.line.text(text, self.stands());
            self.blank = false;
        }
    }

    pub(super) fn formula(&mut self, formula: &str) {
        if self.is_read() {
            self.line.formula(formula);
            self.blank = false;
        }
    }

    fn is_read(&self) -> bool {
        self.spans.iter().all(|(read, _)| *read)
    }

    fn stands(&self) -> Stands {
        self.spans.iter().rev().find_map(|(_, stands)| *stands).unwrap_or_default()
    }
}
