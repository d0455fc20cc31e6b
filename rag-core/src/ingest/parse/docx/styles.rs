//! The styles of a DOCX document: which paragraphs are headings.

use std::collections::HashMap;

use quick_xml::events::Event;

use super::{Xml, attribute, events};
use crate::ingest::failure::FailureReason;

/// Styles that are remembered.
const MAX_STYLES: usize = 10_000;
/// Steps from a style to those that it is based on.
const MAX_BASES: usize = 16;

/// What a style makes of a paragraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Title,
    Heading(u8),
}

/// What styles make of paragraphs, by their ids.
pub(super) type Styles = HashMap<String, Role>;

#[derive(Default)]
struct Style {
    role: Option<Role>,
    based_on: Option<String>,
}

/// Reads the styles.
pub(super) fn read(xml: &mut Xml<'_>) -> Result<Styles, FailureReason> {
    let (mut found, mut open) = (HashMap::<String, Style>::new(), None::<String>);
    events(xml, |event| {
        let (Event::Start(tag) | Event::Empty(tag)) = event else { return Ok(()) };
        match tag.local_name().as_ref() {
            "style" => open = attribute(&tag, "styleId").filter(|_| found.len() < MAX_STYLES),
            name @ ("name" | "basedOn" | "outlineLvl") => {
                let (Some(id), Some(value)) = (&open, attribute(&tag, "val")) else { return Ok(()) };
                let style = found.entry(id.clone()).or_default();
                match name {
                    "name" => style.role = style.role.or(named(&value)),
                    "basedOn" => style.based_on = Some(value),
                    _ => style.role = style.role.or(outline(&value)),
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    let role = |id: &String| {
        let mut style = found.get(id);
        for _ in 0..MAX_BASES {
            match style {
                Some(Style { role: Some(role), .. }) => return Some(*role),
                Some(Style { based_on: Some(base), .. }) => style = found.get(base),
                Some(Style { based_on: None, .. }) | None => return None,
            }
        }
        None
    };
    Ok(found.keys().filter_map(|id| Some((id.clone(), role(id)?))).collect())
}

/// Word keeps these names in English whatever its language.
fn named(name: &str) -> Option<Role> {
    let name = name.to_lowercase();
    if name == "title" {
        return Some(Role::Title);
    }
    let level: u8 = name.strip_prefix("heading ")?.parse().ok()?;
    (1..=9).contains(&level).then(|| Role::Heading(level.min(6)))
}

/// The role that a level of the outline stands for; 9 is body text.
pub(super) fn outline(level: &str) -> Option<Role> {
    let level: u8 = level.parse().ok()?;
    (level < 9).then(|| Role::Heading((level + 1).min(6)))
}
