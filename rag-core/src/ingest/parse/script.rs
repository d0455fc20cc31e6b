//! Raised and lowered text as a line of letters: an exponent is never read as more digits of its base, nor the mark of a note as part of a number.

/// Endings of ordinal numbers that are raised in print and mean the same on the line.
const ORDINALS: [&str; 15] = ["st", "nd", "rd", "th", "e", "er", "re", "ère", "ème", "nde", "o", "os", "as", "º", "ª"];
/// Endings of short words and Roman numbers that are.
const SHORT_FORMS: [&str; 9] = ["me", "mme", "lle", "r", "te", "gr", "o", "os", "e"];

/// What is appended to `before` for a raised text; `noted` where it is known to lead to a note.
pub(super) fn raised(before: &str, text: &str, noted: bool) -> String {
    let text = text.trim();
    let Some(last) = before.chars().next_back().filter(|c| !c.is_whitespace()) else { return text.to_owned() };
    let note = || format!(" [{}]", text.trim_matches(['[', ']', '(', ')']));
    let letters = || before.chars().rev().take_while(|c| c.is_alphabetic()).count();
    let ends = match last {
        '0'..='9' => ORDINALS.contains(&text),
        _ => letters() <= 3 && SHORT_FORMS.contains(&text),
    };
    let is_note = |c: char| c.is_ascii_digit() || matches!(c, ',' | '–' | ' ');
    if text.is_empty() {
        String::new()
    } else if noted || text.starts_with('[') {
        note()
    } else if text.starts_with(['-', '−', '–', '+']) {
        format!("^{}", grouped(text))
    } else if text.chars().all(is_note) {
        let powers = match last {
            '0'..='9' => is_base(before, text),
            ')' | ']' | '}' => true,
            _ => last.is_alphabetic() && letters() <= 2,
        };
        if powers { format!("^{}", grouped(text)) } else { note() }
    } else if ends || text.chars().all(|c| !c.is_alphanumeric()) {
        text.to_owned()
    } else if matches!(text, "TM" | "SM") {
        format!(" {text}")
    } else if text.chars().count() == 1 && (last.is_ascii_digit() || letters() > 2) {
        note()
    } else {
        format!("^{}", grouped(text))
    }
}

/// What is appended to `before` for a lowered text.
pub(super) fn lowered(before: &str, text: &str) -> String {
    let text = text.trim();
    let digits = text.chars().all(|c| c.is_ascii_digit());
    match before.chars().next_back() {
        _ if text.is_empty() => String::new(),
        None => text.to_owned(),
        // The rest of a formula, as in CO2, or of a fraction.
        Some(last) if digits && (last.is_alphabetic() || matches!(last, ')' | ']' | '/')) => text.to_owned(),
        Some(last) if last.is_alphanumeric() || last == ')' => format!("_{}", grouped(text)),
        Some(_) => text.to_owned(),
    }
}

/// Whether a number that ends `before` is raised to a power rather than marked with a note: ten, or a number up to it with a power above one.
fn is_base(before: &str, power: &str) -> bool {
    let reach = before.char_indices().rev().take_while(|(_, c)| c.is_ascii_digit() || matches!(c, '.' | ',')).last();
    let base = reach.map_or("", |(at, _)| &before[at..]);
    let above_one = power.parse::<u32>().is_ok_and(|power| power > 1);
    base == "10" || base.parse::<u32>().is_ok_and(|base| (2..10).contains(&base)) && above_one
}

/// In brackets, where it is more than a number or a name.
fn grouped(text: &str) -> String {
    let bare = text.strip_prefix(['-', '−', '–', '+']).unwrap_or(text);
    if bare.chars().all(char::is_alphanumeric) { text.to_owned() } else { format!("({text})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_text_never_makes_another_number() {
        for (before, text, wanted) in [
            ("withstands 10", "5", "^5"),
            ("10", "-3", "^-3"),
            ("factor is 2", "10", "^10"),
            ("fine is 50", "3", " [3]"),
            ("costs 1,234", "2", " [2]"),
            ("on 7", "1", " [1]"),
            ("12 m", "2", "^2"),
            ("5 km", "3", "^3"),
            ("mol", "-1", "^-1"),
            ("pressure", "4", " [4]"),
            ("the end.", "1, 2", " [1, 2]"),
            ("(1 + x)", "2", "^2"),
            ("x", "n", "^n"),
            ("e", "-x+1", "^(-x+1)"),
            ("the 1", "st", "st"),
            ("XX", "e", "e"),
            ("M", "me", "me"),
            ("n", "o", "o"),
            ("price", "a", " [a]"),
            ("45", "b", " [b]"),
            ("Acme", "TM", " TM"),
            ("word", "*", "*"),
            ("word", "[3]", " [3]"),
            ("", "14", "14"),
            ("of ", "14", "14"),
            ("x", "", ""),
        ] {
            assert_eq!(raised(before, text, false), wanted, "{before}<sup>{text}</sup>");
        }
        assert_eq!(raised("10", "5", true), " [5]");
    }

    #[test]
    fn a_lowered_text_is_part_of_a_formula_or_a_name() {
        for (before, text, wanted) in [
            ("CO", "2", "2"),
            ("V", "max", "_max"),
            ("10", "2", "_2"),
            ("x", "i+1", "_(i+1)"),
            ("1/", "2", "2"),
            ("", "2", "2"),
        ] {
            assert_eq!(lowered(before, text), wanted, "{before}<sub>{text}</sub>");
        }
    }
}
