//! What somebody built to do harm, in this process: a clear error or a bounded answer, the same each time. What only a process of its own survives is tried with the real program.

use std::{io::Write as _, sync::Arc};

use proptest::prelude::*;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    made,
    world::{SetClock, World, replica},
};
use crate::{
    ingest::{
        Format, Reader, Source,
        chunk::{Draft, Limits},
        read::{self, Cutting},
    },
    model::Outcome,
};

/// The formats that are text.
const TEXTS: [Format; 13] = [
    Format::Text,
    Format::Markdown,
    Format::Rst,
    Format::Adoc,
    Format::Tex,
    Format::Code,
    Format::Html,
    Format::Csv,
    Format::Tsv,
    Format::Xml,
    Format::Notebook,
    Format::Json,
    Format::Jsonl,
];

fn source(format: Format, bytes: Vec<u8>) -> Source {
    Source::bytes("x".parse().unwrap(), format, bytes)
}

async fn failure(format: Format, bytes: Vec<u8>) -> String {
    let flow = replica(&Arc::default(), &Arc::default());
    flow.ingest(source(format, bytes)).await.result.unwrap_err().to_string()
}

/// A DOCX document whose body is this, and then a megabyte of this letter so many times.
fn bomb(beginning: &str, letter: u8, mebibytes: usize) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("word/document.xml", SimpleFileOptions::default()).unwrap();
    zip.write_all(format!("<w:document><w:body>{beginning}").as_bytes()).unwrap();
    let blank = vec![letter; 1 << 20];
    for _ in 0..mebibytes {
        zip.write_all(&blank).unwrap();
    }
    let bomb = zip.finish().unwrap().into_inner();
    assert!(bomb.len() < 200_000, "{} bytes", bomb.len());
    bomb
}

#[tokio::test]
async fn a_docx_that_is_a_zip_bomb_is_refused_at_a_bound() {
    let said = failure(Format::Docx, bomb("", b' ', 80)).await;
    assert_eq!(said, "word/document.xml inflates to more than 67108864 bytes; it may be built to exhaust the reader");
    let document = bomb("<w:p><w:r><w:t>", b'a', 20);
    let (size, most) = (document.len(), 16 * document.len() + (8 << 20));
    let said = failure(Format::Docx, document).await;
    assert!(said.starts_with(&format!("its {size} bytes hold more than {most} bytes of text")), "{said}");
}

#[tokio::test]
async fn tables_inside_each_other_without_end_are_refused() {
    let body = "<w:tbl><w:tr><w:tc>".repeat(100_000);
    let said = failure(Format::Docx, made::docx(&body)).await;
    assert!(said.starts_with("more than 64 tables"), "{said}");
}

#[tokio::test]
async fn json_nested_without_end_is_refused_by_its_line() {
    let lines = format!("{{\"text\": \"fine\"}}\n{}\n", "{\"a\":".repeat(500_000));
    let said = failure(Format::Jsonl, lines.into_bytes()).await;
    assert!(said.starts_with("line 2: not JSON: recursion limit exceeded"), "{said}");
}

#[tokio::test]
async fn control_characters_and_turned_writing_are_kept_exactly() {
    let hostile = "before \u{1b}[31mred\u{7} \u{202e}txt.exe\u{2066} \u{9b}x e\u{301} \u{200f}שלום\u{200e} after";
    for format in [Format::Text, Format::Markdown, Format::Html] {
        let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
        let flow = replica(&world, &clock);
        assert_eq!(flow.ingest(source(format, hostile.as_bytes().to_vec())).await.result, Ok(Outcome::Created));
        assert_eq!(world.texts("x"), [hostile], "{format:?}");
    }
}

#[tokio::test]
async fn invalid_encodings_fail_in_every_text_format() {
    let wrong: [&[u8]; 5] =
        [b"caf\xe9 au lait", b"\xff\xfe\0\0h\0\0\0", b"over\xc0\xaflong", b"half \xf0\x9f\x8f", b"alone \xed\xa0\x80"];
    for format in TEXTS {
        for bytes in wrong {
            let said = failure(format, bytes.to_vec()).await;
            assert!(said.starts_with("invalid UTF-8 at byte "), "{format:?}: {said}");
        }
    }
}

fn words(text: &str) -> usize {
    text.split_whitespace().count().max(text.len() / 20)
}

/// The chunks of a document, or the class of its failure.
fn cut(source: &Source) -> Result<Vec<Draft>, &'static str> {
    let inspected = read::inspect(source).map_err(|reason| reason.class())?;
    let mut drafts = Vec::new();
    let given_up = std::sync::atomic::AtomicBool::new(false);
    let limits = Limits { tokens: 40, bytes: 2000 };
    let cutting = Cutting { limits, count: &words, reader: &Reader::InProcess, given_up: &given_up };
    read::chunks(source, &inspected, cutting, &mut |draft, _| {
        drafts.push(draft);
        true
    })
    .map_err(|reason| reason.class())?;
    Ok(drafts)
}

/// Beginnings of documents that mean something to one parser or another.
fn scrap() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "# heading\n",
        "```\n",
        "| a | b |\n|---|---|\n",
        "---\n",
        "<p>",
        "<table><tr><td>",
        "</div>",
        "<script>",
        "<!--",
        "&#x41;",
        "<a href='",
        "\"",
        ",",
        ";",
        "\t",
        "\r\n",
        "\n",
        "{\"text\": \"a\"}\n",
        "{\"title\": [1,{\"b\":2}]}\n",
        "[",
        "null\n",
        "\u{feff}",
        "\u{202e}",
        "日本語。",
        "👩‍👩‍👧",
        "word ",
        "1,2,3\n",
        "\"quoted \"\"cell\"\"\",x\n",
    ]);
    prop_oneof![
        6 => known.prop_map(|text| text.as_bytes().to_vec()),
        2 => "\\PC{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        1 => (0_usize..3000).prop_map(|n| vec![b'x'; n]),
    ]
}

/// A DOCX document whose XML was tampered with.
fn tampered_docx() -> impl Strategy<Value = Vec<u8>> {
    let tag = prop::sample::select(vec![
        "<w:p>",
        "</w:p>",
        "<w:tbl>",
        "</w:tbl>",
        "<w:tr>",
        "</w:tr>",
        "<w:tc>",
        "</w:tc>",
        "<w:r>",
        "<w:t>",
        "</w:t>",
        "<w:del>",
        "</w:del>",
        "<w:pPr>",
        "</w:pPr>",
        "<w:tab/>",
        "<w:numPr/>",
        "<w:ilvl w:val='99'/><w:numId w:val='1'/>",
        "<w:outlineLvl w:val='2'/>",
        "<w:gridSpan w:val='999999'/>",
        "<w:vMerge/>",
        "<m:oMath>",
        "</m:oMath>",
        "<m:f><m:num>",
        "<m:sSup><m:e>",
        "<w:vertAlign w:val='superscript'/>",
        "<w:fldChar w:fldCharType='begin'/>",
        "text ",
        "&amp;",
        "&#0;",
        "&#x110000;",
        "&nosuch;",
        "<",
        ">",
        "<![CDATA[x]]>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]>",
        "<w:txbxContent>",
        "]]>",
    ]);
    (prop::collection::vec(tag, 0..60), any::<prop::sample::Index>(), any::<u8>(), any::<bool>()).prop_map(
        |(tags, at, byte, damage)| {
            let mut archive = made::docx(&tags.concat());
            if damage {
                let at = at.index(archive.len());
                archive[at] = byte;
            }
            archive
        },
    )
}

/// An OpenDocument or a rich text that was tampered with.
fn tampered() -> impl Strategy<Value = (Format, Vec<u8>)> {
    let scrap = prop::sample::select(vec![
        "<office:body>",
        "<text:p>",
        "</text:p>",
        "<text:h text:outline-level='9'>",
        "</text:h>",
        "<text:list>",
        "</text:list>",
        "<text:list-item>",
        "<text:span text:style-name='a'>",
        "</text:span>",
        "<text:note>",
        "</text:note>",
        "<text:s text:c='99999999'/>",
        "<table:table>",
        "</table:table>",
        "<table:table-row table:number-rows-repeated='99999999'>",
        "</table:table-row>",
        "<table:table-cell table:number-columns-repeated='99999999' table:number-rows-spanned='5'>",
        "</table:table-cell>",
        "<table:covered-table-cell/>",
        "<text:list-style style:name='a'><text:list-level-style-number text:level='10' text:display-levels='99'/>",
        "<draw:page>",
        "</draw:page>",
        "text ",
        "é",
        "{",
        "}",
        "\\u-10179 ",
        "\\'e9",
        "\\'",
        "\\bin99 ",
        "\\intbl\\cell\\row ",
        "{\\mmath{\\mf{\\mnum 1}",
        "{\\footnote ",
        "\\par ",
    ]);
    let formats = prop::sample::select(vec![Format::Odt, Format::Ods, Format::Odp, Format::Rtf]);
    (formats, prop::collection::vec(scrap, 0..60)).prop_map(|(format, scraps)| {
        let text = scraps.concat();
        let bytes = match format {
            Format::Rtf => format!("{{\\rtf1 {text}").into_bytes(),
            _ => made::archive(&[("content.xml", text.as_bytes())]),
        };
        (format, bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_comes_no_parser_of_text_panics_and_its_chunks_are_bounded_and_the_same_again(
        scraps in prop::collection::vec(scrap(), 0..40),
        format in prop::sample::select(TEXTS.to_vec()),
    ) {
        let bytes = scraps.concat();
        let size = bytes.len();
        let source = source(format, bytes);
        let first = cut(&source);
        prop_assert_eq!(&first, &cut(&source));
        if let Ok(drafts) = first {
            prop_assert!(drafts.iter().all(|draft| draft.text.len() <= 2000 && !draft.text.trim().is_empty()));
            // A row repeats the names of its columns, so a small table grows; `amplification` tries large ones.
            let written: usize = drafts.iter().map(|draft| draft.text.len()).sum();
            prop_assert!(written <= 102 * size + 100, "{written} of {size}");
        }
    }

    #[test]
    fn whatever_is_done_to_a_docx_its_reader_does_not_panic(archive in tampered_docx()) {
        let source = source(Format::Docx, archive);
        let first = cut(&source);
        prop_assert_eq!(&first, &cut(&source));
        if let Ok(drafts) = first {
            prop_assert!(drafts.iter().all(|draft| draft.text.len() <= 2000));
        }
    }
    #[test]
    fn whatever_is_done_to_an_opendocument_or_a_rich_text_its_reader_does_not_panic((format, bytes) in tampered()) {
        let source = source(format, bytes);
        let first = cut(&source);
        prop_assert_eq!(&first, &cut(&source));
        if let Ok(drafts) = first {
            prop_assert!(drafts.iter().all(|draft| draft.text.len() <= 2000));
        }
    }
}
