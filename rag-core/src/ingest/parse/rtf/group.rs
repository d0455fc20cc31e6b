//! What holds inside a group of RTF, and what of it a reader reads.

use std::collections::HashMap;

use encoding_rs::{Encoding, WINDOWS_1252};

use super::{
    super::{formula, line::Stands},
    encoding::{of_charset, of_page},
};

/// Fonts and styles that are remembered.
const MAX_KNOWN: usize = 10_000;

/// Where the text of a group goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Place {
    #[default]
    Text,
    Nowhere,
    Fonts,
    Styles,
    Title,
    Note,
    /// The top or bottom of pages.
    Running,
    /// The number or point of an item.
    Label,
    Formula,
}

/// What the beginning of a document says.
pub(super) struct Known {
    pub(super) encoding: &'static Encoding,
    fonts: HashMap<i64, &'static Encoding>,
    font: i64,
}

impl Default for Known {
    fn default() -> Self {
        Self { encoding: WINDOWS_1252, fonts: HashMap::new(), font: 0 }
    }
}

/// An open group.
#[derive(Clone, Default)]
pub(super) struct Group {
    pub(super) place: Place,
    /// Whether the place began with this group, and not with one around it.
    pub(super) begins: bool,
    /// Structures of a formula that end with the group.
    pub(super) opened: Option<String>,
    hidden: bool,
    struck: bool,
    deleted: bool,
    pub(super) stands: Stands,
    font: Option<&'static Encoding>,
    /// Characters that follow one that is written as a number.
    pub(super) fallback: usize,
    counted: bool,
}

impl Group {
    /// A group inside of it.
    pub(super) fn inner(&self) -> Self {
        Self { begins: false, opened: None, ..self.clone() }
    }

    pub(super) fn is_read(&self) -> bool {
        !self.hidden && !self.struck && !self.deleted && !matches!(self.place, Place::Nowhere | Place::Fonts)
    }

    pub(super) fn encoding(&self, known: &Known) -> &'static Encoding {
        self.font.unwrap_or(known.encoding)
    }

    pub(super) fn word(&mut self, word: &str, number: Option<i64>, ignorable: bool, known: &mut Known) {
        let on = number != Some(0);
        match word {
            "ansicpg" => known.encoding = number.and_then(of_page).unwrap_or(known.encoding),
            "mac" => known.encoding = of_page(10000).unwrap_or(known.encoding),
            "f" if self.place == Place::Fonts => known.font = number.unwrap_or(0),
            "fcharset" if known.fonts.len() < MAX_KNOWN => {
                known.fonts.extend(number.and_then(of_charset).map(|encoding| (known.font, encoding)));
            }
            "f" => self.font = number.and_then(|font| known.fonts.get(&font).copied()),
            "uc" => (self.fallback, self.counted) = (number.unwrap_or(1).clamp(0, 100) as usize, true),
            "plain" => {
                (self.hidden, self.struck, self.stands, self.font) = (false, false, Stands::OnTheLine, None);
            }
            "v" => self.hidden = on,
            "strike" | "striked" => self.struck = on,
            "deleted" => self.deleted = on,
            "super" => self.stands = if on { Stands::Raised } else { Stands::OnTheLine },
            "sub" => self.stands = if on { Stands::Lowered } else { Stands::OnTheLine },
            "nosupersub" => self.stands = Stands::OnTheLine,
            _ => self.destination(word, ignorable),
        }
        if !self.counted {
            (self.fallback, self.counted) = (1, true);
        }
    }

    fn destination(&mut self, word: &str, ignorable: bool) {
        let place = match word {
            "fonttbl" => Place::Fonts,
            "stylesheet" => Place::Styles,
            // Its title is inside, behind what is not read.
            "info" => Place::Nowhere,
            "title" if self.place == Place::Nowhere => Place::Title,
            "footnote" => Place::Note,
            "header" | "headerl" | "headerr" | "headerf" | "footer" | "footerl" | "footerr" | "footerf" => {
                Place::Running
            }
            "listtext" | "pntext" => Place::Label,
            "mmath" => Place::Formula,
            // The form of a text for programs that know Unicode, inside the one for those that do not.
            "upr" => Place::Nowhere,
            "ud" => Place::Text,
            "shptxt" | "shpinst" | "shp" | "result" => self.place,
            _ if is_left_out(word) => Place::Nowhere,
            _ if self.place == Place::Formula => return self.structure(word),
            _ if ignorable => Place::Nowhere,
            _ => return,
        };
        // Nothing comes back from what is left out, but for what stands in it under a name of its own.
        if self.place != Place::Nowhere || matches!(place, Place::Title | Place::Text) {
            (self.begins, self.place) = (place != self.place, place);
        }
    }

    /// Structures of formulas have the names that they have in XML, behind an `m`.
    fn structure(&mut self, word: &str) {
        let name = word.strip_prefix('m').unwrap_or_default();
        if self.opened.is_none() && (formula::is_structure(name) || formula::is_part(name)) {
            self.opened = Some(name.to_owned());
        }
    }
}

fn is_left_out(word: &str) -> bool {
    matches!(
        word,
        "colortbl"
            | "pict"
            | "objdata"
            | "fldinst"
            | "datafield"
            | "annotation"
            | "atnid"
            | "atnauthor"
            | "listtable"
            | "listoverridetable"
            | "revtbl"
            | "rsidtbl"
            | "generator"
            | "themedata"
            | "colorschememapping"
            | "latentstyles"
            | "datastore"
    ) || matches!(
        word,
        "xe" | "tc" | "bkmkstart" | "bkmkend" | "nonshppict" | "sp" | "mmathPict" | "mctrlPr" | "pgdsctbl"
    )
}
