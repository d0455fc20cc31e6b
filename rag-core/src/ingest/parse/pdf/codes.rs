//! Letters that a font does not name: what their codes tell.
//!
//! Embedded Chinese, Japanese and Korean fonts name the collection that their letters are of. Fonts with one byte for each letter mostly keep the codes of ASCII, whatever they call their letters (`a65`, `g33`).

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use hayro_interpret::{
    hayro_cmap::{BfString, CMap, CMapName, CidFamily, load_embedded},
    hayro_syntax::{
        object::{Array, Dict, Name, String as PdfString},
        page::Page,
    },
};

/// From codes to places in a collection, and from those to letters.
struct Tables {
    places: CMap,
    letters: CMap,
}

/// How the codes of a font are read.
#[derive(Clone)]
enum Coded {
    /// One byte for each letter.
    Simple,
    /// By tables, where the font names them.
    Composite(Option<Rc<Tables>>),
}

/// How the codes of fonts are read, by the name of each; kept for the document, because the tables are large.
#[derive(Default)]
pub(super) struct Codes {
    known: RefCell<HashMap<String, Coded>>,
    /// Whether the page has a font of several bytes for a letter that it does not hold, which cannot be told from one of one byte.
    unsure: Cell<bool>,
}

impl Codes {
    /// Learns the fonts of a page; those of the forms in it are not looked at.
    pub(super) fn learn(&self, page: &Page<'_>) {
        let (fonts, mut unsure) = (&page.resources().fonts, false);
        for font in fonts.keys().filter_map(|name| fonts.get::<Dict<'_>>(name)) {
            let Some(name) = font.get::<Name<'_>>("BaseFont") else { continue };
            unsure |= is_composite(&font) && !is_embedded(&font);
            let mut known = self.known.borrow_mut();
            known.entry(without_prefix(name.as_str()).to_owned()).or_insert_with(|| coded(&font));
        }
        self.unsure.set(unsure);
    }

    /// The letter of a code in a font of which nothing is known.
    pub(super) fn unnamed(&self, code: u32) -> Option<BfString> {
        if self.unsure.get() { None } else { of_one_byte(code) }
    }

    /// The letter of a code in the font of this name.
    pub(super) fn letter(&self, font: &str, code: u32) -> Option<BfString> {
        let coded = self.known.borrow().get(font)?.clone();
        match coded {
            Coded::Simple => of_one_byte(code),
            Coded::Composite(tables) => {
                let tables = tables?;
                let place = (1..=4).find_map(|bytes| tables.places.lookup_cid_code(code, bytes))?;
                tables.letters.lookup_bf_string(place)
            }
        }
    }
}

/// Whether a font has codes of several bytes.
fn is_composite(font: &Dict<'_>) -> bool {
    font.get::<Name<'_>>("Subtype").is_some_and(|kind| kind.as_str() == "Type0")
}

/// Whether the document holds the letters of such a font.
fn is_embedded(font: &Dict<'_>) -> bool {
    let described = described(font).and_then(|described| described.get::<Dict<'_>>("FontDescriptor"));
    described
        .is_some_and(|described| ["FontFile", "FontFile2", "FontFile3"].iter().any(|file| described.contains_key(file)))
}

fn described<'a>(font: &Dict<'a>) -> Option<Dict<'a>> {
    font.get::<Array<'_>>("DescendantFonts")?.iter::<Dict<'_>>().next()
}

/// The letter of a code in a font with one byte for each letter.
pub(super) fn of_one_byte(code: u32) -> Option<BfString> {
    let letter = char::from_u32(code)?;
    (letter.is_ascii_graphic() || letter == ' ').then_some(BfString::Char(letter))
}

fn coded(font: &Dict<'_>) -> Coded {
    if is_composite(font) { Coded::Composite(tables(font).map(Rc::new)) } else { Coded::Simple }
}

/// Without the six letters that name a part of a font.
fn without_prefix(name: &str) -> &str {
    name.split_once('+').filter(|(prefix, _)| prefix.len() == 6).map_or(name, |(_, name)| name)
}

fn tables(font: &Dict<'_>) -> Option<Tables> {
    let encoding = font.get::<Name<'_>>("Encoding")?;
    let places = match CMapName::from_bytes(encoding.as_ref()) {
        CMapName::IdentityH => CMap::identity_h(),
        CMapName::IdentityV => CMap::identity_v(),
        name => CMap::parse(load_embedded(name)?, load_embedded)?,
    };
    let named = places.metadata().character_collection.as_ref().map(|collection| collection.family.clone());
    let family = named.filter(|family| *family != CidFamily::AdobeIdentity).or_else(|| family(font))?;
    let letters = CMap::parse(load_embedded(family.ucs2_cmap()?)?, load_embedded)?;
    Some(Tables { places, letters })
}

/// The collection that the font itself names.
fn family(font: &Dict<'_>) -> Option<CidFamily> {
    let system = described(font)?.get::<Dict<'_>>("CIDSystemInfo")?;
    let text = |key: &str| system.get::<PdfString<'_>>(key);
    Some(CidFamily::from_registry_ordering(text("Registry")?.as_bytes(), text("Ordering")?.as_bytes()))
}
