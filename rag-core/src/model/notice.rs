//! What is said of a document that was ingested all the same: what of it was not read, and what to do about it.
//!
//! Guarantee: bounded in number and size, whoever says it, so that it may stand in records and answers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Notices of one document; there are as many kinds, and few documents have more than one.
const NOTICES: usize = 8;
/// Runs of pages that are named. Who sees as many knows what is wrong, and the count is exact.
const RUNS: usize = 20;
/// Bytes of a cause.
const CAUSE_BYTES: usize = 200;

/// Something that is said of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "notice")]
pub enum Notice {
    /// Pages that hold no text, such as scanned ones.
    PagesWithoutText {
        /// Which.
        pages: Pages,
    },
    /// It is in another encoding than UTF-8.
    Decoded {
        /// Which, by its name in the web's standard.
        encoding: String,
        /// Whether nobody said so.
        guessed: bool,
    },
    /// Pages that could not be read.
    PagesUnread {
        /// Which.
        pages: Pages,
        /// Why, and what to do about it.
        cause: String,
    },
}

impl Notice {
    /// The kind, as a metric label: a closed set.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PagesWithoutText { .. } => "pages_without_text",
            Self::PagesUnread { .. } => "pages_unread",
            Self::Decoded { .. } => "decoded",
        }
    }

    /// What is left of it within the bounds.
    fn bounded(self) -> Self {
        match self {
            Self::PagesWithoutText { pages } => Self::PagesWithoutText { pages: pages.bounded() },
            Self::Decoded { encoding, guessed } => Self::Decoded {
                encoding: encoding.chars().filter(|c| c.is_ascii_graphic()).take(40).collect(),
                guessed,
            },
            Self::PagesUnread { pages, cause } => {
                let end = cause.floor_char_boundary(CAUSE_BYTES);
                let cause = cause[..end].chars().filter(|c| !c.is_control()).collect();
                Self::PagesUnread { pages: pages.bounded(), cause }
            }
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PagesWithoutText { pages } => {
                let have = if pages.count == 1 { "has" } else { "have" };
                write!(f, "{} of {} {have} no text ({pages}): run OCR first", pages.count, pages.total())
            }
            Self::Decoded { encoding, guessed: false } => write!(f, "read as {encoding}, as it says"),
            Self::Decoded { encoding, guessed: true } => {
                write!(f, "read as {encoding}, which it looks like: where letters are wrong, save it as UTF-8")
            }
            Self::PagesUnread { pages, cause } => {
                write!(f, "{} of {} cannot be read in full ({pages}): {cause}", pages.count, pages.total())
            }
        }
    }
}

/// Some of a document's pages. Their count is exact; beyond a bound they are not named any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// Pages of the document.
    of: u32,
    /// How many of them are meant.
    count: u32,
    /// The first and the last page of each run of them, from 1.
    runs: Vec<(u32, u32)>,
}

impl Pages {
    /// None of so many pages.
    pub fn none_of(of: u32) -> Self {
        Self { of, count: 0, runs: Vec::new() }
    }

    /// Adds a page behind those before.
    pub fn add(&mut self, page: u32) {
        self.count = self.count.saturating_add(1);
        match self.runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(page) => *last = page,
            _ => {
                if self.runs.len() <= RUNS {
                    self.runs.push((page, page));
                }
            }
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn total(&self) -> String {
        if self.of == 1 { "1 page".to_owned() } else { format!("{} pages", self.of) }
    }

    fn bounded(mut self) -> Self {
        self.runs.truncate(RUNS + 1);
        self
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.runs.iter().take(RUNS).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        // One run more than are shown tells that there are more.
        f.write_str(if self.runs.len() > RUNS { ", and more" } else { "" })
    }
}

/// What is said of one document, in the order in which it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Notices(Vec<Notice>);

impl Notices {
    /// Nothing is said.
    pub const NONE: Self = Self(Vec::new());

    /// Says one more thing, within the bounds.
    pub fn add(&mut self, notice: Notice) {
        if self.0.len() < NOTICES {
            self.0.push(notice.bounded());
        }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is said.
    pub fn iter(&self) -> std::slice::Iter<'_, Notice> {
        self.0.iter()
    }
}

/// Leaves out what this version does not know: a newer one may have written it, and the document stands all the same.
impl<'de> Deserialize<'de> for Notices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = Vec::<serde_json::Value>::deserialize(deserializer)?;
        let mut notices = Self::NONE;
        said.into_iter()
            .filter_map(|notice| serde_json::from_value(notice).ok())
            .for_each(|notice| notices.add(notice));
        Ok(notices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(of: u32, named: impl IntoIterator<Item = u32>) -> Pages {
        let mut pages = Pages::none_of(of);
        named.into_iter().for_each(|page| pages.add(page));
        pages
    }

    #[test]
    fn a_notice_is_a_sentence_with_its_remedy() {
        let said = |pages| Notice::PagesWithoutText { pages }.to_string();
        assert_eq!(said(pages(10, 2..=10)), "9 of 10 pages have no text (2-10): run OCR first");
        assert_eq!(said(pages(5, [2, 4, 5])), "3 of 5 pages have no text (2, 4-5): run OCR first");
        assert_eq!(said(pages(3, [3])), "1 of 3 pages has no text (3): run OCR first");
        let unread = Notice::PagesUnread { pages: pages(3, [2]), cause: "damaged; save it again".to_owned() };
        let wanted = "1 of 3 pages cannot be read in full (2): damaged; save it again";
        assert_eq!(unread.to_string(), wanted);
    }

    #[test]
    fn notices_are_bounded_whatever_is_said() {
        let mut notices = Notices::NONE;
        for n in 0..1000 {
            let cause = format!("{n}\u{1b}{}", "ü".repeat(5000));
            notices.add(Notice::PagesUnread { pages: pages(u32::MAX, (0..1000).map(|n| 2 * n)), cause });
        }
        let written = serde_json::to_string(&notices).unwrap();
        assert!(written.len() < 6000, "{} bytes", written.len());
        assert!(notices.iter().all(|notice| !notice.to_string().contains('\u{1b}')));
        let said = notices.iter().next().unwrap().to_string();
        assert!(said.starts_with("1000 of ") && said.contains("36, 38, and more)"), "{said}");
        let read: Notices = serde_json::from_str(&written).unwrap();
        assert_eq!(read, notices);
        // What somebody else wrote is brought within the bounds as well.
        let runs = vec![(1, 1); 100_000];
        let foreign =
            serde_json::json!([{"notice": "pages_without_text", "pages": {"of": 1, "count": 1, "runs": runs}}]);
        let read: Notices = serde_json::from_value(foreign).unwrap();
        assert!(serde_json::to_string(&read).unwrap().len() < 400);
    }

    #[test]
    fn a_notice_of_a_newer_version_is_left_out_and_the_others_stay() {
        let known = Notice::PagesWithoutText { pages: pages(2, [2]) };
        let said = serde_json::json!([{"notice": "of_tomorrow", "x": 1}, known, 7]);
        let read: Notices = serde_json::from_value(said).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), [&known]);
    }
}
