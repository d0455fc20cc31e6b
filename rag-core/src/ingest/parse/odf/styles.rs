//! The styles of an OpenDocument: what is a title, what is not to be seen, and how lists count.

use std::collections::HashMap;

use quick_xml::events::BytesStart;

use super::{
    super::{line::Stands, markup::attribute},
    lists::Counting,
};

/// Styles that are remembered.
const MAX_STYLES: usize = 20_000;
/// Steps from a style to those that it is based on.
const MAX_PARENTS: usize = 16;
/// Levels of lists and of the outline.
pub(super) const LEVELS: usize = 10;

/// What one style says.
#[derive(Debug, Clone, Default)]
pub(super) struct Style {
    parent: Option<String>,
    hidden: Option<bool>,
    struck: Option<bool>,
    stands: Option<Stands>,
    is_title: bool,
}

/// Styles by family and name, and how lists count by their names; the outline has an empty name.
#[derive(Debug, Default)]
pub(super) struct Styles {
    styles: HashMap<String, Style>,
    lists: HashMap<String, Vec<Counting>>,
    style: Option<String>,
    list: Option<String>,
}

impl Styles {
    /// Takes an element of the definitions.
    pub(super) fn start(&mut self, name: &str, tag: &BytesStart<'_>) {
        let value = |name: &str| attribute(tag, name);
        match name {
            "style" => {
                let key = value("family").zip(value("name")).map(|(family, name)| format!("{family} {name}"));
                self.style = key.filter(|_| self.styles.len() < MAX_STYLES);
                if let Some(key) = &self.style {
                    let family = value("family").unwrap_or_default();
                    let parent = value("parent-style-name").map(|parent| format!("{family} {parent}"));
                    let is_title = key == "paragraph Title";
                    let style = Style { parent, is_title, ..Style::default() };
                    self.styles.insert(key.clone(), style);
                }
            }
            "list-style" => self.list = value("name").filter(|_| self.lists.len() < MAX_STYLES),
            "outline-style" => self.list = Some(String::new()),
            "list-level-style-number"
            | "list-level-style-bullet"
            | "list-level-style-image"
            | "outline-level-style" => {
                let level = value("level").and_then(|level| level.parse::<usize>().ok());
                if let (Some(list), Some(level @ 1..=LEVELS)) = (&self.list, level) {
                    let levels = self.lists.entry(list.clone()).or_insert_with(|| vec![Counting::default(); LEVELS]);
                    levels[level - 1] = Counting::read(name, tag);
                }
            }
            _ => {
                if let Some(style) = self.style.as_ref().and_then(|style| self.styles.get_mut(style)) {
                    style.property(name, tag);
                }
            }
        }
    }

    pub(super) fn end(&mut self, name: &str) {
        match name {
            "style" => self.style = None,
            "list-style" | "outline-style" => self.list = None,
            _ => {}
        }
    }

    /// What a style says together with those that it is based on.
    fn find<T>(&self, family: &str, name: &str, say: impl Fn(&Style) -> Option<T>) -> Option<T> {
        let mut style = self.styles.get(&format!("{family} {name}"))?;
        for _ in 0..MAX_PARENTS {
            if let Some(said) = say(style) {
                return Some(said);
            }
            style = self.styles.get(style.parent.as_ref()?)?;
        }
        None
    }

    pub(super) fn is_hidden(&self, family: &str, name: &str) -> bool {
        self.find(family, name, |style| style.hidden).unwrap_or(false)
    }

    /// Whether a reader reads what has a style: what is struck out holds no more.
    pub(super) fn is_read(&self, family: &str, name: &str) -> bool {
        !self.is_hidden(family, name) && !self.find(family, name, |style| style.struck).unwrap_or(false)
    }

    pub(super) fn stands(&self, name: &str) -> Option<Stands> {
        self.find("text", name, |style| style.stands)
    }

    pub(super) fn is_title(&self, name: &str) -> bool {
        self.find("paragraph", name, |style| style.is_title.then_some(())).is_some()
    }

    /// How the levels of a list count.
    pub(super) fn counting(&self, list: &str) -> &[Counting] {
        self.lists.get(list).map_or(&[], Vec::as_slice)
    }
}

impl Style {
    fn property(&mut self, name: &str, tag: &BytesStart<'_>) {
        let value = |name: &str| attribute(tag, name);
        match name {
            "text-properties" => {
                self.hidden = value("display").map(|display| display == "none").or(self.hidden);
                let line = value("text-line-through-style").or(value("text-line-through-type"));
                self.struck = line.map(|line| line != "none").or(self.struck);
                self.stands = value("text-position").map(|position| stands(&position)).or(self.stands);
            }
            "table-properties" => self.hidden = value("display").map(|display| display == "false").or(self.hidden),
            "drawing-page-properties" => {
                self.hidden = value("visibility").map(|visibility| visibility == "hidden").or(self.hidden);
            }
            _ => {}
        }
    }
}

/// `super 58%`, `-33% 58%` and the like.
fn stands(position: &str) -> Stands {
    let height = position.split_whitespace().next().unwrap_or_default();
    match height.trim_end_matches('%').parse::<f64>() {
        _ if height == "super" => Stands::Raised,
        _ if height == "sub" => Stands::Lowered,
        Ok(height) if height > 0.0 => Stands::Raised,
        Ok(height) if height < 0.0 => Stands::Lowered,
        _ => Stands::OnTheLine,
    }
}
