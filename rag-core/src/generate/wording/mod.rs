//! Whether the wording of a sentence says what a part of a passage says.
//!
//! Pure. Two texts on one subject are near in meaning even where one says the opposite of the other, or another figure. What tells them apart is small and known: figures with their units and
//! bounds, dates, negations, opposites, how much and how often, names. Each is a check of its own, with the reason that a reader is told.
//!
//! Caveat: a check knows the words of English and German that it lists. It says where wordings differ, not that they mean the same: that is for the cosine to say.

mod bounds;
mod figures;
mod names;
mod negation;
mod numerals;
mod periods;
mod quantities;
mod units;
mod vocabulary;
mod words;

use std::collections::BTreeSet;

use figures::Figure;
use negation::{Negation, Said};
use quantities::Quantified;
use words::{Shape, Word};

/// A text as the checks see it.
#[derive(Debug, Clone)]
pub(super) struct Wording {
    words: Vec<Word>,
    figures: Vec<Figure>,
    negations: Vec<Negation>,
    quantified: Vec<Quantified>,
    names: Vec<usize>,
}

impl Wording {
    pub(super) fn of(text: &str) -> Self {
        Self::from(words::words(text))
    }

    fn from(words: Vec<Word>) -> Self {
        Self {
            figures: figures::figures(&words),
            negations: negation::negations(&words),
            quantified: quantities::quantified(&words),
            names: names::names(&words),
            words,
        }
    }

    fn said(&self) -> Said<'_> {
        Said { words: &self.words, negations: &self.negations }
    }

    /// The stems of what it is about.
    fn telling(&self) -> BTreeSet<&str> {
        self.words.iter().filter(|word| word.is_telling()).map(|word| word.stem.as_str()).collect()
    }

    /// Whether it begins with a word for what was named before it.
    pub(super) fn refers_back(&self) -> bool {
        self.words.first().is_some_and(|word| vocabulary::refers_back(&word.lower))
    }

    /// What it says in clauses that are joined by `and` and the like; nothing where it is but one.
    ///
    /// A clause without a period or a name of its own speaks of those of the first: "weekly ones are encrypted and kept".
    pub(super) fn clauses(&self) -> Vec<Self> {
        let mut runs: Vec<Vec<Word>> = vec![Vec::new()];
        for (at, word) in self.words.iter().enumerate() {
            let weighs = |words: &[Word]| {
                words.iter().filter(|word| word.is_telling() || word.shape == Shape::Number).count() > 1
            };
            let last = runs.len() - 1;
            if vocabulary::coordinates(&word.lower) && weighs(&runs[last]) && weighs(&self.words[at..]) {
                runs.push(Vec::new());
            } else {
                runs[last].push(word.clone());
            }
        }
        if runs.len() < 2 {
            return Vec::new();
        }
        let first = Self::from(runs[0].clone());
        let subject = |run: &[Word]| {
            let run = Self::from(run.to_vec());
            let has_its_own = !run.names.is_empty() || !periods::claimed(&run.words).is_empty();
            let names = first.names.iter().map(|at| &first.words[*at]);
            let periods = first.words.iter().filter(|word| periods::is_period(word));
            names.chain(periods).filter(|_| !has_its_own).cloned().collect::<Vec<_>>()
        };
        let carried: Vec<Vec<Word>> = runs[1..].iter().map(|run| subject(run)).collect();
        let rest = carried.into_iter().zip(runs[1..].iter().cloned()).map(|(subject, run)| [subject, run].concat());
        std::iter::once(runs[0].clone()).chain(rest).map(Self::from).collect()
    }

    fn holds(&self, stem: &str) -> bool {
        self.words.iter().any(|word| word.stem == stem)
    }

    /// Whether it denies, with one of its negations, what the other text affirms.
    pub(super) fn denies(&self, other: &Self) -> bool {
        self.negations.iter().any(|negation| {
            let mut denied = negation.denied.iter().map(|at| &self.words[*at]);
            // A question of few words of grammar may be taken for another language, and be stemmed otherwise.
            denied.any(|word| {
                other.words.iter().any(|said| said.is_telling() && (said.stem == word.stem || said.lower == word.lower))
            })
        })
    }

    /// How much of it this other text shares: its telling words, and its figures.
    pub(super) fn shared_with(&self, other: &Self) -> f32 {
        let telling = self.telling();
        let words = telling.iter().filter(|stem| other.holds(stem)).count();
        let figures =
            self.figures.iter().filter(|figure| other.figures.iter().any(|held| figure.is(held, &other.words))).count();
        let all = telling.len() + self.figures.len();
        if all == 0 { 0.0 } else { (words + figures) as f32 / all as f32 }
    }
}

/// Whether a text is German rather than English.
pub(super) fn is_german(text: &str) -> bool {
    words::are_german(&words::words(text))
}

/// A part of a passage that a claim is held against.
pub(super) struct Part<'p> {
    /// The sentence itself.
    pub(super) said: &'p Wording,
    /// What stands above and before it: title, headings, the sentences before.
    pub(super) around: &'p [Wording],
}

impl Part<'_> {
    fn is_near(&self, stem: &str) -> bool {
        self.said.holds(stem) || self.around.iter().any(|around| around.holds(stem))
    }
}

/// Something that a claim must not get wrong.
struct Check {
    /// What is told of a claim that fails it.
    reason: &'static str,
    fails: fn(&Wording, &Part<'_>) -> bool,
}

/// In the order in which they are told.
const CHECKS: [Check; 6] = [
    Check { reason: "a figure, date or unit of it does not stand there", fails: figures_differ },
    Check { reason: "it denies what stands there, or says what is denied there", fails: negation_differs },
    Check { reason: "it says how much or how often otherwise than there", fails: quantities_differ },
    Check { reason: "it speaks of another period than the passage", fails: periods_differ },
    Check { reason: "it names something that is not named there", fails: names_differ },
    Check { reason: "it says of one thing what is said of another there", fails: belongs_elsewhere },
];

/// Why a part of a passage does not carry a claim, or that no check speaks against it.
pub(super) fn fault(claim: &Wording, part: &Part<'_>) -> Option<&'static str> {
    CHECKS.iter().find(|check| (check.fails)(claim, part)).map(|check| check.reason)
}

/// The share of a claim's telling words that neither these parts nor what is around them has.
pub(super) fn own_words(claim: &Wording, parts: &[Part<'_>]) -> f32 {
    let telling = claim.telling();
    let held = |stem: &str| parts.iter().any(|part| part.is_near(stem));
    let own = telling.iter().filter(|stem| !held(stem)).count();
    if telling.is_empty() { 0.0 } else { own as f32 / telling.len() as f32 }
}

fn figures_differ(claim: &Wording, part: &Part<'_>) -> bool {
    let Wording { figures, words, .. } = part.said;
    !claim.figures.iter().all(|figure| figures::states(figure, figures, words))
}

fn negation_differs(claim: &Wording, part: &Part<'_>) -> bool {
    negation::contradicts(&claim.said(), &part.said.said())
}

fn quantities_differ(claim: &Wording, part: &Part<'_>) -> bool {
    quantities::differ((&claim.quantified, &claim.words), (&part.said.quantified, &part.said.words))
}

/// A period must be named by the part itself, or, where that names none, around it.
fn periods_differ(claim: &Wording, part: &Part<'_>) -> bool {
    let claimed = periods::claimed(&claim.words);
    let said = periods::periods(&part.said.words);
    let held = if periods::claimed(&part.said.words).is_empty() {
        part.around.iter().flat_map(|around| periods::periods(&around.words)).chain(said).collect()
    } else {
        said
    };
    !claimed.is_subset(&held)
}

/// A name must stand in the part itself; or around it, where the part names nobody else or begins with a word for what was named before.
fn names_differ(claim: &Wording, part: &Part<'_>) -> bool {
    let said = part.said;
    // What a sentence begins with is most often what it is about, whatever it is written like.
    let begins = said.words.first().filter(|word| word.is_telling() && word.is_capital());
    let mut named = said.names.iter().map(|at| &said.words[*at]).chain(begins);
    let others = !said.refers_back() && named.any(|name| !names::hold(&claim.words, name));
    let held = |name: &Word| {
        names::hold(&part.said.words, name)
            || (!others && part.around.iter().any(|around| names::hold(&around.words, name)))
    };
    !claim.names.iter().all(|at| held(&claim.words[*at]))
}

/// A number that counts one thing there and another here.
fn belongs_elsewhere(claim: &Wording, part: &Part<'_>) -> bool {
    let counted_there = |stem: &String| part.said.figures.iter().any(|figure| figure.counted.as_ref() == Some(stem));
    claim.figures.iter().filter_map(|figure| Some((figure, figure.counted.as_ref()?))).any(|(figure, counted)| {
        let same = |held: &&Figure| figure.is(held, &part.said.words);
        counted_there(counted)
            && !part.said.figures.iter().filter(same).any(|held| held.counted.as_ref() == Some(counted))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURE: Option<&str> = Some(CHECKS[0].reason);
    const DENIED: Option<&str> = Some(CHECKS[1].reason);
    const QUANTITY: Option<&str> = Some(CHECKS[2].reason);
    const PERIOD: Option<&str> = Some(CHECKS[3].reason);
    const NAME: Option<&str> = Some(CHECKS[4].reason);
    const ELSEWHERE: Option<&str> = Some(CHECKS[5].reason);

    fn faults(claim: &str, around: &str, said: &str) -> Option<&'static str> {
        let around = [Wording::of(around)];
        fault(&Wording::of(claim), &Part { said: &Wording::of(said), around: &around })
    }

    /// Each claim beside one sentence.
    fn each(said: &str, claims: &[(&str, Option<&str>)]) {
        for (claim, expected) in claims {
            assert_eq!(faults(claim, "", said), *expected, "{claim:?} beside {said:?}");
        }
    }

    #[test]
    fn a_figure_stands_there_in_digits_or_words_with_its_unit_or_not_at_all() {
        let said = "25 GB are kept for nine days, 1,250 users at 2.5 % each.";
        each(
            said,
            &[
                ("25 gigabytes", None),
                ("25 GB for 9 days", None),
                ("twenty-five GB", None),
                ("1250 users", None),
                ("2.5 percent", None),
                ("5 GB", FIGURE),
                ("25 MB", FIGURE),
                ("25 TB", FIGURE),
                ("9 weeks", FIGURE),
                ("216 hours", None),
                ("250 users", FIGURE),
                ("5 %", FIGURE),
                ("25 %", FIGURE),
            ],
        );
        each("Zwischen 5 und 10 GB, also 1,5 Tage", &[("5 GB", None), ("1.5 days", None), ("5 MB", FIGURE)]);
        each("It takes an hour.", &[("It takes 60 minutes.", None), ("It takes 2 hours.", FIGURE)]);
        each("einundzwanzig Tage", &[("21 Tage", None), ("12 Tage", FIGURE)]);
        each("two hundred and six bones", &[("206 bones", None), ("200 bones", FIGURE)]);
        each("half of them", &[("50 % of them", None), ("0.5", None), ("60 % of them", FIGURE)]);
    }

    #[test]
    fn dates_and_times_of_day_are_the_same_in_every_form() {
        each(
            "It was lifted on 5 May 2021 at 17:30.",
            &[
                ("on May 5th, 2021", None),
                ("2021-05-05", None),
                ("05.05.2021", None),
                ("at 5:30 pm", None),
                ("at 5:30 am", FIGURE),
                ("on 6 May 2021", FIGURE),
                ("on 5 June 2021", FIGURE),
                ("2021-06-05", FIGURE),
                ("5 May 2012", FIGURE),
            ],
        );
        each("am Montag, dem 3. März", &[("on Monday, March 3", None), ("on Tuesday", FIGURE)]);
        each("It may rain.", &[("It may march.", None)]);
        each("from noon on", &[("from 12:00 on", None), ("from midnight on", FIGURE)]);
    }

    #[test]
    fn a_bound_of_a_figure_is_kept() {
        each(
            "At most 25 GB are allowed.",
            &[
                ("Up to 25 GB are allowed.", None),
                ("No more than 25 GB are allowed.", None),
                ("25 GB or less are allowed.", None),
                ("25 GB are allowed.", FIGURE),
                ("At least 25 GB are allowed.", FIGURE),
                ("More than 25 GB are allowed.", FIGURE),
            ],
        );
        each("About 7 days", &[("7 days", None), ("nearly 7 days", None), ("less than 7 days", FIGURE)]);
        each("mindestens 12 Zeichen", &[("at least 12", None), ("höchstens 12 Zeichen", FIGURE)]);
    }

    #[test]
    fn what_is_denied_there_is_not_said_and_what_is_said_there_is_not_denied() {
        each(
            "Snapshots are kept for a while and are not encrypted.",
            &[
                ("Snapshots are kept.", None),
                ("Snapshots aren't encrypted.", None),
                ("Snapshots are unencrypted.", None),
                ("Snapshots are never encrypted.", None),
                ("Snapshots are encrypted.", DENIED),
                ("Snapshots are not kept.", DENIED),
                ("Nobody keeps snapshots.", DENIED),
                ("Snapshots are kept without a plan.", DENIED),
            ],
        );
        each(
            "TLS is enabled by default.",
            &[
                ("TLS is disabled by default.", DENIED),
                ("TLS is not disabled by default.", None),
                ("TLS is not enabled by default.", DENIED),
            ],
        );
        each("Pets are not allowed.", &[("Pets are forbidden.", None), ("Pets are allowed.", DENIED)]);
        each(
            "Der Schlüssel wird nie gespeichert.",
            &[("Der Schlüssel wird nicht gespeichert.", None), ("Der Schlüssel wird gespeichert.", DENIED)],
        );
        each("It is false that snapshots are kept.", &[("Snapshots are kept.", DENIED)]);
        each("Not only pumps are greased.", &[("Pumps are greased.", None)]);
        each("A wrong or false figure is shown.", &[("A false figure is shown.", None)]);
    }

    #[test]
    fn how_much_and_how_often_is_kept() {
        each(
            "Some users may delete it every week.",
            &[
                ("Several users may delete it weekly.", None),
                ("Users may delete it.", QUANTITY),
                ("All users may delete it.", QUANTITY),
                ("Only some users may delete it.", QUANTITY),
                ("Some users may delete it daily.", PERIOD),
                ("Some users may delete it every month.", PERIOD),
            ],
        );
        each("All files are kept.", &[("Files are kept.", None), ("Files are kept for ever.", QUANTITY)]);
        each("25 GB per user and day", &[("25 GB a day", None), ("25 GB per user and week", PERIOD)]);
        assert_eq!(faults("Weekly ones are kept.", "# Weekly snapshots", "They are kept."), None);
        assert_eq!(faults("Weekly ones are kept.", "# Weekly snapshots", "Daily ones are kept."), PERIOD);
    }

    #[test]
    fn names_stand_there_or_are_spoken_of_from_before() {
        each(
            "The World Health Organization met in Geneva about ERR_TIMEOUT_7.",
            &[
                ("In Geneva the WHO met.", None),
                ("The meeting was in Vienna.", NAME),
                ("It was about ERR_TIMEOUT_8.", NAME),
                ("It was about the flag --no-tls.", NAME),
            ],
        );
        let before = "Lake Baikal is deep. Moscow is far.";
        assert_eq!(faults("The depth of Lake Baikal is known.", before, "Its depth is known."), None);
        assert_eq!(faults("Lake Baikal lies in Siberia.", before, "Moscow lies near Siberia."), NAME);
    }

    #[test]
    fn a_number_counts_what_it_counts_there() {
        each(
            "5 users and 25 administrators work here.",
            &[("25 administrators work here.", None), ("25 users work here.", ELSEWHERE)],
        );
    }
}
