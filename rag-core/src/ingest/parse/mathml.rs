//! Formulas in MathML, whose parts are known by their places; in pages and inside of OpenDocuments.

use quick_xml::events::Event;

use super::{
    formula::Formula,
    markup::{Xml, events, text_of},
};
use crate::ingest::failure::FailureReason;

/// Elements inside each other that are told apart, each of which is at most three things to a formula; what is deeper is read as if it were one after the other.
const MAX_DEPTH: usize = 64;
/// Bytes of a formula.
const MAX_BYTES: usize = 16 * 1024;

/// What an element is: a structure, what its children are in turn, and whether all of them are one part.
type Meaning = (Option<&'static str>, &'static [&'static str], bool);

fn meaning(name: &str) -> Meaning {
    match name {
        "mfrac" => (Some("f"), &["num", "den"], false),
        "msup" => (Some("sSup"), &["e", "sup"], false),
        "msub" => (Some("sSub"), &["e", "sub"], false),
        "msubsup" | "munderover" => (Some("sSubSup"), &["e", "sub", "sup"], false),
        "munder" => (Some("limLow"), &["e", "lim"], false),
        "mover" => (Some("limUpp"), &["e", "lim"], false),
        "mroot" => (Some("rad"), &["e", "deg"], false),
        "msqrt" => (Some("rad"), &["e"], true),
        "mfenced" => (Some("d"), &["e"], false),
        "mtable" => (Some("m"), &[], false),
        "mtr" => (Some("mr"), &[], false),
        "mtd" => (None, &["e"], true),
        _ => (None, &[], false),
    }
}

/// An open element: what its further children are, and what it opened in the formula.
struct Open {
    name: String,
    children: std::slice::Iter<'static, &'static str>,
    last: Option<&'static str>,
    opened: usize,
    /// Whether it is the same in another notation.
    left_out: bool,
}

/// A formula that is being read.
#[derive(Default)]
pub(super) struct Math {
    formula: Formula,
    open: Vec<Open>,
    deeper: usize,
    /// A text as far as it is read.
    text: String,
    bytes: usize,
}

impl Math {
    pub(super) fn start(&mut self, name: &str) {
        self.end_text();
        if self.open.len() >= MAX_DEPTH {
            self.deeper += 1;
            return;
        }
        let left_out = self.is_left_out() || matches!(name, "annotation" | "annotation-xml");
        let mut open = Open { name: name.to_owned(), children: [].iter(), last: None, opened: 0, left_out };
        if !left_out {
            self.begin(&mut open);
        }
        self.open.push(open);
    }

    /// Takes text, unless there is no room for it.
    pub(super) fn text(&mut self, text: &str) -> bool {
        if self.is_left_out() {
            return true;
        }
        self.bytes += text.len();
        let fits = self.bytes <= MAX_BYTES;
        if fits {
            self.text.push_str(text);
        }
        fits
    }

    pub(super) fn end(&mut self, name: &str) {
        self.end_text();
        if self.deeper > 0 {
            self.deeper -= 1;
        } else if let Some(from) = self.open.iter().rposition(|open| open.name == name) {
            let opened: usize = self.open.drain(from..).map(|open| open.opened).sum();
            (0..opened).for_each(|_| self.formula.close());
        }
    }

    /// The formula in one line.
    pub(super) fn finish(mut self) -> String {
        self.end_text();
        self.formula.finish()
    }

    fn is_left_out(&self) -> bool {
        self.open.last().is_some_and(|open| open.left_out)
    }

    fn begin(&mut self, open: &mut Open) {
        let (structure, children, whole) = meaning(&open.name);
        let within = self.open.last_mut();
        if let Some(part) = within.and_then(|within| within.children.next().copied().or(within.last)) {
            self.formula.part(part);
            open.opened += 1;
        }
        if let Some(structure) = structure {
            self.formula.structure(structure);
            self.formula.sign("sepChr", ",");
            open.opened += 1;
        }
        if whole {
            children.iter().for_each(|part| self.formula.part(part));
            open.opened += children.len();
        } else {
            (open.children, open.last) = (children.iter(), children.last().copied());
        }
    }

    fn end_text(&mut self) {
        // Signs that say what stands beside what, and are not seen.
        let text = std::mem::take(&mut self.text).replace(|c| ('\u{2061}'..='\u{2064}').contains(&c), "");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.is_empty() {
            self.formula.word(&text);
        }
    }
}

/// Reads the formula that a part is, if it is one.
pub(super) fn read(xml: &mut Xml<'_>) -> Result<Option<String>, FailureReason> {
    let (mut math, mut is_math) = (Math::default(), false);
    events(xml, |event| {
        match &event {
            Event::Start(tag) => {
                is_math |= tag.local_name().as_ref() == "math";
                math.start(tag.local_name().as_ref());
            }
            Event::End(tag) => math.end(tag.local_name().as_ref()),
            // More than a formula holds is left out.
            _ => {
                math.text(&text_of(&event).unwrap_or_default());
            }
        }
        Ok(())
    })?;
    Ok(is_math.then(|| math.finish()).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads elements that are written as `name(`, `)`, and texts.
    fn formula(written: &str) -> String {
        let (mut math, mut open) = (Math::default(), Vec::new());
        for part in written.split(' ') {
            if let Some(name) = part.strip_suffix('(') {
                math.start(name);
                open.push(name);
            } else if part == ")" {
                math.end(open.pop().unwrap());
            } else {
                assert!(part.chars().all(|c| math.text(c.encode_utf8(&mut [0; 4]))));
            }
        }
        math.finish()
    }

    #[test]
    fn parts_of_a_formula_are_known_by_their_places() {
        for (written, wanted) in [
            ("mfrac( mn( 1 ) mrow( mn( 2 ) mi( x ) ) )", "1/(2x)"),
            ("msup( mi( e ) mrow( mo( - ) mi( x ) ) )", "e^-x"),
            ("mi( f ) mfenced( mi( a ) mi( b ) )", "f(a,b)"),
            ("msqrt( mi( a ) mo( + ) mi( b ) )", "sqrt(a+b)"),
            ("mroot( mi( x ) mn( 3 ) ) mi( y )", "root(3, x) y"),
            ("munderover( mo( ∑ ) mi( i ) mi( n ) ) mi( i )", "∑_i^n i"),
            ("mover( mi( x ) mo( ¯ ) ) mover( mo( ∑ ) mi( n ) )", "x∑^n"),
            ("mn( 2 ) mn( 3 ) mi( sin ) mi( x ) mo( = ) mi( m ) msup( mi( c ) mn( 2 ) )", "2 3 sin x=mc^2"),
            ("semantics( mi( a ) annotation( mrow( x ) y ) ) mi( b )", "ab"),
            ("mtable( mtr( mtd( a ) mtd( b ) ) mtr( mtd( c ) ) )", "[a, b; c]"),
        ] {
            assert_eq!(formula(written), wanted, "{written}");
        }
    }

    #[test]
    fn what_is_too_deep_or_not_closed_is_read_as_text_and_what_is_too_long_is_not_taken() {
        let deep = format!("{}a mi( b {}", "mfrac( ".repeat(300), ") ".repeat(301)).trim().to_owned();
        assert_eq!(formula(&format!("{deep} mi( c )")).matches(['a', 'b', 'c']).count(), 3);
        assert_eq!(formula("mrow( mfrac( mn( 1 ) mn( 2"), "1/2");
        let mut math = Math::default();
        assert!(math.text(&"x".repeat(MAX_BYTES)) && !math.text("y"));
        assert_eq!(math.finish().len(), MAX_BYTES);
    }
}
