//! Whether a figure is meant exactly, or as a bound.

use super::words::Word;

/// Words before a figure in which its bound is looked for.
const BEFORE: usize = 5;
/// Words behind a figure in which its bound is looked for.
const BEHIND: usize = 3;

/// How a figure is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// As it stands.
    None,
    About,
    AtLeast,
    AtMost,
    MoreThan,
    LessThan,
}

impl Bound {
    /// Whether a claim with this bound is carried by the other. About seven is said of seven, and seven of about seven; nothing else is the same.
    pub(super) fn is(self, other: Self) -> bool {
        let rounded = |bound| if bound == Self::About { Self::None } else { bound };
        rounded(self) == rounded(other)
    }
}

/// What is said directly before a figure.
const SAID_BEFORE: [(&str, Bound); 44] = [
    ("no more than", Bound::AtMost),
    ("not more than", Bound::AtMost),
    ("no longer than", Bound::AtMost),
    ("not longer than", Bound::AtMost),
    ("no later than", Bound::AtMost),
    ("not exceed", Bound::AtMost),
    ("never exceed", Bound::AtMost),
    ("never exceeds", Bound::AtMost),
    ("at most", Bound::AtMost),
    ("at the most", Bound::AtMost),
    ("up to", Bound::AtMost),
    ("limited to", Bound::AtMost),
    ("capped at", Bound::AtMost),
    ("maximum", Bound::AtMost),
    ("maximum is", Bound::AtMost),
    ("limit is", Bound::AtMost),
    ("nicht mehr als", Bound::AtMost),
    ("nicht länger als", Bound::AtMost),
    ("höchstens", Bound::AtMost),
    ("maximal", Bound::AtMost),
    ("bis zu", Bound::AtMost),
    ("no less than", Bound::AtLeast),
    ("not less than", Bound::AtLeast),
    ("no fewer than", Bound::AtLeast),
    ("not fewer than", Bound::AtLeast),
    ("no earlier than", Bound::AtLeast),
    ("at least", Bound::AtLeast),
    ("minimum", Bound::AtLeast),
    ("minimum is", Bound::AtLeast),
    ("nicht weniger als", Bound::AtLeast),
    ("mindestens", Bound::AtLeast),
    ("wenigstens", Bound::AtLeast),
    ("more than", Bound::MoreThan),
    ("longer than", Bound::MoreThan),
    ("greater than", Bound::MoreThan),
    ("exceeds", Bound::MoreThan),
    ("exceed", Bound::MoreThan),
    ("exceeding", Bound::MoreThan),
    ("mehr als", Bound::MoreThan),
    ("länger als", Bound::MoreThan),
    ("less than", Bound::LessThan),
    ("fewer than", Bound::LessThan),
    ("shorter than", Bound::LessThan),
    ("weniger als", Bound::LessThan),
];

/// Words that are a bound directly before a figure alone.
fn next_to(word: &str) -> Option<Bound> {
    Some(match word {
        "over" | "above" | "über" | ">" => Bound::MoreThan,
        "under" | "below" | "unter" | "<" => Bound::LessThan,
        "≥" => Bound::AtLeast,
        "≤" => Bound::AtMost,
        "about" | "around" | "approximately" | "roughly" | "nearly" | "almost" | "circa" | "ca" | "some" | "~"
        | "≈" | "etwa" | "ungefähr" | "rund" | "fast" => Bound::About,
        _ => return None,
    })
}

/// The bound of a figure between these words.
pub(super) fn bound(before: &[Word], behind: &[Word]) -> Bound {
    let before = &before[before.len().saturating_sub(BEFORE)..];
    let filling =
        |word: &&Word| matches!(word.lower.as_str(), "of" | "a" | "an" | "the" | "$" | "€" | "£" | "von" | "period");
    let mut said: Vec<&str> = before.iter().filter(|word| !filling(word)).map(|word| word.lower.as_str()).collect();
    if let Some(bound) = said.last().and_then(|word| next_to(word)) {
        if bound != Bound::About {
            return bound;
        }
        said.pop();
    }
    let text = format!(" {}", said.join(" "));
    // The longest first: "no more than" ends with "more than".
    if let Some((_, bound)) = SAID_BEFORE.iter().find(|(phrase, _)| text.ends_with(&format!(" {phrase}"))) {
        return *bound;
    }
    let said: Vec<&str> = behind.iter().take(BEHIND).map(|word| word.lower.as_str()).collect();
    // What is counted may stand between: "12 characters at least".
    said_behind(&said).or_else(|| said_behind(said.get(1..).unwrap_or_default())).unwrap_or(Bound::None)
}

fn said_behind(said: &[&str]) -> Option<Bound> {
    match said {
        ["or", "more" | "longer" | "newer" | "later", ..]
        | ["oder", "mehr" | "länger", ..]
        | ["minimum", ..]
        | ["at", "least", ..] => Some(Bound::AtLeast),
        ["or", "less" | "fewer" | "shorter" | "older" | "earlier", ..]
        | ["oder", "weniger", ..]
        | ["maximum", ..]
        | ["at", "most", ..] => Some(Bound::AtMost),
        _ => None,
    }
}
