//! Formulas in the form in which one would type them: `1/2`, `x^2`, `sqrt(a+b)`; what the formats with formulas share.
//!
//! The structures have the names that Office gives them (OMML).

use quick_xml::events::BytesStart;

use super::markup::attribute;

/// Bytes of one formula; more is left out.
const MAX_TEXT: usize = 16 * 1024;
/// Structures inside each other; deeper ones are read as the text that they hold.
const MAX_DEPTH: usize = 200;

/// What a structure consists of.
const PARTS: [&str; 8] = ["num", "den", "e", "sup", "sub", "deg", "fName", "lim"];
/// What a structure says of the signs that it is written with.
const SIGNS: [&str; 5] = ["chr", "begChr", "endChr", "sepChr", "type"];

/// A structure such as a fraction, with the parts that are complete.
#[derive(Default)]
struct Open {
    structure: String,
    parts: Vec<(String, String)>,
    /// Signs that the structure says are its own, by their names.
    signs: Vec<(&'static str, String)>,
}

/// What is open, outermost first.
enum Frame {
    Structure(Open),
    Part(String, Line),
}

/// A part of a formula as far as it is written.
#[derive(Default)]
struct Line {
    text: String,
    /// Whether a structure ends it, which what follows is no part of.
    closed: bool,
}

impl Line {
    fn text(&mut self, text: &str) {
        self.separate(text, self.closed);
        self.text.push_str(text);
        self.closed = false;
    }

    /// Adds a word or a number, which is none together with what is beside it.
    fn word(&mut self, text: &str) {
        let is_word = text.chars().filter(|c| c.is_alphabetic()).count() > 1;
        let digits = self.text.ends_with(char::is_numeric) && text.starts_with(char::is_numeric);
        let words = is_word && self.text.ends_with(char::is_alphanumeric);
        self.separate(text, self.closed || digits || words);
        self.text.push_str(text);
        self.closed = is_word;
    }

    /// Adds a structure; its digits and those before it are no number together.
    fn structure(&mut self, text: &str) {
        let digits = self.text.ends_with(char::is_numeric) && text.starts_with(char::is_numeric);
        self.separate(text, self.closed || digits);
        self.text.push_str(text);
        self.closed = true;
    }

    fn separate(&mut self, text: &str, apart: bool) {
        if apart && text.starts_with(char::is_alphanumeric) {
            self.text.push(' ');
        }
    }
}

/// Reads one formula.
#[derive(Default)]
pub(super) struct Formula {
    frames: Vec<Frame>,
    line: Line,
    written: usize,
}

impl Formula {
    /// Takes an element of OMML.
    pub(super) fn start(&mut self, tag: &BytesStart<'_>) {
        let name = tag.local_name();
        let name = name.as_ref();
        if is_structure(name) {
            self.structure(name);
        } else if let Some(Frame::Structure(open)) = self.frames.last_mut() {
            match SIGNS.iter().find(|sign| **sign == name) {
                // A sign without a value is none at all.
                Some(sign) if open.signs.len() < SIGNS.len() => {
                    open.signs.push((sign, attribute(tag, "val").unwrap_or_default()));
                }
                None if is_part(name) => self.part(name),
                _ => {}
            }
        }
    }

    /// Opens a structure.
    pub(super) fn structure(&mut self, name: &str) {
        if self.frames.len() < MAX_DEPTH {
            self.frames.push(Frame::Structure(Open { structure: name.to_owned(), ..Open::default() }));
        }
    }

    /// Says a sign of the structure that was opened last.
    pub(super) fn sign(&mut self, name: &'static str, sign: &str) {
        if let Some(Frame::Structure(open)) = self.frames.last_mut() {
            open.signs.push((name, sign.to_owned()));
        }
    }

    /// Opens a part of a structure.
    pub(super) fn part(&mut self, name: &str) {
        if self.frames.len() < MAX_DEPTH {
            self.frames.push(Frame::Part(name.to_owned(), Line::default()));
        }
    }

    /// Takes the end of an element of OMML.
    pub(super) fn end(&mut self, name: &str) {
        let ends = match self.frames.last() {
            Some(Frame::Structure(open)) => open.structure == name,
            Some(Frame::Part(part, _)) => part == name,
            None => false,
        };
        if ends {
            self.close();
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.written += text.len();
        if self.written <= MAX_TEXT {
            self.target().text(text);
        }
    }

    /// Takes a text that is a number, a name or a sign by itself.
    pub(super) fn word(&mut self, text: &str) {
        self.written += text.len();
        if self.written <= MAX_TEXT {
            self.target().word(text);
        }
    }

    /// The formula in one line.
    pub(super) fn finish(mut self) -> String {
        while !self.frames.is_empty() {
            self.close();
        }
        self.line.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Closes the innermost frame and gives it to the one around it.
    pub(super) fn close(&mut self) {
        let (name, text) = match self.frames.pop() {
            Some(Frame::Structure(open)) => {
                let text = open.text();
                if !matches!(self.frames.last(), Some(Frame::Structure(_))) {
                    return self.target().structure(&text);
                }
                (open.structure, text)
            }
            Some(Frame::Part(part, line)) => (part, line.text.trim().to_owned()),
            None => return,
        };
        if let Some(Frame::Structure(open)) = self.frames.last_mut() {
            open.parts.push((name, text));
        }
    }

    fn target(&mut self) -> &mut Line {
        let part = self.frames.iter_mut().rev().find_map(|frame| match frame {
            Frame::Part(_, line) => Some(line),
            Frame::Structure(_) => None,
        });
        part.unwrap_or(&mut self.line)
    }
}

impl Open {
    fn part(&self, name: &str) -> &str {
        self.parts.iter().find(|(part, _)| part == name).map_or("", |(_, text)| text)
    }

    fn sign(&self, name: &str) -> Option<&str> {
        self.signs.iter().find(|(sign, _)| *sign == name).map(|(_, value)| value.as_str())
    }

    fn all(&self, name: &str, between: &str) -> String {
        let parts = self.parts.iter().filter(|(part, _)| part == name);
        parts.map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(between)
    }

    fn text(&self) -> String {
        let (base, above, below) = (self.part("e"), self.part("sup"), self.part("sub"));
        match self.structure.as_str() {
            "f" if self.sign("type") == Some("noBar") => format!("{} choose {}", self.part("num"), self.part("den")),
            "f" => format!("{}/{}", grouped(self.part("num")), grouped(self.part("den"))),
            "sSup" | "sSub" | "sSubSup" => format!("{}{}{}", grouped(base), scripts("_", below), scripts("^", above)),
            "sPre" => format!("{}{}{}", scripts("_", below), scripts("^", above), base),
            "rad" => match self.part("deg") {
                "" => format!("sqrt({base})"),
                degree => format!("root({degree}, {base})"),
            },
            "nary" => {
                let sign = self.sign("chr").unwrap_or("∫");
                format!("{sign}{}{} {base}", scripts("_", below), scripts("^", above))
            }
            "d" => {
                let between = self.sign("sepChr").unwrap_or("|");
                let (open, close) = (self.sign("begChr").unwrap_or("("), self.sign("endChr").unwrap_or(")"));
                format!("{open}{}{close}", self.all("e", between))
            }
            "func" => format!("{} {base}", self.part("fName")),
            "limLow" => format!("{base}{}", scripts("_", self.part("lim"))),
            "limUpp" if is_accent(self.part("lim")) => base.to_owned(),
            "limUpp" => format!("{base}{}", scripts("^", self.part("lim"))),
            "mr" => self.all("e", ", "),
            "m" => format!("[{}]", self.all("mr", "; ")),
            "eqArr" => self.all("e", "; "),
            // An accent or a bar over a letter says what the letter is, and has no place in a line of text.
            _ => base.to_owned(),
        }
    }
}

/// In brackets where it would not be seen where it ends: unless it is one number, one name, or in brackets already.
fn grouped(text: &str) -> String {
    let bare = text.trim_matches(|c| matches!(c, '+' | '-' | '−' | '±' | '–'));
    let is_number = bare.chars().all(|c| c.is_numeric() || matches!(c, '.' | ','));
    let is_name = bare.starts_with(char::is_alphabetic) && bare.chars().all(|c| c.is_alphanumeric() || c == '\'');
    let bracketed = text.strip_prefix("sqrt").unwrap_or(text).strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let is_bracketed = bracketed.is_some_and(|inner| !inner.contains(['(', ')']));
    if is_number || is_name || is_bracketed || text.chars().count() == 1 {
        text.to_owned()
    } else {
        format!("({text})")
    }
}

/// Whether a text over another one is a mark of it, which is dropped as other accents are.
fn is_accent(text: &str) -> bool {
    !text.contains(|c: char| c.is_alphanumeric() || c == '∞')
}

fn scripts(mark: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{mark}{}", grouped(text)) }
}

/// Whether a name is one of a structure.
pub(super) fn is_structure(name: &str) -> bool {
    matches!(
        name,
        "f" | "sSup" | "sSub" | "sSubSup" | "sPre" | "rad" | "nary" | "d" | "func" | "limLow" | "limUpp" | "m" | "mr"
    ) || matches!(name, "eqArr" | "acc" | "bar" | "groupChr")
}

/// Whether a name is one of a part of a structure.
pub(super) fn is_part(name: &str) -> bool {
    PARTS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn what_would_be_read_otherwise_beside_a_bar_is_in_brackets() {
        for text in ["2", "-2", "3.14", "x", "rate", "x2", "x'", "(a+b)", "sqrt(2)", "∂"] {
            assert_eq!(grouped(text), text);
        }
        for text in ["2x", "-2x", "(a)(b)", "a+b", "t^2", "sqrt(2)x", "sqrt(sqrt(2))", "2 sqrt(2)"] {
            assert_eq!(grouped(text), format!("({text})"));
        }
    }
}
