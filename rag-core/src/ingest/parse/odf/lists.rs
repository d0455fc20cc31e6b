//! How the lists and headings of an OpenDocument count, and where they are; pure.

use std::collections::HashMap;

use quick_xml::events::BytesStart;

use super::{
    super::{markup::attribute, ordinal::written},
    styles::{LEVELS, Styles},
};

/// Lists inside each other.
const MAX_DEPTH: usize = 64;
/// Bytes of what stands around a number.
const MAX_TEXT: usize = 100;

/// How one level of a list counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Counting {
    bullet: bool,
    /// None where it does not count.
    format: Option<&'static str>,
    prefix: String,
    suffix: String,
    /// Levels whose numbers are shown, this one among them.
    shown: usize,
    start: u32,
}

impl Counting {
    pub(super) fn read(name: &str, tag: &BytesStart<'_>) -> Self {
        let text = |name: &str| attribute(tag, name).filter(|text| text.len() <= MAX_TEXT).unwrap_or_default();
        let format = match text("num-format").as_str() {
            "1" => Some("decimal"),
            "a" => Some("lowerLetter"),
            "A" => Some("upperLetter"),
            "i" => Some("lowerRoman"),
            "I" => Some("upperRoman"),
            "" => None,
            other if other.starts_with('一') => Some("chineseCounting"),
            _ => Some("decimal"),
        };
        Self {
            bullet: name != "list-level-style-number" && name != "outline-level-style",
            format,
            prefix: text("num-prefix"),
            suffix: text("num-suffix"),
            shown: text("display-levels").parse().unwrap_or(1),
            start: text("start-value").parse().unwrap_or(1),
        }
    }
}

/// What stands before an item: nothing, a point, or a number and whether it names the items around it as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Label {
    Bullet,
    Number(String, bool),
}

/// The lists that are open, and where all lists are.
#[derive(Debug, Default)]
pub(super) struct Lists {
    open: Vec<Option<String>>,
    counts: HashMap<String, [Option<u32>; LEVELS]>,
    /// What the open item begins with, until its first paragraph takes it.
    label: Option<Label>,
}

impl Lists {
    pub(super) fn begin(&mut self, tag: &BytesStart<'_>) {
        let outer = self.open.last().cloned().flatten();
        let style = attribute(tag, "style-name").or(outer);
        let goes_on = attribute(tag, "continue-list").is_some()
            || attribute(tag, "continue-numbering").is_some_and(|goes_on| goes_on == "true");
        if let Some(counts) = style.as_ref().and_then(|style| self.counts.get_mut(style)).filter(|_| !goes_on) {
            counts[self.open.len().min(LEVELS - 1)..].fill(None);
        }
        if self.open.len() < MAX_DEPTH {
            self.open.push(style);
        }
    }

    pub(super) fn end(&mut self) {
        self.open.pop();
    }

    pub(super) fn depth(&self) -> usize {
        self.open.len().saturating_sub(1)
    }

    pub(super) fn item(&mut self, styles: &Styles, tag: &BytesStart<'_>) {
        let style = self.open.last().cloned().flatten().unwrap_or_default();
        let from = attribute(tag, "start-value").and_then(|from| from.parse().ok());
        self.label =
            if style.is_empty() { Some(Label::Bullet) } else { self.count(styles, &style, self.depth(), from) };
    }

    /// Counts a heading, and says what stands before it.
    pub(super) fn heading(&mut self, styles: &Styles, level: usize, from: Option<u32>) -> Option<Label> {
        self.count(styles, "", level.saturating_sub(1), from).filter(|label| *label != Label::Bullet)
    }

    /// What the open item begins with; only its first paragraph has it.
    pub(super) fn label(&mut self) -> Option<Label> {
        self.label.take()
    }

    fn count(&mut self, styles: &Styles, list: &str, level: usize, from: Option<u32>) -> Option<Label> {
        let (counting, level) = (styles.counting(list), level.min(LEVELS - 1));
        let Some(own) = counting.get(level) else { return Some(Label::Bullet) };
        let counts = self.counts.entry(list.to_owned()).or_default();
        let next = counts[level].map_or(own.start, |count| count.saturating_add(1));
        counts[level] = Some(from.unwrap_or(next));
        counts[level + 1..].fill(None);
        if own.bullet {
            return Some(Label::Bullet);
        }
        own.format?;
        let first = (level + 1).saturating_sub(own.shown.max(1));
        let numbers: Vec<String> = (first..=level)
            .filter_map(|at| Some(written(counts[at].unwrap_or(counting[at].start), counting[at].format?)))
            .collect();
        let text = format!("{}{}{}", own.prefix, numbers.join("."), own.suffix);
        let text = text.trim();
        (!text.is_empty()).then(|| Label::Number(text.to_owned(), first < level))
    }
}
