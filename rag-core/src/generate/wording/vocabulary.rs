//! The closed classes of words that the checks know, in English and German.

/// Words of grammar of English: they say nothing about what a text is about. Sorted.
#[rustfmt::skip]
const ENGLISH: [&str; 128] = [
    "a", "about", "across", "also", "am", "an", "and", "another", "any", "are", "as", "at", "be", "because", "been", "being",
    "both", "but", "by", "can", "could", "currently", "did", "do", "does", "doing", "done", "down", "during", "either", "else", "even",
    "for", "from", "get", "gets", "had", "has", "have", "having", "he", "her", "here", "hers", "him", "his", "how", "i",
    "if", "in", "indeed", "into", "is", "it", "its", "itself", "just", "like", "may", "me", "might", "must", "my", "namely",
    "of", "off", "on", "onto", "or", "other", "our", "out", "over", "own", "per", "quite", "rather", "really", "same", "shall",
    "she", "should", "simply", "since", "so", "such", "than", "that", "the", "their", "theirs", "them", "themselves", "then", "there", "therefore",
    "these", "they", "thing", "things", "this", "those", "through", "thus", "to", "too", "toward", "under", "up", "upon", "us", "very",
    "was", "we", "were", "what", "when", "where", "whether", "which", "while", "who", "whom", "whose", "why", "will", "with", "would",
];

/// Words of grammar of German. Sorted.
#[rustfmt::skip]
const GERMAN: [&str; 120] = [
    "aber", "als", "also", "am", "an", "auch", "auf", "aus", "bei", "beim", "bereits", "da", "dabei", "dafür", "damit", "dann",
    "das", "dass", "davon", "dazu", "dem", "den", "denn", "der", "deren", "des", "dessen", "die", "dies", "diese", "diesem", "diesen",
    "dieser", "dieses", "doch", "dort", "du", "durch", "ein", "eine", "einem", "einen", "einer", "eines", "er", "es", "etwas", "für",
    "gegen", "haben", "hat", "hatte", "hatten", "hier", "ich", "ihm", "ihn", "ihnen", "ihr", "ihre", "ihrem", "ihren", "ihrer", "im",
    "in", "ins", "ist", "ja", "kann", "können", "konnte", "man", "mit", "muss", "müssen", "nach", "noch", "nun", "oder", "ob",
    "pro", "schon", "sei", "sein", "seine", "seinem", "seinen", "seiner", "seit", "sich", "sie", "sind", "so", "soll", "sollen", "sowie",
    "um", "und", "uns", "unser", "vom", "von", "vor", "war", "waren", "was", "wenn", "wer", "werden", "wie", "wir", "wird",
    "wo", "worden", "wurde", "wurden", "zu", "zum", "zur", "zwar",
];

/// Words that begin a clause of its own.
const JOINING: [&str; 20] = [
    "and", "but", "while", "whereas", "although", "because", "though", "unless", "until", "und", "aber", "sondern",
    "während", "obwohl", "weil", "wogegen", "when", "if", "wenn", "falls",
];

/// Forms of irregular verbs and nouns, and the word that they are forms of.
#[rustfmt::skip]
const IRREGULAR: [(&str, &str); 59] = [
    ("kept", "keep"), ("sent", "send"), ("built", "build"), ("held", "hold"), ("made", "make"), ("left", "leave"),
    ("lost", "lose"), ("paid", "pay"), ("said", "say"), ("met", "meet"), ("found", "find"), ("bought", "buy"),
    ("brought", "bring"), ("taught", "teach"), ("caught", "catch"), ("thought", "think"), ("sold", "sell"), ("told", "tell"),
    ("ran", "run"), ("began", "begin"), ("begun", "begin"), ("wrote", "write"), ("written", "write"), ("took", "take"),
    ("taken", "take"), ("gave", "give"), ("given", "give"), ("went", "go"), ("gone", "go"), ("came", "come"),
    ("saw", "see"), ("seen", "see"), ("knew", "know"), ("known", "know"), ("grew", "grow"), ("grown", "grow"),
    ("drew", "draw"), ("drawn", "draw"), ("flew", "fly"), ("flown", "fly"), ("chose", "choose"), ("chosen", "choose"),
    ("broke", "break"), ("broken", "break"), ("spoke", "speak"), ("spoken", "speak"), ("won", "win"), ("led", "lead"),
    ("fell", "fall"), ("fallen", "fall"), ("rose", "rise"), ("risen", "rise"), ("stood", "stand"), ("spent", "spend"),
    ("people", "person"), ("children", "child"), ("feet", "foot"), ("women", "woman"), ("men", "man"),
];

/// Words that are each other's opposite. What is denied of the one may be said of the other.
#[rustfmt::skip]
const OPPOSITES: [(&str, &str); 68] = [
    ("increase", "decrease"), ("increase", "reduce"), ("rise", "fall"), ("grow", "shrink"), ("high", "low"), ("higher", "lower"),
    ("highest", "lowest"), ("before", "after"), ("within", "after"), ("above", "below"), ("enable", "disable"), ("allow", "forbid"),
    ("allow", "prohibit"), ("allow", "deny"), ("permit", "forbid"), ("permit", "prohibit"), ("open", "close"), ("opened", "closed"),
    ("start", "stop"), ("begin", "end"), ("first", "last"), ("accept", "reject"), ("accept", "refuse"), ("include", "exclude"),
    ("internal", "external"), ("inside", "outside"), ("public", "private"), ("required", "optional"), ("mandatory", "optional"), ("required", "forbidden"),
    ("early", "late"), ("earlier", "later"), ("hot", "cold"), ("warm", "cold"), ("left", "right"), ("north", "south"),
    ("east", "west"), ("succeed", "fail"), ("success", "failure"), ("upper", "lower"), ("fast", "slow"), ("faster", "slower"),
    ("long", "short"), ("longer", "shorter"), ("large", "small"), ("larger", "smaller"), ("best", "worst"), ("better", "worse"),
    ("permanent", "temporary"), ("manual", "automatic"), ("manually", "automatically"), ("add", "remove"), ("create", "delete"), ("keep", "delete"),
    ("old", "new"), ("older", "newer"), ("old", "young"), ("older", "younger"), ("oldest", "newest"), ("win", "lose"), ("buy", "sell"), ("safe", "dangerous"),
    ("erlaubt", "verboten"), ("offen", "geschlossen"), ("vor", "nach"), ("hoch", "niedrig"), ("öffentlich", "privat"), ("öffnen", "schließen"),
];

/// Prefixes that turn a word into its opposite.
const TURNING: [&str; 7] = ["un", "non", "dis", "im", "in", "ir", "il"];
/// Shortest word that such a prefix turns; of shorter ones most that look so are other words (`side`, `inside`).
const TURNED_FROM: usize = 5;

/// Whether a sentence that begins with this word speaks of what the sentences before it named.
pub(super) fn refers_back(lower: &str) -> bool {
    matches!(
        lower,
        "it" | "its"
            | "he"
            | "his"
            | "she"
            | "her"
            | "they"
            | "their"
            | "this"
            | "these"
            | "those"
            | "er"
            | "sie"
            | "es"
            | "ihr"
            | "ihre"
            | "sein"
            | "seine"
            | "diese"
            | "dieser"
            | "dieses"
    )
}

pub(super) fn is_grammar(lower: &str) -> bool {
    is_english_grammar(lower) || is_german_grammar(lower)
}

pub(super) fn is_english_grammar(lower: &str) -> bool {
    ENGLISH.contains(&lower)
}

pub(super) fn is_german_grammar(lower: &str) -> bool {
    GERMAN.contains(&lower)
}

pub(super) fn joins_clauses(lower: &str) -> bool {
    JOINING.contains(&lower)
}

/// Whether a word joins clauses that stand side by side.
pub(super) fn coordinates(lower: &str) -> bool {
    matches!(lower, "and" | "but" | "while" | "whereas" | "und" | "aber" | "sondern" | "während")
}

/// The regular form of an irregular one; any other word as it is.
pub(super) fn regular(lower: &str) -> &str {
    IRREGULAR.iter().find(|(form, _)| *form == lower).map_or(lower, |(_, regular)| regular)
}

/// The pairs of opposites that a word in small letters is of, and on which side.
pub(super) fn sides(lower: &str) -> Vec<(usize, bool)> {
    let side = |at: usize, base: &str, side: bool| is_form_of(lower, base).then_some((at, side));
    let pairs = OPPOSITES.iter().enumerate();
    pairs.flat_map(|(at, (a, b))| side(at, a, true).into_iter().chain(side(at, b, false))).collect()
}

/// Whether one of two words is the other with a prefix that turns it.
pub(super) fn are_turned(word: &str, other: &str) -> bool {
    is_turned(word, other) || is_turned(other, word)
}

fn is_form_of(word: &str, base: &str) -> bool {
    let word = regular(word);
    let short = base.strip_suffix('e').unwrap_or(base);
    let Some(ending) = word.strip_prefix(short) else { return false };
    let doubled = short.chars().last().and_then(|last| ending.strip_prefix(last)).unwrap_or(ending);
    let kept = ending.is_empty() && short.len() < base.len();
    !kept && ["", "e", "s", "es", "d", "ed", "ing", "t", "en"].iter().any(|form| ending == *form || doubled == *form)
}

fn is_turned(turned: &str, plain: &str) -> bool {
    plain.len() >= TURNED_FROM && TURNING.iter().any(|prefix| turned.strip_prefix(prefix) == Some(plain))
}
