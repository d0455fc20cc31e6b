//! The order in which a line is read of which parts go from right to left. Pure.

use super::layout::Word;

/// A line as it is read.
pub(super) fn line(words: &[Word]) -> String {
    let line = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    if line.chars().any(goes_left) { turned(&line) } else { line }
}

/// Whether a letter is of a script that is written from right to left.
fn goes_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}')
        && !is_mark(c)
        && !c.is_numeric()
}

/// Whether it stands on the letter before it.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}')
}

/// From the order on the page to that of reading.
fn turned(line: &str) -> String {
    let clusters = clusters(line);
    let left = clusters.iter().filter(|cluster| cluster.starts_with(goes_left)).count();
    let right = clusters.iter().filter(|cluster| is_strong(cluster)).count();
    let (forwards, mut read) = (left <= right, Vec::with_capacity(clusters.len()));
    // What goes against the line is turned in itself, and the line as a whole where it goes left.
    let against = |cluster: &&str| cluster.starts_with(goes_left) == forwards && !is_neutral(cluster);
    let mut at = 0;
    while at < clusters.len() {
        if !against(&clusters[at]) {
            read.push(clusters[at]);
            at += 1;
            continue;
        }
        // Blanks and marks between two such are among them.
        let run = clusters[at..].iter().take_while(|cluster| against(cluster) || is_neutral(cluster)).count();
        let inside = clusters[at..at + run].iter().rposition(|cluster| !is_neutral(cluster)).map_or(1, |last| last + 1);
        read.extend(clusters[at..at + inside].iter().rev());
        at += inside;
    }
    if !forwards {
        read.reverse();
    }
    read.concat()
}

/// Letters with the marks that stand on them.
fn clusters(line: &str) -> Vec<&str> {
    let mut starts: Vec<usize> = line.char_indices().filter(|(_, c)| !is_mark(*c)).map(|(at, _)| at).collect();
    starts.push(line.len());
    if starts[0] != 0 {
        starts.insert(0, 0);
    }
    starts.windows(2).map(|pair| &line[pair[0]..pair[1]]).collect()
}

fn is_strong(cluster: &str) -> bool {
    cluster.starts_with(|c: char| c.is_alphabetic() && !goes_left(c))
}

fn is_neutral(cluster: &str) -> bool {
    !cluster.starts_with(|c: char| c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::turned;

    #[test]
    fn what_stands_from_right_to_left_is_read_so_and_numbers_and_names_in_it_are_not() {
        assert_eq!(turned("םולש"), "שלום");
        assert_eq!(turned("2031 תנש םולש"), "שלום שנת 2031");
        assert_eq!(turned("PLK-104B אוה רפסמה"), "המספר הוא PLK-104B");
        assert_eq!(turned("The word םולש means peace"), "The word שלום means peace");
        assert_eq!(turned("Two words: םלוע םולש (greeting)"), "Two words: שלום עולם (greeting)");
    }
}
