//! Documents as real programs write them, and what a reader gets to see of them.

use std::{path::Path, sync::Arc};

use super::{
    made,
    world::{SetClock, World, replica},
};
use crate::{
    ingest::{FailureReason, Format, Source},
    model::Outcome,
};

fn fixture(name: &str) -> Source {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    Source::file(name.parse().unwrap(), path).unwrap()
}

/// Title and text of a document.
async fn read(source: Source) -> (String, String) {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let flow = replica(&world, &clock);
    let id = source.id.clone();
    assert_eq!(flow.ingest(source).await.result, Ok(Outcome::Created));
    let record = flow.document(&id).await.unwrap().unwrap();
    (record.title, world.texts(id.as_str()).join("\n~\n"))
}

async fn failure(format: Format, bytes: Vec<u8>) -> FailureReason {
    let flow = replica(&Arc::default(), &Arc::default());
    flow.ingest(Source::bytes("x".parse().unwrap(), format, bytes)).await.result.unwrap_err()
}

/// What every program's version of the handbook says, read as one line.
const HANDBOOK: [&str; 5] = [
    "The pump starts when the green switch is turned to on. Größe und Maße stehen in Kapitel 3 – „Daten“.",
    "Turn the switch.",
    "The error code PX-4711 means that the inlet is dry.",
    "Change the seal every 2000 hours. A worn seal drips, and the motor runs hot;",
    "let it cool for an hour before the housing is opened.",
];

fn says_all(text: &str, wanted: &[&str]) {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in wanted {
        assert!(line.contains(wanted), "no {wanted:?} in {text}");
    }
}

#[tokio::test]
async fn a_docx_of_pandoc_and_one_of_libreoffice_are_read_with_their_headings_lists_tables_and_footnotes() {
    for name in ["pandoc.docx", "libreoffice.docx"] {
        let (title, text) = read(fixture(name)).await;
        assert_eq!(title, "Pump Handbook", "{name}");
        says_all(&text, &HANDBOOK);
        let list = "1. Open the inlet valve.\n2. Close the drain.\n  - by hand\n  - or by motor\n3. Turn the switch.";
        let table = "Model | Pressure | Weight\nX200 | 3 bar | 12 kg\nX300 | 5 bar | 15 kg";
        assert!(text.contains(list) && text.contains(table), "{name}: {text}");
        assert!(text.contains("Seen in the first winter of operation."), "{name}: {text}");
    }
}

#[tokio::test]
async fn a_chunk_of_a_docx_knows_the_headings_above_it() {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    replica(&world, &clock).ingest(fixture("pandoc.docx")).await.result.unwrap();
    let headings = |text: &str| {
        let chunk = world.chunks("pandoc.docx").into_iter().find(|chunk| chunk.text.contains(text)).unwrap();
        chunk.headings.join(" > ")
    };
    assert_eq!(headings("X200 | 3 bar"), "Operation > Limits");
    assert_eq!(headings("Change the seal"), "Maintenance");
    assert_eq!(headings("first winter"), "");
}

#[tokio::test]
async fn each_chunk_of_a_long_table_of_a_docx_names_its_columns() {
    let row = |cells: [&str; 2]| {
        let cells: String = cells.iter().map(|cell| format!("<w:tc>{}</w:tc>", made::paragraph(cell))).collect();
        format!("<w:tr>{cells}</w:tr>")
    };
    let rows: String = (0..5000).map(|n| row([&format!("Station {n}"), &n.to_string()])).collect();
    let body = format!("<w:tbl>{}{rows}</w:tbl>", row(["Station", "Depth"]));
    let (_, text) = read(Source::bytes("a.docx".parse().unwrap(), Format::Docx, made::docx(&body))).await;
    let chunks: Vec<&str> = text.split("\n~\n").collect();
    assert!(chunks.len() > 50, "{}", chunks.len());
    assert!(chunks.iter().all(|chunk| chunk.starts_with("Station | Depth\nStation ")));
}

#[tokio::test]
async fn a_pdf_of_libreoffice_is_read_page_by_page() {
    let (title, text) = read(fixture("libreoffice.pdf")).await;
    assert_eq!(title, "libreoffice.pdf");
    says_all(&text, &HANDBOOK);
    says_all(&text, &["Model Pressure Weight", "X200 3 bar 12 kg", "Open the inlet valve."]);
}

#[tokio::test]
async fn the_page_stands_beside_each_chunk_of_a_pdf() {
    let pages = vec![vec!["The valve is opened by hand.".to_owned()], vec![], vec!["The drain is closed.".to_owned()]];
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let flow = replica(&world, &clock);
    let source = Source::bytes("a.pdf".parse().unwrap(), Format::Pdf, made::pdf(&pages));
    assert_eq!(flow.ingest(source).await.result, Ok(Outcome::Created));
    let chunks: Vec<_> = world.chunks("a.pdf").into_iter().map(|chunk| (chunk.headings, chunk.text)).collect();
    let page = |number: u32, text: &str| (vec![format!("page {number}")], text.to_owned());
    assert_eq!(chunks, [page(1, "The valve is opened by hand."), page(3, "The drain is closed.")]);
}

#[tokio::test]
async fn a_scanned_pdf_fails_with_what_to_do_about_it() {
    let reason = failure(Format::Pdf, made::pdf(&vec![vec![]; 12])).await;
    assert_eq!(reason.to_string(), "no text inside (12 pages of images); run OCR first");
}

#[tokio::test]
async fn what_is_not_what_its_name_says_is_refused_before_it_is_read() {
    let said = async |format, bytes: &[u8]| failure(format, bytes.to_vec()).await.to_string();
    assert_eq!(said(Format::Pdf, b"hello").await, "binary: it does not begin like a PDF document");
    assert_eq!(
        said(Format::Pdf, b"PK\x03\x04").await,
        "binary: it begins like a ZIP archive or an office document, not like a PDF document; name it as what it is, or unpack it and ingest the folder"
    );
    assert_eq!(said(Format::Docx, b"").await, "empty: there is no text in it");
    let other = made::archive(&[("xl/workbook.xml", b"<x/>")]);
    assert_eq!(said(Format::Docx, &other).await, "it is no DOCX document: it does not say where its text is");
    let blank = failure(Format::Docx, made::docx(&made::paragraph(" "))).await;
    assert_eq!(blank, FailureReason::NoText);
}

#[tokio::test]
async fn deleted_text_and_field_codes_of_a_docx_are_left_out_and_entities_are_characters() {
    let body = "<w:p><w:r><w:t>Kept &amp; shown &#8211; x</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>\
                <w:r><w:instrText>PAGEREF</w:instrText></w:r><w:r><w:tab/><w:t>end</w:t></w:r></w:p>";
    let (_, text) = read(Source::bytes("a.docx".parse().unwrap(), Format::Docx, made::docx(body))).await;
    assert_eq!(text, "Kept & shown – x\tend");
}

#[test]
fn each_test_that_the_table_of_formats_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../docs/quality.md")).unwrap();
    let (_, table) = page.split_once("| cell | test |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let named: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert!(named.len() > 10, "{named:?}");
    let tests = std::fs::read_dir(root.join("src/ingest/tests")).unwrap();
    let tests: String = tests.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    for name in named {
        assert!(tests.contains(&format!("fn {name}()")), "{name}");
    }
}
