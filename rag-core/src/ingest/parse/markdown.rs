//! Markdown by lines: headings of both kinds, fenced code, tables, list items, front matter; everything else is a paragraph.
//!
//! Only what decides where a chunk may be cut is recognised; the text itself is passed on byte for byte.

use super::lines::{Held, LineParser};
use crate::ingest::chunk::{Block, Chunker, Shape};

/// Bytes after which something that began like front matter is none.
const FRONT_MATTER_BYTES: usize = 8 * 1024;

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Paragraph,
    Item,
    Code(Fence),
    /// So many bytes of it name the columns.
    Table {
        head: usize,
    },
    FrontMatter,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Fence {
    mark: u8,
    length: usize,
}

/// The block that is being read.
#[derive(Default)]
pub(in crate::ingest) struct Markdown {
    open: Open,
    held: Held,
    began: bool,
}

impl LineParser for Markdown {
    fn line(&mut self, line: &str, starts: bool, out: &mut Chunker<'_>) {
        let first = !self.began;
        self.began = true;
        if !starts {
            if self.open == Open::Nothing {
                self.open = Open::Paragraph;
            }
            return self.held.add(line, self.shape(), out);
        }
        match self.open {
            Open::Nothing if first && line.trim_end() == "---" => {
                self.open = Open::FrontMatter;
                self.held.add(line, Shape::Lines, out);
            }
            Open::Nothing | Open::Paragraph | Open::Item => self.flow(line, out),
            Open::Code(fence) => {
                self.held.add(line, Shape::Lines, out);
                if closes(line, fence) {
                    self.end_block(out);
                }
            }
            Open::Table { .. } if line.contains('|') => self.held.add(line, self.shape(), out),
            Open::Table { .. } => {
                self.end_block(out);
                self.flow(line, out);
            }
            Open::FrontMatter => self.front_matter(line, out),
        }
    }

    fn end(&mut self, out: &mut Chunker<'_>) {
        self.end_block(out);
    }
}

impl Markdown {
    fn shape(&self) -> Shape {
        match self.open {
            Open::Nothing | Open::Paragraph | Open::Item => Shape::Prose,
            Open::Code(_) | Open::FrontMatter => Shape::Lines,
            Open::Table { .. } if self.held.passed => Shape::Rows,
            Open::Table { head } => Shape::Table { head },
        }
    }

    fn end_block(&mut self, out: &mut Chunker<'_>) {
        self.held.end(self.shape(), out);
        self.open = Open::Nothing;
    }

    /// A line outside code, tables and front matter.
    fn flow(&mut self, line: &str, out: &mut Chunker<'_>) {
        if line.trim().is_empty() {
            self.end_block(out);
            out.push(Block::Blank { text: line });
        } else if let Some(level) = self.underlines(line) {
            let title_bytes = self.held.text.len();
            self.held.text.push_str(line);
            let title = plain(&self.held.text[..title_bytes]);
            out.push(Block::Heading { level, title: &title, text: &self.held.text });
            self.held.clear();
            self.open = Open::Nothing;
        } else if let Some((level, title)) = atx(line) {
            self.end_block(out);
            out.push(Block::Heading { level, title: &plain(title), text: line });
        } else if let Some(fence) = opens(line) {
            self.start(Open::Code(fence), line, out);
        } else if delimits(line) && self.table_starts(line, out) {
            self.held.add(line, self.shape(), out);
        } else if is_item(line) {
            self.start(Open::Item, line, out);
        } else {
            if self.open == Open::Nothing {
                self.open = Open::Paragraph;
            }
            self.held.add(line, Shape::Prose, out);
        }
    }

    fn start(&mut self, open: Open, line: &str, out: &mut Chunker<'_>) {
        self.end_block(out);
        self.open = open;
        self.held.add(line, self.shape(), out);
    }

    /// The level of the heading that `line` makes of the paragraph above it.
    fn underlines(&self, line: &str) -> Option<u8> {
        let rule = line.trim();
        let level = match rule.as_bytes().first()? {
            b'=' => 1,
            b'-' => 2,
            _ => return None,
        };
        let whole = self.open == Open::Paragraph && !self.held.passed && !self.held.text.starts_with('>');
        (whole && indent(line) < 4 && rule.bytes().all(|b| b == rule.as_bytes()[0])).then_some(level)
    }

    /// Makes the last line of the paragraph, with the one below it, the head of a table.
    fn table_starts(&mut self, below: &str, out: &mut Chunker<'_>) -> bool {
        let text = std::mem::take(&mut self.held.text);
        let head = text.trim_end().rfind('\n').map_or(0, |newline| newline + 1);
        if self.open == Open::Nothing || !text[head..].contains('|') {
            self.held.text = text;
            return false;
        }
        self.held.add(&text[..head], Shape::Prose, out);
        self.end_block(out);
        self.open = Open::Table { head: text[head..].len() + below.len() };
        self.held.add(&text[head..], self.shape(), out);
        true
    }

    fn front_matter(&mut self, line: &str, out: &mut Chunker<'_>) {
        if let Some(title) = line.strip_prefix("title:") {
            out.set_title(title.trim().trim_matches(['"', '\'']));
        }
        let closes = matches!(line.trim_end(), "---" | "...");
        if closes || self.held.text.len() + line.len() > FRONT_MATTER_BYTES {
            self.held.add(line, Shape::Lines, out);
            self.end_block(out);
        } else {
            self.held.add(line, Shape::Lines, out);
        }
    }
}

fn indent(line: &str) -> usize {
    line.bytes().take_while(|b| *b == b' ').count()
}

/// Level and text of a heading like `## Text ##`.
fn atx(line: &str) -> Option<(u8, &str)> {
    let text = line.trim_start_matches(' ');
    let level = text.bytes().take_while(|b| *b == b'#').count();
    let rest = &text[level..];
    if indent(line) > 3 || !(1..=6).contains(&level) || !rest.starts_with([' ', '\t']) {
        return None;
    }
    let title = rest.trim();
    let open = title.trim_end_matches('#');
    let title = if open.is_empty() || open.ends_with([' ', '\t']) { open.trim() } else { title };
    let level = u8::try_from(level).ok()?;
    (!title.is_empty()).then_some((level, title))
}

/// The fence that a line opens. Any indentation is taken, since fences inside list items are indented.
fn opens(line: &str) -> Option<Fence> {
    let text = line.trim();
    let mark = *text.as_bytes().first().filter(|b| matches!(b, b'`' | b'~'))?;
    let length = text.bytes().take_while(|b| *b == mark).count();
    (length >= 3 && !(mark == b'`' && text[length..].contains('`'))).then_some(Fence { mark, length })
}

fn closes(line: &str, fence: Fence) -> bool {
    let text = line.trim();
    text.len() >= fence.length && text.bytes().all(|b| b == fence.mark)
}

/// Whether a line looks like `|---|:---:|`.
fn delimits(line: &str) -> bool {
    let text = line.trim();
    text.contains('|') && text.contains('-') && text.bytes().all(|b| matches!(b, b'|' | b'-' | b':' | b' ' | b'\t'))
}

fn is_item(line: &str) -> bool {
    let text = line.trim_start();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = match text.as_bytes().first() {
        Some(b'-' | b'*' | b'+') => &text[1..],
        _ if (1..=9).contains(&digits) && text[digits..].starts_with(['.', ')']) => &text[digits + 1..],
        _ => return false,
    };
    rest.starts_with([' ', '\t'])
}

/// A heading without its markup.
fn plain(title: &str) -> String {
    let title = title.trim();
    let title = title.rsplit_once(" {#").filter(|(_, id)| id.ends_with('}')).map_or(title, |(text, _)| text);
    title.replace(['`'], "").replace("**", "").replace("__", "")
}
