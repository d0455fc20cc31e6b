//! XML: what is called a title is a heading, an element with text is a paragraph or a line `outer.inner: value`, and so is an attribute.
//!
//! It is read as a stream and never built into a tree; no entity but those of every XML document is replaced, and nothing is fetched.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::{lines, markup::character};
use crate::ingest::{
    chunk::{Block, Chunker, Shape},
    failure::FailureReason,
};

/// Elements inside each other.
const MAX_DEPTH: usize = 256;
/// Bytes of a title.
const MAX_TITLE: usize = 400;

/// Elements that name the one that they are in.
const TITLES: [&str; 6] = ["title", "head", "heading", "name", "subject", "question"];
/// Elements that speak of the document, so that their title is its title.
const ABOUT: [&str; 8] = ["channel", "feed", "info", "bookinfo", "articleinfo", "header", "metadata", "titleStmt"];
/// Elements of prose, of DocBook, TEI, DITA and feeds: their names say nothing of the text.
const PROSE: [&str; 18] = [
    "p",
    "para",
    "simpara",
    "formalpara",
    "text",
    "body",
    "description",
    "content",
    "encoded",
    "summary",
    "abstract",
    "li",
    "item",
    "line",
    "l",
    "note",
    "entry",
    "cell",
];
/// Elements whose lines are kept.
const LINES: [&str; 8] = ["programlisting", "screen", "literallayout", "pre", "codeblock", "code", "listing", "eg"];
/// Attributes that say how something looks or is referred to.
const UNSAID: [&str; 6] = ["class", "style", "role", "lang", "version", "schemaLocation"];

/// An open element.
#[derive(Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    /// Its own text with that of the elements inside its sentences.
    text: String,
    /// Elements with text of which it is open whether they are parts of a sentence.
    leaves: Vec<(String, String)>,
    /// Whether a heading names it.
    titled: bool,
}

/// Reads a document.
pub(super) fn read(text: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
    out.keep_headings_from_naming();
    let mut xml = Reader::from_str(text);
    let mut walk = Walk { open: Vec::new(), out };
    loop {
        let event = xml.read_event().map_err(|error| refused(text, xml.error_position(), &error.to_string()))?;
        match event {
            Event::Start(tag) => {
                if walk.open.len() >= MAX_DEPTH {
                    return Err(refused(
                        text,
                        xml.buffer_position(),
                        &format!("more than {MAX_DEPTH} elements inside each other"),
                    ));
                }
                walk.start(&tag);
            }
            Event::Empty(tag) => {
                walk.start(&tag);
                walk.end();
            }
            Event::End(_) => walk.end(),
            Event::Text(text) => walk.text(&text.xml10_content()),
            Event::CData(text) => walk.text(&text.xml10_content()),
            Event::GeneralRef(entity) => match character(&entity) {
                Some(character) => walk.text(character.encode_utf8(&mut [0; 4])),
                None => walk.text(&format!("&{};", entity.xml10_content())),
            },
            Event::Eof => break,
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::DocType(_) => {}
        }
    }
    match walk.open.last() {
        Some(open) => Err(refused(text, text.len() as u64, &format!("<{}> is not closed", open.name))),
        None => Ok(()),
    }
}

fn refused(text: &str, at: u64, cause: &str) -> FailureReason {
    let at = usize::try_from(at).unwrap_or(text.len()).min(text.len());
    let line = 1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
    FailureReason::Malformed { cause: format!("line {line}: its XML is broken: {cause}") }
}

struct Walk<'o, 'c> {
    open: Vec<Element>,
    out: &'o mut Chunker<'c>,
}

impl Walk<'_, '_> {
    fn start(&mut self, tag: &BytesStart<'_>) {
        let said = |key: &str| !(key.starts_with("xmlns") || key.contains(':') || UNSAID.contains(&key));
        let attributes = tag
            .attributes()
            .with_checks(false)
            .flatten()
            .filter(|attribute| said(attribute.key.as_ref()) && !attribute.value.trim().is_empty())
            .map(|attribute| {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0);
                let value = value.map_or_else(|_| attribute.value.to_string(), String::from);
                (attribute.key.as_ref().to_owned(), value)
            })
            .collect();
        self.open.push(Element { name: tag.local_name().as_ref().to_owned(), attributes, ..Element::default() });
    }

    fn text(&mut self, text: &str) {
        let Some(element) = self.open.last_mut() else { return };
        if !text.trim().is_empty() {
            for (_, leaf) in element.leaves.drain(..) {
                element.text.push_str(&leaf);
            }
        }
        if !element.text.is_empty() || !text.trim().is_empty() {
            element.text.push_str(text);
        }
    }

    fn end(&mut self) {
        let Some(mut element) = self.open.pop() else { return };
        if element.text.trim().is_empty() {
            self.open.push(element);
            self.flush();
            self.open.pop();
            return;
        }
        match self.open.last_mut() {
            // Part of a sentence.
            Some(outer) if !outer.text.trim().is_empty() => outer.text.push_str(&element.text),
            Some(outer) => {
                let prose = PROSE.contains(&element.name.as_str()) || LINES.contains(&element.name.as_str());
                if !prose && !TITLES.contains(&element.name.as_str()) {
                    for (name, value) in element.attributes.drain(..) {
                        element.name.push_str(&format!(" ({name} {value})"));
                    }
                }
                outer.leaves.push((element.name, element.text));
            }
            None => {
                self.open.push(Element { leaves: vec![(element.name, element.text)], ..Element::default() });
                self.flush();
                self.open.pop();
            }
        }
    }

    /// Gives on what is open, outermost first.
    fn flush(&mut self) {
        for depth in 0..self.open.len() {
            let element = &mut self.open[depth];
            let (mut leaves, attributes) =
                (std::mem::take(&mut element.leaves), std::mem::take(&mut element.attributes));
            if leaves.is_empty() && attributes.is_empty() {
                continue;
            }
            if !element.titled
                && let Some(at) =
                    leaves.iter().position(|(name, text)| TITLES.contains(&name.as_str()) && text.len() <= MAX_TITLE)
            {
                let (_, title) = leaves.remove(at);
                self.title(depth, &title);
            }
            self.fields(depth, &attributes, &leaves);
        }
    }

    fn title(&mut self, depth: usize, title: &str) {
        let above = self.open[..depth].iter().filter(|element| element.titled).count();
        self.open[depth].titled = true;
        let title = joined(title);
        if depth == 0 || ABOUT.contains(&self.open[depth].name.as_str()) {
            self.out.set_title(&title);
        }
        let level = u8::try_from((above + 1).min(6)).unwrap_or(6);
        self.out.push(Block::Heading { level, title: &title, text: &format!("{title}\n\n") });
    }

    fn fields(&mut self, depth: usize, attributes: &[(String, String)], leaves: &[(String, String)]) {
        // A heading says of what the values are.
        let from = self.open[..=depth].iter().rposition(|element| element.titled).map_or(1, |titled| titled + 1);
        let path: String =
            self.open[from.min(depth + 1)..=depth].iter().map(|element| format!("{}.", element.name)).collect();
        let mut rows = String::new();
        for (name, text) in attributes.iter().chain(leaves) {
            let (prose, code) = (PROSE.contains(&name.as_str()), LINES.contains(&name.as_str()));
            if !(prose || code) {
                let label = path.len() + name.len() + 2;
                if self.out.room() >= label as u64 {
                    self.out.add(label);
                    rows.push_str(&format!("{path}{name}: "));
                }
                rows.push_str(&joined(text));
                rows.push('\n');
                continue;
            }
            self.push_rows(&mut rows);
            let text = if code { text.trim_matches('\n').to_owned() } else { joined(text) };
            lines::push(&format!("{text}\n\n"), if code { Shape::Lines } else { Shape::Prose }, self.out);
        }
        self.push_rows(&mut rows);
    }

    fn push_rows(&mut self, rows: &mut String) {
        if !rows.is_empty() {
            rows.push('\n');
            lines::push(rows, Shape::Lines, self.out);
            rows.clear();
        }
    }
}

/// The words of a text with a space between them.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::ingest::parse::{Format, tried};

    #[test]
    fn titles_are_headings_and_paragraphs_prose() {
        let docbook = "<?xml version=\"1.0\"?>\n<!DOCTYPE article>\n<article xmlns=\"http://docbook.org/ns/docbook\" xml:id=\"a\"><info><title>Pumps</title><author>Ada</author></info>\n<section><title>Start</title><para>Turn the <emphasis>green</emphasis>\n  switch &amp; wait&#8230;</para><para><emphasis>Never</emphasis> run dry.</para><programlisting>a\n  b</programlisting><section><title>Stop</title><para>Halt.</para></section></section><!-- DRAFT --></article>";
        let read = tried::read(Format::Xml, docbook, 7);
        assert_eq!(read.title.as_deref(), Some("Pumps"));
        assert_eq!(read.headings(), ["Pumps", "Start", "Start > Stop"]);
        assert_eq!(read.drafts[0].text, "Pumps\n\nauthor: Ada");
        assert_eq!(read.drafts[1].text, "Start\n\nTurn the green switch & wait…\n\nNever run dry.\n\na\n  b");
    }

    #[test]
    fn values_stand_behind_their_names() {
        let data = "<catalog><book id=\"bk1\"><author>Ada</author><title>Of pumps</title><price currency=\"EUR\">44.95</price></book><book id=\"bk2\"><title>Of valves</title></book></catalog>";
        let read = tried::read(Format::Xml, data, 5);
        assert_eq!(read.title, None);
        assert_eq!(read.headings(), ["Of pumps", "Of valves"]);
        assert_eq!(read.drafts[0].text, "Of pumps\n\nid: bk1\nauthor: Ada\nprice (currency EUR): 44.95");
        let config =
            "<server><listen port=\"8080\"/><limits><open>12</open><rate unit=\"s\">7</rate></limits></server>";
        assert_eq!(
            tried::read(Format::Xml, config, 99).text(),
            "listen.port: 8080\n\nlimits.open: 12\nlimits.rate (unit s): 7"
        );
        assert_eq!(tried::read(Format::Xml, "<a>bare</a>", 1).text(), "a: bare");
    }

    #[test]
    fn what_is_broken_or_built_to_exhaust_is_refused_or_costs_nothing() {
        let said = |text: &str| tried::attempt(Format::Xml, text, 4096, 200).unwrap_err();
        assert!(said("<a>\n<b></a>").starts_with("line 2: its XML is broken: "), "{}", said("<a>\n<b></a>"));
        assert_eq!(said("<a>\n<b>"), "line 2: its XML is broken: <b> is not closed");
        assert!(said(&"<a>".repeat(100_000)).contains("more than 256 elements inside each other"));
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;&b;\">]><a>x &c; <!ENTITY d SYSTEM \"file:///etc/passwd\"></a>";
        if let Ok(read) = tried::attempt(Format::Xml, bomb, 4096, 200) {
            assert!(!read.text().contains("bbbb") && !read.text().contains("root:"), "{}", read.text());
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_it_is_read_the_same_in_any_pieces(
            parts in prop::collection::vec(prop::sample::select(vec![
                "<a>", "</a>", "<title>", "</title>", "<p>", "</p>", "<b x='1'>", "</b>", "<c/>", "word ", "&amp;", "&x;", "&#0;", "<!-- ", " -->", "<![CDATA[", "]]>", "<?x ?>",
                "<!DOCTYPE a>", "<", ">", "\n", "é",
            ]), 0..40),
            piece in 1_usize..9,
        ) {
            let text = parts.concat();
            prop_assert_eq!(tried::attempt(Format::Xml, &text, piece, 20), tried::attempt(Format::Xml, &text, usize::MAX, 20));
        }

        #[test]
        fn every_word_is_in_a_chunk_once(
            parts in prop::collection::vec((prop::sample::select(vec!["a", "b", "title", "p", "name", "code"]), "word[a-z]{1,5}", any::<bool>()), 0..40),
        ) {
            let (mut text, mut open) = (String::new(), Vec::new());
            for (name, word, deeper) in &parts {
                text.push_str(&format!("<{name}>{word} "));
                open.push(*name);
                if !deeper {
                    text.push_str(&format!("</{}>", open.pop().unwrap()));
                }
            }
            text.extend(open.iter().rev().map(|name| format!("</{name}>")));
            let read = tried::read(Format::Xml, &format!("<root>{text}</root>"), 9);
            let mut wanted: Vec<_> = parts.iter().map(|(_, word, _)| word.as_str()).collect();
            let all = read.text();
            let mut seen: Vec<_> = all.split(|c: char| !c.is_ascii_lowercase()).filter(|word| word.starts_with("word")).collect();
            wanted.sort_unstable();
            seen.sort_unstable();
            prop_assert_eq!(seen, wanted);
        }
    }
}
