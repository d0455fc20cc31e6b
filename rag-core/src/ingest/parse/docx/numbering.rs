//! The numbers that Word puts before paragraphs by itself: `1.2`, `(a)`, `IV.`; pure.
//!
//! They stand nowhere in the text, and other texts refer to them.

use std::collections::{HashMap, HashSet};

use quick_xml::events::{BytesStart, Event};

use super::super::{
    markup::{Xml, attribute, events},
    ordinal::written,
};
use crate::ingest::failure::FailureReason;

/// Levels of a list.
const LEVELS: usize = 9;
/// Lists that are remembered.
const MAX_LISTS: usize = 10_000;
/// Bytes of what stands around the numbers.
const MAX_TEXT: usize = 200;

/// How one level of a list counts.
#[derive(Debug, Clone, Default)]
struct Level {
    start: u32,
    format: String,
    /// With `%1` for the number of the first level.
    text: String,
    /// The level after which it begins again, counted from 1; 0 for never.
    restart: Option<usize>,
    /// Whether outer numbers are written in digits whatever they are elsewhere.
    legal: bool,
    /// The style whose paragraphs are of this level.
    style: Option<String>,
}

#[derive(Debug, Default)]
struct Pattern {
    levels: Vec<Level>,
    /// The name of the style that this pattern is, and that of the style whose pattern is meant.
    is: Option<String>,
    means: Option<String>,
}

#[derive(Debug, Default)]
struct List {
    pattern: String,
    /// Levels that begin elsewhere in this list.
    starts: HashMap<usize, u32>,
    /// Levels that are other ones in this list.
    levels: HashMap<usize, Level>,
}

/// The lists of a document.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    patterns: HashMap<String, Pattern>,
    lists: HashMap<String, List>,
}

/// What stands before a paragraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Label {
    Bullet,
    Number {
        text: String,
        /// Whether it names the items around it as well, as `1.2` does.
        whole: bool,
    },
}

/// Where the lists are.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// By pattern: lists of one pattern go on counting.
    reached: HashMap<String, [Option<u32>; LEVELS]>,
    begun: HashSet<String>,
}

/// Reads the lists.
pub(super) fn read(xml: &mut Xml<'_>) -> Result<Numbering, FailureReason> {
    let mut reading = Reading::default();
    events(xml, |event| {
        match event {
            Event::Start(tag) => reading.start(&tag),
            Event::End(tag) => reading.end(tag.local_name().as_ref()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(reading.into)
}

#[derive(Default)]
struct Reading {
    into: Numbering,
    pattern: Option<(String, Pattern)>,
    list: Option<(String, List)>,
    level: Option<(usize, Level)>,
    /// The level that an exception of a list is about.
    exception: usize,
}

impl Reading {
    fn start(&mut self, tag: &BytesStart<'_>) {
        let value = || attribute(tag, "val").unwrap_or_default();
        let at = || attribute(tag, "ilvl").and_then(|level| level.parse().ok()).filter(|level| *level < LEVELS);
        match tag.local_name().as_ref() {
            "abstractNum" => self.pattern = attribute(tag, "abstractNumId").map(|id| (id, Pattern::default())),
            "num" => self.list = attribute(tag, "numId").map(|id| (id, List::default())),
            "lvl" => self.level = at().map(|at| (at, Level::default())),
            "lvlOverride" => self.exception = at().unwrap_or(0),
            "abstractNumId" => {
                if let Some((_, list)) = &mut self.list {
                    list.pattern = value();
                }
            }
            "startOverride" => {
                if let (Some((_, list)), Ok(start)) = (&mut self.list, value().parse()) {
                    list.starts.insert(self.exception, start);
                }
            }
            "styleLink" | "numStyleLink" => {
                if let Some((_, pattern)) = &mut self.pattern {
                    let link =
                        if tag.local_name().as_ref() == "styleLink" { &mut pattern.is } else { &mut pattern.means };
                    *link = Some(value());
                }
            }
            name => {
                if let Some((_, level)) = &mut self.level {
                    level.property(name, value());
                }
            }
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "abstractNum" => {
                let known = self.into.patterns.len();
                self.into.patterns.extend(self.pattern.take().filter(|_| known < MAX_LISTS));
            }
            "num" => {
                let known = self.into.lists.len();
                self.into.lists.extend(self.list.take().filter(|_| known < MAX_LISTS));
            }
            "lvl" => {
                let Some((at, level)) = self.level.take() else { return };
                match (&mut self.pattern, &mut self.list) {
                    (Some((_, pattern)), _) => {
                        pattern.levels.resize_with(pattern.levels.len().max(at + 1), Level::default);
                        pattern.levels[at] = level;
                    }
                    (None, Some((_, list))) => drop(list.levels.insert(at, level)),
                    (None, None) => {}
                }
            }
            _ => {}
        }
    }
}

impl Level {
    fn property(&mut self, name: &str, value: String) {
        match name {
            "start" => self.start = value.parse().unwrap_or(0),
            "numFmt" => self.format = value,
            "lvlText" if value.len() <= MAX_TEXT => self.text = value,
            "lvlRestart" => self.restart = value.parse().ok(),
            "isLgl" => self.legal = !matches!(value.as_str(), "0" | "false" | "off"),
            "pStyle" => self.style = Some(value),
            _ => {}
        }
    }
}

impl Numbering {
    /// The id of the pattern of a list, through the style that it may stand for.
    fn pattern_of(&self, list: &str) -> Option<(&str, &Pattern)> {
        let id = &self.lists.get(list)?.pattern;
        let (id, pattern) = self.patterns.get_key_value(id)?;
        let Some(means) = &pattern.means else { return Some((id, pattern)) };
        let meant = self.patterns.iter().filter(|(_, pattern)| pattern.is.as_ref() == Some(means));
        let meant = meant.min_by_key(|(id, _)| *id);
        Some(meant.map_or((id.as_str(), pattern), |(id, pattern)| (id.as_str(), pattern)))
    }

    /// The level of a list that the paragraphs of a style are of.
    pub(super) fn level_of_style(&self, list: &str, style: &str) -> Option<usize> {
        let (_, pattern) = self.pattern_of(list)?;
        pattern.levels.iter().position(|level| level.style.as_deref() == Some(style))
    }
}

impl Counters {
    /// Counts a paragraph of a list, and says what stands before it.
    pub(super) fn next(&mut self, numbering: &Numbering, list: &str, at: usize) -> Option<Label> {
        let at = at.min(LEVELS - 1);
        // A list that is defined nowhere is one all the same.
        let Some(((id, pattern), own)) = numbering.pattern_of(list).zip(numbering.lists.get(list)) else {
            return Some(Label::Bullet);
        };
        let level = |at: usize| own.levels.get(&at).or(pattern.levels.get(at));
        let start = |at: usize| own.starts.get(&at).copied().or(level(at).map(|level| level.start)).unwrap_or(1);
        let reached = self.reached.entry(id.to_owned()).or_default();
        if self.begun.insert(list.to_owned()) {
            for at in own.starts.keys() {
                reached[*at] = None;
            }
        }
        reached[at] = Some(reached[at].map_or_else(|| start(at), |count| count.saturating_add(1)));
        for (inner, reached) in reached.iter_mut().enumerate().skip(at + 1) {
            let after = level(inner).and_then(|level| level.restart).unwrap_or(inner);
            if at < after {
                *reached = None;
            }
        }
        let level = level(at)?;
        if level.format == "bullet" {
            return Some(Label::Bullet);
        }
        let (mut text, mut whole) = (String::new(), false);
        let mut rest = level.text.as_str();
        while let Some((before, after)) = rest.split_once('%') {
            text.push_str(before);
            let other = after.chars().next().and_then(|digit| digit.to_digit(10)).filter(|digit| *digit > 0);
            let Some(other) = other.map(|digit| digit as usize - 1) else {
                text.push('%');
                rest = after;
                continue;
            };
            rest = &after[1..];
            whole |= other < at;
            let format = own.levels.get(&other).or(pattern.levels.get(other)).map_or("", |level| &level.format);
            let count = reached[other].unwrap_or_else(|| start(other));
            text.push_str(&written(count, if level.legal { "decimal" } else { format }));
        }
        text.push_str(rest);
        let text = text.trim();
        (!text.is_empty()).then(|| Label::Number { text: text.to_owned(), whole })
    }
}
