use super::*;
use crate::ingest::chunk::Limits;

/// The lines that a table becomes.
fn read(table: &str, piece: usize, tabs: bool) -> Result<Vec<String>, String> {
    let count = |text: &str| text.split_whitespace().count();
    let mut chunker = Chunker::new(Limits { tokens: 1000, bytes: 4000 }, &count);
    let mut csv = Csv::new(tabs);
    let mut rest = table;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.ceil_char_boundary(piece.min(rest.len())));
        csv.feed(part, &mut chunker).map_err(|e| e.to_string())?;
        rest = after;
    }
    csv.finish(&mut chunker).map_err(|e| e.to_string())?;
    chunker.finish();
    assert_eq!(chunker.title(), None);
    let chunks: Vec<String> = std::iter::from_fn(|| chunker.pop()).map(|draft| draft.text).collect();
    Ok(chunks.join("\n").lines().map(str::to_owned).collect())
}

fn lines(table: &str, piece: usize) -> Result<Vec<String>, String> {
    read(table, piece, false)
}

/// A file as it is kept beside the tests.
fn case(name: &str) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name);
    let table = std::fs::read_to_string(path).unwrap();
    read(table.strip_prefix('\u{feff}').unwrap_or(&table), 7, name.ends_with(".tsv")).unwrap()
}

#[test]
fn each_row_carries_the_names_of_its_columns() {
    let table = "Model,Pressure,Note\r\nX200,3 bar,\"red, with \"\"valve\"\"\"\r\nX300,,\"two\nlines\"\r\n\r\nX400\r\n";
    let wanted =
        ["Model: X200; Pressure: 3 bar; Note: red, with \"valve\"", "Model: X300; Note: two lines", "Model: X400"];
    for piece in [1, 2, 7, 4096] {
        assert_eq!(lines(table, piece).unwrap(), wanted, "in pieces of {piece}");
    }
}

#[test]
fn semicolons_and_tabs_are_told_by_the_rows() {
    assert_eq!(lines("a;b\n1,5;2", 99).unwrap(), ["a: 1,5; b: 2"]);
    assert_eq!(lines("a\tb\nx\t2\n", 99).unwrap(), ["a: x; b: 2"]);
    assert_eq!(lines("name\nwith, comma\n", 99).unwrap(), ["name: with, comma"]);
}

#[test]
fn lines_may_end_as_on_any_system() {
    for table in ["a,b\n1,2\n3,4\n", "a,b\r\n1,2\r\n3,4", "a,b\r1,2\r3,4\r"] {
        assert_eq!(lines(table, 2).unwrap(), ["a: 1; b: 2", "a: 3; b: 4"], "{table:?}");
    }
}

#[test]
fn a_quote_inside_a_plain_cell_is_a_character() {
    let table = "size,what\n5\" pipe,steel\n6\" pipe,brass\n";
    assert_eq!(lines(table, 3).unwrap(), ["size: 5\" pipe; what: steel", "size: 6\" pipe; what: brass"]);
}

#[test]
fn names_that_would_make_too_much_of_a_table_are_cut_short_from_there_on() {
    let table = format!("{}\n{}", "n".repeat(100), "1\n".repeat(100_000));
    let lines = lines(&table, 4096).unwrap();
    assert_eq!(lines.len(), 100_000);
    assert_eq!(lines[0], format!("{}: 1", "n".repeat(100)));
    assert_eq!(lines[99_999], format!("{}: 1", "n".repeat(16)));
}

#[test]
fn a_broken_quote_is_named_by_its_line() {
    assert_eq!(lines("a,b\n1,2\n3,\"x\n4,5\n", 99).unwrap_err(), "row at line 3: a quote is opened and not closed");
}

#[test]
fn the_line_of_excel_that_says_the_delimiter_is_no_row() {
    assert_eq!(
        case("sep.csv"),
        ["item: Gasket G7; price: 12,50; unit: box", "item: Flange F3; price: 80,00; unit: piece"]
    );
    assert_eq!(lines("\"sep=|\"\r\na|b;c\r\n1|2;3\r\n", 3).unwrap(), ["a: 1; b;c: 2;3"]);
    assert_eq!(lines("SEP=,\na,b\n\"x\n", 3).unwrap_err(), "row at line 3: a quote is opened and not closed");
}

#[test]
fn a_file_whose_name_says_tabs_has_tabs_between_its_cells() {
    let wanted = "Item, colour: Hinge, brass; Price, EUR: 4.20; Stock, pieces: 310";
    assert_eq!(case("comma_header.tsv")[0], wanted);
    assert_eq!(read("a, b\nx, y\n", 3, true).unwrap(), ["a: x; b: y"], "there is no tab in it");
    assert_eq!(read("a;b;c\tn\n1;2;3\t4\n", 3, true).unwrap(), ["a;b;c: 1;2;3; n: 4"]);
}

#[test]
fn bars_divide_and_lines_above_the_head_are_text() {
    let rows = ["code: A-17; name: Torque wrench; shelf: C4", "code: B-22; name: Feeler gauge; shelf: D1"];
    assert_eq!(case("pipe.csv"), rows);
    assert_eq!(case("preamble.csv"), [&["Inventory of the workshop", "Exported 2031-02-03", ""][..], &rows].concat());
    let german = "Lagerbestand;;\nStand: 3.2.2031;;\n;;\nNummer;Bezeichnung;Preis\nA-1;Dichtung;12,50\n";
    let wanted = ["Lagerbestand", "Stand: 3.2.2031", "Nummer: A-1; Bezeichnung: Dichtung; Preis: 12,50"];
    let read: Vec<_> = lines(german, 5).unwrap().into_iter().filter(|line| !line.is_empty()).collect();
    assert_eq!(read, wanted);
}

#[test]
fn a_backslash_may_escape_a_quote() {
    assert_eq!(case("backslash.csv"), ["id: 1; text: He said \"go\" twice", "id: 2; text: Next row"]);
    let sizes = "id,text,colour\n1,\"Screen 5.5\\\"\",black\n2,\"C:\\\\dir \\\"x\\\"\",red\n";
    assert_eq!(
        lines(sizes, 4).unwrap(),
        ["id: 1; text: Screen 5.5\"; colour: black", "id: 2; text: C:\\dir \"x\"; colour: red"]
    );
    let paths = "id,path,owner\n1,\"C:\\data\\\",me\n2,\"D:\\\",you\n";
    assert_eq!(lines(paths, 4).unwrap(), ["id: 1; path: C:\\data\\; owner: me", "id: 2; path: D:\\; owner: you"]);
}

#[test]
fn each_piece_of_a_wide_row_says_which_row_it_is_of() {
    let table =
        std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/long_row.csv"));
    let count = |text: &str| text.split_whitespace().count();
    let mut chunker = Chunker::new(Limits { tokens: 100, bytes: 4000 }, &count);
    let mut csv = Csv::new(false);
    csv.feed(&table.unwrap(), &mut chunker).unwrap();
    csv.finish(&mut chunker).unwrap();
    chunker.finish();
    let chunks: Vec<String> = std::iter::from_fn(|| chunker.pop()).map(|draft| draft.text).collect();
    let (other, wide) = chunks.split_last().unwrap();
    assert!(wide.len() > 4 && wide.iter().all(|chunk| chunk.starts_with("sku: ZX-4410; ")), "{chunks:#?}");
    assert!(other.starts_with("sku: ZX-4411; "), "{other}");
    assert!(chunks.iter().any(|chunk| chunk.contains("price: 73.15 EUR")), "{chunks:#?}");
}

#[test]
fn a_head_that_is_named_twice_or_is_too_short_loses_no_value() {
    assert_eq!(lines("name,name,\nA,B,C,D\nE\n", 9).unwrap(), ["name: A; name: B; C; D", "name: E"]);
}

#[test]
fn a_beginning_that_is_longer_than_what_is_looked_at_is_read_alike_in_any_pieces() {
    let table = format!("a;b\n{}", "1,5;2\n".repeat(20_000));
    assert_eq!(lines(&table, 1000).unwrap(), lines(&table, usize::MAX).unwrap());
    assert_eq!(lines(&table, 1000).unwrap()[19_999], "a: 1,5; b: 2");
}
