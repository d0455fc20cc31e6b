//! Text outside pages: titles, values of fields, what marked content reads as.

/// A text string of a document: UTF-16 or UTF-8 where it says so, else the encoding of its own.
pub(super) fn decoded(bytes: &[u8]) -> String {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.as_chunks().0.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xfe, 0xff, rest @ ..] => unmarked(&wide(rest, u16::from_be_bytes)),
        [0xff, 0xfe, rest @ ..] => unmarked(&wide(rest, u16::from_le_bytes)),
        [0xef, 0xbb, 0xbf, rest @ ..] => unmarked(&String::from_utf8_lossy(rest)),
        _ => bytes.iter().map(|byte| own(*byte)).collect(),
    }
}

/// Without the marks of a language, which stand between two escapes.
fn unmarked(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    parts.skip(1).step_by(2).for_each(|part| whole.push_str(part));
    whole
}

/// A character of PDFDocEncoding, which is Latin-1 but for two rows.
fn own(byte: u8) -> char {
    const ACCENTS: [char; 8] = ['˘', 'ˇ', 'ˆ', '˙', '˝', '˛', '˚', '˜'];
    const MARKS: [char; 33] = [
        '•', '†', '‡', '…', '—', '–', 'ƒ', '⁄', '‹', '›', '−', '‰', '„', '“', '”', '‘', '’', '‚', '™', 'ﬁ', 'ﬂ', 'Ł',
        'Œ', 'Š', 'Ÿ', 'Ž', 'ı', 'ł', 'œ', 'š', 'ž', '\u{fffd}', '€',
    ];
    match byte {
        0x18..=0x1f => ACCENTS[usize::from(byte - 0x18)],
        0x80..=0xa0 => MARKS[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_string_is_read_in_the_encoding_that_it_says() {
        assert_eq!(decoded(b"Gr\xf6\xdfe \x84fett\x8d \xa0 5"), "Größe —fett“ € 5");
        assert_eq!(decoded(b"\xfe\xff\x00G\x00r\x00\xf6"), "Grö");
        assert_eq!(decoded(b"\xff\xfeG\x00r\x00\xf6\x00"), "Grö");
        assert_eq!(decoded(b"\xef\xbb\xbfGr\xc3\xb6"), "Grö");
        assert_eq!(decoded(b"\xfe\xff\x00\x1b\x00d\x00e\x00\x1b\x00J\x00a"), "Ja");
        assert_eq!(decoded(b"\xfe\xff\xd8"), "");
    }
}
