//! Counts the attributes of a tag while it is read.

/// Where in a tag the next byte stands, by the rules of HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// After `<`.
    Start,
    /// After `</`.
    EndStart,
    Name,
    /// Where an attribute may begin.
    Between,
    Attribute,
    /// After the name of an attribute and a blank.
    AfterAttribute,
    /// After the equal sign.
    BeforeValue,
    Value,
    Quoted(u8),
    /// After the end, or in what is no tag.
    Outside,
    /// After `</>`, which is dropped without a token.
    Nothing,
}

/// A tag that began and of which the end is still to be read.
#[derive(Debug)]
pub(super) struct OpenTag {
    at: At,
    /// How many attributes have begun.
    pub(super) attributes: usize,
    /// The line on which it began.
    pub(super) line: u64,
}

impl OpenTag {
    /// A tag of which `<` was read.
    pub(super) fn new(line: u64) -> Self {
        Self { at: At::Start, attributes: 0, line }
    }

    /// Whether it came to nothing, of which the tokenizer does not tell.
    pub(super) fn is_nothing(&self) -> bool {
        self.at == At::Nothing
    }

    /// Reads on.
    pub(super) fn read(&mut self, text: &str) {
        for byte in text.bytes() {
            let next = next(self.at, byte);
            self.attributes += usize::from(next == At::Attribute && self.at != At::Attribute);
            self.at = next;
        }
    }
}

fn next(at: At, byte: u8) -> At {
    let blank = byte.is_ascii_whitespace();
    match (at, byte) {
        (At::Outside | At::Nothing, _) => at,
        (At::Quoted(quote), _) if byte == quote => At::Between,
        (At::Quoted(_), _) => at,
        (At::Start, b'/') => At::EndStart,
        (At::EndStart, b'>') => At::Nothing,
        (At::Start | At::EndStart, _) if byte.is_ascii_alphabetic() => At::Name,
        (At::Start | At::EndStart, _) => At::Outside,
        (_, b'>') => At::Outside,
        (At::BeforeValue, b'"' | b'\'') => At::Quoted(byte),
        (At::BeforeValue, _) if blank => At::BeforeValue,
        (At::Value, _) if blank => At::Between,
        (At::BeforeValue | At::Value, _) => At::Value,
        (_, b'/') => At::Between,
        (At::Attribute | At::AfterAttribute, b'=') => At::BeforeValue,
        (At::Name | At::Between, _) if blank => At::Between,
        (At::Attribute | At::AfterAttribute, _) if blank => At::AfterAttribute,
        (At::Name, _) => At::Name,
        // The name of an attribute may begin with an equal sign.
        (At::Between | At::Attribute | At::AfterAttribute, _) => At::Attribute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_counted_as_a_browser_would() {
        for (tag, attributes) in [
            ("p>", 0),
            ("p a>", 1),
            ("p a=1 b = 2 c='x y = z' d=\"/'\"e>", 5),
            ("p/a/b=c/d e>", 3),
            ("p =a==b>", 1),
            ("p a b", 2),
            ("/p a b>", 2),
            ("p a> b c", 1),
            ("!-- a b", 0),
            (" a b", 0),
            ("3 a b", 0),
            ("//x a b", 0),
            ("/> a b", 0),
        ] {
            let mut open = OpenTag::new(1);
            open.read(tag);
            assert_eq!(open.attributes, attributes, "<{tag}");
        }
    }
}
