//! Text of documents on a terminal: it may neither command the terminal nor change the order in which a line is read.
//!
//! Only what is printed is changed; what is stored and what HTTP answers stays byte for byte.

/// Text on one line: blanks become single spaces, and what a terminal would obey becomes a replacement character.
pub(super) fn line(text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| c.is_whitespace())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().map(|c| if is_command(c) { '\u{fffd}' } else { c }).collect())
        .collect();
    words.join(" ")
}

/// Text with its lines and their indents, so that tables and code stay readable; everything else as in [`line`].
pub(super) fn lines(text: &str) -> String {
    let mut shown: Vec<String> = Vec::new();
    for line in text.lines() {
        let line: String = line
            .trim_end_matches([' ', '\t', '\r'])
            .chars()
            .map(|c| match c {
                '\t' => ' ',
                c if is_command(c) || matches!(c, '\u{2028}' | '\u{2029}') => '\u{fffd}',
                c => c,
            })
            .collect();
        // Several empty lines in a row say no more than one.
        if !(line.is_empty() && shown.last().is_none_or(|last| last.is_empty())) {
            shown.push(line);
        }
    }
    shown.join("\n").trim_end().to_owned()
}

/// JSON with the same characters written as escapes, which mean the same to whoever parses it.
pub(super) fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_command(c) && c != '\n' {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Control characters of both ranges, and those that turn the direction of writing.
fn is_command(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_that_a_terminal_obeys_is_printed() {
        let hostile = "a\u{1b}]0;title\u{7}b\r\nc\u{9b}31m\u{202e}txt.exe\u{2066} e\u{301} 日本";
        let shown = line(hostile);
        assert!(!shown.chars().any(is_command), "{shown:?}");
        assert_eq!(shown, "a\u{fffd}]0;title\u{fffd}b c\u{fffd}31m\u{fffd}txt.exe\u{fffd} e\u{301} 日本");
    }

    #[test]
    fn lines_stay_lines_and_command_nothing() {
        let shown = lines("Run:\r\n```\r\nif x:\n\tgo\u{1b}[2J\n```\n\n\n\n| a | b |\u{2028}\n");
        assert_eq!(shown, "Run:\n```\nif x:\n go\u{fffd}[2J\n```\n\n| a | b |\u{fffd}");
        assert!(!shown.chars().any(|c| is_command(c) && c != '\n'), "{shown:?}");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::json!({"a\u{9b}": ["\u{202e}x\u{7f}\u{1b}\n", "é"]});
        let shown = json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!shown.chars().any(|c| is_command(c) && c != '\n'), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
