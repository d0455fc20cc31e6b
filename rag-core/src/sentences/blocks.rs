//! The blocks of a text: paragraphs, and lines that stand for themselves.

use super::code;

/// Longest name of a field, in bytes.
const MAX_FIELD_NAME: usize = 120;

/// What the lines of a block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Announces what follows.
    Heading,
    /// Lines that run together.
    Paragraph,
    /// One item of a list.
    Item,
    /// Rows of cells between bars, the first of which names the columns.
    Table,
    /// Rows of `name: value; name: value`.
    Records,
    /// Lines of code.
    Code,
}

/// Lines of a passage that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    /// The lines, without the blank ones around them.
    pub(crate) text: &'a str,
    /// What they are.
    pub(crate) kind: Kind,
}

/// What a line is by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Blank,
    Fence,
    Heading,
    Item,
    Row,
    Record,
    Text,
}

/// The blocks of a passage below these headings, in reading order. What stands between fences is code, without the fences.
pub(crate) fn blocks<'a>(passage: &'a str, headings: &[String]) -> Vec<Block<'a>> {
    let lines: Vec<&str> = passage.split_inclusive('\n').collect();
    let kinds: Vec<Line> = (0..lines.len()).map(|at| line(&lines, at, headings)).collect();
    let mut builder = Builder { passage, start: 0, end: 0, open: None, blocks: Vec::new() };
    let mut fenced = false;
    let mut at = 0;
    for (line, kind) in lines.iter().zip(kinds) {
        let until = at + line.len();
        match kind {
            Line::Fence => {
                builder.close(at);
                fenced = !fenced;
            }
            _ if fenced => builder.add(Kind::Code, at),
            Line::Blank => builder.close(at),
            Line::Heading => {
                builder.close(at);
                builder.add(Kind::Heading, at);
                builder.close(until);
            }
            Line::Item => {
                builder.close(at);
                builder.add(Kind::Item, at);
            }
            Line::Row => builder.add(Kind::Table, at),
            Line::Record => builder.add(Kind::Records, at),
            Line::Text => builder.go_on(at),
        }
        at = until;
    }
    builder.close(at);
    builder.blocks
}

/// Blocks that are being found.
struct Builder<'a> {
    passage: &'a str,
    start: usize,
    /// Where the last block ends.
    end: usize,
    open: Option<Kind>,
    blocks: Vec<Block<'a>>,
}

impl<'a> Builder<'a> {
    /// A line of this kind begins here.
    fn add(&mut self, kind: Kind, at: usize) {
        if self.open != Some(kind) || kind == Kind::Item {
            self.close(at);
            (self.open, self.start) = (Some(kind), at);
        }
    }

    /// A line of text begins here: it belongs to a paragraph or an item that is open.
    fn go_on(&mut self, at: usize) {
        if !matches!(self.open, Some(Kind::Paragraph | Kind::Item)) {
            self.add(Kind::Paragraph, at);
        }
    }

    fn close(&mut self, at: usize) {
        let Some(kind) = self.open.take() else { return };
        let text = self.passage[self.start..at].trim_matches(['\n', '\r']);
        if text.trim().is_empty() {
            return;
        }
        let kind = if kind == Kind::Paragraph && code::is_code(text.lines()) { Kind::Code } else { kind };
        // Code goes on behind a blank line, which fences and pages keep alike.
        let goes_on = kind == Kind::Code
            && self.blocks.last().is_some_and(|last| last.kind == Kind::Code)
            && self.passage[self.end..self.start].trim().is_empty();
        let from = match self.blocks.last() {
            Some(last) if goes_on => offset(self.passage, last.text),
            _ => offset(self.passage, text),
        };
        if goes_on {
            self.blocks.pop();
        }
        self.end = offset(self.passage, text) + text.len();
        let text = &self.passage[from..self.end];
        let text = if kind == Kind::Code { text } else { text.trim() };
        self.blocks.push(Block { text, kind });
    }
}

/// Where a slice of a text begins.
fn offset(text: &str, slice: &str) -> usize {
    slice.as_ptr() as usize - text.as_ptr() as usize
}

fn line(lines: &[&str], at: usize, headings: &[String]) -> Line {
    let text = lines[at].trim();
    let near = |at: Option<usize>, is: fn(&str) -> bool| at.and_then(|at| lines.get(at)).is_some_and(|line| is(line));
    let beside = |is: fn(&str) -> bool| near(at.checked_sub(1), is) || near(Some(at + 1), is);
    let alone = || {
        let blank = |line: &str| line.trim().is_empty();
        (at == 0 || near(at.checked_sub(1), blank)) && (at + 1 == lines.len() || near(Some(at + 1), blank))
    };
    // A comment, where the line before is code.
    let comment = || text.starts_with('#') && near(at.checked_sub(1), code::is_code_line);
    match text {
        "" => Line::Blank,
        _ if text.starts_with("```") || text.starts_with("~~~") => Line::Fence,
        _ if is_heading(text, headings) && !comment() => Line::Heading,
        _ if text.starts_with('|') || (is_row(text) && beside(is_row)) => Line::Row,
        _ if begins_item(text) => Line::Item,
        _ if is_record(text) && (alone() || beside(is_record)) => Line::Record,
        _ => Line::Text,
    }
}

/// Whether a line is a heading by its mark, by the sign that links to it, or by being one of those above the passage.
fn is_heading(line: &str, headings: &[String]) -> bool {
    let marked = line.trim_start_matches('#');
    let marked = marked.len() < line.len() && (marked.is_empty() || marked.starts_with(' '));
    let bare = line.trim_end_matches(['¶', '#', ' ']);
    marked || line.ends_with('¶') || headings.iter().any(|heading| heading.trim_end_matches(['¶', ' ']) == bare)
}

fn begins_item(line: &str) -> bool {
    let numbered = line.trim_start_matches(|c: char| c.is_ascii_digit());
    ["- ", "* ", "+ ", "> ", "• "].iter().any(|bullet| line.starts_with(bullet))
        || (numbered.len() < line.len() && (numbered.starts_with(". ") || numbered.starts_with(") ")))
}

/// Whether a line has cells between bars.
fn is_row(line: &str) -> bool {
    let line = line.trim_end_matches(['\n', '\r']);
    line.trim_start().starts_with('|') || line.contains(" | ") || line.ends_with(" |")
}

/// Whether a line is `name: value; name: value`.
fn is_record(line: &str) -> bool {
    let (mut fields, mut named) = (0, 0);
    for field in line.trim().split("; ") {
        fields += 1;
        named += usize::from(field.split_once(": ").is_some_and(|(name, _)| name.len() <= MAX_FIELD_NAME));
    }
    named > 1 && named * 2 >= fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(passage: &str) -> Vec<(Kind, &str)> {
        blocks(passage, &[]).into_iter().map(|block| (block.kind, block.text)).collect()
    }

    #[test]
    fn rows_are_rows_with_and_without_bars_at_their_ends() {
        for table in [
            "| Zone | Adult |\n| --- | --- |\n| East | 44 kr |",
            "Zone | Adult\nEast | 44 kr",
            " | Basic\nStorage | 20 GB",
        ] {
            assert_eq!(
                found(&format!("Fares.\n{table}\n\nEnd.")),
                [(Kind::Paragraph, "Fares."), (Kind::Table, table.trim()), (Kind::Paragraph, "End.")]
            );
        }
        assert_eq!(found("Choose a | b, it says.")[0].0, Kind::Paragraph);
    }

    #[test]
    fn records_stand_on_a_line_each() {
        let rows = "sku: ZX-1; price: 9 EUR\nsku: ZX-2; price: 8 EUR";
        assert_eq!(found(rows), [(Kind::Records, rows)]);
        assert_eq!(found("sku: ZX-1; price: 9 EUR")[0].0, Kind::Records);
        assert_eq!(found("It says: come; and so: go\nif you like.")[0].0, Kind::Paragraph);
    }

    #[test]
    fn code_is_one_block_with_its_blank_lines_in_fences_or_without() {
        let code = "def one():\n    return 1\n\ndef two():\n    # the other\n    return 2";
        for passage in [format!("See:\n\n```py\n{code}\n```\nEnd."), format!("See:\n\n{code}\n\nEnd.")] {
            let found = found(&passage);
            assert_eq!(found[0], (Kind::Paragraph, "See:"), "{passage}");
            assert_eq!(found.last(), Some(&(Kind::Paragraph, "End.")), "{passage}");
            assert_eq!(found[1], (Kind::Code, code), "{passage}");
        }
    }
}
