//! What is no document, or none that is read, by the ends of names and by beginnings, with what to do about it.

use super::{Begins, Format, ZIP};
use crate::ingest::failure::FailureReason;

/// A kind of file that holds no text, or not in a way that is read.
pub(super) struct Foreign {
    what: &'static str,
    pub(super) extensions: &'static [&'static str],
    begins: &'static [&'static [u8]],
    /// What helps, if anything does.
    remedy: Option<&'static str>,
}

const OCR: Option<&str> = Some("run OCR first, and ingest the text that it finds");
const UNPACK: Option<&str> = Some("unpack it, and ingest the folder");
const TRANSCRIPT: Option<&str> = Some("ingest a transcript of it");
const DOCX: Option<&str> = Some("save it as .docx");

/// An entry without extensions is told by its beginning alone, one without a beginning by its extension alone.
pub(super) const FOREIGN: &[Foreign] = &[
    Foreign {
        what: "a ZIP archive or an office document",
        extensions: &["zip"],
        begins: &[ZIP],
        remedy: Some("name it as what it is, or unpack it and ingest the folder"),
    },
    Foreign { what: "gzip data", extensions: &["gz", "tgz"], begins: &[b"\x1f\x8b"], remedy: UNPACK },
    Foreign { what: "bzip2 data", extensions: &["bz2"], begins: &[b"BZh"], remedy: UNPACK },
    Foreign { what: "xz data", extensions: &["xz"], begins: &[b"\xfd7zXZ"], remedy: UNPACK },
    Foreign { what: "zstd data", extensions: &["zst"], begins: &[b"\x28\xb5\x2f\xfd"], remedy: UNPACK },
    Foreign { what: "a 7-Zip archive", extensions: &["7z"], begins: &[b"7z\xbc\xaf\x27\x1c"], remedy: UNPACK },
    Foreign { what: "a RAR archive", extensions: &["rar"], begins: &[b"Rar!\x1a\x07"], remedy: UNPACK },
    Foreign { what: "a tar archive", extensions: &["tar"], begins: &[], remedy: UNPACK },
    // Word, Excel and PowerPoint of before 2007, and the envelope around what they lock with a password.
    Foreign {
        what: "an office document of before 2007, or one with a password",
        extensions: &[],
        begins: &[b"\xd0\xcf\x11\xe0"],
        remedy: Some("save it in the format of today and without a password"),
    },
    Foreign { what: "a Word document of before 2007", extensions: &["doc", "dot"], begins: &[], remedy: DOCX },
    Foreign { what: "a word processor's document", extensions: &["pages", "wpd", "wps"], begins: &[], remedy: DOCX },
    Foreign { what: "a PNG image", extensions: &["png"], begins: &[b"\x89PNG"], remedy: OCR },
    Foreign { what: "a JPEG image", extensions: &["jpg", "jpeg"], begins: &[b"\xff\xd8\xff"], remedy: OCR },
    Foreign { what: "a GIF image", extensions: &["gif"], begins: &[b"GIF8"], remedy: OCR },
    Foreign { what: "a TIFF image", extensions: &["tif", "tiff"], begins: &[b"II*\0", b"MM\0*"], remedy: OCR },
    Foreign { what: "an image", extensions: &["bmp", "webp", "heic", "heif"], begins: &[], remedy: OCR },
    Foreign { what: "a scan", extensions: &["djvu"], begins: &[b"AT&TFORM"], remedy: OCR },
    Foreign {
        what: "sound or a film",
        extensions: &["mp3", "m4a", "wav", "ogg", "flac", "mp4", "m4v", "mov", "mkv", "webm", "avi"],
        begins: &[],
        remedy: TRANSCRIPT,
    },
    Foreign { what: "a program", extensions: &[], begins: &[b"\x7fELF", b"MZ\x90"], remedy: None },
];

/// What is said of a file whose extension no format has: what it is and what helps, as far as that is known.
pub(in crate::ingest) fn unknown(extension: Option<&str>) -> String {
    let Some(extension) = extension else {
        return format!("unknown type (no extension); {} can be read", Format::ends());
    };
    match FOREIGN.iter().find(|kind| kind.extensions.contains(&extension)) {
        Some(Foreign { what, remedy: Some(remedy), .. }) => format!("unknown type .{extension} ({what}); {remedy}"),
        _ => format!("unknown type .{extension}; {} can be read", Format::ends()),
    }
}

/// Refuses bytes at the start of a document that are not those of its format.
pub(in crate::ingest) fn check_start(format: Format, start: &[u8]) -> Result<(), FailureReason> {
    let facts = format.facts();
    let fits = match facts.begins {
        Begins::Text => false,
        Begins::Anyhow => true,
        Begins::With(magic) => start.starts_with(magic),
        Begins::Soon(magic) => start.windows(magic.len()).any(|bytes| bytes == magic),
    };
    if fits {
        return Ok(());
    }
    let label = facts.label;
    let not_like = if format.is_binary() { format!(", not like a {label} document") } else { String::new() };
    let what = match looks_like(start) {
        Some((what, remedy)) => format!("it begins like {what}{not_like}{remedy}"),
        None if format.is_binary() => format!("it does not begin like a {label} document"),
        None => return Ok(()),
    };
    Err(FailureReason::Binary { what })
}

/// What these bytes are the beginning of, and what helps.
fn looks_like(start: &[u8]) -> Option<(String, String)> {
    let foreign = FOREIGN.iter().find(|kind| kind.begins.iter().any(|magic| start.starts_with(magic)));
    if let Some(kind) = foreign {
        return Some((kind.what.to_owned(), kind.remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default()));
    }
    let begins = |format: &&Format| match format.facts().begins {
        Begins::Text | Begins::Anyhow => false,
        Begins::With(magic) | Begins::Soon(magic) => start.starts_with(magic),
    };
    let facts = Format::ALL.iter().find(begins)?.facts();
    Some((format!("a {} document", facts.label), format!("; name it .{}", facts.extensions.first()?)))
}
