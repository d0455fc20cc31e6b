//! What of a DOCX document carries meaning and what does not, on files of several programs and on small ones made here.

use std::path::Path;

use super::{
    found::{self, Found},
    made::{self, OFFICE, paragraph, word},
};
use crate::ingest::Format;

async fn read(bytes: Vec<u8>) -> Found {
    found::read(Format::Docx, bytes).await
}

async fn case(name: &str) -> Found {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name);
    read(std::fs::read(path).unwrap()).await
}

/// The text of a document with this body and nothing beside it.
async fn text(body: &str) -> String {
    read(made::docx(body)).await.text()
}

fn run(properties: &str, text: &str) -> String {
    format!("<w:r><w:rPr>{properties}</w:rPr><w:t xml:space=\"preserve\">{text}</w:t></w:r>")
}

fn styled(style: &str, text: &str) -> String {
    format!("<w:p><w:pPr><w:pStyle w:val=\"{style}\"/></w:pPr>{}</w:p>", run("", text))
}

const HEADINGS: &str = "<w:styles><w:style w:styleId=\"H1\"><w:name w:val=\"heading 1\"/></w:style>\
    <w:style w:styleId=\"H2\"><w:name w:val=\"heading 2\"/></w:style></w:styles>";

#[tokio::test]
async fn a_document_that_word_on_the_web_calls_document2_is_read() {
    assert_eq!(case("document2.docx").await.text(), "The canteen closes at 14:30 on Fridays.");
}

#[tokio::test]
async fn parts_are_found_by_what_they_are_and_not_by_their_names() {
    let xml = |body: &str| format!("<w:document><w:body>{body}</w:body></w:document>");
    let relation = |kind: &str, target: &str| {
        format!("<Relationship Id=\"r{kind}\" Type=\"{OFFICE}/{kind}\" Target=\"{target}\"/>")
    };
    let list = |relations: &[String]| format!("<Relationships>{}</Relationships>", relations.concat());
    let note =
        "<w:footnotes><w:footnote w:id=\"2\"><w:p><w:r><w:t>Since May.</w:t></w:r></w:p></w:footnote></w:footnotes>";
    // As Google Docs, a strict document, and a program that writes capitals and backslashes name them.
    for (main, styles) in [("/Word/Main.XML", "..\\Styles\\S.xml"), ("content/text.xml", "/styles/s.xml")] {
        let folder = main.trim_start_matches('/').split('/').next().unwrap();
        let file = main.rsplit('/').next().unwrap();
        let parts = [
            ("_rels/.rels".to_owned(), list(&[relation("officeDocument", main)])),
            (
                main.trim_start_matches('/').to_lowercase(),
                xml(&(styled("H1", "Canteen") + &paragraph("Open at noon."))),
            ),
            (
                format!("{folder}/_rels/{file}.rels"),
                list(&[relation("styles", styles), relation("footnotes", "notes/n1.xml")]),
            ),
            ("styles/s.xml".to_owned(), HEADINGS.to_owned()),
            (format!("{folder}/notes/n1.xml"), note.to_owned()),
        ];
        let parts: Vec<_> = parts.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
        let read = read(made::archive(&parts)).await;
        let wanted = [("Canteen", "Canteen\nOpen at noon."), ("", "Since May.")];
        assert_eq!(read.chunks, wanted.map(|(headings, text)| (headings.to_owned(), text.to_owned())), "{main}");
        assert_eq!(read.title, "Canteen");
    }
}

#[tokio::test]
async fn endnotes_are_read() {
    let text = case("endnotes.docx").await.text();
    assert!(text.contains("The sample was drawn in Tromsø at minus 31 degrees."), "{text}");
    assert!(text.contains("The density is given in table 4."), "{text}");
}

#[tokio::test]
async fn what_stands_at_the_top_of_pages_is_read() {
    let text = case("header.docx").await.text();
    assert_eq!(text.matches("Order number SO-77120, valid until 2031-05-01").count(), 1, "{text}");
}

#[tokio::test]
async fn what_stands_at_top_and_bottom_of_pages_is_read_once_and_without_numbers_of_pages() {
    let page = "<w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:instrText> PAGE \\* MERGEFORMAT </w:instrText></w:r>\
                <w:r><w:fldChar w:fldCharType=\"separate\"/></w:r><w:r><w:t>7</w:t></w:r><w:r><w:fldChar w:fldCharType=\"end\"/></w:r>";
    let pages = "<w:fldSimple w:instr=\"NUMPAGES\"><w:r><w:t>12</w:t></w:r></w:fldSimple>";
    let of = |before: &str| format!("<w:p>{}{page}{}{pages}</w:p>", run("", before), run("", " of "));
    let header = |part: &str| format!("<w:hdr>{part}</w:hdr>");
    let (first, even) = (header(&paragraph("Edition 4, valid from May")), header(&of("Edition 4, page ")));
    let footer = format!("<w:ftr>{}</w:ftr>", of("Page "));
    let parts =
        [("header", first.as_str()), ("header", first.as_str()), ("header", even.as_str()), ("footer", &footer)];
    let text = read(word(&paragraph("Salt is kept dry."), &parts)).await.text();
    assert_eq!(text, "Salt is kept dry.\n~\nEdition 4, valid from May\n\nEdition 4, page  of");
}

#[tokio::test]
async fn a_title_that_a_template_wrote_loses_against_the_first_heading() {
    let read = case("core_title.docx").await;
    assert_eq!(read.title, "Evacuation plan");
    assert!(read.text().contains("Meet at the oak."));
    let core = |title: &str| format!("<cp:coreProperties><dc:title>{title}</dc:title></cp:coreProperties>");
    let title = async |title: &str| {
        let core = core(title);
        let parts = [("styles", HEADINGS), ("core-properties", core.as_str())];
        self::read(word(&(styled("H1", "Evacuation plan") + &paragraph("Meet at the oak.")), &parts)).await.title
    };
    assert_eq!(title("Microsoft Word - plan v3.doc").await, "Evacuation plan");
    assert_eq!(title("Fire drill &amp; exits").await, "Fire drill & exits");
}

#[tokio::test]
async fn a_fraction_is_not_a_number_of_its_digits() {
    assert_eq!(case("omml.docx").await.text(), "Use 1/2 litre per tonne.");
}

#[tokio::test]
async fn formulas_are_read_as_one_would_type_them() {
    let r = |text: &str| format!("<m:r><m:t>{text}</m:t></m:r>");
    let part = |name: &str, inner: &str| format!("<m:{name}>{inner}</m:{name}>");
    let fraction = |above: &str, below: &str| part("f", &(part("num", above) + &part("den", below)));
    let power = |base: &str, above: &str| part("sSup", &(part("e", base) + &part("sup", above)));
    let sum = part(
        "nary",
        &format!(
            "<m:naryPr><m:chr m:val=\"∑\"/></m:naryPr>{}{}{}",
            part("sub", &r("i=1")),
            part("sup", &r("n")),
            part("e", &power(&r("i"), &r("2")))
        ),
    );
    let root = part("rad", &("<m:radPr><m:degHide m:val=\"1\"/></m:radPr><m:deg/>".to_owned() + &part("e", &r("a+b"))));
    let brackets = part(
        "d",
        &("<m:dPr><m:begChr m:val=\"[\"/><m:endChr m:val=\"]\"/></m:dPr>".to_owned()
            + &part("e", &r("0"))
            + &part("e", &r("1"))),
    );
    let matrix = part(
        "m",
        &(part("mr", &(part("e", &r("1")) + &part("e", &r("0"))))
            + &part("mr", &(part("e", &r("0")) + &part("e", &r("1"))))),
    );
    let limit = part(
        "func",
        &(part("fName", &part("limLow", &(part("e", &r("lim")) + &part("lim", &r("x→0"))))) + &part("e", &r("f(x)"))),
    );
    let known = [
        (r("3") + &fraction(&r("1"), &r("2")), "3 1/2"),
        (fraction(&r("a+b"), &fraction(&r("c"), &r("2"))), "(a+b)/(c/2)"),
        (power(&r("10"), &r("-3")) + &r("m"), "10^-3 m"),
        (part("sSub", &(part("e", &r("x")) + &part("sub", &r("i+1")))), "x_(i+1)"),
        (sum, "∑_(i=1)^n i^2"),
        (root, "sqrt(a+b)"),
        (brackets, "[0|1]"),
        (matrix, "[1, 0; 0, 1]"),
        (limit, "lim_(x→0) f(x)"),
    ];
    for (formula, wanted) in known {
        let body = format!("<w:p>{}<m:oMath>{formula}</m:oMath>{}</w:p>", run("", "take 2 "), run("", " of it"));
        assert_eq!(text(&body).await, format!("take 2 {wanted} of it"));
    }
    let behind = format!("<w:p>{}<m:oMath>{}</m:oMath></w:p>", run("", "take 2"), fraction(&r("1"), &r("2")));
    assert_eq!(text(&behind).await, "take 2 1/2");
}

#[tokio::test]
async fn the_style_that_a_paragraph_had_before_a_change_is_not_its_style() {
    let read = case("pprchange.docx").await;
    let rules = "Site rules\nHelmets are worn in hall three.\n\nGloves are worn at the press.";
    assert_eq!(read.chunks, [("Site rules".to_owned(), rules.to_owned())]);
}

#[tokio::test]
async fn a_reading_stands_not_in_its_word() {
    assert_eq!(case("ruby.docx").await.text(), "東京に支店がある。");
}

#[tokio::test]
async fn numbers_that_word_writes_by_itself_are_in_the_text() {
    let text = case("numbering.docx").await.text();
    let clauses = "1. Liability\n1.1 Damage by water is excluded.\n1.2 Damage by fire is covered up to 9,000 euro.\n\
                   2. Term\n2.1 The contract ends on 30 June.";
    assert_eq!(text, clauses);
}

/// A list of two levels, of which some begin again elsewhere, a list of a style, and one that means a style's.
const LISTS: &str = "<w:numbering>\
    <w:abstractNum w:abstractNumId=\"7\"><w:lvl w:ilvl=\"0\"><w:start w:val=\"1\"/><w:numFmt w:val=\"upperRoman\"/><w:lvlText w:val=\"%1.\"/></w:lvl>\
    <w:lvl w:ilvl=\"1\"><w:start w:val=\"1\"/><w:numFmt w:val=\"lowerLetter\"/><w:lvlText w:val=\"(%2)\"/></w:lvl>\
    <w:lvl w:ilvl=\"2\"><w:start w:val=\"1\"/><w:numFmt w:val=\"decimal\"/><w:isLgl/><w:lvlText w:val=\"%1.%3\"/></w:lvl></w:abstractNum>\
    <w:abstractNum w:abstractNumId=\"8\"><w:lvl w:ilvl=\"0\"><w:start w:val=\"1\"/><w:numFmt w:val=\"decimal\"/><w:pStyle w:val=\"H1\"/><w:lvlText w:val=\"§ %1\"/></w:lvl>\
    <w:lvl w:ilvl=\"1\"><w:start w:val=\"1\"/><w:numFmt w:val=\"decimal\"/><w:pStyle w:val=\"H2\"/><w:lvlText w:val=\"%1.%2\"/></w:lvl></w:abstractNum>\
    <w:num w:numId=\"1\"><w:abstractNumId w:val=\"7\"/></w:num>\
    <w:num w:numId=\"2\"><w:abstractNumId w:val=\"7\"/><w:lvlOverride w:ilvl=\"0\"><w:startOverride w:val=\"5\"/></w:lvlOverride></w:num>\
    <w:num w:numId=\"3\"><w:abstractNumId w:val=\"8\"/></w:num></w:numbering>";

fn item(list: u32, level: u32, text: &str) -> String {
    let numbered = format!("<w:numPr><w:ilvl w:val=\"{level}\"/><w:numId w:val=\"{list}\"/></w:numPr>");
    format!("<w:p><w:pPr>{numbered}</w:pPr>{}</w:p>", run("", text))
}

#[tokio::test]
async fn lists_count_as_their_definitions_say() {
    let items = [(1, 0, "one"), (1, 1, "inner"), (1, 1, "more"), (1, 2, "deep"), (1, 0, "two"), (1, 1, "again")];
    let body: String =
        items.into_iter().chain([(2, 0, "elsewhere")]).map(|(list, level, text)| item(list, level, text)).collect();
    let text = read(word(&body, &[("numbering", LISTS)])).await.text();
    assert_eq!(text, "I. one\n  (a) inner\n  (b) more\n1.1 deep\nII. two\n  (a) again\nV. elsewhere");
}

#[tokio::test]
async fn headings_that_are_numbered_by_their_style_carry_the_number_and_the_title_does_not() {
    let styles = "<w:styles><w:style w:styleId=\"H1\"><w:name w:val=\"heading 1\"/><w:pPr><w:numPr><w:numId w:val=\"3\"/></w:numPr></w:pPr></w:style>\
                  <w:style w:styleId=\"H2\"><w:name w:val=\"heading 2\"/><w:basedOn w:val=\"H1\"/></w:style></w:styles>";
    let body = styled("H1", "Scope")
        + &paragraph("All halls.")
        + &styled("H1", "Terms")
        + &styled("H2", "Notice")
        + &paragraph("Thirty days.");
    let read = read(word(&body, &[("styles", styles), ("numbering", LISTS)])).await;
    let wanted =
        [("§ 1 Scope", "§ 1 Scope\nAll halls."), ("§ 2 Terms > 2.1 Notice", "§ 2 Terms\n2.1 Notice\nThirty days.")];
    assert_eq!(read.chunks, wanted.map(|(headings, text)| (headings.to_owned(), text.to_owned())));
    assert_eq!(read.title, "Scope");
}

#[tokio::test]
async fn tracked_changes_are_read_as_accepted() {
    let change = "<w:p><w:r><w:t xml:space=\"preserve\">The fee is </w:t></w:r><w:del><w:r><w:delText>120</w:delText></w:r></w:del>\
                  <w:ins><w:r><w:t>145</w:t></w:r></w:ins><w:r><w:t xml:space=\"preserve\"> euro per quarter.</w:t></w:r></w:p>";
    assert_eq!(text(change).await, "The fee is 145 euro per quarter.");
    let moved = format!(
        "<w:p><w:moveFrom>{}</w:moveFrom>{}<w:moveTo>{}</w:moveTo></w:p>",
        run("", "first "),
        run("", "second "),
        run("", "first")
    );
    assert_eq!(text(&moved).await, "second first");
    let end = format!(
        "<w:p><w:pPr><w:rPr><w:del w:id=\"1\"/></w:rPr></w:pPr>{}</w:p><w:p>{}</w:p>",
        run("", "Gates open "),
        run("", "at six.")
    );
    assert_eq!(text(&end).await, "Gates open at six.");
    let was = format!("<w:p>{}</w:p>", run("<w:rPrChange><w:rPr><w:vanish/></w:rPr></w:rPrChange>", "It is seen."));
    assert_eq!(text(&was).await, "It is seen.");
    let row = |properties: &str, cell: &str| {
        format!("<w:tr><w:trPr>{properties}</w:trPr><w:tc>{}</w:tc></w:tr>", paragraph(cell))
    };
    let table = format!("<w:tbl>{}{}</w:tbl>", row("<w:del w:id=\"2\"/>", "gone"), row("<w:ins w:id=\"3\"/>", "there"));
    assert_eq!(text(&table).await, "there");
}

#[tokio::test]
async fn what_is_hidden_or_struck_out_is_left_out() {
    let body = format!(
        "<w:p>{}{}{}{}{}</w:p>",
        run("", "Pump price: "),
        run("<w:strike/>", "990 "),
        run("<w:dstrike w:val=\"true\"/>", "900 "),
        run("<w:vanish/>", "secret "),
        run("<w:strike w:val=\"0\"/><w:vanish w:val=\"false\"/>", "780 euro."),
    );
    assert_eq!(text(&body).await, "Pump price: 780 euro.");
    let styles = "<w:styles><w:style w:type=\"character\" w:styleId=\"Gone\"><w:name w:val=\"gone\"/><w:rPr><w:vanish/></w:rPr></w:style></w:styles>";
    let body = format!("<w:p>{}{}</w:p>", run("", "Seen."), run("<w:rStyle w:val=\"Gone\"/>", " Not seen."));
    assert_eq!(read(word(&body, &[("styles", styles)])).await.text(), "Seen.");
}

#[tokio::test]
async fn raised_and_lowered_digits_never_make_another_number() {
    let (up, down) = ("<w:vertAlign w:val=\"superscript\"/>", "<w:vertAlign w:val=\"subscript\"/>");
    let body = format!(
        "<w:p>{}{}{}{}{}{}{}{}{}</w:p>",
        run("", "It withstands 10"),
        run(up, "-"),
        run(up, "5"),
        run("", " pascal of CO"),
        run(down, "2"),
        run("", " on 50 m"),
        run(up, "2"),
        run("", " since the 1"),
        run(up, "st"),
    );
    assert_eq!(text(&body).await, "It withstands 10^-5 pascal of CO2 on 50 m^2 since the 1st");
}

#[tokio::test]
async fn a_text_box_is_read_once_and_behind_its_paragraph() {
    let inner = |text: &str| format!("<w:txbxContent>{}</w:txbxContent>", paragraph(text));
    let boxed = format!(
        "<w:r><mc:AlternateContent><mc:Choice Requires=\"wps\"><w:drawing><wps:txbx>{0}</wps:txbx></w:drawing></mc:Choice>\
         <mc:Fallback><w:pict><v:textbox>{0}</v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r>",
        inner("Mind the step.")
    );
    let body = format!("<w:p>{}{boxed}{}</w:p>", run("", "The stairs are "), run("", "steep."));
    assert_eq!(text(&body).await, "The stairs are steep.\n\nMind the step.");
    // As programs of before 2010 write it.
    let alone = format!(
        "<w:p>{}<w:r><w:pict><v:textbox>{}</v:textbox></w:pict></w:r></w:p>",
        run("", "Stairs."),
        inner("Mind the step.")
    );
    assert_eq!(text(&alone).await, "Stairs.\n\nMind the step.");
}

#[tokio::test]
async fn signs_of_symbol_fonts_breaks_and_hyphens_are_what_a_reader_sees() {
    let body = "<w:p><w:r><w:t>U</w:t><w:sym w:font=\"Symbol\" w:char=\"F0B3\"/><w:t>5</w:t><w:tab/><w:t>non</w:t><w:noBreakHyphen/><w:t>stop</w:t>\
                <w:t>power</w:t><w:softHyphen/><w:t>house</w:t><w:br/><w:t>next</w:t></w:r></w:p>";
    assert_eq!(text(body).await, "U≥5\tnon-stoppowerhouse\nnext");
}

#[tokio::test]
async fn merged_cells_keep_the_others_in_their_columns() {
    let cell = |properties: &str, text: &str| format!("<w:tc><w:tcPr>{properties}</w:tcPr>{}</w:tc>", paragraph(text));
    let row = |cells: &[String]| format!("<w:tr>{}</w:tr>", cells.concat());
    let (begins, goes_on) = ("<w:vMerge w:val=\"restart\"/>", "<w:vMerge/>");
    let table = [
        row(&[cell("", ""), cell("<w:gridSpan w:val=\"2\"/>", "Limits"), cell("", "Unit")]),
        row(&[cell(begins, "X200"), cell("", "low"), cell("", "1"), cell("", "bar")]),
        row(&[cell(goes_on, ""), cell("", "high"), cell("", "3"), cell("", "bar")]),
        row(&[cell("", "X300"), cell("", "low"), cell("", "2"), cell("", "bar")]),
    ];
    let wanted = " | Limits |  | Unit\nX200 | low | 1 | bar\nX200 | high | 3 | bar\nX300 | low | 2 | bar";
    assert_eq!(text(&format!("<w:tbl>{}</w:tbl>", table.concat())).await, wanted);
}

#[tokio::test]
async fn comments_tables_of_contents_and_hints_of_form_fields_are_left_out() {
    let styles = "<w:styles><w:style w:styleId=\"T1\"><w:name w:val=\"toc 1\"/></w:style></w:styles>";
    let hint = "<w:p><w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent><w:r><w:t>Click here.</w:t></w:r></w:sdtContent></w:sdt>\
                <w:sdt><w:sdtPr/><w:sdtContent><w:r><w:t>Filled in.</w:t></w:r></w:sdtContent></w:sdt></w:p>";
    let comments = "<w:comments><w:comment><w:p><w:r><w:t>Is that so?</w:t></w:r></w:p></w:comment></w:comments>";
    let body = styled("T1", "Scope\t3") + hint;
    assert_eq!(read(word(&body, &[("styles", styles), ("comments", comments)])).await.text(), "Filled in.");
}

#[tokio::test]
async fn a_document_that_defines_entities_is_refused() {
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><w:document><w:body/></w:document>";
    let said = found::failure(Format::Docx, made::archive(&[("word/document.xml", bomb.as_bytes())])).await;
    assert_eq!(said, "it defines entities, which no such document needs");
}
