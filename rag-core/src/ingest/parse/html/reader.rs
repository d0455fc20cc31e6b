//! What the elements of a page do to the text that is read: which are open, what each begins and ends.

use html5ever::{LocalName, tokenizer::Tag};

use super::{
    super::mathml::Math,
    element::{
        attribute, ended_by, is_block, is_bound, is_box, is_closed_by_name, is_container, is_hidden, is_left_out,
        is_table_part, is_void, picture, stand_apart, value_of,
    },
    table::{Table, Tally},
};
use crate::ingest::chunk::Shape;

/// Open elements that are remembered.
const MAX_DEPTH: usize = 4096;
/// Open elements that a tag may close at once.
const MAX_CLOSED: usize = 256;
/// Elements around a raised text that are looked at for a link.
const NEAR: usize = 4;

/// What the tokens amounted to since the last look.
pub(super) enum Found {
    Title(String),
    Heading { level: u8, text: String },
    Body { shape: Shape, text: String, continues: bool },
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    #[default]
    Prose,
    Heading(u8),
    Code,
    Caption,
    Title,
}

/// An open element.
pub(super) struct Open {
    pub(super) name: LocalName,
    /// Where its text begins, and in which of the texts that were read one after the other.
    pub(super) start: (usize, usize),
    /// Whether it holds a link, or is one, to another place of the page.
    pub(super) links: bool,
    /// Whether it stands apart from what is beside it.
    boxed: bool,
    /// Items that a list has so far, if they are numbered.
    items: Option<i64>,
}

/// Reads the elements and texts of a page.
#[derive(Default)]
pub(super) struct Reader {
    /// Outermost first.
    pub(super) open: Vec<Open>,
    /// Containers that were too deep to be remembered.
    deeper: usize,
    /// The element from which on everything is dropped.
    dropped: Option<usize>,
    pub(super) reading: Reading,
    pub(super) text: String,
    /// How many texts were read before.
    pub(super) texts: usize,
    /// Bytes at the beginning of the text that announce it: the mark of an item, a term.
    pub(super) lead: usize,
    /// Whether the text is a list item, and whether the last one was: a line is left free after the last one.
    pub(super) item: bool,
    pub(super) after_item: bool,
    /// Whether the text is a term whose definition follows.
    pub(super) term: bool,
    /// A raised text, and whether it leads to a note. What it is shows in what follows.
    pub(super) raised: Option<(String, bool)>,
    /// Whether a digit that follows is of another number.
    pub(super) number_ended: bool,
    /// The element of a line that ended where the text ends.
    ended: Option<LocalName>,
    /// Whether a word that follows is another one.
    pub(super) apart: bool,
    /// How what stands in `ruby` is pronounced.
    pub(super) readings: String,
    pub(super) math: Option<Math>,
    pub(super) tables: Vec<Table>,
    /// What tables had and repeated until now.
    pub(super) tally: Tally,
    pub(super) found: Vec<Found>,
}

impl Reader {
    pub(super) fn start(&mut self, tag: &Tag) {
        let name = &*tag.name;
        if self.dropped.is_none() && self.starts_in_math(tag) {
            return;
        }
        self.end_implied(name);
        let shown = self.dropped.is_none();
        if is_void(name) {
            if shown && !is_hidden(tag) {
                self.void(tag);
            }
            return;
        }
        let framing = matches!(name, "header" | "footer") && self.within(&["main", "article"]) && !is_hidden(tag);
        let left_out = is_left_out(tag) && !framing;
        let deep = self.open.len() >= MAX_DEPTH;
        if shown && !left_out && !deep {
            self.begin(tag);
        } else if shown && (is_container(name) || is_block(name)) {
            self.boundary(name);
        }
        if deep {
            self.deeper += usize::from(is_closed_by_name(name));
            return;
        }
        let mut links = name == "a" && attribute(tag, "href").is_some_and(|to| to.contains('#'));
        let mut near = self.open.iter_mut().rev().take(NEAR);
        match name {
            "a" if links => near.filter(|open| &*open.name == "sup").for_each(|sup| sup.links = true),
            "sup" => links = near.any(|open| &*open.name == "a" && open.links),
            _ => {}
        }
        let items = (name == "ol").then(|| number(tag, "start").map_or(0, |first| first.saturating_sub(1)));
        let start = (self.texts, self.text.len());
        self.open.push(Open { name: tag.name.clone(), start, links, boxed: is_box(tag), items });
        if shown && left_out {
            self.dropped = Some(self.open.len() - 1);
        }
        // As XHTML is written; of what is read as text up to its end tag the tokenizer knows better.
        if tag.self_closing && !is_closed_by_name(name) && !matches!(name, "title" | "textarea") {
            self.end(&tag.name);
        }
    }

    pub(super) fn end(&mut self, name: &LocalName) {
        if self.dropped.is_none() && self.ends_in_math(name) {
            return;
        }
        let by_name = is_closed_by_name(name);
        if by_name && self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        let reach = self.open.len().saturating_sub(MAX_CLOSED);
        let mut near = self.open[reach..].iter().rev();
        let ends = |open: &Open| open.name == *name;
        if let Some(above) = near.position(|open| ends(open) || !by_name && is_bound(name, &open.name)) {
            let index = self.open.len() - 1 - above;
            if ends(&self.open[index]) {
                self.close(index);
            }
        }
    }

    /// Ends the elements that a start tag ends without naming them.
    fn end_implied(&mut self, name: &str) {
        let ended = ended_by(name);
        let reach = self.open.len().saturating_sub(if ended.is_empty() { 0 } else { MAX_CLOSED });
        let within = self.open[reach..].iter().rev().take_while(|open| !is_bound(name, &open.name)).count();
        let from = self.open.len() - within;
        if let Some(at) = self.open[from..].iter().position(|open| ended.contains(&&*open.name)) {
            self.close(from + at);
        }
    }

    /// Closes an open element and what was left open inside it.
    fn close(&mut self, index: usize) {
        while self.open.len() > index {
            let Some(open) = self.open.pop() else { return };
            match self.dropped {
                Some(from) if self.open.len() > from => {}
                Some(_) => {
                    self.dropped = None;
                    if is_container(&open.name) || is_block(&open.name) {
                        self.boundary(&open.name);
                    }
                }
                None => self.ended(&open),
            }
        }
    }

    /// Ends the page.
    pub(super) fn finish(&mut self) {
        self.close(0);
        self.end_math();
        self.end_block();
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.dropped.is_some()
    }

    fn within(&self, names: &[&str]) -> bool {
        self.open.iter().rev().take(MAX_CLOSED).any(|open| names.contains(&&*open.name))
    }

    /// What an element begins.
    fn begin(&mut self, tag: &Tag) {
        let name = &*tag.name;
        match name {
            "title" => self.start_block(Reading::Title),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" if self.is_in_data() => self.boundary(name),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.surface(self.tables.len());
                self.start_block(Reading::Heading(name.as_bytes()[1] - b'0'));
            }
            "pre" | "listing" if self.is_in_cell() => {
                self.boundary(name);
                self.reading = Reading::Code;
            }
            "pre" | "listing" => self.start_block(Reading::Code),
            "table" => self.start_table(tag),
            "caption" => self.start_block(Reading::Caption),
            _ if is_table_part(name) && self.tables.last().is_some_and(|table| !table.layout) => self.start_part(tag),
            "li" => self.start_item(number(tag, "value")),
            "dt" if self.term => {
                self.trim();
                self.text.push_str(", ");
            }
            "dd" if self.term => self.start_definition(),
            "sup" | "sub" => self.settle(""),
            "ruby" => self.readings.clear(),
            _ if is_container(name) || is_block(name) => self.boundary(name),
            _ if is_box(tag) || matches!(name, "textarea" | "select") => self.blank(),
            _ => {
                let ended = self.ended.take();
                self.apart |= ended.is_some_and(|ended| stand_apart(&ended, name)) && self.is_in_box();
            }
        }
    }

    /// What an element ends.
    fn ended(&mut self, open: &Open) {
        let name = &*open.name;
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" if matches!(self.reading, Reading::Heading(_)) => self.end_block(),
            "title" => self.end_block(),
            "pre" | "listing" => self.end_code(open),
            "table" => self.end_table(),
            "caption" => self.end_caption(),
            _ if is_table_part(name) && self.tables.last().is_some_and(|table| !table.layout) => self.end_part(name),
            "dt" if !self.is_in_cell() => self.end_term(),
            "sup" | "sub" => self.end_script(open),
            "rt" | "rtc" => self.end_reading(open),
            "ruby" => self.end_ruby(),
            "a" if open.links => self.end_link(open),
            _ if is_container(name) || is_block(name) => self.boundary(name),
            _ if open.boxed || matches!(name, "textarea" | "select") => self.blank(),
            _ => {}
        }
        if !is_container(name) && !is_block(name) {
            self.ended = Some(open.name.clone());
        }
    }

    /// An element without content.
    fn void(&mut self, tag: &Tag) {
        match &*tag.name {
            "br" => self.end_line(),
            "hr" => self.boundary("hr"),
            "img" => self.word(picture(tag).unwrap_or_default()),
            "input" => self.word(&value_of(tag).unwrap_or_default()),
            _ => {}
        }
    }

    fn start_item(&mut self, value: Option<i64>) {
        self.boundary("li");
        if self.is_in_cell() {
            self.trim();
            if !self.text.is_empty() && !self.text.ends_with([';', ':']) {
                self.text.push(';');
            }
            return self.blank();
        }
        self.end_block();
        let mut near = self.open.iter_mut().rev().take(MAX_CLOSED);
        let list = near.find(|open| matches!(&*open.name, "ol" | "ul" | "menu"));
        let mark = match list.and_then(|list| list.items.as_mut()) {
            Some(items) => {
                *items = value.unwrap_or(items.saturating_add(1));
                format!("{items}. ")
            }
            None => "- ".to_owned(),
        };
        self.text.push_str(&mark);
        (self.lead, self.item) = (self.text.len(), true);
    }

    /// Whether the line stands in a container itself, and not in a paragraph or the like.
    fn is_in_box(&self) -> bool {
        let mut near = self.open.iter().rev().take(MAX_CLOSED).map(|open| &*open.name);
        let block = near.find(|name| is_container(name) || is_block(name));
        block.is_none_or(|name| is_container(name) && name != "blockquote")
    }

    /// Text follows, so that nothing adjoins any more.
    pub(super) fn goes_on(&mut self) {
        (self.ended, self.apart) = (None, false);
    }

    /// Whether a start tag begins a formula or is a part of one.
    fn starts_in_math(&mut self, tag: &Tag) -> bool {
        let name = &*tag.name;
        if is_block(name) || is_closed_by_name(name) {
            self.end_math();
            return false;
        }
        if let Some(math) = &mut self.math {
            math.start(name);
            if tag.self_closing {
                math.end(name);
            }
            return true;
        }
        let begins = name == "math" && !is_hidden(tag);
        if begins {
            if attribute(tag, "display") == Some("block") {
                self.boundary("p");
            }
            self.settle("");
            self.math = Some(Math::default());
        }
        begins
    }

    fn ends_in_math(&mut self, name: &LocalName) -> bool {
        if &**name == "math" || is_block(name) || is_closed_by_name(name) {
            let within = self.math.is_some();
            self.end_math();
            return within && &**name == "math";
        }
        if let Some(math) = &mut self.math {
            math.end(name);
        }
        self.math.is_some()
    }

    pub(super) fn end_math(&mut self) {
        if let Some(math) = self.math.take() {
            let formula = math.finish();
            self.push_text(&formula);
        }
    }
}

fn number(tag: &Tag, name: &str) -> Option<i64> {
    attribute(tag, name)?.trim().parse().ok()
}
