//! How much of something, how often and how exclusively: `all`, `some`, `only`, `for ever`.

use super::words::Word;

/// What such a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Quantity {
    All,
    Most,
    Many,
    Several,
    Few,
    Always,
    Usually,
    Often,
    Sometimes,
    Rarely,
    Only,
    ForEver,
}

/// Such a word, and the next telling word behind it.
#[derive(Debug, Clone)]
pub(super) struct Quantified {
    quantity: Quantity,
    of: Option<String>,
}

fn quantity(words: &[Word], at: usize) -> Option<Quantity> {
    use Quantity::{All, Always, Few, ForEver, Many, Most, Often, Only, Rarely, Several, Sometimes, Usually};
    let next = |by: usize| words.get(at + by).map_or("", |word| word.lower.as_str());
    let before = at.checked_sub(1).map_or("", |before| words[before].lower.as_str());
    Some(match words[at].lower.as_str() {
        // "every day" says how often, and is looked at there.
        "each" | "every" | "jeden" | "jede" | "jedes" if super::periods::of_unit(next(1)).is_some() => return None,
        // "at all", "not all that".
        "all" if matches!(before, "at" | "after" | "above") => return None,
        "all" | "every" | "each" | "everything" | "everybody" | "everyone" | "entire" | "whole" | "any" | "anybody"
        | "anyone" | "alle" | "allen" | "aller" | "alles" | "jede" | "jeder" | "jedes" | "jeden" | "jedem"
        | "sämtliche" => All,
        // "at most" is a bound.
        "most" if before == "at" || before == "the" => return None,
        "most" | "majority" | "die meisten" | "meisten" | "meiste" | "mehrheit" => Most,
        "many" | "numerous" | "viele" | "vielen" | "zahlreiche" => Many,
        "few" if before != "a" => Few,
        "some" | "several" | "few" | "certain" | "einige" | "einigen" | "manche" | "manchen" | "mehrere" => Several,
        "wenige" | "wenigen" => Few,
        "always" | "invariably" | "immer" | "stets" if next(1) != "ever" && before != "für" => Always,
        "usually" | "mostly" | "generally" | "typically" | "normally" | "meist" | "meistens" | "normalerweise"
        | "üblicherweise" => Usually,
        "often" | "frequently" | "oft" | "häufig" => Often,
        "sometimes" | "occasionally" | "manchmal" | "gelegentlich" => Sometimes,
        "rarely" | "seldom" | "selten" => Rarely,
        "only" | "solely" | "exclusively" | "nur" | "ausschließlich" | "lediglich" => {
            if matches!(before, "not" | "nicht") {
                return None;
            }
            Only
        }
        "forever" | "indefinitely" | "eternally" | "perpetually" | "ewig" | "unbegrenzt" => ForEver,
        "ever" if before == "for" => ForEver,
        "immer" if before == "für" => ForEver,
        _ => return None,
    })
}

/// What a text says of how much.
pub(super) fn quantified(words: &[Word]) -> Vec<Quantified> {
    let of = |at: usize| words[at + 1..].iter().find(|word| word.is_telling()).map(|word| word.stem.clone());
    (0..words.len()).filter_map(|at| Some(Quantified { quantity: quantity(words, at)?, of: of(at) })).collect()
}

/// Whether a claim says how much where the text says otherwise, or keeps silent about a part being meant.
pub(super) fn differ(claim: (&[Quantified], &[Word]), part: (&[Quantified], &[Word])) -> bool {
    let ((claim, claim_words), (part, part_words)) = (claim, part);
    let holds = |list: &[Quantified], quantity: Quantity| list.iter().any(|one| one.quantity == quantity);
    let each = part_words.iter().any(|word| matches!(word.lower.as_str(), "per" | "pro"));
    let founded = |one: &Quantified| holds(part, one.quantity) || (each && one.quantity == Quantity::All);
    let unfounded = !claim.iter().all(founded);
    let partial = |one: &&Quantified| {
        !matches!(one.quantity, Quantity::All | Quantity::Always | Quantity::Only | Quantity::ForEver)
    };
    // What only some do is not done by all of them; that a claim leaves out "all" or "only" takes nothing away.
    let dropped = part.iter().filter(partial).any(|one| {
        let meant = one.of.as_ref().is_some_and(|stem| claim_words.iter().any(|word| word.stem == *stem));
        meant && !holds(claim, one.quantity)
    });
    unfounded || dropped
}
