//! A ZIP archive whose parts are read one by one, each up to a bound, and all of them up to another.

use std::{collections::HashMap, io::Cursor};

use zip::ZipArchive;

use super::markup::{self, Xml, malformed};
use crate::ingest::failure::FailureReason;

/// Bytes that one part may inflate to. Whole books stay below a tenth of it.
const MAX_INFLATED: u64 = 64 << 20;
/// Bytes that all the parts that are read may inflate to.
const MAX_IN_ALL: u64 = 256 << 20;
/// Parts of an archive. A document with a thousand pictures has some more than a thousand.
const MAX_PARTS: usize = 50_000;

/// An archive and the names of its parts.
pub(super) struct Archive<'b> {
    zip: ZipArchive<Cursor<&'b [u8]>>,
    /// Where each part is. Programs write one name in capitals here and small letters there, or with `\`.
    parts: HashMap<String, usize>,
    left: u64,
}

impl<'b> Archive<'b> {
    /// Opens a document of that kind.
    pub(super) fn open(bytes: &'b [u8], label: &str) -> Result<Self, FailureReason> {
        let zip =
            ZipArchive::new(Cursor::new(bytes)).map_err(|e| malformed(format!("it is no {label} document: {e}")))?;
        if zip.len() > MAX_PARTS {
            return Err(malformed(format!(
                "it has {} parts, more than {MAX_PARTS}; it may be built to exhaust the reader",
                zip.len()
            )));
        }
        let parts = (0..zip.len()).filter_map(|at| Some((normal(&zip.name_for_index(at)?.ok()?), at))).collect();
        Ok(Self { zip, parts, left: MAX_IN_ALL })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.parts.contains_key(&normal(name))
    }

    /// The names of the parts, in small letters.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(String::as_str)
    }

    /// Refuses an archive that says of a part that it inflates to more, for who reads it without a bound.
    pub(super) fn check_declared(&mut self, most: u64) -> Result<(), FailureReason> {
        for at in 0..self.zip.len() {
            let part =
                self.zip.by_index_raw(at).map_err(|e| malformed(format!("its part {at} cannot be read: {e}")))?;
            if part.size() > most {
                return Err(too_large(&part.name().unwrap_or_default(), most));
            }
        }
        Ok(())
    }

    /// Reads one part as XML, if it is there.
    pub(super) fn part<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Xml<'_>) -> Result<T, FailureReason>,
    ) -> Result<Option<T>, FailureReason> {
        let Some(at) = self.parts.get(&normal(name)).copied() else { return Ok(None) };
        let most = self.left.min(MAX_INFLATED);
        let file = self.zip.by_index(at).map_err(|e| malformed(format!("{name} cannot be read: {e}")))?;
        // What the archive says of itself may be a lie; the bound below is not.
        if file.size() > most {
            return Err(too_large(name, most));
        }
        let mut xml = markup::reader(Box::new(file), most);
        let value = read(&mut xml)?;
        let left = markup::left(&xml);
        if left == 0 {
            return Err(too_large(name, most));
        }
        self.left -= most - left;
        Ok(Some(value))
    }
}

/// A part's name as it is compared.
fn normal(name: &str) -> String {
    name.trim_start_matches(['/', '\\']).replace('\\', "/").to_lowercase()
}

fn too_large(name: &str, most: u64) -> FailureReason {
    malformed(format!("{name} inflates to more than {most} bytes; it may be built to exhaust the reader"))
}
