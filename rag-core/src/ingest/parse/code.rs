//! Source code and configuration by definitions: a function, a class, a table or a section stands under a heading that names it, with the comments and marks above it.
//!
//! One table of words for all languages, and indentation and braces for where a definition ends: no language is parsed. A definition inside a function is part of the function, so that a short one
//! stays whole; where a rule misses a definition, its lines stay with the one above. The text is passed on byte for byte.

use super::lines::{Held, LineParser, MAX_BLOCK};
use crate::ingest::chunk::{Block, Chunker, Shape};

/// Columns of a tab.
const TAB: usize = 4;
/// Definitions inside each other that are told apart; a heading has six levels.
const MAX_LEVEL: usize = 6;

/// Words before a definition that are no part of its name.
const MODIFIERS: [&str; 36] = [
    "abstract",
    "async",
    "const",
    "constexpr",
    "data",
    "declare",
    "default",
    "explicit",
    "export",
    "extern",
    "final",
    "friend",
    "global",
    "inline",
    "internal",
    "local",
    "native",
    "open",
    "override",
    "partial",
    "private",
    "protected",
    "pub",
    "public",
    "readonly",
    "sealed",
    "static",
    "suspend",
    "synchronized",
    "transient",
    "typedef",
    "unsafe",
    "virtual",
    "volatile",
    "\"C\"",
    "actor",
];
/// What holds definitions, of Rust, Python, Java, C#, C++, Go, Kotlin, Swift, Ruby, PHP, Scala and their kin.
const CONTAINERS: [&str; 14] = [
    "class",
    "enum",
    "extension",
    "impl",
    "interface",
    "mod",
    "module",
    "namespace",
    "object",
    "protocol",
    "record",
    "struct",
    "trait",
    "union",
];
/// What is a definition by itself, of Rust, Python and Ruby, Go and Swift, JavaScript, PHP and shells, Kotlin, Perl and Basic, Pascal.
const FUNCTIONS: [&str; 9] = ["fn", "def", "func", "function", "function*", "fun", "sub", "procedure", "macro_rules!"];
/// What a statement of SQL makes.
const CREATED: [&str; 8] = ["table", "view", "function", "procedure", "trigger", "index", "type", "schema"];
/// Words that begin a statement and no definition.
const STATEMENTS: [&str; 38] = [
    "assert", "await", "break", "case", "catch", "continue", "default", "defer", "del", "do", "echo", "elif", "else",
    "elsif", "exit", "except", "finally", "for", "foreach", "from", "go", "goto", "if", "import", "match", "new",
    "print", "raise", "return", "select", "switch", "throw", "try", "unless", "until", "using", "while", "with",
];

/// A definition of which the lines are read.
struct Function {
    indent: usize,
    /// Braces that are open.
    braces: usize,
}

/// Code that is being read.
#[derive(Default)]
pub(in crate::ingest) struct Code {
    held: Held,
    /// Comments and marks of which it is open whether a definition follows.
    lead: String,
    /// The definitions around the line, outermost first: where they are indented to, and their titles.
    containers: Vec<(usize, String)>,
    function: Option<Function>,
    /// Whether a definition ended, and the next line that belongs to none begins a section.
    ended: bool,
}

enum Definition {
    Container(String),
    Function(String),
}

impl LineParser for Code {
    fn line(&mut self, line: &str, starts: bool, out: &mut Chunker<'_>) {
        out.keep_headings_from_naming();
        let text = line.trim();
        if !starts || text.is_empty() {
            return self.blank_or_part(line, starts, out);
        }
        let indent = indent(line);
        let inside = self.function.as_ref().is_some_and(|function| indent > function.indent);
        let open = self.function.as_ref().is_some_and(|function| function.braces > 0);
        // A word that defines is believed even where braces in texts were miscounted.
        let definition = by_word(text).or_else(|| if open { None } else { by_shape(text) });
        if let Some(definition) = definition.filter(|_| !inside) {
            return self.begin(definition, indent, line, out);
        }
        if let Some(function) = &mut self.function {
            if inside || function.braces > 0 || continues(text) {
                function.braces = open_braces(function.braces, text);
                return self.held.add(line, Shape::Lines, out);
            }
            self.function = None;
            self.ended = true;
        }
        if leads(text) && self.lead.len() + line.len() <= MAX_BLOCK {
            if self.lead.is_empty() {
                self.held.end(Shape::Lines, out);
            }
            self.lead.push_str(line);
            return;
        }
        if closes(text) {
            self.flush_lead(out);
            self.ended = self.ended || self.containers.last().is_some_and(|(at, _)| *at >= indent);
            return self.held.add(line, Shape::Lines, out);
        }
        self.other(line, indent, out);
    }

    fn end(&mut self, out: &mut Chunker<'_>) {
        self.flush_lead(out);
        self.held.end(Shape::Lines, out);
    }
}

impl Code {
    fn blank_or_part(&mut self, line: &str, starts: bool, out: &mut Chunker<'_>) {
        if starts && self.function.is_some() {
            return self.held.add(line, Shape::Lines, out);
        }
        self.flush_lead(out);
        if !starts {
            return self.held.add(line, Shape::Lines, out);
        }
        self.held.end(Shape::Lines, out);
        out.push(Block::Blank { text: line });
    }

    fn begin(&mut self, definition: Definition, indent: usize, line: &str, out: &mut Chunker<'_>) {
        self.held.end(Shape::Lines, out);
        self.containers.retain(|(at, _)| *at < indent);
        let level = u8::try_from((self.containers.len() + 1).min(MAX_LEVEL)).unwrap_or(1);
        let mut text = std::mem::take(&mut self.lead);
        text.push_str(line);
        self.function = None;
        self.ended = false;
        let title = match definition {
            Definition::Container(title) => {
                self.containers.push((indent, title.clone()));
                title
            }
            Definition::Function(title) => {
                self.function = Some(Function { indent, braces: open_braces(0, line) });
                title
            }
        };
        out.push(Block::Heading { level, title: &title, text: &text });
    }

    /// A line that is part of no function and begins none.
    fn other(&mut self, line: &str, indent: usize, out: &mut Chunker<'_>) {
        self.flush_lead(out);
        if self.ended {
            self.held.end(Shape::Lines, out);
            self.containers.retain(|(at, _)| *at < indent);
            out.section(self.containers.last().map_or("", |(_, title)| title));
            self.ended = false;
        }
        self.held.add(line, Shape::Lines, out);
    }

    /// Gives on what stood above no definition. A mark in brackets is the head of a section of its own, as in TOML and INI files.
    fn flush_lead(&mut self, out: &mut Chunker<'_>) {
        let lead = std::mem::take(&mut self.lead);
        let Some(last) = lead.lines().last() else { return };
        match last.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(name) if indent(last) == 0 && !name.contains(['(', ',', '{']) => {
                self.held.end(Shape::Lines, out);
                self.ended = false;
                out.push(Block::Heading { level: 1, title: name.trim_matches(['[', ']']), text: &lead });
            }
            _ => {
                if std::mem::take(&mut self.ended) {
                    self.held.end(Shape::Lines, out);
                    out.section("");
                }
                for line in lead.split_inclusive('\n') {
                    self.held.add(line, Shape::Lines, out);
                }
            }
        }
    }
}

fn indent(line: &str) -> usize {
    line.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).map(|byte| if byte == b'\t' { TAB } else { 1 }).sum()
}

/// Braces that are open behind a line; those in texts are counted as well.
fn open_braces(open: usize, line: &str) -> usize {
    line.bytes().fold(open, |open, byte| match byte {
        b'{' => open + 1,
        b'}' => open.saturating_sub(1),
        _ => open,
    })
}

/// Whether a line at the edge still belongs to the definition above: the brace of its body, an item of a list, what a preprocessor reads.
fn continues(text: &str) -> bool {
    let directive = text.strip_prefix('#').and_then(|rest| rest.split_whitespace().next());
    closes(text)
        || text.starts_with('{')
        || text.starts_with("- ")
        || directive.is_some_and(|word| {
            ["if", "ifdef", "ifndef", "else", "elif", "endif", "define", "undef", "pragma"].contains(&word)
        })
}

/// Whether a line only closes what is open.
fn closes(text: &str) -> bool {
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    text.starts_with(['}', ')', ']'])
        || matches!(word, "end" | "END" | "fi" | "done" | "esac")
        || text.starts_with("*/")
}

/// Whether a line may belong to the definition below it: a comment, an annotation, an attribute.
fn leads(text: &str) -> bool {
    ["//", "/*", "*", "#", "@", "--", ";;", "[", "\"\"\""].iter().any(|mark| text.starts_with(mark))
        || text.starts_with("template<")
}

/// What a line defines, told by a word.
fn by_word(text: &str) -> Option<Definition> {
    if text.ends_with(';') && !text.contains('{') {
        return created(text).map(Definition::Function);
    }
    let rest = without_modifiers(text);
    let end = rest.find([' ', '\t', '(', '<']).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    // `struct pump *find(int n) {` is a function of C.
    let plain = !matches!(word, "struct" | "enum" | "union") || !after.contains('(');
    if after.starts_with('(') {
        return None;
    }
    if CONTAINERS.contains(&word) && plain && opens_body(text) {
        return Some(Definition::Container(format!("{word} {}", head(after)?)));
    }
    if word == "type" && text.ends_with('{') {
        return Some(Definition::Container(format!("type {}", name(after)?)));
    }
    if FUNCTIONS.contains(&word) {
        return Some(Definition::Function(format!("{word} {}", receiver_and_name(after)?)));
    }
    created(text).map(Definition::Function)
}

/// What a line defines, told by how it looks.
fn by_shape(text: &str) -> Option<Definition> {
    if text.ends_with(';') && !text.contains('{') {
        return None;
    }
    let rest = without_modifiers(text);
    assigned(rest).or_else(|| key(text)).or_else(|| by_parentheses(rest)).map(Definition::Function)
}

fn without_modifiers(text: &str) -> &str {
    let mut rest = text;
    loop {
        let word = rest.split([' ', '\t']).next().unwrap_or_default();
        let bare = word.split('(').next().unwrap_or_default();
        // `pub(crate)` is one, a function named like a modifier is not.
        let is_modifier = MODIFIERS.contains(&bare) && (bare == word || (bare == "pub" && word.ends_with(')')));
        let after = rest[word.len()..].trim_start();
        if !is_modifier || after.is_empty() {
            return rest;
        }
        rest = after;
    }
}

/// Whether a line of a container opens its body, and does not only speak of a type: `struct pump *next`.
fn opens_body(text: &str) -> bool {
    !text.ends_with([';', ',', ')']) && !text.contains(" = ")
}

/// The line up to its body, such as `Valve for Pump`.
fn head(after: &str) -> Option<String> {
    let end = after.find(['{', ';']).unwrap_or(after.len());
    let head = after[..end].trim().trim_end_matches(':').trim();
    let begins = head.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '<'));
    begins.then(|| head.to_owned())
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | ':' | '!' | '?' | '~' | '-')
}

fn name(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let name = text[..text.find(|c: char| !is_name(c)).unwrap_or(text.len())].trim_end_matches([':', '-']);
    name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '$' | '~')).then_some(name)
}

/// The name of a function, with what it is a method of in Go.
fn receiver_and_name(after: &str) -> Option<String> {
    match after.trim_start().strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((receiver, rest)) => Some(format!("({receiver}) {}", name(rest)?)),
        None => name(after).map(str::to_owned),
    }
}

/// What a statement of SQL makes.
fn created(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    if !words.next()?.eq_ignore_ascii_case("create") {
        return None;
    }
    let kind = words.by_ref().take(4).find(|word| CREATED.iter().any(|kind| word.eq_ignore_ascii_case(kind)))?;
    let named = words.find(|word| !["if", "not", "exists"].iter().any(|skipped| word.eq_ignore_ascii_case(skipped)))?;
    let named = named.split('(').next()?.trim_matches(['"', '`', ';', '[', ']']);
    (!named.is_empty()).then(|| format!("{} {named}", kind.to_lowercase()))
}

/// A function that is the value of a name, as in JavaScript and R.
fn assigned(rest: &str) -> Option<String> {
    let rest = ["let ", "var "].iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
    let (left, value) = rest.split_once(" = ").or_else(|| rest.split_once(" <- "))?;
    let value = value.trim_start().trim_start_matches("async ").trim_start();
    let is_function =
        value.starts_with("function") || (value.contains("=>") && value.starts_with(|c: char| c == '(' || is_name(c)));
    let named = name(left)?;
    (is_function && !left.contains('(')).then(|| named.to_owned())
}

/// A name above indented lines, as in YAML.
fn key(text: &str) -> Option<String> {
    let name = text.strip_suffix(':')?;
    let is_key =
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '"'));
    (is_key && !STATEMENTS.contains(&name)).then(|| name.trim_matches('"').to_owned())
}

/// A function of C and its kin, which no word tells: a type and a name before parentheses, or a name before parentheses and a body.
fn by_parentheses(rest: &str) -> Option<String> {
    let before = rest[..rest.find('(')?].trim_end();
    let body = rest.ends_with('{');
    let mut words = before.split_whitespace();
    let (first, count) = (words.next()?, 1 + words.count());
    let named = before.rsplit([' ', '\t', '*', '&']).next()?;
    let plain = before.chars().all(|c| c.is_alphanumeric() || " \t_*&<>:~,$[]".contains(c));
    let begins = named.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '~' | '$'));
    let told = (count > 1 && (body || rest.ends_with(')'))) || (body && rest.contains(')'));
    (plain && begins && told && !STATEMENTS.contains(&first)).then(|| named.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ingest::{
        chunk::{Draft, Limits},
        parse::{Format, Parser},
    };

    fn read(text: &str, tokens: usize, piece: usize) -> Vec<Draft> {
        let count = |text: &str| text.split_whitespace().count().max(text.len() / 20);
        let mut chunker = Chunker::new(Limits { tokens, bytes: 4000 }, &count);
        let mut parser = Parser::new(Format::Code);
        let mut rest = text;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.ceil_char_boundary(piece.min(rest.len())));
            parser.feed(part, &mut chunker).unwrap();
            rest = after;
        }
        parser.finish(&mut chunker).unwrap();
        chunker.finish();
        assert_eq!(chunker.title(), None, "no definition is the document");
        std::iter::from_fn(|| chunker.pop()).collect()
    }

    /// Headings and the first line of each chunk.
    fn outline(text: &str) -> Vec<(String, String)> {
        let line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        read(text, 200, 4096).iter().map(|d| (d.headings.join(" > "), line(&d.text))).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(headings, line)| ((*headings).to_owned(), (*line).to_owned())).collect()
    }

    #[test]
    fn each_definition_is_a_section_with_its_comments() {
        let rust = "//! A pump.\n\nuse std::fmt;\n\n/// How far.\n#[derive(Debug)]\npub struct Valve {\n    open: bool,\n}\n\nimpl Valve {\n    /// Opens it.\n    pub fn open(&mut self) {\n        fn inner() {}\n        self.open = true;\n    }\n\n    fn close(&mut self) {\n        self.open = false;\n    }\n}\n\nconst LIMIT: u32 = 7;\n";
        let wanted = [
            ("", "//! A pump."),
            ("struct Valve", "/// How far."),
            ("impl Valve > fn open", "impl Valve {"),
            ("impl Valve > fn close", "    fn close(&mut self) {"),
            ("", "const LIMIT: u32 = 7;"),
        ];
        assert_eq!(outline(rust), pairs(&wanted));
        let python = "import os\n\n\nclass Pump(Base):\n    \"\"\"A pump.\"\"\"\n\n    limit = 7\n\n    @property\n    def rate(self):\n        def inner():\n            return 1\n        return inner()\n\n    async def stop(self):\n        pass\n\n\n# Starts all.\ndef start(pumps):\n    for pump in pumps:\n        pump.rate\n\n\nif __name__ == \"__main__\":\n    start([])\n";
        let wanted = [
            ("", "import os"),
            ("class Pump(Base)", "class Pump(Base):"),
            ("class Pump(Base) > def rate", "    @property"),
            ("class Pump(Base) > def stop", "    async def stop(self):"),
            ("def start", "# Starts all."),
            ("", "if __name__ == \"__main__\":"),
        ];
        assert_eq!(outline(python), pairs(&wanted));
    }

    #[test]
    fn definitions_are_told_in_many_languages() {
        for (line, wanted) in [
            ("func (v *Valve) Open(x int) error {", "func (v *Valve) Open"),
            ("func main() {", "func main"),
            ("type Valve struct {", "type Valve"),
            ("export default async function load(url) {", "function load"),
            ("export const load = async (url) => {", "load"),
            ("module.exports.load = function (url) {", "module.exports.load"),
            ("int main(int argc, char **argv)", "main"),
            ("static struct pump *find(const char *name) {", "find"),
            ("std::vector<int> Valve::rates() const {", "Valve::rates"),
            ("public final class Valve extends Part implements Opens {", "class Valve extends Part implements Opens"),
            ("    public static List<String> names(int n) throws IOException {", "names"),
            ("def self.open?(valve)", "def self.open?"),
            ("public function open(int $valve): bool {", "function open"),
            ("deploy() {", "deploy"),
            ("function deploy {", "function deploy"),
            ("CREATE TABLE IF NOT EXISTS valves (", "table valves"),
            ("create or replace function open_valve(n int) returns void as $$", "function open_valve"),
            ("fun Valve.open(): Boolean {", "fun Valve.open"),
            ("scale <- function(x) {", "scale"),
            ("impl<T: Opens> Part for Valve<T>", "impl <T: Opens> Part for Valve<T>"),
            ("spec:", "spec"),
        ] {
            let line = line.trim();
            let title = match by_word(line).or_else(|| by_shape(line)) {
                Some(Definition::Container(title) | Definition::Function(title)) => title,
                None => panic!("{line:?} defines nothing"),
            };
            assert_eq!(title, wanted);
        }
        for line in [
            "return open(valve)",
            "if (open) {",
            "} else if (open) {",
            "for (int i = 0; i < n; i++) {",
            "print(\"def x\")",
            "x = open(valve)",
            "struct pump *next;",
            "int open(int);",
            "class Valve;",
            "else:",
            "new Valve(1) {",
            "open(valve)",
            "valve.open(x) {",
            "let x = 1;",
            "fn open(&self);",
            "import { a } from 'b'",
            "use std::fmt;",
            "key: value",
        ] {
            assert!(by_word(line).or_else(|| by_shape(line)).is_none(), "{line:?} defines something");
        }
    }

    #[test]
    fn a_short_function_is_never_cut_and_the_edge_of_its_body_is_part_of_it() {
        let c: String = (0..30)
            .map(|n| format!("int open_{n}(int a)\n{{\n#ifdef FAST\n    a++;\n#endif\n\n    if (a)\n    {{\n        return {n};\n    }}\nout:\n    return a;\n}}\n\n"))
            .collect();
        let drafts = read(&c, 60, 777);
        assert_eq!(drafts.len(), 30);
        for (n, draft) in drafts.iter().enumerate() {
            assert_eq!(draft.headings, [format!("open_{n}")]);
            assert!(draft.text.starts_with(&format!("int open_{n}(")) && draft.text.ends_with('}'), "{}", draft.text);
        }
    }

    #[test]
    fn sections_of_configurations_are_headings() {
        let toml = "# The depot.\nname = \"north\"\n\n[server]\nport = 8080\n\n# Kept.\n[[pumps]]\nid = 1\n";
        let wanted = [("", "# The depot."), ("server", "[server]"), ("pumps", "# Kept.")];
        assert_eq!(outline(toml), pairs(&wanted));
        let yaml = "kind: Pump\nmetadata:\n  name: north\n  labels:\n    a: b\nspec:\n- x: 1\n  y: 2\n";
        assert_eq!(outline(yaml), pairs(&[("", "kind: Pump"), ("metadata", "metadata:"), ("spec", "spec:")]));
    }

    fn scrap() -> impl Strategy<Value = String> {
        let known = prop::sample::select(vec![
            "fn word() {",
            "}",
            "{",
            "class Word:",
            "def word(self):",
            "    ",
            "\t",
            "return word;",
            "// word",
            "# word",
            "[word]",
            "@word",
            "#ifdef WORD",
            "int word(int a)",
            "word:",
            "CREATE TABLE word (",
            "impl word {",
            "",
            "\"\"\"",
            "word = (x) => {",
            "/*",
            "*/",
            "end",
            "(((((",
            "é日本",
            "template<",
        ]);
        (known, prop::sample::select(vec!["\n", "\n", "\n", "\r\n", " ", "\n\n"]))
            .prop_map(|(text, end)| format!("{text}{end}"))
    }

    proptest! {
        #[test]
        fn every_byte_that_is_not_blank_is_in_a_chunk_once_in_any_pieces(
            scraps in prop::collection::vec(scrap(), 0..60),
            piece in 1_usize..90,
            tokens in 5_usize..60,
        ) {
            let text = scraps.concat();
            let drafts = read(&text, tokens, piece);
            let bare = |text: &str| text.split_whitespace().collect::<String>();
            let all: String = drafts.iter().map(|draft| draft.text.as_str()).collect();
            prop_assert_eq!(bare(&all), bare(&text));
            prop_assert_eq!(drafts, read(&text, tokens, usize::MAX));
        }
    }
}
