//! How often, by the calendar: `daily`, `every week`, `pro Monat`.

use std::collections::BTreeSet;

use super::words::Word;

/// Words before `and day` in which the `per` of it stands.
const JOINED_WITHIN: usize = 4;

/// A period by a word that means nothing else.
fn period(lower: &str) -> Option<u8> {
    Some(match lower {
        "minutely" | "minütlich" => 0,
        "hourly" | "stündlich" | "stündliche" | "stündlichen" => 1,
        "daily" | "nightly" | "täglich" | "tägliche" | "täglichen" | "täglicher" | "nächtlich" | "nächtliche" => {
            2
        }
        "weekly" | "wöchentlich" | "wöchentliche" | "wöchentlichen" | "wöchentlicher" => 3,
        "fortnightly" | "biweekly" => 4,
        "monthly" | "monatlich" | "monatliche" | "monatlichen" | "monatlicher" => 5,
        "quarterly" | "vierteljährlich" | "vierteljährliche" | "quartalsweise" => 6,
        "yearly" | "annual" | "annually" | "jährlich" | "jährliche" | "jährlichen" | "jährlicher" => 7,
        _ => return None,
    })
}

/// Whether a word is a period by itself.
pub(super) fn is_period(word: &Word) -> bool {
    period(&word.lower).is_some()
}

/// The period that a unit of time makes behind `every`, `per` or `a`.
pub(super) fn of_unit(lower: &str) -> Option<u8> {
    Some(match lower {
        "minute" => 0,
        "hour" | "stunde" => 1,
        "day" | "night" | "tag" | "nacht" => 2,
        "week" | "woche" => 3,
        "month" | "monat" => 5,
        "quarter" | "quartal" => 6,
        "year" | "jahr" => 7,
        _ => return None,
    })
}

/// The periods that a text names, those that may be a span of time included: `a day`.
pub(super) fn periods(words: &[Word]) -> BTreeSet<u8> {
    let spans = words.windows(2).filter(|pair| {
        matches!(
            pair[0].lower.as_str(),
            "a" | "an" | "the" | "and" | "je" | "am" | "im" | "in" | "und" | "ein" | "einen" | "einer"
        )
    });
    let spans = spans.filter_map(|pair| of_unit(&pair[1].lower));
    claimed(words).into_iter().chain(spans).collect()
}

/// The periods that a text names for sure.
pub(super) fn claimed(words: &[Word]) -> BTreeSet<u8> {
    let alone = words.iter().filter_map(|word| period(&word.lower));
    let every = |word: &Word| {
        matches!(word.lower.as_str(), "every" | "each" | "per" | "pro" | "jede" | "jeden" | "jedes" | "jeder")
    };
    let built = (1..words.len()).filter_map(|at| {
        // "per user and day", too.
        let joined = matches!(words[at - 1].lower.as_str(), "and" | "und");
        let from = if joined { at.saturating_sub(JOINED_WITHIN) } else { at - 1 };
        of_unit(&words[at].lower).filter(|_| words[from..at].iter().any(every))
    });
    alone.chain(built).collect()
}
