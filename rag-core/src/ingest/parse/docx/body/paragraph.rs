//! A paragraph as far as it is read: its text in one line, and what makes it a heading or an item.

use super::{
    super::{
        super::line::{Line, Stands},
        numbering::{Counters, Label},
        styles::{Role, outline},
    },
    Known, MAX_TEXT,
};

/// The deepest level of a list.
const MAX_LEVEL: usize = 8;

#[derive(Default)]
pub(super) struct Paragraph {
    pub(super) style: Option<String>,
    /// What the paragraph says itself, before its style: body text, or a heading.
    outline: Option<Option<Role>>,
    list: Option<String>,
    level: Option<usize>,
    pub(super) line: Line,
    /// What stands in its text boxes.
    pub(super) boxes: String,
    pub(super) end_is_deleted: bool,
    /// Whether it shows the number of its page.
    pub(super) has_page: bool,
}

impl Paragraph {
    /// A paragraph that goes on with a text.
    pub(super) fn after(text: String) -> Self {
        Self { line: Line::after(text), ..Self::default() }
    }

    pub(super) fn property(&mut self, name: &str, value: String) {
        match name {
            "pStyle" => self.style = Some(value),
            "outlineLvl" => self.outline = Some(outline(&value)),
            "ilvl" => self.level = Some(value.parse().unwrap_or(0)),
            "numId" => self.list = Some(value),
            _ => {}
        }
    }

    /// Adds text; gives what is too long to be held.
    pub(super) fn text(&mut self, text: &str, stands: Stands) -> Option<String> {
        self.line.text(text, stands);
        (self.line.len() > MAX_TEXT).then(|| self.line.finish())
    }

    pub(super) fn role(&self, known: &Known) -> Option<Role> {
        let style = self.style.as_ref().and_then(|style| known.styles.get(style));
        self.outline.unwrap_or_else(|| style.and_then(|style| style.role))
    }

    /// How deep an item stands inside others.
    pub(super) fn depth(&self) -> usize {
        self.level.unwrap_or(0).min(MAX_LEVEL)
    }

    /// Counts it in its list, and says what stands before it.
    pub(super) fn label(&mut self, known: &Known, counters: &mut Counters) -> Option<Label> {
        let style = self.style.as_ref().and_then(|style| known.styles.get(style));
        let of_style = style.and_then(|style| style.list.as_ref());
        let list = self.list.as_ref().or(of_style)?;
        // A list number of 0 takes the paragraph out of its style's list.
        if list == "0" {
            return None;
        }
        let named = self.style.as_ref().filter(|_| self.list.is_none());
        let level = named.and_then(|style| known.numbering.level_of_style(list, style));
        self.level = self.level.or(level).or(style.and_then(|style| style.level)).or(Some(0));
        counters.next(&known.numbering, list, self.depth())
    }
}
