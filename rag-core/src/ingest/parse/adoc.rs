//! AsciiDoc: headings, delimited blocks as they stand; everything else is a paragraph or an item.
//!
//! Comments and the entries of attributes are no text. The rest is passed on byte for byte.

use super::lines::{Held, LineParser};
use crate::ingest::chunk::{Block, Chunker, Shape};

/// Signs under a title, by its level.
const UNDER: [u8; 5] = *b"=-~^+";

#[derive(Default, Clone, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Paragraph,
    /// Until this line comes again.
    Lines(String),
    /// A comment until this line comes again.
    Comment(String),
}

/// A document that is being read.
#[derive(Default)]
pub(in crate::ingest) struct Adoc {
    open: Open,
    held: Held,
}

impl LineParser for Adoc {
    fn line(&mut self, line: &str, starts: bool, out: &mut Chunker<'_>) {
        let text = line.trim_end();
        match &self.open {
            Open::Comment(until) => {
                if starts && text == until {
                    self.open = Open::Nothing;
                }
            }
            Open::Lines(until) => {
                let ends = starts && text == until;
                self.held.add(line, Shape::Lines, out);
                if ends {
                    self.end_block(out);
                }
            }
            Open::Nothing | Open::Paragraph if !starts => self.held.add(line, Shape::Prose, out),
            Open::Nothing | Open::Paragraph if text.is_empty() => {
                self.end_block(out);
                out.push(Block::Blank { text: line });
            }
            Open::Nothing | Open::Paragraph => self.flow(line, text, out),
        }
    }

    fn end(&mut self, out: &mut Chunker<'_>) {
        self.end_block(out);
    }
}

impl Adoc {
    fn flow(&mut self, line: &str, text: &str, out: &mut Chunker<'_>) {
        if let Some(level) = self.underlines(text) {
            let title_bytes = self.held.text.len();
            self.held.text.push_str(line);
            let title = plain(&self.held.text[..title_bytes]);
            out.push(Block::Heading { level, title: &title, text: &self.held.text });
            self.held.clear();
            self.open = Open::Nothing;
        } else if let Some((level, title)) = heading(text) {
            self.end_block(out);
            out.push(Block::Heading { level, title: &plain(title), text: line });
        } else if is_fence(text, "/") {
            self.end_block(out);
            self.open = Open::Comment(text.to_owned());
        } else if is_comment(text) || is_attribute(text) {
            self.end_block(out);
        } else if ["-", ".", "+", "`"].iter().any(|mark| is_fence(text, mark))
            || matches!(text, "|===" | ",===" | ":===")
        {
            self.end_block(out);
            self.open = Open::Lines(text.to_owned());
            self.held.add(line, Shape::Lines, out);
        } else if text.strip_prefix("```").is_some_and(|language| !language.contains('`')) {
            self.end_block(out);
            self.open = Open::Lines("```".to_owned());
            self.held.add(line, Shape::Lines, out);
        } else {
            if is_item(text.trim_start()) {
                self.end_block(out);
            }
            self.open = Open::Paragraph;
            self.held.add(line, Shape::Prose, out);
        }
    }

    /// The level of the heading that a line of signs makes of the line above it.
    fn underlines(&self, text: &str) -> Option<u8> {
        let level = UNDER.iter().position(|sign| text.len() >= 4 && text.bytes().all(|byte| byte == *sign))?;
        let title = self.held.text.trim_end();
        let alone = self.open == Open::Paragraph
            && !self.held.passed
            && !title.contains('\n')
            && !title.starts_with(['.', '[']);
        (alone && title.chars().count().abs_diff(text.len()) <= 2).then(|| u8::try_from(level + 1).unwrap_or(1))
    }

    fn end_block(&mut self, out: &mut Chunker<'_>) {
        let shape = if matches!(self.open, Open::Lines(_)) { Shape::Lines } else { Shape::Prose };
        self.held.end(shape, out);
        self.open = Open::Nothing;
    }
}

/// Level and title of a heading like `== Text`.
fn heading(text: &str) -> Option<(u8, &str)> {
    let sign = text.chars().next().filter(|sign| matches!(sign, '=' | '#'))?;
    let level = text.bytes().take_while(|byte| char::from(*byte) == sign).count();
    let title = text[level..].strip_prefix([' ', '\t'])?.trim();
    ((1..=6).contains(&level) && !title.is_empty()).then(|| (u8::try_from(level).unwrap_or(6), title))
}

fn is_fence(text: &str, mark: &str) -> bool {
    text.len() >= 4 && text.chars().all(|c| mark.contains(c))
}

fn is_comment(text: &str) -> bool {
    text.starts_with("//") && !text.starts_with("///")
}

/// Whether a line gives a value to an attribute: `:toc: left`.
fn is_attribute(text: &str) -> bool {
    let name = text.strip_prefix(':').and_then(|rest| rest.split_once(':')).map(|(name, _)| name.trim_matches('!'));
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_')))
}

fn is_item(text: &str) -> bool {
    let marks = text.bytes().take_while(|byte| matches!(byte, b'*' | b'.' | b'-')).count();
    (1..=6).contains(&marks) && text[marks..].starts_with(' ')
}

/// A title without its markup and its anchor.
fn plain(title: &str) -> String {
    let title = title.trim();
    let title = title.strip_prefix("[[").and_then(|rest| rest.split_once("]]")).map_or(title, |(_, title)| title);
    title.trim_end_matches(['=', ' ']).replace(['`', '*'], "").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use crate::ingest::parse::{Format, tried};

    #[test]
    fn headings_of_both_kinds_are_told() {
        let text = "= Guide\n:toc: left\n\nIntro.\n\n== Start `now`\n\nGo.\n\n=== [[stop]]Stop\n\nHalt.\n\nMore here\n---------\n\nEnd.\n";
        let read = tried::read(Format::Adoc, text, 3);
        assert_eq!(read.title.as_deref(), Some("Guide"));
        assert_eq!(read.headings(), ["Guide", "Guide > Start now", "Guide > Start now > Stop", "Guide > More here"]);
        assert!(!read.text().contains("toc"));
    }

    #[test]
    fn a_fence_with_a_language_ends_with_one_without() {
        let text = "```ruby\n== no heading\n```\n\n== After\n\nText.\n";
        assert_eq!(tried::read(Format::Adoc, text, 5).headings(), ["", "After"]);
    }

    #[test]
    fn delimited_blocks_stay_as_they_are_and_hold_no_headings() {
        let text = "[source,sh]\n----\n== no heading\n\n// no comment\n----\n\n|===\n|Zone |Fare\n\n|East |44\n|===\n\n....\n:toc:\n....\n\n* one\n** two\n\nNOTE: Mind the gap.";
        let read = tried::read(Format::Adoc, text, 5);
        assert_eq!((read.title.as_deref(), read.text()), (None, text.to_owned()));
    }

    #[test]
    fn comments_are_no_text() {
        let text = "= Refunds\n\n// DRAFT: refunds within 90 days\n\n////\nwait\n\n== for legal\n////\n\nRefunds are possible within 14 days.\n";
        assert_eq!(
            tried::joined(&tried::read(Format::Adoc, text, 7).text()),
            "= Refunds Refunds are possible within 14 days."
        );
    }
}
