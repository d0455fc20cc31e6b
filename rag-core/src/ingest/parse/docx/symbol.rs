//! Characters of symbol fonts, which Word writes as numbers in a font's own order.

/// The letters and signs of the font Symbol from 0x41 on, `\u{fffd}` for what has none; those below stand for themselves, but for some.
const SYMBOL: &str = "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_\u{203e}αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼";
/// The same from 0xA1 on.
const SYMBOL_HIGH: &str = "ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…\u{fffd}\u{fffd}\u{fffd}ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑";
/// Signs of Wingdings that say something.
const WINGDINGS: [(u8, char); 18] = [
    (0x4a, '☺'),
    (0x4c, '☹'),
    (0x6c, '●'),
    (0x6e, '■'),
    (0x6f, '□'),
    (0x71, '❑'),
    (0x76, '❖'),
    (0xa7, '▪'),
    (0xa8, '◻'),
    (0xdf, '←'),
    (0xe0, '→'),
    (0xe1, '↑'),
    (0xe2, '↓'),
    (0xf0, '⇨'),
    (0xfb, '✗'),
    (0xfc, '✓'),
    (0xfd, '☒'),
    (0xfe, '☑'),
];

/// The character that a font shows for a number; none where nobody knows.
pub(super) fn character(font: &str, number: &str) -> Option<char> {
    let number = u32::from_str_radix(number, 16).ok()?;
    let own = match number {
        // Where symbol fonts have their characters.
        0xf000..=0xf0ff => (number & 0xff) as u8,
        0..=0xff => number as u8,
        _ => return char::from_u32(number).filter(|c| !('\u{e000}'..='\u{f8ff}').contains(c)),
    };
    let known = match font {
        "Symbol" => match own {
            0x22 => Some('∀'),
            0x24 => Some('∃'),
            0x27 => Some('∋'),
            0x2a => Some('∗'),
            0x2d => Some('−'),
            0x40 => Some('≅'),
            0x20..0x40 => Some(char::from(own)),
            0x41..=0x7e => SYMBOL.chars().nth(usize::from(own - 0x41)),
            0xa1.. => SYMBOL_HIGH.chars().nth(usize::from(own - 0xa1)),
            _ => None,
        },
        _ if font.starts_with("Wingdings") => {
            WINGDINGS.iter().find(|(number, _)| font == "Wingdings" && *number == own).map(|(_, sign)| *sign)
        }
        _ if number < 0xf000 => Some(char::from(own)),
        _ => None,
    };
    known.filter(|sign| *sign != '\u{fffd}')
}

#[cfg(test)]
mod tests {
    use super::character;

    #[test]
    fn numbers_of_symbol_fonts_are_characters() {
        let known = [
            ("F061", 'α'),
            ("F057", 'Ω'),
            ("F0B3", '≥'),
            ("F0B1", '±'),
            ("F0AE", '→'),
            ("F0D6", '√'),
            ("F06D", 'μ'),
            ("F0E5", '∑'),
        ];
        for (number, sign) in known {
            assert_eq!(character("Symbol", number), Some(sign), "{number}");
        }
        assert_eq!(character("Wingdings", "F0FC"), Some('✓'));
        assert_eq!(character("Wingdings", "F021"), None);
        assert_eq!(character("Arial", "2265"), Some('≥'));
        assert_eq!(character("Unknown", "F021"), None);
        assert_eq!(character("Symbol", "nonsense"), None);
    }
}
