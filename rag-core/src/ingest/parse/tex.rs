//! LaTeX: the headings of its sections, and its environments as they stand; everything else is a paragraph.
//!
//! Comments are no text. Commands are passed on as they are written.

use super::lines::{Held, LineParser};
use crate::ingest::chunk::{Block, Chunker, Shape};

/// What begins a section, by level.
const SECTIONS: [(&str, u8); 7] = [
    ("part", 1),
    ("chapter", 1),
    ("section", 2),
    ("subsection", 3),
    ("subsubsection", 4),
    ("paragraph", 5),
    ("subparagraph", 6),
];
/// Environments of lines.
const LINES: [&str; 11] = [
    "verbatim",
    "lstlisting",
    "minted",
    "tabular",
    "tabularx",
    "longtable",
    "equation",
    "align",
    "alltt",
    "array",
    "gather",
];

/// A document that is being read.
#[derive(Default)]
pub(in crate::ingest) struct Tex {
    held: Held,
    /// The environment of lines that is open.
    lines: Option<String>,
    /// Whether the line is a comment, so that its other parts are as well.
    comment: bool,
}

impl LineParser for Tex {
    fn line(&mut self, line: &str, starts: bool, out: &mut Chunker<'_>) {
        let text = line.trim();
        if let Some(name) = &self.lines {
            let ends = text.contains(&format!("\\end{{{name}}}"));
            self.held.add(line, Shape::Lines, out);
            if ends {
                self.held.end(Shape::Lines, out);
                self.lines = None;
            }
            return;
        }
        self.comment = if starts { text.starts_with('%') } else { self.comment };
        if self.comment {
            return;
        }
        if text.is_empty() {
            self.held.end(Shape::Prose, out);
            return out.push(Block::Blank { text: line });
        }
        if let Some(title) = argument(text, "title") {
            out.set_title(&plain(title));
        }
        let section = SECTIONS.iter().find_map(|(name, level)| Some((*level, argument(text, name)?)));
        if let Some((level, title)) = section.filter(|_| starts) {
            self.held.end(Shape::Prose, out);
            return out.push(Block::Heading { level, title: &plain(title), text: line });
        }
        if let Some(name) = argument(text, "begin").filter(|name| starts && LINES.contains(&name.trim_end_matches('*')))
        {
            self.held.end(Shape::Prose, out);
            self.held.add(line, Shape::Lines, out);
            if text.contains("\\end{") {
                self.held.end(Shape::Lines, out);
            } else {
                self.lines = Some(name.to_owned());
            }
            return;
        }
        if text.starts_with("\\item") {
            self.held.end(Shape::Prose, out);
        }
        self.held.add(line, Shape::Prose, out);
    }

    fn end(&mut self, out: &mut Chunker<'_>) {
        let shape = if self.lines.is_some() { Shape::Lines } else { Shape::Prose };
        self.held.end(shape, out);
    }
}

/// What stands in the braces behind a command at the beginning of a line.
fn argument<'t>(text: &'t str, command: &str) -> Option<&'t str> {
    let rest = text.strip_prefix('\\')?.strip_prefix(command)?;
    let rest = rest.strip_prefix('*').unwrap_or(rest);
    let rest = match rest.strip_prefix('[') {
        Some(short) => short.split_once(']')?.1,
        None => rest,
    };
    let rest = rest.strip_prefix('{')?;
    let mut open = 1_usize;
    let end = rest.bytes().position(|byte| {
        open = match byte {
            b'{' => open + 1,
            b'}' => open - 1,
            _ => open,
        };
        open == 0
    })?;
    Some(&rest[..end])
}

/// A title without commands and braces.
fn plain(title: &str) -> String {
    let mut plain = String::new();
    let mut rest = title;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let command = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        // A sign behind a backslash is that sign; a command is none of the text.
        rest = &after[command..];
    }
    plain.push_str(rest);
    plain.replace(['{', '}'], "").replace(['~', '$'], " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use crate::ingest::parse::{Format, tried};

    #[test]
    fn sections_are_headings_and_comments_no_text() {
        let text = "\\title{The \\emph{old} pump}\n% DRAFT\n\\section[Short]{Starting \\& {stopping}}\nGo.\n\n\\subsection*{More}\n\\begin{verbatim}\n% kept\n\n\\section{no}\n\\end{verbatim}\n\nEnd.\n";
        let read = tried::read(Format::Tex, text, 5);
        assert_eq!(read.title.as_deref(), Some("The old pump"));
        assert_eq!(read.headings(), ["", "Starting & stopping", "Starting & stopping > More"]);
        assert!(read.text().contains("% kept\n\n\\section{no}\n") && !read.text().contains("DRAFT"), "{}", read.text());
    }
}
