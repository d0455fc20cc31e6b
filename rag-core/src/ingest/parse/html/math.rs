//! MathML as a line that can be read: `(a+b)/2`, `x^2`, `√(2)`.

/// Elements inside each other that are told apart; what is deeper is read as if it were one after the other.
const MAX_DEPTH: usize = 64;
/// Bytes of a formula.
const MAX_BYTES: usize = 16 * 1024;

/// A formula that is being read.
#[derive(Default)]
pub(super) struct Math {
    open: Vec<Element>,
    deeper: usize,
    done: Vec<String>,
    bytes: usize,
}

struct Element {
    name: String,
    text: String,
    parts: Vec<String>,
}

impl Math {
    pub(super) fn start(&mut self, name: &str) {
        if self.open.len() >= MAX_DEPTH {
            self.deeper += 1;
            return;
        }
        self.open.push(Element { name: name.to_owned(), text: String::new(), parts: Vec::new() });
    }

    /// Takes text; tells whether there is room for more.
    pub(super) fn text(&mut self, text: &str) -> bool {
        self.bytes += text.len();
        if let Some(element) = self.open.last_mut() {
            element.text.push_str(text);
        }
        self.bytes <= MAX_BYTES
    }

    pub(super) fn end(&mut self, name: &str) {
        if self.deeper > 0 {
            self.deeper -= 1;
        } else if let Some(from) = self.open.iter().rposition(|open| open.name == name) {
            (from..self.open.len()).for_each(|_| self.close());
        }
    }

    /// The formula.
    pub(super) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        row(&self.done)
    }

    fn close(&mut self) {
        let Some(element) = self.open.pop() else { return };
        let read = element.read();
        let parts = self.open.last_mut().map_or(&mut self.done, |outer| &mut outer.parts);
        if !read.is_empty() {
            parts.push(read);
        }
    }
}

impl Element {
    fn read(self) -> String {
        let part = |at: usize| self.parts.get(at).map_or("", String::as_str);
        match self.name.as_str() {
            "mi" | "mn" | "mo" | "mtext" | "ms" => self.text.split_whitespace().collect::<Vec<_>>().join(" "),
            "mfrac" => format!("{}/{}", grouped(part(0)), grouped(part(1))),
            "msup" | "mover" => format!("{}^{}", grouped(part(0)), grouped(part(1))),
            "msub" | "munder" => format!("{}_{}", grouped(part(0)), grouped(part(1))),
            "msubsup" | "munderover" => {
                format!("{}_{}^{}", grouped(part(0)), grouped(part(1)), grouped(part(2)))
            }
            "msqrt" => format!("√({})", row(&self.parts)),
            "mroot" => format!("{}^(1/{})", grouped(part(0)), grouped(part(1))),
            // The same in another notation.
            "annotation" | "annotation-xml" => String::new(),
            "mtable" => self.parts.join("; "),
            "mtr" => self.parts.join(", "),
            _ => row(&self.parts),
        }
    }
}

/// Parts one after the other; numbers are kept apart, and so are words.
fn row(parts: &[String]) -> String {
    let mut row = String::new();
    for part in parts {
        let long = part.chars().filter(|c| c.is_alphabetic()).count() > 1;
        let joins = |c: char| c.is_ascii_digit() || long && c.is_alphanumeric();
        if row.ends_with(|c: char| c.is_ascii_digit() || long && c.is_alphanumeric()) && part.starts_with(joins) {
            row.push(' ');
        }
        row.push_str(part);
    }
    row
}

/// In brackets, where it is more than one number or name.
fn grouped(part: &str) -> String {
    if part.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '√' | '(' | ')')) {
        part.to_owned()
    } else {
        format!("({part})")
    }
}
