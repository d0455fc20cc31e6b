//! reStructuredText: headings by their adornments, literal blocks and directives as they stand; everything else is a paragraph.
//!
//! Comments, link targets and transitions are no text. The rest is passed on byte for byte.

use super::lines::{Held, LineParser};
use crate::ingest::chunk::{Block, Chunker, Shape};

/// Levels of headings.
const MAX_LEVELS: usize = 6;
/// Directives of which the content is lines.
const LINES: [&str; 10] = [
    "code",
    "code-block",
    "sourcecode",
    "highlight",
    "parsed-literal",
    "math",
    "csv-table",
    "list-table",
    "productionlist",
    "prompt",
];

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Paragraph,
    Table,
    /// Indented lines that are taken as they are; they end with a line that is indented no more than this.
    Literal(usize),
    /// The indented lines of a comment.
    Comment(usize),
}

/// A document that is being read.
#[derive(Default)]
pub(in crate::ingest) struct Rst {
    open: Open,
    held: Held,
    /// A line of signs that may stand over a title.
    over: Option<String>,
    /// Adornments in the order in which they came: the sign, and whether one stands over the title as well.
    styles: Vec<(u8, bool)>,
    /// Where indented lines would be literal: a paragraph ended with `::`, or a directive of lines began.
    announced: Option<usize>,
}

impl LineParser for Rst {
    fn line(&mut self, line: &str, starts: bool, out: &mut Chunker<'_>) {
        if !starts {
            return match self.open {
                Open::Comment(_) => {}
                open => self.held.add(line, open.shape(), out),
            };
        }
        if line.trim().is_empty() {
            return self.blank(line, out);
        }
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        match self.open {
            Open::Comment(base) if indent > base => return,
            Open::Literal(base) if indent > base => return self.held.add(line, Shape::Lines, out),
            Open::Table => return self.held.add(line, Shape::Lines, out),
            Open::Comment(_) | Open::Literal(_) => self.end_block(out),
            Open::Nothing | Open::Paragraph => {}
        }
        match self.announced.take() {
            Some(base) if self.open == Open::Nothing && indent > base => {
                self.open = Open::Literal(base);
                self.held.add(line, Shape::Lines, out);
            }
            _ => self.flow(line, indent, out),
        }
    }

    fn end(&mut self, out: &mut Chunker<'_>) {
        self.end_block(out);
    }
}

impl Open {
    fn shape(self) -> Shape {
        match self {
            Self::Nothing | Self::Paragraph | Self::Comment(_) => Shape::Prose,
            Self::Table | Self::Literal(_) => Shape::Lines,
        }
    }
}

impl Rst {
    fn blank(&mut self, line: &str, out: &mut Chunker<'_>) {
        match self.open {
            Open::Literal(_) => return self.held.add(line, Shape::Lines, out),
            Open::Comment(_) => return,
            Open::Paragraph if self.held.text.trim_end().ends_with("::") => {
                let last = self.held.text.trim_end().rsplit('\n').next().unwrap_or_default();
                self.announced = Some(last.len() - last.trim_start().len());
            }
            Open::Nothing | Open::Paragraph | Open::Table => {}
        }
        // A line of signs by itself is a transition.
        self.over = None;
        self.end_block(out);
        out.push(Block::Blank { text: line });
    }

    /// A line outside of what is taken as it is.
    fn flow(&mut self, line: &str, indent: usize, out: &mut Chunker<'_>) {
        if let Some(sign) = adornment(line) {
            return self.signs(sign, line, out);
        }
        if self.open == Open::Nothing && (line.starts_with("+-") || simple_table(line)) {
            self.open = Open::Table;
            return self.held.add(line, Shape::Lines, out);
        }
        if let Some(rest) = line.trim_start().strip_prefix("..").filter(|rest| rest.starts_with([' ', '\n', '\r'])) {
            return self.explicit(rest.trim(), line, indent, out);
        }
        if is_item(line.trim_start()) {
            self.end_block(out);
        }
        self.open = Open::Paragraph;
        self.held.add(line, Shape::Prose, out);
    }

    /// A line of signs: under a title, over one, or neither.
    fn signs(&mut self, sign: u8, line: &str, out: &mut Chunker<'_>) {
        let text = &self.held.text;
        let title = text.trim();
        let one_line = self.open == Open::Paragraph && !self.held.passed && !title.contains('\n');
        // A title may be wider in columns than in characters, and people err by some signs.
        let long_enough =
            line.trim_end().len() + 1 >= title.chars().count() || (line.trim_end().len() >= 4 && self.over.is_some());
        let over = self.over.take();
        if !one_line || !long_enough || (text.starts_with([' ', '\t']) && over.is_none()) {
            if self.open == Open::Nothing {
                self.over = Some(line.to_owned());
            } else {
                self.held.add(line, Shape::Prose, out);
            }
            return;
        }
        let style = (sign, over.is_some());
        let level = self.styles.iter().position(|known| *known == style).unwrap_or_else(|| {
            self.styles.push(style);
            self.styles.len() - 1
        });
        let level = u8::try_from((level + 1).min(MAX_LEVELS)).unwrap_or(1);
        let text = format!("{}{text}{line}", over.unwrap_or_default());
        let title = plain(title);
        self.held.clear();
        self.open = Open::Nothing;
        out.push(Block::Heading { level, title: &title, text: &text });
    }

    /// What begins with two dots: a directive, a note, a target or a comment.
    fn explicit(&mut self, rest: &str, line: &str, indent: usize, out: &mut Chunker<'_>) {
        self.end_block(out);
        let directive = rest.split_once("::").map(|(name, _)| name).filter(|name| is_directive(name));
        if let Some(name) = directive {
            self.open = Open::Paragraph;
            self.held.add(line, Shape::Prose, out);
            if LINES.contains(&name) {
                self.open = Open::Literal(indent);
            }
        } else if rest.starts_with('[') || rest.starts_with('|') {
            self.open = Open::Paragraph;
            self.held.add(line, Shape::Prose, out);
        } else {
            self.open = Open::Comment(indent);
        }
    }

    fn end_block(&mut self, out: &mut Chunker<'_>) {
        self.held.end(self.open.shape(), out);
        self.open = Open::Nothing;
    }
}

/// The sign of which a line consists.
fn adornment(line: &str) -> Option<u8> {
    let signs = line.trim_end();
    let first = *signs.as_bytes().first()?;
    // A comment begins with the one, a literal block is announced by the other.
    let says_something = matches!(signs, ".." | "::");
    let is_one_sign = signs.len() >= 2 && first.is_ascii_punctuation() && signs.bytes().all(|byte| byte == first);
    (is_one_sign && !says_something).then_some(first)
}

/// Whether a line is the border of a table without lines between its cells.
fn simple_table(line: &str) -> bool {
    let text = line.trim();
    text.starts_with("==") && text.contains(' ') && text.bytes().all(|byte| matches!(byte, b'=' | b' '))
}

fn is_directive(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ':' | '+' | '.'))
}

fn is_item(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = match text.as_bytes().first() {
        Some(b'-' | b'*' | b'+') => &text[1..],
        Some(b'#') if text.starts_with("#.") => &text[2..],
        _ if (1..=9).contains(&digits) && text[digits..].starts_with(['.', ')']) => &text[digits + 1..],
        _ => return false,
    };
    rest.starts_with([' ', '\t'])
}

/// A title without its markup.
fn plain(title: &str) -> String {
    title.replace("``", "").replace("**", "").replace('`', "")
}

#[cfg(test)]
mod tests {
    use crate::ingest::parse::{Format, tried};

    #[test]
    fn headings_are_told_by_their_adornments() {
        let text = "=====\nGuide\n=====\n\nIntro.\n\nStart ``now``\n=============\n\nGo.\n\nStop\n----\n\nHalt.\n\nMore\n====\n\nEnd.\n";
        let read = tried::read(Format::Rst, text, 3);
        assert_eq!(read.title.as_deref(), Some("Guide"));
        assert_eq!(read.headings(), ["Guide", "Guide > Start now", "Guide > Start now > Stop", "Guide > More"]);
        assert_eq!(read.drafts[1].text, "Start ``now``\n=============\n\nGo.");
    }

    #[test]
    fn literal_blocks_and_directives_stay_as_they_are_and_hold_no_headings() {
        let text = "Run this::\n\n    Title\n    =====\n\n    more\n\n.. code-block:: sh\n   :linenos:\n\n   Title\n   -----\n\n.. note:: Mind\n   the gap.\n\n=====  =====\nZone   Fare\n=====  =====\nEast   44\n=====  =====\n\n+---+\n| a |\n+---+";
        let read = tried::read(Format::Rst, text, 5);
        assert_eq!((read.title.as_deref(), read.text()), (None, text.to_owned()));
    }

    #[test]
    fn a_literal_block_may_be_announced_on_a_line_of_its_own() {
        let text = "Example:\n\n::\n\n    .. keep me\n    -----\n\nEnd.";
        assert_eq!(tried::read(Format::Rst, text, 5).text(), text);
    }

    #[test]
    fn comments_targets_and_transitions_are_no_text() {
        let text = "Refunds\n=======\n\n.. DRAFT: refunds within 90 days\n   wait for legal\n\n.. _refunds:\n\nRefunds are possible within 14 days.\n\n-----\n\n.. [1] A note.\n.. |name| replace:: The depot\n\n..\n   all of this\n\n   is a comment\n\nEnd.";
        let read = tried::read(Format::Rst, text, 4);
        assert_eq!(
            tried::joined(&read.text()),
            "Refunds ======= Refunds are possible within 14 days. .. [1] A note. .. |name| replace:: The depot End."
        );
    }
}
