//! Numbers as lists write them before their items: `4`, `IV`, `d`, `四`; what the formats share whose programs count by themselves.

/// A number as a list writes it.
pub(super) fn written(count: u32, format: &str) -> String {
    match format {
        "none" | "bullet" => String::new(),
        "decimalZero" => format!("{count:02}"),
        "upperRoman" => roman(count),
        "lowerRoman" => roman(count).to_lowercase(),
        "upperLetter" => letters(count),
        "lowerLetter" => letters(count).to_lowercase(),
        "ordinal" => {
            let ending = match (count % 10, count % 100) {
                (1, hundred) if hundred != 11 => "st",
                (2, hundred) if hundred != 12 => "nd",
                (3, hundred) if hundred != 13 => "rd",
                _ => "th",
            };
            format!("{count}{ending}")
        }
        "chineseCounting"
        | "chineseCountingThousand"
        | "japaneseCounting"
        | "ideographDigital"
        | "taiwaneseCountingThousand"
        | "taiwaneseCounting" => ideographs(count),
        _ => count.to_string(),
    }
}

fn roman(count: u32) -> String {
    const SIGNS: [(u32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if !(1..4000).contains(&count) {
        return count.to_string();
    }
    let (mut text, mut left) = (String::new(), count);
    for (value, sign) in SIGNS {
        while left >= value {
            text.push_str(sign);
            left -= value;
        }
    }
    text
}

/// A to Z, then AA to ZZ, AAA and so on, as word processors count.
fn letters(count: u32) -> String {
    if !(1..=26 * 20).contains(&count) {
        return count.to_string();
    }
    let letter = char::from(b'A' + ((count - 1) % 26) as u8);
    std::iter::repeat_n(letter, (count as usize - 1) / 26 + 1).collect()
}

/// Up to 99 as Chinese and Japanese count.
fn ideographs(count: u32) -> String {
    const DIGITS: [&str; 10] = ["", "一", "二", "三", "四", "五", "六", "七", "八", "九"];
    let (tens, ones) = (count as usize / 10, DIGITS[count as usize % 10]);
    match tens {
        0 if count > 0 => ones.to_owned(),
        1 => format!("十{ones}"),
        2..=9 => format!("{}十{ones}", DIGITS[tens]),
        _ => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn numbers_are_written_as_the_list_says() {
        let all = |format: &str| [1, 4, 9, 27].map(|count| written(count, format)).join(" ");
        assert_eq!(all("decimal"), "1 4 9 27");
        assert_eq!(all("decimalZero"), "01 04 09 27");
        assert_eq!(all("upperRoman"), "I IV IX XXVII");
        assert_eq!(all("lowerLetter"), "a d i aa");
        assert_eq!(all("ordinal"), "1st 4th 9th 27th");
        assert_eq!(all("chineseCounting"), "一 四 九 二十七");
        assert_eq!(written(5000, "upperRoman"), "5000");
        assert_eq!(written(u32::MAX, "lowerLetter"), "4294967295");
    }
}
