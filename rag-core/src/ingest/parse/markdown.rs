//! Markdown: CommonMark with GitHub's tables and footnotes, definition lists, formulas and front matter, as the crate `pulldown-cmark` finds it.
//!
//! The text is passed on byte for byte. Left out is what no reader sees: comments, link definitions, rules, and front matter but for its title and description. HTML that stands by itself is read
//! as HTML is. The crate needs its text whole, so a document is taken apart in windows of bounded size, each up to the last block that began in it; of a block that is larger than that the kind is
//! remembered, and its lines go on to be of that kind until it ends. A link is no part of what is passed on, so that its definition may lie in another window costs nothing.

mod blocks;
mod front_matter;

use std::ops::Range;

use self::blocks::{Blocks, Found, Kind};
use super::{
    html::Html,
    lines::{Held, parts},
};
use crate::ingest::{
    chunk::{Block, Chunker, Shape},
    failure::FailureReason,
};

/// Bytes that are taken apart at once; front matter is smaller.
const WINDOW: usize = 128 * 1024;
/// Bytes beyond a window that are there when it is taken apart, so that a cut in a line of that length never falls into a grapheme.
const LOOKAHEAD: usize = 32 * 1024;

/// The block that was too large for a window, and what of it is to come.
#[derive(Default)]
enum Open {
    #[default]
    Nothing,
    Paragraph,
    Table,
    Code(Fence),
    Html(Box<Html>, &'static str),
}

#[derive(Clone, Copy)]
struct Fence {
    mark: u8,
    length: usize,
}

/// A document that is being read.
#[derive(Default)]
pub(in crate::ingest) struct Markdown {
    pending: String,
    began: bool,
    open: Open,
    held: Held,
    /// The title of the front matter while nothing stands under it.
    bare_title: Option<String>,
}

impl Markdown {
    pub(super) fn feed(&mut self, piece: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        self.pending.push_str(piece);
        if self.pending.len() < WINDOW + LOOKAHEAD {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_str();
        while rest.len() >= WINDOW + LOOKAHEAD {
            let window = &rest[..window(rest)];
            rest = &rest[self.window(window, false, out)?..];
        }
        rest.clone_into(&mut self.pending);
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_str();
        while !rest.is_empty() {
            let whole = rest.len() <= WINDOW;
            let window = if whole { rest } else { &rest[..window(rest)] };
            rest = &rest[self.window(window, whole, out)?..];
        }
        self.close(out)?;
        if let Some(title) = self.bare_title {
            out.push(Block::Body { shape: Shape::Prose, text: &title, continues: false });
        }
        Ok(())
    }

    /// Reads a part of the document; tells how many bytes of it are done, which are some.
    fn window(&mut self, text: &str, whole: bool, out: &mut Chunker<'_>) -> Result<usize, FailureReason> {
        if !std::mem::replace(&mut self.began, true)
            && let Some(found) = front_matter::read(text)
        {
            out.set_title(found.title.as_deref().unwrap_or_default());
            if let Some(description) = found.description {
                out.push(Block::Body { shape: Shape::Prose, text: &format!("{description}\n\n"), continues: false });
            } else {
                self.bare_title = found.title;
            }
            return Ok(found.bytes + blank_lines(&text[found.bytes..]));
        }
        if !matches!(self.open, Open::Nothing) {
            return self.go_on(text, out);
        }
        let blocks = Blocks::of(text);
        let (done, cut) = if whole { (text.len(), false) } else { done(text, &blocks) };
        let mut at = 0;
        for (index, found) in blocks.found.iter().enumerate().take_while(|(_, found)| found.at < done) {
            let next = blocks.found.get(index + 1).map_or(done, |next| next.at.min(done));
            blank(&text[at..found.at], out);
            let end = after_line(text, found.end).min(next);
            if cut && next == done {
                self.begin(found, &text[found.at..done], &kept(text, found.at..done, &blocks.holes), out)?;
            } else {
                self.block(found, &kept(text, found.at..end, &blocks.holes), out)?;
                // Of what follows a block, links are defined there and containers closed.
                let behind = kept(text, end..next, &blocks.holes);
                // What is read as HTML ends with a blank line of its own, if anything of it is seen.
                if found.kind != Kind::Html || !behind.trim().is_empty() {
                    self.block(&Found { kind: Kind::Prose, ..*found }, &behind, out)?;
                }
            }
            at = next;
        }
        blank(&text[at..done], out);
        Ok(done)
    }

    /// Gives a block to the chunker.
    fn block(&mut self, found: &Found, text: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let body = text.trim_end_matches(['\n', '\r', ' ', '\t']).len();
        let body = after_line(text, body);
        if text[..body].trim().is_empty() {
            blank(text, out);
            return Ok(());
        }
        self.bare_title = None;
        match &found.kind {
            Kind::Heading(level, title) if body <= super::lines::MAX_BLOCK => {
                out.push(Block::Heading { level: *level, title, text: &text[..body] });
            }
            Kind::Html => {
                let mut html = Html::new();
                html.feed(&text[..body], out)?;
                html.finish(out);
            }
            kind => {
                let shape = kind.shape(&text[..body]);
                self.hold(&text[..body], shape, out);
                self.release(shape, out);
            }
        }
        blank(&text[body..], out);
        Ok(())
    }

    /// Begins a block of which the end is not in the window.
    fn begin(&mut self, found: &Found, source: &str, text: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let within_line = !source.ends_with('\n');
        self.bare_title = None;
        self.open = match found.kind {
            Kind::Html => {
                let mut html = Html::new();
                html.feed(source, out)?;
                self.open = Open::Html(Box::new(html), ends_html(source));
                return Ok(());
            }
            Kind::Code { fenced: true } => match fence(source) {
                Some(fence) if !is_closed(source, fence) => Open::Code(fence),
                _ => Open::Nothing,
            },
            Kind::Table => Open::Table,
            Kind::Prose | Kind::Heading(..) | Kind::Code { .. } if within_line => Open::Paragraph,
            Kind::Prose | Kind::Heading(..) | Kind::Code { .. } => Open::Nothing,
        };
        let shape = found.kind.shape(text);
        self.hold(text, shape, out);
        if matches!(self.open, Open::Nothing) {
            self.release(shape, out);
        }
        Ok(())
    }

    /// Goes on with such a block.
    fn go_on(&mut self, text: &str, out: &mut Chunker<'_>) -> Result<usize, FailureReason> {
        let mut done = 0;
        for line in text.split_inclusive('\n') {
            let (belongs, ends) = match &mut self.open {
                Open::Nothing => return Ok(done),
                Open::Paragraph => (!line.trim().is_empty(), false),
                Open::Table => (line.contains('|'), false),
                Open::Code(fence) => (true, closes(line, *fence)),
                Open::Html(html, until) => {
                    html.feed(line, out)?;
                    (true, if until.is_empty() { line.trim().is_empty() } else { line.contains(*until) })
                }
            };
            if belongs {
                done += line.len();
                match self.open {
                    Open::Html(..) => {}
                    Open::Paragraph => self.hold(line, Shape::Prose, out),
                    Open::Table => self.hold(line, Shape::Rows, out),
                    Open::Code(_) | Open::Nothing => self.hold(line, Shape::Lines, out),
                }
            }
            if ends || !belongs {
                self.close(out)?;
            }
        }
        Ok(done)
    }

    fn close(&mut self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        match std::mem::take(&mut self.open) {
            Open::Html(html, _) => html.finish(out),
            Open::Paragraph => self.release(Shape::Prose, out),
            Open::Table => self.release(Shape::Rows, out),
            Open::Nothing | Open::Code(_) => self.release(Shape::Lines, out),
        }
        Ok(())
    }

    /// Adds lines to the block that is held.
    fn hold(&mut self, text: &str, shape: Shape, out: &mut Chunker<'_>) {
        self.held.add_lines(text, shape, out);
    }

    /// Ends the block that is held.
    fn release(&mut self, shape: Shape, out: &mut Chunker<'_>) {
        self.held.end_lines(shape, out);
    }
}

impl Kind {
    /// The shape of such a block with this text.
    fn shape(&self, text: &str) -> Shape {
        match self {
            Self::Heading(..) | Self::Prose => Shape::Prose,
            Self::Code { .. } | Self::Html => Shape::Lines,
            // The names of the columns, and the rule below them.
            Self::Table => Shape::Table { head: text.split_inclusive('\n').take(2).map(str::len).sum() },
        }
    }
}

/// Bytes of the next window: whole lines, or of a line that is longer what can be held of it.
fn window(text: &str) -> usize {
    let most = text.floor_char_boundary(WINDOW);
    let line = text[..most].rfind('\n').map_or(0, |newline| newline + 1);
    if line >= most / 2 {
        return line;
    }
    let mut end = line;
    for part in parts(&text[line..]) {
        if end + part.len() > most {
            break;
        }
        end += part.len();
    }
    end
}

/// How much of a window that is not the last is done, and whether its last block is cut there: it is left to the next window if most of it may come there.
fn done(text: &str, blocks: &Blocks) -> (usize, bool) {
    const LEAST: usize = WINDOW / 4;
    if blocks.last.start >= LEAST {
        return (blocks.last.start, false);
    }
    match blocks.last_item {
        Some(item) if item >= LEAST => (item, false),
        _ => (text.len(), text[blocks.last.end.min(text.len())..].trim().is_empty()),
    }
}

/// A range of the text without the holes in it; a line of which nothing is left is left out whole.
fn kept(text: &str, range: Range<usize>, holes: &[Range<usize>]) -> String {
    let mut kept = String::with_capacity(range.len());
    let mut at = range.start;
    // Where the blanks at the end of it begin, which are looked at once.
    let mut begun = 0;
    let first = holes.partition_point(|hole| hole.end <= range.start);
    for hole in holes[first..].iter().take_while(|hole| hole.start < range.end) {
        let before = &text[at..hole.start.max(at)];
        let filled = before.trim_end_matches([' ', '\t']).len();
        begun = if filled > 0 { kept.len() + filled } else { begun };
        kept.push_str(before);
        // A hole may end with its line, whose end stays unless nothing else of the line does.
        let end = hole.start + text[hole.clone()].trim_end_matches(['\n', '\r']).len();
        at = end.clamp(at, range.end);
        let rest = text[at..range.end].trim_start_matches([' ', '\t', '\r']);
        if (begun == 0 || kept[..begun].ends_with('\n')) && (rest.is_empty() || rest.starts_with('\n')) {
            kept.truncate(begun);
            at = (range.end - rest.len() + 1).min(range.end);
        }
    }
    kept.push_str(&text[at..range.end]);
    kept
}

/// The end of the line in which a position lies; the position itself at the beginning of a line.
fn after_line(text: &str, at: usize) -> usize {
    if at == 0 || text[..at].ends_with('\n') {
        return at;
    }
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

/// Bytes of the blank lines at the beginning of a text.
fn blank_lines(text: &str) -> usize {
    let blanks = text.len() - text.trim_start_matches(['\n', '\r', ' ', '\t']).len();
    text[..blanks].rfind('\n').map_or(0, |newline| newline + 1)
}

fn blank(text: &str, out: &mut Chunker<'_>) {
    if !text.is_empty() && text.trim().is_empty() {
        out.push(Block::Blank { text });
    }
}

/// The fence that a block begins with, inside a list or a quotation as well.
fn fence(block: &str) -> Option<Fence> {
    let line = block.split('\n').next()?;
    let mark = *line.as_bytes().iter().find(|byte| matches!(byte, b'`' | b'~'))?;
    let length = line.trim_start_matches(|c| c != char::from(mark)).bytes().take_while(|byte| *byte == mark).count();
    (length >= 3).then_some(Fence { mark, length })
}

fn closes(line: &str, fence: Fence) -> bool {
    let text = line.trim();
    text.len() >= fence.length && text.bytes().all(|byte| byte == fence.mark)
}

fn is_closed(block: &str, fence: Fence) -> bool {
    block.trim_end().lines().skip(1).last().is_some_and(|line| closes(line, fence))
}

/// What ends a block of HTML, by how it begins; a blank line if nothing else does.
fn ends_html(block: &str) -> &'static str {
    const ENDS: [(&str, &str); 5] = [
        ("<!--", "-->"),
        ("<script", "</script>"),
        ("<style", "</style>"),
        ("<pre", "</pre>"),
        ("<textarea", "</textarea>"),
    ];
    let begins = |start: &&(&str, &str)| {
        block.trim_start().get(..start.0.len()).is_some_and(|b| b.eq_ignore_ascii_case(start.0))
    };
    ENDS.iter().find(begins).map_or("", |(_, end)| end)
}

#[cfg(test)]
mod tests;
