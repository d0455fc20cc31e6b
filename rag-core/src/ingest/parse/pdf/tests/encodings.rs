//! Which letters are drawn.

use super::{Made, case, said, text, upright};

#[test]
fn ligature() {
    let wanted = "Office firewall notification rules\nThe configuration flag max_file_size is 40 MB.";
    assert_eq!(text(&case("ligature.pdf")), wanted);
}

#[test]
fn gbk_euc() {
    assert_eq!(text(&case("gbk_euc.pdf")), "阀门在十二号货架上。\n\nShelf 12 holds the valves.");
}

/// A page whose first line is written in a font of this encoding, which the document does not hold.
fn written(encoding: &str, collection: &str, hex: &str) -> String {
    let content =
        format!("BT /F2 12 Tf 1 0 0 1 72 740 Tm <{hex}> Tj ET\n") + &upright(72.0, 600.0, "Shelf 12 holds the valves.");
    let made = Made {
        content: content.as_bytes(),
        fonts: "/F2 6 0 R",
        objects: &[
            &format!("<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /{encoding} /DescendantFonts [7 0 R] >>"),
            &format!(
                "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X /DW 1000 /FontDescriptor 8 0 R \
                 /CIDSystemInfo << /Registry (Adobe) /Ordering ({collection}) /Supplement 2 >> >>"
            ),
            "<< /Type /FontDescriptor /FontName /X /Flags 4 /FontBBox [0 -200 1000 900] /ItalicAngle 0 /Ascent 800 \
             /Descent -200 /CapHeight 700 /StemV 80 >>",
        ],
        ..Made::default()
    };
    let text = made.text();
    let lines: Vec<&str> = text.split("\n\n").filter(|line| *line != "Shelf 12 holds the valves.").collect();
    lines.join("|")
}

#[test]
fn encodings_that_every_reader_has_to_know_are_known() {
    for (encoding, collection, hex, wanted) in [
        ("90ms-RKSJ-H", "Japan1", "975c94f582cc8cae82cd9249", "予備の鍵は棚"),
        ("90ms-RKSJ-V", "Japan1", "975c94f582cc8cae", "予備の鍵"),
        ("EUC-H", "Japan1", "cdbdc8f7a4ceb8b0", "予備の鍵"),
        ("UniGB-UCS2-H", "GB1", "960095e8572853414e8c53f7", "阀门在十二号"),
        ("UniGB-UTF16-H", "GB1", "960095e8572853414e8c53f7", "阀门在十二号"),
        ("ETen-B5-H", "CNS1", "bbd6aaf9a662a451a447b8b9", "閥門在十二號"),
        ("KSCms-UHC-H", "Korea1", "b9ebbaea", "밸브"),
    ] {
        assert_eq!(written(encoding, collection, hex), wanted, "{encoding}");
    }
}

#[test]
fn what_marked_content_reads_as_stands_for_what_is_drawn() {
    let content = "/Span << /ActualText <feff00660069> >> BDC BT /F1 11 Tf 1 0 0 1 72 720 Tm (x) Tj ET EMC\n"
        .to_owned()
        + &upright(77.5, 720.0, "rewall");
    assert_eq!(super::shows(&content), "firewall");
}

#[test]
fn a_font_that_names_its_drawn_letters_is_read() {
    let glyph = String::from_utf8(super::stream(b"1000 0 0 0 750 750 d1 0 0 750 750 re f")).unwrap();
    let made = Made {
        content: b"BT /F2 12 Tf 1 0 0 1 72 720 Tm (AB A) Tj ET",
        fonts: "/F2 6 0 R",
        objects: &[
            "<< /Type /Font /Subtype /Type3 /FontBBox [0 0 750 750] /FontMatrix [0.001 0 0 0.001 0 0] \
             /CharProcs << /A 7 0 R /uni0042 7 0 R /space 7 0 R >> \
             /Encoding << /Type /Encoding /Differences [32 /space 65 /A /uni0042] >> /FirstChar 32 /LastChar 66 \
             /Widths [500 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1000 1000] >>",
            &glyph,
        ],
        ..Made::default()
    };
    assert_eq!(made.text(), "AB A");
}

#[test]
fn a_page_whose_fonts_do_not_name_their_letters_is_said() {
    let hex = "002400250026002700280029002a002b002c002d002e002f";
    let content = format!("BT /F2 12 Tf 1 0 0 1 72 740 Tm <{hex}> Tj ET\n") + &upright(72.0, 700.0, "Seen.");
    let made = Made {
        content: content.as_bytes(),
        fonts: "/F2 6 0 R",
        objects: &[
            "<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H /DescendantFonts [7 0 R] >>",
            "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X /DW 1000 \
             /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>",
        ],
        ..Made::default()
    };
    let said = said(&made.bytes()).unwrap();
    assert_eq!(said.pages, [(1, "Seen.".to_owned())]);
    let wanted = "1 of 1 page cannot be read in full (1): the fonts do not say which letters they draw; run OCR";
    assert_eq!(said.notices, [wanted]);
}

#[test]
fn letters_of_an_embedded_font_are_those_of_the_collection_that_it_names() {
    assert_eq!(text(&case("embedded_cjk.pdf")), "予備の鍵は棚\n\nShelf 12 holds the key.");
}

#[test]
fn letters_whose_names_say_nothing_are_those_of_their_codes() {
    let made = Made {
        content: b"BT /F2 12 Tf 1 0 0 1 72 720 Tm (ABC) Tj ET",
        fonts: "/F2 6 0 R",
        objects: &["<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding << /Type /Encoding \
                    /Differences [65 /g33 /a66 /uni0043] >> >>"],
        ..Made::default()
    };
    assert_eq!(made.text(), "ABC");
}
