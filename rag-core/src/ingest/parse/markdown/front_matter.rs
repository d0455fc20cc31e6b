//! Front matter: what a Markdown document says of itself above its text, as YAML between `---` or as TOML between `+++`.
//!
//! Only what is closed and gives names to values is front matter: a rule as the first line is none. It is no text of the document; its title and its description are taken, and nothing else is read.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// Bytes that are taken apart by their grammar; of larger ones (some generators keep whole descriptions of interfaces there) the two values are found by their lines.
const MAX_PARSED: usize = 16 * 1024;

/// What was found at the beginning of a document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FrontMatter {
    /// Bytes until after the line that closes it.
    pub(super) bytes: usize,
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
}

/// What it says of the document.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default, deserialize_with = "text")]
    title: Option<String>,
    #[serde(default, deserialize_with = "text")]
    description: Option<String>,
    #[serde(default, deserialize_with = "text")]
    summary: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Grammar {
    Yaml,
    Toml,
}

/// The front matter of the text, if it begins with some and closes it.
pub(super) fn read(text: &str) -> Option<FrontMatter> {
    let opening = text.split_inclusive('\n').next()?;
    let grammar = match opening.trim_end() {
        "---" => Grammar::Yaml,
        "+++" => Grammar::Toml,
        _ => return None,
    };
    let (mut end, mut body) = (opening.len(), None);
    for line in text[opening.len()..].split_inclusive('\n') {
        if end == opening.len() && line.trim().is_empty() {
            return None;
        }
        let closes = match grammar {
            Grammar::Yaml => matches!(line.trim_end(), "---" | "..."),
            Grammar::Toml => line.trim_end() == "+++",
        };
        if closes {
            body = Some(&text[opening.len()..end]);
        }
        end += line.len();
        if closes {
            break;
        }
    }
    let said = grammar.read(body?)?;
    let description = said.description.or(said.summary);
    Some(FrontMatter { bytes: end, title: said.title, description })
}

impl Grammar {
    fn read(self, body: &str) -> Option<Said> {
        // What names nothing may be text between two rules, of which a heading looks like a comment.
        body.lines().find_map(|line| self.named(line))?;
        let parsed = match self {
            _ if body.len() > MAX_PARSED => None,
            Self::Yaml => serde_yaml_ng::from_str(body).ok(),
            Self::Toml => toml::from_str(body).ok(),
        };
        parsed.or_else(|| self.read_lines(body))
    }

    /// What lines say by themselves, where each of them looks like it belongs there: people write `title: Part 1: the pump`, and placeholders of templates.
    fn read_lines(self, body: &str) -> Option<Said> {
        let belongs = |line: &str| {
            line.trim().is_empty()
                || line.starts_with([' ', '\t', '#', '-', '}', ']', '['])
                || self.named(line).is_some()
        };
        if !body.lines().all(belongs) {
            return None;
        }
        let value = |wanted: &str| {
            let mut lines = body.lines();
            let (_, value) = lines.by_ref().find_map(|line| self.named(line).filter(|(name, _)| *name == wanted))?;
            // The marks of a text that stands on the lines below.
            let value = if value.starts_with(['>', '|']) && value.len() <= 3 {
                let below = lines.take_while(|line| line.trim().is_empty() || line.starts_with([' ', '\t']));
                below.map(str::trim).collect::<Vec<_>>().join(" ")
            } else {
                value.trim_matches(['"', '\'']).to_owned()
            };
            // A list, a template or an alias is no text.
            let plain = !value.trim().is_empty() && !value.starts_with(['[', '{', '*', '&']);
            plain.then_some(value)
        };
        Some(Said { title: value("title"), description: value("description"), summary: value("summary") })
    }

    /// Name and value of a line.
    fn named(self, line: &str) -> Option<(&str, &str)> {
        let (name, value) = line.split_once(if self == Self::Yaml { ':' } else { '=' })?;
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'');
        let apart = self == Self::Toml || value.is_empty() || value.starts_with([' ', '\t']);
        let name = name.trim_end();
        (!name.is_empty() && apart && name.chars().all(is_name)).then(|| (name, value.trim()))
    }
}

/// A text, or a number as it is written.
fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    value.deserialize_str(Text)
}

struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let nothing = text.trim().is_empty() || matches!(text, "null" | "~");
        Ok((!nothing).then(|| text.trim().to_owned()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(text: &str) -> Option<String> {
        read(text).and_then(|found| found.title)
    }

    #[test]
    fn a_title_is_read_as_its_grammar_has_it() {
        for (text, wanted) in [
            (
                "---\ntitle: >-\n  Commissioning the\n  north pumping station\ntags: [pump]\n---\nx",
                "Commissioning the north pumping station",
            ),
            ("---\ntitle: \"The \\\"old\\\" pump\" # of 2030\n---\n", "The \"old\" pump"),
            ("---\r\ntitle: 'It''s on'\r\n---\r\n", "It's on"),
            ("---\ntitle: 2.10\n...\n", "2.10"),
            ("---\na: &t Pump\ntitle: *t\n---\n", "Pump"),
            ("---\ntitle: Part 1: the pump\nweight: 10\n---\n", "Part 1: the pump"),
            ("---\nlayout: {{ page }}\ntitle: |\n  Rota\n---\n", "Rota"),
            (
                "+++\ntitle = \"Rota of the night shift\"\ndate = 2031-01-01\n[extra]\na = 1\n+++\nx",
                "Rota of the night shift",
            ),
            ("+++\ntitle = '''Rota'''\n+++\n", "Rota"),
            ("+++\nbroken = \ntitle = \"Rota\"\n+++\n", "Rota"),
        ] {
            assert_eq!(title(text).as_deref(), Some(wanted), "{text:?}");
        }
    }

    #[test]
    fn a_rule_as_the_first_line_is_no_front_matter() {
        for text in [
            "---\n\n# Opening hours\n\nThe depot opens.\n\n---\n",
            "---\nThe depot opens at 05:15.\n---\n",
            "---\nHours: see below\n\nThe depot opens at five.\n\n---\n",
            "---\ntitle: never closed\n\n# Heading\n",
            "---\n- a list\n---\n",
            "---\n---\n",
            "---\n# Opening hours\n---\n",
            "+++\nnothing\n+++\n",
            "--- title: x\n---\n",
            " ---\ntitle: x\n---\n",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_no_title_and_costs_no_other_value() {
        let found = read("---\ntitle: [a, b]\ndescription: Of pumps.\n---\nrest").unwrap();
        assert_eq!((found.title, found.description.as_deref()), (None, Some("Of pumps.")));
        let found = read("---\ntitle: ~\nsummary: Of pumps.\n---\nrest").unwrap();
        assert_eq!((found.title, found.description.as_deref(), found.bytes), (None, Some("Of pumps."), 36));
    }

    #[test]
    fn of_more_than_is_taken_apart_title_and_description_are_found_by_their_lines() {
        let large = format!(
            "---\ntitle: >-\n  Of the\n  pump\napi: {}\ndescription: \"Starts it.\"\n---\n",
            "x".repeat(MAX_PARSED)
        );
        let found = read(&large).unwrap();
        assert_eq!((found.title.as_deref(), found.description.as_deref()), (Some("Of the pump"), Some("Starts it.")));
    }

    #[test]
    fn aliases_of_aliases_and_nesting_without_end_cost_nothing() {
        let mut bomb = "---\na0: &a0 [x, x]\n".to_owned();
        for n in 1..40 {
            bomb.push_str(&format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1));
        }
        bomb.push_str("title: *a39\ndescription: Pumps.\n---\n");
        assert!(read(&bomb).is_some_and(|found| found.title.is_none_or(|title| title == "*a39")));
        for open in ["[", "{", "- ", "{a: "] {
            let deep = format!("---\ntitle: Pump\nx: {}\n---\n", open.repeat(MAX_PARSED / open.len() - 20));
            assert_eq!(title(&deep).as_deref(), Some("Pump"), "{open:?}");
        }
    }
}
