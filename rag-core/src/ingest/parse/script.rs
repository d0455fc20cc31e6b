//! Raised and lowered characters in a line of plain text, where they must not become other numbers: 10 with a raised 5 is not 105.

/// Letters that stand raised behind a number by habit: 2e, 3a, 5o, 2d.
const ORDINALS: [char; 4] = ['a', 'd', 'e', 'o'];

/// Adds what stands raised: `10^5`, `m^2`, `x^(n+1)`; letters such as those of `1st` and `™` join the word.
pub(super) fn raise(text: &mut String, raised: &str) {
    let (lead, raised, trail) = blanks(raised);
    text.push_str(lead);
    let before = text.chars().last();
    let first = raised.chars().next();
    let is_exponent = first.is_some_and(|c| c.is_numeric() || is_sign(c));
    let is_variable = raised.chars().count() == 1
        && first.is_some_and(|c| c.is_lowercase() && !(before.is_some_and(char::is_numeric) && ORDINALS.contains(&c)))
        && before.is_some_and(|c| c.is_alphanumeric() || c == ')');
    if is_exponent || is_variable {
        text.push('^');
        text.push_str(&grouped(raised));
    } else {
        text.push_str(raised);
    }
    text.push_str(trail);
}

/// Adds what stands lowered: `H2O`, `x_(i+1)`, and `10_2` where it would become another number.
pub(super) fn lower(text: &mut String, lowered: &str) {
    let (lead, lowered, trail) = blanks(lowered);
    text.push_str(lead);
    let numbers = text.chars().last().is_some_and(char::is_numeric) && lowered.starts_with(char::is_numeric);
    let is_sign = !lowered.contains(char::is_alphanumeric);
    if numbers || (!is_sign && !lowered.chars().all(char::is_alphanumeric)) {
        text.push('_');
    }
    text.push_str(&if is_sign { lowered.to_owned() } else { grouped(lowered) });
    text.push_str(trail);
}

/// The blanks before a text, the text, and those after it.
fn blanks(text: &str) -> (&str, &str, &str) {
    let start = text.len() - text.trim_start().len();
    let (lead, rest) = text.split_at(start);
    let (middle, trail) = rest.split_at(rest.trim_end().len());
    (lead, middle, trail)
}

/// In brackets where it would not be seen where it ends.
pub(super) fn grouped(text: &str) -> String {
    let bare = text.trim_matches(is_sign);
    let is_one = text.is_empty()
        || !bare.is_empty() && bare.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | ',' | '\''));
    let is_bracketed = text.starts_with('(') && text.ends_with(')') && !text[1..text.len() - 1].contains(['(', ')']);
    if is_one || is_bracketed || text.chars().count() == 1 { text.to_owned() } else { format!("({text})") }
}

fn is_sign(c: char) -> bool {
    matches!(c, '+' | '-' | '−' | '±' | '–')
}

#[cfg(test)]
mod tests {
    use super::{lower, raise};

    fn raised(before: &str, part: &str) -> String {
        let mut text = before.to_owned();
        raise(&mut text, part);
        text
    }

    fn lowered(before: &str, part: &str) -> String {
        let mut text = before.to_owned();
        lower(&mut text, part);
        text
    }

    #[test]
    fn what_is_raised_never_becomes_a_digit_of_the_number_before_it() {
        assert_eq!(raised("10", "5"), "10^5");
        assert_eq!(raised("10", "-3"), "10^-3");
        assert_eq!(raised("50", "3"), "50^3");
        assert_eq!(raised("table 4.", "2"), "table 4.^2");
        assert_eq!(raised("50", "[3]"), "50[3]");
        assert_eq!(raised("2", "n"), "2^n");
        assert_eq!(raised("the fine is 50", " 3 "), "the fine is 50 ^3 ");
        assert_eq!(raised("x", "n"), "x^n");
        assert_eq!(raised("x", "2n + 1"), "x^(2n + 1)");
    }

    #[test]
    fn letters_that_stand_raised_by_habit_join_their_word() {
        assert_eq!(raised("the 21", "st"), "the 21st");
        assert_eq!(raised("Acme", "TM"), "AcmeTM");
        assert_eq!(raised("M", "me"), "Mme");
    }

    #[test]
    fn what_is_lowered_joins_its_word_unless_both_are_numbers() {
        assert_eq!(lowered("CO", "2"), "CO2");
        assert_eq!(lowered("1011", "2"), "1011_2");
        assert_eq!(lowered("x", "i+1"), "x_(i+1)");
        assert_eq!(lowered("Acme", "®"), "Acme®");
    }
}
