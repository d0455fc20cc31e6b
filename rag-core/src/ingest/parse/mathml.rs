//! Formulas in MathML, whose parts are known by their places.

use quick_xml::events::Event;

use super::{
    formula::Formula,
    markup::{Xml, events, text_of},
};
use crate::ingest::failure::FailureReason;

/// Elements inside each other that are looked at.
const MAX_DEPTH: usize = 150;

/// What an element is: a structure, what its children are in turn, and whether all of them are one part.
type Meaning = (Option<&'static str>, &'static [&'static str], bool);

fn meaning(name: &str) -> Meaning {
    match name {
        "mfrac" => (Some("f"), &["num", "den"], false),
        "msup" => (Some("sSup"), &["e", "sup"], false),
        "msub" => (Some("sSub"), &["e", "sub"], false),
        "msubsup" | "munderover" => (Some("sSubSup"), &["e", "sub", "sup"], false),
        "munder" => (Some("limLow"), &["e", "lim"], false),
        "mover" => (Some("acc"), &["e", "lim"], false),
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
    children: std::slice::Iter<'static, &'static str>,
    last: Option<&'static str>,
    opened: usize,
}

/// Reads the formula that a part is, if it is one.
pub(super) fn read(xml: &mut Xml<'_>) -> Result<Option<String>, FailureReason> {
    let (mut formula, mut open, mut is_math, mut left_out) = (Formula::default(), Vec::<Open>::new(), false, 0_usize);
    events(xml, |event| {
        match &event {
            Event::Start(tag) => {
                let name = tag.local_name();
                is_math |= name.as_ref() == "math";
                // What the program wrote it from.
                if left_out > 0 || matches!(name.as_ref(), "annotation" | "annotation-xml") || open.len() >= MAX_DEPTH {
                    left_out += 1;
                } else {
                    let within = open.last_mut();
                    let part = within.and_then(|within| within.children.next().copied().or(within.last));
                    open.push(begin(&mut formula, part, meaning(name.as_ref())));
                }
            }
            Event::End(_) if left_out > 0 => left_out -= 1,
            Event::End(_) => {
                let opened = open.pop().map_or(0, |open| open.opened);
                (0..opened).for_each(|_| formula.close());
            }
            _ if left_out == 0 => {
                let text = text_of(&event).unwrap_or_default();
                // Signs that say what stands beside what, and are not seen.
                let text = text.trim().replace(|c| ('\u{2061}'..='\u{2064}').contains(&c), "");
                formula.text(&text);
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(is_math.then(|| formula.finish()).filter(|text| !text.is_empty()))
}

fn begin(formula: &mut Formula, part: Option<&str>, (structure, children, whole): Meaning) -> Open {
    let mut opened = 0;
    if let Some(part) = part {
        formula.part(part);
        opened += 1;
    }
    if let Some(structure) = structure {
        formula.structure(structure);
        opened += 1;
    }
    if whole {
        children.iter().for_each(|part| formula.part(part));
        opened += children.len();
    }
    let children = if whole { &[] } else { children };
    Open { children: children.iter(), last: children.last().copied(), opened }
}
