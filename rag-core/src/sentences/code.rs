//! What looks like code where no mark says so, as in a page whose `<pre>` became plain lines.

/// Words that begin a statement of some language, with what must follow.
#[rustfmt::skip]
const STATEMENTS: [&str; 22] = [
    "def ", "class ", "import ", "from ", "return ", "for ", "while ", "if ", "elif ", "else:", "try:", "except", "with ",
    "fn ", "let ", "const ", "static ", "struct ", "int ", "void ", "#include", "#define",
];

/// Spaces before a line that belongs to the line of code above it.
const MIN_INDENT: usize = 2;

/// Whether lines that belong together are code: most of them look like it.
pub(super) fn is_code<'t>(lines: impl Iterator<Item = &'t str>) -> bool {
    let (mut code, mut all, mut before) = (0, 0, false);
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let text = line.trim_start();
        let comment = text.starts_with("# ") || text.starts_with("//");
        let indented = before && line.len() - text.len() >= MIN_INDENT;
        before = comment || indented || is_code_line(line);
        all += 1;
        code += usize::from(before);
    }
    code > 0 && code * 2 >= all
}

/// Whether a line looks like code rather than like a line of prose.
pub(super) fn is_code_line(line: &str) -> bool {
    let text = line.trim();
    let prompt = [">>> ", "... ", "$ ", "% ", "~$ "].iter().any(|prompt| text.starts_with(prompt));
    let ending = text.ends_with([';', '{', '}', '\\']) || text.ends_with("):") || text.ends_with(" do");
    let statement =
        text.ends_with([':', ')', ']', '"', '\'']) && STATEMENTS.iter().any(|statement| text.starts_with(statement));
    prompt || ending || statement || is_assignment(text) || is_call(text) || is_command(text)
}

/// `name = value`, `a.b[0] += 1`: what stands before the sign is one name.
fn is_assignment(text: &str) -> bool {
    let Some((left, right)) = text.split_once('=') else { return false };
    let name = left.trim_end_matches(['+', '-', '*', '/', '|', '&', ':', ' ']);
    !name.is_empty() && !name.contains(char::is_whitespace) && !right.trim().is_empty() && is_name(name)
}

/// `name(...)`, and nothing beside it.
fn is_call(text: &str) -> bool {
    let text = text.strip_prefix('@').unwrap_or(text);
    text.ends_with(')') && text.split_once('(').is_some_and(|(name, _)| is_name(name))
}

/// A command with a flag or a path that something is written to: `echo t > /proc/x`, `make -j 4`.
fn is_command(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let command = words.next().is_some_and(|word| {
        word.starts_with(|c: char| c.is_ascii_lowercase() || c == '/' || c == '.') && !word.ends_with([',', '.', ':'])
    });
    let marks = |word: &str| {
        matches!(word, ">" | ">>" | "&&" | "<<") || word.starts_with(">/") || (word.len() > 1 && word.starts_with('-'))
    };
    command && !text.ends_with('.') && words.any(marks)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '[' | ']' | '-' | '>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_code_are_told_from_lines_of_prose() {
        for line in [
            ">>> factorial(10)      # no previously cached result",
            "$ make menuconfig",
            "    return sum(values) / len(values);",
            "def stdev(self):",
            "self._data = tuple(values)",
            "echo t > /proc/sysrq-trigger",
            "git bisect start --first-parent",
            "functools.reduce(function, iterable)",
        ] {
            assert!(is_code_line(line), "{line}");
        }
        for line in [
            "Daily snapshots are kept for 7 days.",
            "You can set the value by the following command:",
            "The limit is a = b, as the manual says",
            "Snapshots (all of them)",
            "On x86",
            "e - Send a SIGTERM to all processes",
        ] {
            assert!(!is_code_line(line), "{line}");
        }
    }
}
