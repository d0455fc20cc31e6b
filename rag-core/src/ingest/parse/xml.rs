//! XML: what is called a title is a heading, an element with text is a paragraph or a line `outer.inner: value`, and so is an attribute.
//!
//! It is read as a stream and never built into a tree; no entity but those of every XML document is replaced, and nothing is fetched.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::{
    lines::{self, MAX_BLOCK},
    markup::character,
};
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

/// Elements of notes, which stand in the sentence that they are to.
const NOTES: [&str; 2] = ["footnote", "fn"];

/// An open element.
#[derive(Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    /// Its own text with that of the elements inside its sentences.
    text: String,
    /// Elements with text of which it is open whether they are parts of a sentence.
    leaves: Vec<(String, String)>,
    /// Bytes of these.
    held: usize,
    /// Whether a heading names it.
    titled: bool,
}

impl Element {
    /// Takes out its text, below its name and what its attributes say of it.
    fn leaf(&mut self) -> (String, String) {
        let mut name = self.name.clone();
        let attributes = std::mem::take(&mut self.attributes);
        let says_nothing = [PROSE.as_slice(), &LINES, &TITLES].iter().any(|names| names.contains(&name.as_str()));
        for (attribute, value) in attributes.iter().filter(|_| !says_nothing) {
            name.push_str(&format!(" ({attribute} {value})"));
        }
        (name, std::mem::take(&mut self.text))
    }
}

/// Reads a document.
pub(super) fn read(text: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
    out.keep_headings_from_naming();
    let mut xml = Reader::from_str(text);
    let mut walk = Walk { open: Vec::new(), empty: None, out };
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
    walk.release();
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
    /// An element without text that ended last, of which it is open whether it is a part of a sentence.
    empty: Option<Element>,
    out: &'o mut Chunker<'c>,
}

impl Walk<'_, '_> {
    fn start(&mut self, tag: &BytesStart<'_>) {
        self.release();
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
            self.empty = None;
            element.held = 0;
            for (_, leaf) in element.leaves.drain(..) {
                element.text.push_str(&leaf);
            }
        }
        if !element.text.is_empty() || !text.trim().is_empty() {
            element.text.push_str(text);
        }
    }

    fn end(&mut self) {
        self.release();
        let Some(mut element) = self.open.pop() else { return };
        if element.text.is_empty() {
            return self.end_without_text(element);
        }
        let Some(outer) = self.open.last_mut() else {
            self.open.push(Element { leaves: vec![element.leaf()], ..Element::default() });
            self.flush();
            self.open.pop();
            return;
        };
        if !outer.text.is_empty() {
            // Part of a sentence.
            return outer.text.push_str(&element.text);
        }
        let leaf = element.leaf();
        outer.held += leaf.0.len() + leaf.1.len();
        outer.leaves.push(leaf);
        // What goes on for so long is no sentence.
        if outer.held > MAX_BLOCK {
            self.flush();
        }
    }

    fn end_without_text(&mut self, element: Element) {
        let is_empty = element.leaves.is_empty();
        let in_sentence = self.open.iter().any(|outer| !outer.text.is_empty());
        match self.open.last_mut() {
            Some(outer) if !outer.text.is_empty() && !is_empty && NOTES.contains(&element.name.as_str()) => {
                let note: Vec<_> = element.leaves.iter().map(|(_, text)| text.trim()).collect();
                outer.text.push_str(&format!(" ({})", note.join(" ")));
            }
            // What an element without text says inside a sentence, such as where a picture is, is no part of it.
            _ if is_empty && in_sentence => {}
            _ if is_empty => self.empty = Some(element).filter(|element| !element.attributes.is_empty()),
            _ => self.give_on(element),
        }
    }

    /// Gives on an element without text, since no sentence goes on behind it.
    fn release(&mut self) {
        if let Some(element) = self.empty.take() {
            self.give_on(element);
        }
    }

    fn give_on(&mut self, element: Element) {
        self.open.push(element);
        self.flush();
        self.open.pop();
    }

    /// Gives on what is open, outermost first, and of each element its own text before what is inside.
    fn flush(&mut self) {
        for depth in 0..self.open.len() {
            let element = &mut self.open[depth];
            if !element.text.is_empty() {
                let leaf = element.leaf();
                self.fields(depth, &[], &[leaf]);
                continue;
            }
            let (mut leaves, attributes) =
                (std::mem::take(&mut element.leaves), std::mem::take(&mut element.attributes));
            element.held = 0;
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
            self.fields(depth + 1, &attributes, &leaves);
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

    /// Gives on values that stand inside so many of the open elements.
    fn fields(&mut self, inside: usize, attributes: &[(String, String)], leaves: &[(String, String)]) {
        let open = &self.open[..inside];
        // A heading says of what the values are.
        let from = open.iter().rposition(|element| element.titled).map_or(1, |titled| titled + 1);
        let path: String = open[from.min(inside)..].iter().map(|element| format!("{}.", element.name)).collect();
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

    use super::*;
    use crate::ingest::{
        chunk::Limits,
        parse::{Format, tried},
    };

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
        assert_eq!(tried::read(Format::Xml, "<server port='8080'/>", 1).text(), "port: 8080");
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

    #[test]
    fn what_introduces_a_list_stands_before_it_and_what_follows_behind_it() {
        let text = "<article><title>Pumps</title><para id=\"p\">To <emphasis>start</emphasis> it:<itemizedlist><listitem><para>Open the valve.</para></listitem>\
                    <listitem><para>Turn the switch:<simplelist><member>on</member></simplelist></para></listitem></itemizedlist>Then <emphasis>wait</emphasis> a minute.<table><row><entry>x</entry></row></table></para><para>End.</para></article>";
        let read = tried::read(Format::Xml, text, 99);
        assert_eq!(
            read.text(),
            "Pumps\n\nTo start it:\n\nOpen the valve.\n\nTurn the switch:\n\npara.itemizedlist.listitem.para.simplelist.member: on\n\nThen wait a minute.\n\nx\n\nEnd."
        );
        let data = "<a>one<b><c><d>two</d></c></b>three</a>";
        assert_eq!(tried::read(Format::Xml, data, 99).text(), "a: one\n\nb.c.d: two\n\na: three");
    }

    #[test]
    fn what_stands_inside_a_sentence_without_text_is_no_line_and_a_note_is_part_of_it() {
        let text = "<a><b n=\"1\"/><p><pb n=\"3\"/>See <xref linkend=\"x\"/>the <g><i src=\"y.png\"/></g>pump<footnote><p>The new one.</p></footnote>.</p><b n=\"2\"/><b n=\"3\"/></a>";
        assert_eq!(
            tried::read(Format::Xml, text, 99).text(),
            "b.n: 1\n\nSee the pump (The new one.).\n\nb.n: 2\n\nb.n: 3"
        );
    }

    #[test]
    fn no_more_than_a_block_of_an_element_is_held() {
        let count = |text: &str| text.len();
        let mut out = Chunker::new(Limits { tokens: 200, bytes: 4000 }, &count);
        let mut walk = Walk { open: Vec::new(), empty: None, out: &mut out };
        walk.start(&BytesStart::new("a"));
        for _ in 0..MAX_BLOCK {
            walk.start(&BytesStart::new("b"));
            walk.text("1");
            walk.end();
            assert!(walk.open[0].leaves.len() <= MAX_BLOCK / 2 && walk.open[0].held <= MAX_BLOCK);
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
        fn every_word_is_in_a_chunk_once_and_in_order(
            parts in prop::collection::vec((prop::sample::select(vec!["a", "b", "p", "code", "list"]), "word[a-z]{1,5}", 0_usize..4, any::<bool>()), 0..40),
        ) {
            let (mut text, mut open) = (String::new(), Vec::new());
            for (name, word, ends, bare) in &parts {
                // An element that holds others alone, or one that begins with a text.
                text.push_str(&if *bare { format!("<{name}><p>{word} </p>") } else { format!("<{name}>{word} ") });
                open.push(*name);
                for name in open.split_off(open.len() - open.len().min(*ends)).iter().rev() {
                    text.push_str(&format!("</{name}>"));
                }
            }
            text.extend(open.iter().rev().map(|name| format!("</{name}>")));
            let read = tried::read(Format::Xml, &format!("<root>{text}</root>"), 9);
            let wanted: Vec<_> = parts.iter().map(|(_, word, ..)| word.as_str()).collect();
            let all = read.text();
            let seen: Vec<_> = all.split(|c: char| !c.is_ascii_lowercase()).filter(|word| word.starts_with("word")).collect();
            prop_assert_eq!(seen, wanted);
        }
    }
}
