//! The styles of a DOCX document: which paragraphs are headings, which are numbered, and what is not to be seen.

use std::collections::HashMap;

use quick_xml::events::{BytesStart, Event};

use super::super::{
    line::Stands,
    markup::{Xml, attribute, events},
};
use crate::ingest::failure::FailureReason;

/// Styles that are remembered.
const MAX_STYLES: usize = 10_000;
/// Steps from a style to those that it is based on.
const MAX_BASES: usize = 16;

/// What a style makes of a paragraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest::parse) enum Role {
    Title,
    Heading(u8),
    /// An entry of a table of contents, which says what the headings say.
    Contents,
}

/// What is said of characters; what is not said is taken from elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    hidden: Option<bool>,
    struck: Option<bool>,
    stands: Option<Stands>,
}

impl Look {
    /// Takes one property, if it is one that changes what a reader reads.
    pub(super) fn property(&mut self, tag: &BytesStart<'_>) {
        let value = attribute(tag, "val");
        let on = !matches!(value.as_deref(), Some("0" | "false" | "off" | "none"));
        match tag.local_name().as_ref() {
            "vanish" => self.hidden = Some(on),
            // Either kind of line; a style that takes one of them away seldom means the other.
            "strike" | "dstrike" => self.struck = Some(on || self.struck == Some(true)),
            "vertAlign" => {
                self.stands = Some(match value.as_deref() {
                    Some("superscript") => Stands::Raised,
                    Some("subscript") => Stands::Lowered,
                    _ => Stands::OnTheLine,
                });
            }
            _ => {}
        }
    }

    /// The same, with what it does not say from another.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            hidden: self.hidden.or(other.hidden),
            struck: self.struck.or(other.struck),
            stands: self.stands.or(other.stands),
        }
    }

    /// Whether a reader reads it: what is struck out holds no more.
    pub(super) fn is_read(self) -> bool {
        self.hidden != Some(true) && self.struck != Some(true)
    }

    pub(super) fn stands(self) -> Stands {
        self.stands.unwrap_or_default()
    }
}

/// What a style says, with what it takes from those that it is based on.
#[derive(Debug, Clone, Default)]
pub(super) struct Style {
    pub(super) role: Option<Role>,
    pub(super) look: Look,
    /// The list that its paragraphs are numbered by, and the level in it.
    pub(super) list: Option<String>,
    pub(super) level: Option<usize>,
    based_on: Option<String>,
}

/// Styles by their ids.
pub(super) type Styles = HashMap<String, Style>;

/// Reads the styles.
pub(super) fn read(xml: &mut Xml<'_>) -> Result<Styles, FailureReason> {
    let (mut found, mut open, mut conditional) = (Styles::new(), None::<String>, false);
    events(xml, |event| {
        match event {
            Event::Start(tag) => match tag.local_name().as_ref() {
                "style" => open = attribute(&tag, "styleId").filter(|_| found.len() < MAX_STYLES),
                // Of a table's first row and the like.
                "tblStylePr" => conditional = true,
                _ if conditional => {}
                _ => {
                    if let Some(id) = &open {
                        found.entry(id.clone()).or_default().property(&tag);
                    }
                }
            },
            Event::End(tag) if tag.local_name().as_ref() == "tblStylePr" => conditional = false,
            _ => {}
        }
        Ok(())
    })?;
    Ok(found.keys().map(|id| (id.clone(), resolved(&found, id))).collect())
}

impl Style {
    fn property(&mut self, tag: &BytesStart<'_>) {
        let value = attribute(tag, "val");
        match (tag.local_name().as_ref(), value) {
            ("name", Some(value)) => self.role = self.role.or(named(&value)),
            ("basedOn", value) => self.based_on = value,
            ("outlineLvl", Some(value)) => self.role = self.role.or(outline(&value)),
            ("numId", value) => self.list = value,
            ("ilvl", Some(value)) => self.level = value.parse().ok(),
            _ => self.look.property(tag),
        }
    }
}

fn resolved(styles: &Styles, id: &str) -> Style {
    let mut style = styles.get(id).cloned().unwrap_or_default();
    for _ in 0..MAX_BASES {
        let Some(base) = style.based_on.take().and_then(|base| styles.get(&base)) else { break };
        style = Style {
            role: style.role.or(base.role),
            look: style.look.or(base.look),
            list: style.list.or_else(|| base.list.clone()),
            level: style.level.or(base.level),
            based_on: base.based_on.clone(),
        };
    }
    style
}

/// Word keeps these names in English whatever its language.
pub(in crate::ingest::parse) fn named(name: &str) -> Option<Role> {
    let name = name.to_lowercase();
    if name == "title" {
        return Some(Role::Title);
    }
    let level = |prefix| name.strip_prefix(prefix)?.parse::<u8>().ok().filter(|level| (1..=9).contains(level));
    level("heading ").map(|level| Role::Heading(level.min(6))).or(level("toc ").map(|_| Role::Contents))
}

/// The role that a level of the outline stands for; 9 is body text.
pub(in crate::ingest::parse) fn outline(level: &str) -> Option<Role> {
    let level: u8 = level.parse().ok()?;
    (level < 9).then(|| Role::Heading((level + 1).min(6)))
}
