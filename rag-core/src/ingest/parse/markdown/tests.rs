use proptest::prelude::*;

use super::*;
use crate::ingest::{
    chunk::{Draft, Limits},
    parse::{Format, Parser},
};

struct Read {
    title: Option<String>,
    drafts: Vec<Draft>,
}

impl Read {
    /// Headings and text of each chunk.
    fn seen(&self) -> Vec<(String, &str)> {
        self.drafts.iter().map(|draft| (draft.headings.join(" > "), draft.text.as_str())).collect()
    }

    /// The text, each part of it once.
    fn text(&self) -> String {
        self.drafts.iter().map(|draft| &draft.text[draft.repeated..]).collect::<Vec<_>>().join("\n~\n")
    }
}

fn read_in(text: &str, piece: usize, tokens: usize) -> Read {
    let count = |text: &str| text.split_whitespace().count().max(text.len() / 20);
    let mut chunker = Chunker::new(Limits { tokens, bytes: 4000 }, &count);
    let mut parser = Parser::new(Format::Markdown);
    let (mut rest, mut drafts) = (text, Vec::new());
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.ceil_char_boundary(piece.min(rest.len())));
        parser.feed(part, &mut chunker).unwrap();
        drafts.extend(std::iter::from_fn(|| chunker.pop()));
        rest = after;
    }
    parser.finish(&mut chunker).unwrap();
    chunker.finish();
    drafts.extend(std::iter::from_fn(|| chunker.pop()));
    Read { title: chunker.title().map(str::to_owned), drafts }
}

fn read(text: &str) -> Read {
    read_in(text, usize::MAX, 200)
}

/// The title of the first heading.
fn title(text: &str) -> String {
    read(text).title.unwrap_or_default()
}

#[test]
fn a_folded_title_is_one_line() {
    let read = read(include_str!("../../../../tests/cases/folded.md"));
    assert_eq!(read.title.as_deref(), Some("Commissioning the north pumping station"));
    assert_eq!(read.text(), "Open the sluice first.");
}

#[test]
fn front_matter_of_hugo_is_read() {
    let read = read(include_str!("../../../../tests/cases/toml.md"));
    assert_eq!(read.title.as_deref(), Some("Rota of the night shift"));
    assert_eq!(read.text(), "The night shift starts at 21:40.");
}

#[test]
fn a_rule_as_the_first_line_begins_no_front_matter() {
    let wanted = [
        ("Opening hours".to_owned(), "# Opening hours\n\nThe depot opens at 05:15."),
        ("Holidays".to_owned(), "# Holidays\n\nThe depot is closed on the king's birthday."),
    ];
    let read = read(include_str!("../../../../tests/cases/rule_first.md"));
    assert_eq!(read.title.as_deref(), Some("Opening hours"));
    assert_eq!(read.seen(), wanted);
}

#[test]
fn a_carriage_return_alone_ends_a_line() {
    for piece in [1, 4, 1000] {
        let read = read_in(include_str!("../../../../tests/cases/cr_only.md"), piece, 200);
        assert_eq!(read.title.as_deref(), Some("Opening hours"));
        assert_eq!(read.drafts.len(), 2, "{:?}", read.seen());
        assert_eq!(read.seen()[1].0, "Holidays");
    }
}

#[test]
fn a_comment_is_no_text() {
    let case = read(include_str!("../../../../tests/cases/comment.md"));
    assert_eq!(case.text(), "# Refunds\n\nRefunds are possible within 14 days.");
    for (text, wanted) in [
        ("a <!-- draft --> b", "a  b"),
        ("<!-- one\n\n# two\n\nthree -->\nfour", "four"),
        ("- a\n  <!-- draft\n  still -->\n- b <!-- c -->\n", "- a\n- b"),
        ("> a\n>\n> <!-- draft -->\n", "> a\n>\n>"),
        ("> a\n>\n> ***\n>\n> b\n\n***\n\nc", "> a\n>\n> \n>\n> b\n\n\nc"),
        ("# Title <!-- omit in toc -->\n\nx", "# Title \n\nx"),
        ("[//]: # (a comment)\n\nx", "x"),
        ("`<!-- code -->` stays", "`<!-- code -->` stays"),
        ("```html\n<!-- code -->\n```", "```html\n<!-- code -->\n```"),
        ("a <!-- never closed", "a <!-- never closed"),
        ("<script>\nalert(1)\n</script>\n\nx", "x"),
    ] {
        assert_eq!(read(text).text(), wanted, "{text:?}");
    }
}

#[test]
fn a_picture_inside_the_text_is_neither_cut_nor_embedded() {
    let read = read(include_str!("../../../../tests/cases/base64_small.md"));
    assert_eq!(read.text(), "# Assembly\n\nTighten the bolts to 45 Nm.\n\n![drawing]()\n\nThen close the lid.");
    assert_eq!(read.drafts.len(), 1);
}

#[test]
fn headings_of_both_kinds_are_told_without_their_markup() {
    for (text, wanted) in [
        ("## The **old** `pump` {#pump .x}\n", "The old pump"),
        ("The *old*\n_pump_\n===\n", "The old pump"),
        ("# A [link](http://x \"t\") and ![a picture](p.png)\n", "A link and a picture"),
        ("# Keys <kbd>Ctrl</kbd> &amp; ~~Shift~~ ##\n", "Keys Ctrl & Shift"),
        ("# The $E = mc^2$ law[^1]\n\n[^1]: Of 1905.\n", "The $E = mc^2$ law"),
        ("# snake_case_name and 2 * 3 * 4\n", "snake_case_name and 2 * 3 * 4"),
        ("# <a id=\"x\"></a>Anchored\n", "Anchored"),
        ("<h1 align=\"center\">Project</h1>\n\n# Start\n", "Project"),
    ] {
        assert_eq!(title(text), wanted, "{text:?}");
    }
}

#[test]
fn what_looks_like_a_heading_elsewhere_is_none() {
    for text in [
        "```sh\n# no heading\n```\n",
        "~~~\n# no heading\n\nno\n===\n~~~\n",
        "    # no heading\n",
        "- a\n\n  ```\n  # no heading\n  ```\n",
        "> # no heading\n",
        "- # no heading\n",
        "#hashtag\n",
        "$$\na\n=\nb\n$$\n",
        "|a|\n|-|\n|# no|\n",
        "!!! note\n    # no heading\n",
    ] {
        let read = read(text);
        assert_eq!(read.title, None, "{text:?}");
        assert_eq!(read.text(), text.trim_end(), "{text:?}");
    }
}

#[test]
fn every_kind_of_block_is_passed_on_byte_for_byte() {
    let text = "# Guide\n\nA paragraph with a [link][1], *emphasis*\nand `code`.  \nAnother line.\n\n1. one\n   - nested\n     more\n2. two\n\n- [ ] open\n- [x] done\n\n> [!WARNING]\n> Hot.\n>\n> Very hot.\n\n| Zone | Fare |\n|:--|--:|\n| East | 44 kr |\n\nTerm\n: Its definition.\n\nIt is known[^1].\n\n[^1]: Since *1905*.\n\n```rust title=\"a\"\nfn main() {}\n```\n\n$$\n\\sum_i x_i\n$$\n\n!!! note \"Mind\"\n    The valve is hot. So is the pipe.\n\n    Both burn.\n\n:::tip\n\nInside.\n\nEnd.";
    assert_eq!(read_in(text, usize::MAX, 1000).text(), text);
    let crlf = text.replace('\n', "\r\n");
    assert_eq!(read_in(&crlf, 7, 1000).text(), crlf);
}

#[test]
fn link_definitions_rules_and_closing_marks_are_no_text() {
    let text = "See [the manual][m].\n\n[m]: https://example.org/a \"The manual\"\n[n]:\n  <https://example.org/b>\n  'Another'\n\n***\n\n:::note\nMind the gap.\n:::\n\nEnd.\n";
    let read = read(text).text();
    let lines: Vec<_> = read.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines, ["See [the manual][m].", ":::note", "Mind the gap.", "End."]);
    assert!(read.ends_with("Mind the gap.\n\nEnd."), "{read:?}");
}

#[test]
fn html_that_stands_by_itself_is_read_as_html_is() {
    let text = "<details>\n<summary>More about <b>pumps</b></summary>\n\nThey *turn*.\n\n</details>\n\n<table><tr><td>East</td><td>44 kr</td></tr></table>\n\nThe water is H<sub>2</sub>O, at 10<sup>5</sup> Pa.\n";
    let read = read(text);
    let wanted =
        ["More about pumps", "They *turn*.", "East | 44 kr", "The water is H<sub>2</sub>O, at 10<sup>5</sup> Pa."];
    for wanted in wanted {
        assert!(read.text().contains(wanted), "no {wanted:?} in {}", read.text());
    }
    assert!(!read.text().contains("details") && !read.text().contains("<td>"), "{}", read.text());
}

#[test]
fn an_item_is_cut_at_its_end_and_not_inside() {
    let items: String = (0..40).map(|n| format!("- Valve {n} is opened by hand\n  and closed by motor.\n")).collect();
    let read = read_in(&items, usize::MAX, 50);
    assert!(read.drafts.len() > 5);
    for draft in &read.drafts {
        assert!(draft.text.starts_with("- Valve") && draft.text.ends_with("by motor."), "{:?}", draft.text);
    }
}

#[test]
fn each_chunk_of_a_table_has_the_names_of_its_columns() {
    let rows: String = (0..60).map(|n| format!("| Station {n} | {n} m | open |\n")).collect();
    for before in ["", "Text.\n\n", "- An item:\n\n"] {
        let read = read_in(&format!("{before}| Station | Depth | State |\n|---|--:|---|\n{rows}"), 999, 60);
        assert!(read.drafts.len() > 5);
        for draft in &read.drafts[1..] {
            assert!(draft.text.starts_with("| Station | Depth | State |\n|---|--:|---|\n| Station "), "{}", draft.text);
        }
    }
}

#[test]
fn a_title_that_stands_alone_is_the_text_and_a_description_is_text() {
    assert_eq!(read("---\ntitle: Pumps\nweight: 3\n---\n").text(), "Pumps");
    assert_eq!(
        read("---\ntitle: Pumps\ndescription: >-\n  How they\n  turn.\n---\n\nMore.").text(),
        "How they turn.\n\nMore."
    );
}

/// Documents with one block that is larger than a window, and what stands behind it.
#[test]
fn a_block_that_is_larger_than_a_window_is_of_its_kind_to_its_end() {
    let rows = |n: usize| format!("| {n} | the valve of station {n} |\n");
    let many = 3 * WINDOW / 30;
    let code: String = (0..many).map(|n| format!("# line {n} of the script\n\n")).collect();
    let table: String = (0..many).map(rows).collect();
    let items: String = (0..many).map(|n| format!("- item {n} of a list\n  # none\n")).collect();
    let quote: String = (0..many).map(|n| format!("> line {n} of a quotation\n")).collect();
    let paragraph = "A line of a paragraph that does not end.\n".repeat(many);
    for (block, visible) in [
        (format!("```sh\n{code}```\n"), true),
        (format!("|a|b|\n|-|-|\n{table}"), true),
        (items, true),
        (quote, true),
        (paragraph.clone(), true),
        ("word ".repeat(many * 6) + "\n", true),
        ("x".repeat(3 * WINDOW) + "\n", true),
        (format!("<!--\n{paragraph}\n{code}-->\n"), false),
        (format!("<div>\n{paragraph}</div>\n"), true),
    ] {
        assert!(block.len() > 2 * WINDOW);
        let text = format!("# Before\n\n{block}\n# After\n\nThe end.\n");
        let read = read_in(&text, 70_000, 200);
        let begin = &block[..block.floor_char_boundary(40)];
        let titles: Vec<_> = read.drafts.iter().map(|draft| draft.headings.join("/")).collect();
        assert!(titles.iter().all(|title| title == "Before" || title == "After"), "{begin:?}: {titles:?}");
        assert_eq!(read.seen().last(), Some(&("After".to_owned(), "# After\n\nThe end.")), "{begin:?}");
        let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
        let (own, seen) = (letters(&text), letters(&read.text()));
        assert!(if visible { own.abs_diff(seen) <= 6 } else { seen < 60 }, "{begin:?}: {seen} of {own}");
    }
}

#[test]
fn blocks_are_the_same_wherever_a_window_ends() {
    let section = |n: usize| {
        format!(
            "## Section {n}\n\nText of {n} with a [link][l{n}].\n\n```\n# code {n}\n```\n\n- item {n}\n\n  ## none\n\n| a |\n|---|\n| {n} |\n\n[l{n}]: http://x\n\n<!-- {n}\n\n## none\n-->\n\n"
        )
    };
    for before in [0, 1, 17, 5000] {
        let text: String = "x".repeat(before) + "\n\n" + &(0..4000).map(section).collect::<String>();
        assert!(text.len() > 4 * WINDOW);
        let read = read_in(&text, 10_000, 200);
        let found: Vec<_> = read.drafts.iter().filter(|draft| !draft.headings.is_empty()).collect();
        assert_eq!(found.len(), 4000);
        for (n, draft) in found.iter().enumerate() {
            assert_eq!(draft.headings, [format!("Section {n}")]);
            assert!(draft.text.contains(&format!("# code {n}\n")) && !draft.text.contains("http"), "{}", draft.text);
        }
    }
}

#[test]
fn what_nests_without_end_is_read_as_paragraphs() {
    for mark in ["> ", "- ", "1. ", "* ", ">", "[^a]: ", ": ", "+\t"] {
        let text = format!("{}deep\n\n# not this time\n{}", mark.repeat(20_000), "\n".repeat(20_000));
        let read = read(&text);
        assert!(read.text().contains("deep") && read.text().contains("# not this time"), "{mark:?}");
    }
}

/// Beginnings of blocks, and what was found to be dear in one parser or another.
const SCRAPS: [&str; 63] = [
    "# ",
    "## ",
    "\n===\n",
    "\n---\n",
    "***\n",
    "```\n",
    "~~~~\n",
    "    ",
    "\t",
    "- ",
    "1. ",
    "> ",
    ">\n",
    "- [ ] ",
    "|a|b|\n|-|-|\n",
    "|1|\n",
    "[^1]: ",
    "[^1]",
    "[a]: /b\n",
    "[a]",
    "![",
    "](",
    ")",
    "<!--",
    "-->",
    "<div>",
    "</div>\n",
    "<details>\n",
    "<script>",
    "<?",
    "<![CDATA[",
    "*",
    "_",
    "**",
    "`",
    "``",
    "$",
    "$$",
    "~",
    "\\",
    "&amp;",
    "{#id}",
    ":::note\n",
    ":::\n",
    "!!! note\n",
    ": ",
    "Term\n",
    "---\n",
    "+++\n",
    "title: x\n",
    "a = \"b\"\n",
    "data:image/png;base64,",
    "\r\n",
    "\r",
    "\n",
    "\n\n",
    "\n\n",
    "é",
    "日本語。",
    "👩‍👩‍👧",
    "\u{a0}",
    "word ",
    "word ",
];

fn scrap() -> impl Strategy<Value = String> {
    let known = prop::sample::select(SCRAPS.as_slice());
    prop_oneof![
        8 => known.prop_map(|scrap: &str| scrap.to_owned()),
        1 => "\\PC{0,20}".prop_map(String::from),
        1 => (1_usize..400).prop_map(|n| "x".repeat(n)),
        1 => (1_usize..60).prop_map(|n| "[".repeat(n)),
    ]
}

/// The given documents, for what becomes of them when something is put in or taken out.
const SEEDS: [&str; 5] = [
    include_str!("../../../../tests/cases/folded.md"),
    include_str!("../../../../tests/cases/toml.md"),
    include_str!("../../../../tests/cases/rule_first.md"),
    include_str!("../../../../tests/cases/cr_only.md"),
    include_str!("../../../../tests/cases/comment.md"),
];

/// Words that a reader sees wherever they stand.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_ascii_lowercase()).filter(|word| word.starts_with("word")).map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_comes_it_is_read_the_same_in_any_pieces(
        seed in prop::sample::select(SEEDS.to_vec()),
        at in any::<prop::sample::Index>(),
        scraps in prop::collection::vec(scrap(), 0..40),
        piece in 1_usize..200,
    ) {
        let at = seed.floor_char_boundary(at.index(seed.len() + 1));
        let text = format!("{}{}{}", &seed[..at], scraps.concat(), &seed[at..]);
        let read = read_in(&text, piece, 40);
        let whole = read_in(&text, usize::MAX, 40);
        prop_assert_eq!(&read.drafts, &whole.drafts);
        prop_assert_eq!(read.title, whole.title);
        let written: usize = read.drafts.iter().map(|draft| draft.text.len()).sum();
        prop_assert!(written <= 2 * text.len() + 100, "{written} of {}", text.len());
    }

    #[test]
    fn every_visible_word_is_in_a_chunk_once_and_in_order(
        parts in prop::collection::vec((prop::sample::select(vec![
            "", "# ", "- ", "  - ", "1. ", "> ", "> - ", "    ", "```\n", "~~~\n", "|", "\n", "\n\n", "a\n: ", "!!! note\n    ", ":::tip\n", "[^1]: ", "**", "`", "***\n", "Title\n===\n", "* * *\n\n",
        ]), "word[a-z]{1,5}"), 0..60),
        ending in prop::sample::select(vec!["\n", "\n\n", "\r\n", " ", "|\n"]),
        tokens in 5_usize..60,
    ) {
        let text: String = parts.iter().map(|(mark, word)| format!("{mark}{word}{ending}")).collect();
        let read = read_in(&text, usize::MAX, tokens);
        prop_assert_eq!(words(&read.text().replace("\n~\n", " ")), words(&text));
    }
}
