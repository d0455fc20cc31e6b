use proptest::prelude::*;

use crate::ingest::chunk::{Block, Chunker, Draft, Limits, Shape, Value};

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// The chunks of a table that comes in blocks of so many bytes.
fn cut(table: &str, head: usize, tokens: usize, block: usize) -> Vec<Draft> {
    let mut chunker = Chunker::new(Limits { tokens, bytes: 4000 }, &words);
    let (mut rest, mut shape) = (table, Shape::Table { head });
    while !rest.is_empty() {
        let part;
        let most = rest.ceil_char_boundary(block.max(head).min(rest.len()));
        // As parsers do, never inside a word.
        (part, rest) = rest.split_at(rest[most..].find(' ').map_or(rest.len(), |space| most + space + 1));
        chunker.push(Block::Body { shape, text: part, continues: !rest.is_empty() });
        shape = shape.going_on();
    }
    chunker.finish();
    std::iter::from_fn(|| chunker.pop()).collect()
}

fn texts(drafts: &[Draft]) -> Vec<&str> {
    drafts.iter().map(|draft| draft.text.as_str()).collect()
}

#[test]
fn the_head_of_a_table_stands_above_the_rows_of_each_chunk() {
    let rows: String = (0..40).map(|n| format!("Station {n} | {n} | {}\n", n * 2)).collect();
    let drafts = cut(&format!("Station | Pumps | Depth\n{rows}"), 24, 40, usize::MAX);
    assert!(drafts.len() > 5);
    for draft in &drafts {
        assert!(draft.text.starts_with("Station | Pumps | Depth\nStation "), "{}", draft.text);
        assert!(words(&draft.text) <= 40);
    }
    assert_eq!((drafts[0].repeated, drafts[1].repeated), (0, 24));
}

#[test]
fn the_head_of_a_markdown_table_is_repeated_with_the_line_below_it() {
    let rows: String = (0..40).map(|n| format!("|row {n}|{n}|\n")).collect();
    let drafts = cut(&format!("|name|count|\n|---|--:|\n{rows}"), 23, 12, usize::MAX);
    assert!(drafts.len() > 3 && drafts.iter().all(|draft| draft.text.starts_with("|name|count|\n|---|--:|\n|row ")));
}

#[test]
fn a_table_that_fits_stays_whole_and_repeats_nothing() {
    let drafts = cut("a | b\n1 | 2\n", 6, 40, usize::MAX);
    assert_eq!((texts(&drafts), drafts[0].repeated), (vec!["a | b\n1 | 2"], 0));
}

#[test]
fn each_piece_of_a_long_row_begins_with_its_key_below_the_names_of_its_columns() {
    let long = |word: &str| (0..30).map(|n| format!("{word}{n}")).collect::<Vec<_>>().join(" ");
    let table = format!("sku | text | note | price\nA-1 | {} | {} | 73\nB-2 | x | y | 80\n", long("t"), long("n"));
    let drafts = cut(&table, 26, 24, usize::MAX);
    let texts = texts(&drafts);
    assert!(texts[0].starts_with("sku | text | note | price"), "{texts:#?}");
    assert!(texts.iter().any(|text| text.starts_with("sku | text\nA-1 | … t")), "{texts:#?}");
    assert!(texts.iter().any(|text| text.starts_with("sku | note\nA-1 | … n")), "{texts:#?}");
    assert!(texts.iter().any(|text| text.contains("price\nA-1 | ") && text.ends_with("| 73")), "{texts:#?}");
    assert!(texts.iter().any(|text| text.contains("price\nB-2 | x | y | 80")), "{texts:#?}");
}

#[test]
fn each_piece_of_a_row_that_names_its_values_begins_with_the_first_of_them() {
    let text = format!("sku: ZX-4410; description: {}; price: 73.15 EUR; warehouse: C4\n", "lorem ipsum ".repeat(60));
    let at = |name: &str| Value { at: text.find(name).unwrap(), name: name.len() };
    let values = [at("sku: "), at("description: "), at("price: "), at("warehouse: ")];
    let mut chunker = Chunker::new(Limits { tokens: 40, bytes: 4000 }, &words);
    chunker.push(Block::Record { text: &text, values: &values });
    chunker.push(Block::Record { text: "sku: B\n", values: &values[..1] });
    chunker.finish();
    let drafts: Vec<_> = std::iter::from_fn(|| chunker.pop()).collect();
    let texts = texts(&drafts);
    assert!(texts[..texts.len() - 1].iter().all(|text| text.starts_with("sku: ZX-4410; ") && words(text) <= 40));
    assert!(texts[1].starts_with("sku: ZX-4410; description: … lorem "), "{texts:#?}");
    assert!(texts.iter().any(|text| text.ends_with("price: 73.15 EUR; warehouse: C4")), "{texts:#?}");
    assert_eq!(texts.last(), Some(&"sku: B"));
}

#[test]
fn what_follows_a_table_is_under_no_head() {
    let mut chunker = Chunker::new(Limits { tokens: 12, bytes: 4000 }, &words);
    let rows: String = (0..10).map(|n| format!("{n} | x\n")).collect();
    chunker.push(Block::Body { shape: Shape::Table { head: 6 }, text: &format!("a | b\n{rows}\n"), continues: false });
    let prose = "Some words of a paragraph that follows, and then some more of them, up to its end.\n\n";
    chunker.push(Block::Body { shape: Shape::Prose, text: prose, continues: false });
    chunker.push(Block::Body { shape: Shape::Table { head: 0 }, text: &rows.repeat(2), continues: false });
    chunker.finish();
    let drafts: Vec<_> = std::iter::from_fn(|| chunker.pop()).collect();
    let end = drafts.iter().position(|draft| draft.text.contains("Some words")).unwrap();
    assert!(drafts[end + 1..].iter().all(|draft| draft.repeated == 0), "{drafts:#?}");
}

/// A table of words that say their row and column, with the bytes of its head.
fn table(columns: usize, rows: &[Vec<usize>]) -> (String, usize) {
    let head: Vec<_> = (0..columns).map(|column| format!("n{column}")).collect();
    let head = format!("{}\n", head.join(" | "));
    let mut table = head.clone();
    for (row, lengths) in rows.iter().enumerate() {
        let cell = |column: usize| {
            let word = |word| format!("r{row}c{column}w{word}");
            (0..lengths[column % lengths.len()]).map(word).collect::<Vec<_>>().join(" ")
        };
        table.push_str(&(0..columns).map(cell).collect::<Vec<_>>().join(" | "));
        table.push('\n');
    }
    (table, head.len())
}

/// The column that the first word of a cell says it is of.
fn column_of(cell: &str) -> Option<usize> {
    let word = cell.split_whitespace().find(|word| word.starts_with('r'))?;
    word.split_once('c')?.1.split_once('w')?.0.parse().ok()
}

proptest! {
    #[test]
    fn every_cell_of_any_table_stands_under_its_column_in_every_chunk(
        columns in 1_usize..12,
        rows in proptest::collection::vec(proptest::collection::vec(0_usize..40, 1..6), 1..12),
        tokens in 30_usize..80,
        block in 40_usize..4000,
    ) {
        let (table, head) = table(columns, &rows);
        let drafts = cut(&table, head, tokens, block);
        let mut slices = String::new();
        for draft in &drafts {
            prop_assert!(words(&draft.text) <= tokens);
            let (names, body) = draft.text.split_once('\n').unwrap_or((&draft.text, ""));
            prop_assert!(names.starts_with("n0"), "no head: {:?}", draft.text);
            let names: Vec<&str> = names.split(" | ").map(str::trim).collect();
            for line in body.lines() {
                for (at, cell) in line.split(" | ").enumerate() {
                    let Some(column) = column_of(cell) else { continue };
                    let name = format!("n{column}");
                    prop_assert_eq!(names.get(at).copied(), Some(name.as_str()), "{:?}", draft.text);
                }
            }
            slices.push_str(&draft.text[draft.repeated..]);
            slices.push(' ');
        }
        let bare = |text: &str| text.split(|c: char| c.is_whitespace() || c == '|').filter(|w| !w.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(bare(&slices), bare(&table));
    }
}
