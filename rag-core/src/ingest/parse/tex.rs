//! LaTeX: the headings of its sections, and its environments as they stand; everything else is a paragraph.
//!
//! Comments are no text, also at the end of a line. Commands are passed on as they are written.

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

/// Those of them in which a percent sign begins no comment.
const VERBATIM: [&str; 4] = ["verbatim", "lstlisting", "minted", "alltt"];
/// Commands whose argument may hold percent signs, as addresses do.
const ADDRESSES: [&str; 4] = ["url", "href", "nolinkurl", "path"];

/// A document that is being read.
#[derive(Default)]
pub(in crate::ingest) struct Tex {
    held: Held,
    /// The environment of lines that is open.
    lines: Option<String>,
    /// Whether a part of the line began a comment, so that its other parts are of it.
    comment: bool,
}

impl LineParser for Tex {
    fn line(&mut self, line: &str, starts: bool, out: &mut Chunker<'_>) {
        self.comment &= !starts;
        if self.comment {
            return;
        }
        let cut;
        let line = match comment(line).filter(|_| !self.is_verbatim(line)) {
            Some(at) => {
                self.comment = true;
                cut = format!("{}\n", line[..at].trim_end());
                if starts && cut == "\n" {
                    return;
                }
                cut.as_str()
            }
            None => line,
        };
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

impl Tex {
    /// Whether a percent sign in a line, with which an environment may begin, is a character like any other.
    fn is_verbatim(&self, line: &str) -> bool {
        let name = self.lines.as_deref().or_else(|| argument(line.trim(), "begin"));
        name.is_some_and(|name| VERBATIM.contains(&name.trim_end_matches('*')))
    }
}

/// Where the comment of a line begins: at a percent sign that no backslash is before, and that is no part of an address or of code.
fn comment(line: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = line[at..].find(['%', '\\']) {
        at += found;
        if line[at..].starts_with('%') {
            return Some(at);
        }
        let after = &line[at + 1..];
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (name, rest) = after.split_at(letters);
        let rest = rest.strip_prefix('*').unwrap_or(rest);
        let whole = match (name, rest.chars().next()) {
            ("verb" | "lstinline", Some(mark)) if !mark.is_whitespace() => {
                let end = if mark == '{' { '}' } else { mark };
                rest[mark.len_utf8()..].find(end).map(|length| mark.len_utf8() + length + end.len_utf8())
            }
            (name, Some('{')) if ADDRESSES.contains(&name) => rest.find('}').map(|end| end + 1),
            _ => None,
        };
        // Behind a backslash stands a command of letters or of one sign.
        let sign = after.chars().next().map_or(0, char::len_utf8);
        at = whole.map_or(at + 1 + letters.max(sign), |whole| line.len() - rest.len() + whole);
    }
    None
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

    #[test]
    fn a_comment_at_the_end_of_a_line_is_no_text_where_a_percent_sign_is_no_character() {
        let text = "Pump % WRONG\n% WRONG\nHalf of 50\\% is 25\\%. % WRONG \\end{x}\nA break \\\\% WRONG\nand \\\\\\% more\n\n\\section{Load} % WRONG\nSee \\url{http://a.b/c%20d}, \\verb|7%8| and \\lstinline+9%+.%WRONG\n\n\\begin{tabular}{ll}\na & b \\\\ % WRONG \\end{tabular}\n%WRONG\nc & d\n\\end{tabular}\n\n\\begin{lstlisting}[caption=5%]\nx = 7 % 3\n\\end{lstlisting}\n";
        let read = tried::read(Format::Tex, text, 5);
        let all = read.text();
        assert!(!all.contains("WRONG"), "{all}");
        for kept in [
            "Pump\nHalf of 50\\% is 25\\%.\nA break \\\\\nand \\\\\\% more",
            "{http://a.b/c%20d}, \\verb|7%8| and \\lstinline+9%+.",
            "a & b \\\\\nc & d\n\\end{tabular}",
            "caption=5%]\nx = 7 % 3\n",
        ] {
            assert!(all.contains(kept), "no {kept} in {all}");
        }
        assert_eq!(read.headings(), ["", "Load"]);
        let long = format!("{} % {}\nend\n", "word ".repeat(3_000), "WRONG ".repeat(20_000));
        let read = tried::read(Format::Tex, &long, usize::MAX);
        let words: Vec<_> = read.drafts.iter().flat_map(|draft| draft.text.split_whitespace()).collect();
        assert!(words.len() == 3_001 && words.last() == Some(&"end"), "{}", words.len());
    }
}
