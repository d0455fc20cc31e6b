//! What of presentations, workbooks, OpenDocuments, books and rich text carries meaning and what does not, on small files made here as the programs write them.

use super::{
    found::{failure, read},
    made::{OFFICE, archive},
};
use crate::ingest::Format;

fn packed(parts: &[(&str, String)]) -> Vec<u8> {
    archive(&parts.iter().map(|(name, text)| (*name, text.as_bytes())).collect::<Vec<_>>())
}

fn relations(targets: &[(&str, &str, &str)]) -> String {
    let one = |(id, kind, target): &(&str, &str, &str)| {
        format!("<Relationship Id=\"{id}\" Type=\"{OFFICE}/{kind}\" Target=\"{target}\"/>")
    };
    format!("<Relationships>{}</Relationships>", targets.iter().map(one).collect::<String>())
}

/// The chunks as they are compared.
fn chunks<const N: usize>(chunks: [(&str, &str); N]) -> Vec<(String, String)> {
    chunks.into_iter().map(|(headings, text)| (headings.to_owned(), text.to_owned())).collect()
}

fn shape(place: &str, text: &str) -> String {
    format!("<p:sp><p:nvSpPr><p:nvPr>{place}</p:nvPr></p:nvSpPr><p:txBody>{text}</p:txBody></p:sp>")
}

fn point(properties: &str, text: &str) -> String {
    format!("<a:p><a:pPr {properties}<a:r><a:t>{text}</a:t></a:r></a:p>")
}

/// A presentation of these slides, shown in the order of these numbers, with notes below the first one.
fn presentation(slides: &[String], order: &[usize], notes: &str) -> Vec<u8> {
    let ids: String = order.iter().map(|slide| format!("<p:sldId id=\"25{slide}\" r:id=\"s{slide}\"/>")).collect();
    let names: Vec<_> = (1..=slides.len()).map(|at| (format!("s{at}"), format!("slides/slide{at}.xml"))).collect();
    let of: Vec<_> = names.iter().map(|(id, target)| (id.as_str(), "slide", target.as_str())).collect();
    let mut parts = vec![
        ("_rels/.rels".to_owned(), relations(&[("r1", "officeDocument", "ppt/presentation.xml")])),
        ("ppt/presentation.xml".to_owned(), format!("<p:presentation><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>")),
        ("ppt/_rels/presentation.xml.rels".to_owned(), relations(&of)),
        (
            "ppt/slides/_rels/slide1.xml.rels".to_owned(),
            relations(&[("n", "notesSlide", "../notesSlides/n1.xml"), ("d", "diagramData", "../diagrams/d1.xml")]),
        ),
        ("ppt/notesSlides/n1.xml".to_owned(), format!("<p:notes>{notes}</p:notes>")),
        (
            "ppt/diagrams/d1.xml".to_owned(),
            format!("<dgm:dataModel>{}</dgm:dataModel>", point("/>", "Plan, do, check")),
        ),
    ];
    parts.extend(
        slides.iter().enumerate().map(|(at, slide)| (format!("ppt/slides/slide{}.xml", at + 1), slide.clone())),
    );
    archive(&parts.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect::<Vec<_>>())
}

#[tokio::test]
async fn slides_are_sections_in_their_order_with_titles_tables_and_notes_and_without_hidden_ones() {
    let cell =
        |properties: &str, text: &str| format!("<a:tc {properties}><a:txBody>{}</a:txBody></a:tc>", point("/>", text));
    let row = |cells: &[String]| format!("<a:tr>{}</a:tr>", cells.concat());
    let table = [
        row(&[cell("", "Pump"), cell("", "Level"), cell("", "Bar")]),
        row(&[cell("rowSpan=\"2\"", "X200"), cell("", "low"), cell("", "1")]),
        row(&[cell("vMerge=\"1\"", ""), cell("", "high"), cell("", "3")]),
    ];
    let frame = format!("<p:graphicFrame><a:tbl>{}</a:tbl></p:graphicFrame>", table.concat());
    let first =
        shape("<p:ph type=\"body\"/>", &(point("/>", "Meet at the oak.") + &point("lvl=\"1\"/>", "Leave the lifts.")))
            + &shape("<p:ph type=\"title\"/>", &point("/>", "Evacuation plan"))
            + &shape("<p:ph type=\"sldNum\"/>", &point("/>", "1"));
    let second = shape("<p:ph type=\"title\"/>", &point("/>", "Pumps")) + &frame;
    let slides = [
        format!("<p:sld>{first}</p:sld>"),
        format!("<p:sld>{second}</p:sld>"),
        format!("<p:sld show=\"0\">{}</p:sld>", shape("", &point("/>", "Old prices"))),
    ];
    let notes = shape("<p:ph type=\"sldImg\"/>", "") + &shape("<p:ph type=\"body\"/>", &point("/>", "Say it slowly."));
    let found = read(Format::Pptx, presentation(&slides, &[2, 3, 1], &notes)).await;
    let wanted = [
        ("slide 1 > Pumps", "Pumps\nPump | Level | Bar\nX200 | low | 1\nX200 | high | 3"),
        (
            "slide 3 > Evacuation plan",
            "Evacuation plan\n- Meet at the oak.\n  - Leave the lifts.\n\nSay it slowly.\n\nPlan, do, check",
        ),
    ];
    assert_eq!(found.chunks, chunks(wanted));
    assert_eq!(found.title, "Pumps");
}

#[tokio::test]
async fn numbers_raised_digits_struck_text_and_formulas_of_slides_keep_their_meaning() {
    let run = |properties: &str, text: &str| format!("<a:r><a:rPr {properties}/><a:t>{text}</a:t></a:r>");
    let counted = "><a:buAutoNum type=\"arabicPeriod\"/></a:pPr>";
    let list = point(counted, "Open the valve.") + &point(counted, "Close the drain.");
    let raised = format!(
        "<a:p>{}{}{}{}{}</a:p>",
        run("", "10"),
        run("baseline=\"30000\"", "-"),
        run("baseline=\"30000\"", "5"),
        run("", " pascal, "),
        run("strike=\"sngStrike\"", "990 ")
    );
    let formula = "<a:p><a:r><a:t>Use 3</a:t></a:r><mc:AlternateContent><mc:Choice><a14:m><m:oMath><m:f><m:num><m:r><m:t>1</m:t></m:r></m:num>\
                   <m:den><m:r><m:t>2</m:t></m:r></m:den></m:f></m:oMath></a14:m></mc:Choice><mc:Fallback><a:r><a:t>picture</a:t></a:r></mc:Fallback></mc:AlternateContent></a:p>";
    let slide = format!("<p:sld>{}</p:sld>", shape("", &(list + &raised + formula)));
    let found = read(Format::Pptx, presentation(&[slide], &[1], "")).await;
    assert_eq!(found.text(), "1. Open the valve.\n2. Close the drain.\n10^-5 pascal,\n\nUse 3 1/2\n\nPlan, do, check");
}

/// A workbook with these sheets: name, state, rows.
fn workbook(sheets: &[(&str, &str, &str)]) -> Vec<u8> {
    let list: String = sheets
        .iter()
        .enumerate()
        .map(|(at, (name, state, _))| {
            format!("<sheet name=\"{name}\" sheetId=\"{at}\" state=\"{state}\" r:id=\"s{at}\"/>")
        })
        .collect();
    let names: Vec<_> = (0..sheets.len()).map(|at| (format!("s{at}"), format!("worksheets/sheet{at}.xml"))).collect();
    let mut of: Vec<_> = names.iter().map(|(id, target)| (id.as_str(), "worksheet", target.as_str())).collect();
    of.extend([("t", "sharedStrings", "sharedStrings.xml"), ("y", "styles", "styles.xml")]);
    let (spread, related) = (
        "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    );
    let types = "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Override PartName=\"/xl/workbook.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml\"/></Types>";
    let mut parts = vec![
        ("[Content_Types].xml".to_owned(), types.to_owned()),
        ("_rels/.rels".to_owned(), relations(&[("r1", "officeDocument", "xl/workbook.xml")])),
        (
            "xl/workbook.xml".to_owned(),
            format!("<workbook xmlns=\"{spread}\" xmlns:r=\"{related}\"><sheets>{list}</sheets></workbook>"),
        ),
        ("xl/_rels/workbook.xml.rels".to_owned(), relations(&of)),
        (
            "xl/sharedStrings.xml".to_owned(),
            format!(
                "<sst xmlns=\"{spread}\"><si><t>Model</t></si><si><r><t xml:space=\"preserve\">Tested </t></r><r><t>on</t></r></si></sst>"
            ),
        ),
        // The second format is a date, the third one a share.
        (
            "xl/styles.xml".to_owned(),
            format!(
                "<styleSheet xmlns=\"{spread}\"><cellXfs count=\"3\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/><xf numFmtId=\"10\"/></cellXfs></styleSheet>"
            ),
        ),
    ];
    parts.extend(sheets.iter().enumerate().map(|(at, (_, _, rows))| {
        (
            format!("xl/worksheets/sheet{at}.xml"),
            format!("<worksheet xmlns=\"{spread}\"><sheetData>{rows}</sheetData></worksheet>"),
        )
    }));
    archive(&parts.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect::<Vec<_>>())
}

#[tokio::test]
async fn sheets_are_sections_with_dates_shares_and_numbers_as_a_reader_sees_them() {
    let rows = "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"B1\" t=\"s\"><v>1</v></c><c r=\"C1\" t=\"inlineStr\"><is><t>Loss</t></is></c>\
                <c r=\"D1\" t=\"inlineStr\"><is><t>Price</t></is></c><c r=\"E1\" t=\"inlineStr\"><is><t>Ok</t></is></c></row>\
                <row r=\"3\" hidden=\"1\"><c r=\"A3\" t=\"inlineStr\"><is><t>X200</t></is></c><c r=\"B3\" s=\"1\"><v>47969</v></c><c r=\"C3\" s=\"2\"><v>0.19</v></c>\
                <c r=\"D3\"><f>0.1+0.2</f><v>0.30000000000000004</v></c><c r=\"E3\" t=\"b\"><v>1</v></c></row>\
                <row r=\"4\"><c r=\"A4\" t=\"inlineStr\"><is><t>X300</t></is></c><c r=\"D4\"><v>9000</v></c><c r=\"E4\" t=\"e\"><v>#DIV/0!</v></c></row>";
    let secret = "<row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>secret list</t></is></c></row>";
    let sheets = [("Pumps", "visible", rows), ("Lists", "hidden", secret), ("Codes", "veryHidden", secret)];
    let found = read(Format::Xlsx, workbook(&sheets)).await;
    let table = "Model | Tested on | Loss | Price | Ok\nX200 | 2031-05-01 | 19% | 0.3 | TRUE\nX300 |  |  | 9000";
    assert_eq!(found.chunks, chunks([("Pumps", table)]));
    assert_eq!(found.title, "x");
}

#[tokio::test]
async fn each_chunk_of_a_long_sheet_carries_the_names_of_its_columns_and_not_what_stands_above_them() {
    let cell = |text: &str| format!("<c t=\"inlineStr\"><is><t>{text}</t></is></c>");
    let row = |cells: &[&str]| format!("<row>{}</row>", cells.iter().map(|text| cell(text)).collect::<String>());
    let mut rows = row(&["Prices of this year"]) + &row(&["Model", "Price in euro"]);
    rows.extend((0..400).map(|at| row(&[&format!("pump number {at}"), &format!("{}", 100 + at)])));
    let found = read(Format::Xlsx, workbook(&[("Prices", "visible", &rows)])).await;
    assert!(found.chunks.len() > 5);
    assert!(found.chunks[0].1.starts_with("Prices of this year\nModel | Price in euro\npump number 0 | 100\n"));
    for (headings, text) in &found.chunks[1..] {
        assert!(text.starts_with("Model | Price in euro\npump number "), "{text}");
        assert_eq!(headings, "Prices");
    }
}

/// An OpenDocument with this content, these styles, and this title.
fn open(styles: &str, content: &str, title: &str) -> Vec<u8> {
    packed(&[
        ("mimetype", "application/vnd.oasis.opendocument.text".to_owned()),
        ("META-INF/manifest.xml", "<manifest:manifest/>".to_owned()),
        ("meta.xml", format!("<office:document-meta><office:meta><dc:title>{title}</dc:title></office:meta></office:document-meta>")),
        ("styles.xml", format!("<office:document-styles>{styles}</office:document-styles>")),
        ("content.xml", format!("<office:document-content>{content}</office:document-content>")),
        (
            "Object 1/content.xml",
            "<math><semantics><mrow><mi>v</mi><mo>=</mo><mfrac><mi>s</mi><msup><mi>t</mi><mn>2</mn></msup></mfrac></mrow><annotation>v = {s} over {t^2}</annotation></semantics></math>".to_owned(),
        ),
    ])
}

#[tokio::test]
async fn an_opendocument_text_keeps_numbers_notes_formulas_and_tables_and_leaves_out_what_does_not_hold() {
    let styles = "<office:styles><text:outline-style><text:outline-level-style text:level=\"1\" style:num-format=\"1\" style:num-suffix=\".\"/>\
                  <text:outline-level-style text:level=\"2\" style:num-format=\"1\" text:display-levels=\"2\"/></text:outline-style></office:styles>\
                  <office:master-styles><style:master-page><style:header><text:p>Edition 4</text:p></style:header><style:footer><text:p>Page <text:page-number>3</text:page-number></text:p></style:footer></style:master-page></office:master-styles>";
    let automatic = "<office:automatic-styles><text:list-style style:name=\"L1\"><text:list-level-style-number text:level=\"1\" style:num-format=\"a\" style:num-suffix=\")\"/></text:list-style>\
                     <style:style style:name=\"Up\" style:family=\"text\"><style:text-properties style:text-position=\"super 58%\"/></style:style>\
                     <style:style style:name=\"Gone\" style:family=\"text\"><style:text-properties style:text-line-through-style=\"solid\"/></style:style>\
                     <style:style style:name=\"Hid\" style:family=\"text\"><style:text-properties text:display=\"none\"/></style:style></office:automatic-styles>";
    let body = "<text:tracked-changes><text:changed-region><text:deletion><text:p>Deleted long ago.</text:p></text:deletion></text:changed-region></text:tracked-changes>\
                <text:table-of-content><text:index-body><text:p>Scope 1</text:p></text:index-body></text:table-of-content>\
                <text:h text:outline-level=\"1\">Scope</text:h>\n  <text:p>It stands   10<text:span text:style-name=\"Up\">5</text:span> pascal<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Measured in May.</text:p></text:note-body></text:note>.\
                <text:span text:style-name=\"Gone\"> Price 990.</text:span><text:span text:style-name=\"Hid\"> secret</text:span><office:annotation><text:p>Is that so?</text:p></office:annotation></text:p>\
                <text:h text:outline-level=\"2\">Items</text:h><text:list text:style-name=\"L1\"><text:list-item><text:p>first</text:p></text:list-item><text:list-item><text:p>second</text:p></text:list-item></text:list>\
                <text:p>Then <draw:frame><svg:title>a picture</svg:title><draw:object xlink:href=\"./Object 1\"/></draw:frame> holds.</text:p>\
                <table:table><table:table-row><table:table-cell><text:p>Model</text:p></table:table-cell><table:table-cell><text:p>Level</text:p></table:table-cell></table:table-row>\
                <table:table-row><table:table-cell table:number-rows-spanned=\"2\"><text:p>X200</text:p></table:table-cell><table:table-cell><text:p>low</text:p></table:table-cell></table:table-row>\
                <table:table-row><table:covered-table-cell/><table:table-cell><text:p>high</text:p></table:table-cell></table:table-row></table:table>";
    let content = format!("{automatic}<office:body><office:text>{body}</office:text></office:body>");
    let found = read(Format::Odt, open(styles, &content, "")).await;
    let wanted = [
        ("1. Scope", "1. Scope\nIt stands 10^5 pascal."),
        (
            "1. Scope > 1.1 Items",
            "1.1 Items\na) first\nb) second\nThen v=s/(t^2) holds.\n\nModel | Level\nX200 | low\nX200 | high",
        ),
        ("", "Measured in May."),
        ("", "Edition 4"),
    ];
    assert_eq!(found.chunks, chunks(wanted));
    assert_eq!(found.title, "Scope");
}

#[tokio::test]
async fn sheets_of_an_opendocument_are_sections_with_dates_and_without_hidden_ones() {
    let styles = "<office:automatic-styles><style:style style:name=\"Hid\" style:family=\"table\"><style:table-properties table:display=\"false\"/></style:style></office:automatic-styles>";
    let cell = |properties: &str, text: &str| {
        format!("<table:table-cell {properties}><text:p>{text}</text:p></table:table-cell>")
    };
    let rows = format!(
        "<table:table-row>{}{}{}</table:table-row><table:table-row table:visibility=\"filter\">{}{}<table:table-cell table:number-columns-repeated=\"16384\"/></table:table-row>\
         <table:table-row table:number-rows-repeated=\"1048576\"><table:table-cell table:number-columns-repeated=\"16384\"/></table:table-row>",
        cell("", "Model"),
        cell("", "Tested"),
        cell("", "Loss"),
        cell("", "X200"),
        cell("office:value-type=\"date\" office:date-value=\"2031-05-01T00:00:00\"", "05/01/31")
            .replace("T00:00:00", ""),
    );
    let content = format!(
        "{styles}<office:body><office:spreadsheet><table:table table:name=\"Pumps\">{rows}</table:table>\
         <table:table table:name=\"Lists\" table:style-name=\"Hid\">{rows}</table:table></office:spreadsheet></office:body>"
    );
    let found = read(Format::Ods, open("", &content, "Pump data")).await;
    assert_eq!(found.chunks, chunks([("Pumps", "Model | Tested | Loss\nX200 | 2031-05-01")]));
    assert_eq!(found.title, "Pump data");
}

#[tokio::test]
async fn slides_of_an_opendocument_are_sections_with_titles_and_notes_and_without_hidden_ones() {
    let styles = "<office:automatic-styles><style:style style:name=\"Hid\" style:family=\"drawing-page\"><style:drawing-page-properties presentation:visibility=\"hidden\"/></style:style></office:automatic-styles>";
    let frame = |class: &str, text: &str| {
        format!(
            "<draw:frame presentation:class=\"{class}\"><draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame>"
        )
    };
    let page = |style: &str, frames: &[String]| {
        format!("<draw:page draw:style-name=\"{style}\">{}</draw:page>", frames.concat())
    };
    let notes = format!(
        "<presentation:notes>{}{}</presentation:notes>",
        frame("notes", "Say it slowly."),
        frame("header", "Company")
    );
    let pages = page("A", &[frame("outline", "Meet at the oak."), frame("title", "Evacuation plan"), notes])
        + &page("Hid", &[frame("title", "Old prices")])
        + &page("A", &[frame("title", "Pumps"), frame("outline", "Two of them.")]);
    let content = format!("{styles}<office:body><office:presentation>{pages}</office:presentation></office:body>");
    let found = read(Format::Odp, open("", &content, "PowerPoint Presentation")).await;
    let wanted = [
        ("slide 1 > Evacuation plan", "Evacuation plan\nMeet at the oak.\n\nSay it slowly."),
        ("slide 3 > Pumps", "Pumps\nTwo of them."),
    ];
    assert_eq!(found.chunks, chunks(wanted));
    assert_eq!(found.title, "Evacuation plan");
}

#[tokio::test]
async fn an_opendocument_with_a_password_says_so() {
    let manifest =
        "<manifest:manifest><manifest:file-entry><manifest:encryption-data/></manifest:file-entry></manifest:manifest>";
    let locked = packed(&[("META-INF/manifest.xml", manifest.to_owned()), ("content.xml", "\u{1}".to_owned())]);
    assert_eq!(failure(Format::Odt, locked).await, "this ODT document is encrypted; save it without a password");
}

#[tokio::test]
async fn chapters_of_a_book_come_in_the_order_of_reading_below_their_names() {
    let page = |body: &str| {
        format!(
            "<?xml version=\"1.0\"?><!DOCTYPE html><html xmlns=\"http://www.w3.org/1999/xhtml\"><head><title/><script src=\"x.js\"/></head><body>{body}</body></html>"
        )
    };
    let package = "<package><metadata><dc:title>Pumps &amp; wells</dc:title></metadata><manifest>\
                   <item id=\"nav\" href=\"nav.xhtml\" media-type=\"application/xhtml+xml\" properties=\"nav\"/>\
                   <item id=\"one\" href=\"text/one.xhtml\" media-type=\"application/xhtml+xml\"/><item id=\"two\" href=\"text/chapter%20two.xhtml\" media-type=\"application/xhtml+xml\"/>\
                   <item id=\"css\" href=\"a.css\" media-type=\"text/css\"/></manifest><spine><itemref idref=\"nav\"/><itemref idref=\"two\"/><itemref idref=\"one\"/></spine></package>";
    let nav = "<nav><ol><li><a href=\"text/chapter%20two.xhtml#a\">Second</a></li><li><a href=\"text/one.xhtml\">First</a></li></ol></nav>";
    let book = packed(&[
        ("mimetype", "application/epub+zip".to_owned()),
        (
            "META-INF/container.xml",
            "<container><rootfiles><rootfile full-path=\"other\" media-type=\"skip\"/><rootfile full-path=\"OEBPS/content.opf\" media-type=\"application/oebps-package+xml\"/></rootfiles></container>".to_owned(),
        ),
        ("OEBPS/content.opf", package.to_owned()),
        ("OEBPS/nav.xhtml", page(nav)),
        ("OEBPS/text/one.xhtml", page("<h1>FIRST</h1><p>Dig deep&#160;first.</p><h1>Rest</h1><p>Then stop.</p>")),
        (
            "OEBPS/text/chapter two.xhtml",
            page(
                "<header><h1>On wells</h1></header><p>Wells are round.<a id=\"n\"/></p><aside><p>So they say.</p></aside>",
            ),
        ),
    ]);
    let found = read(Format::Epub, book).await;
    let wanted = [
        ("Second > On wells", "On wells\nWells are round.\n\nSo they say."),
        ("First", "FIRST\nDig deep\u{a0}first."),
        ("First > Rest", "Rest\nThen stop."),
    ];
    assert_eq!(found.chunks, chunks(wanted));
    assert_eq!(found.title, "Pumps & wells");
}

#[tokio::test]
async fn rich_text_keeps_headings_lists_tables_notes_and_letters_of_every_code_page() {
    let text = r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}}{\stylesheet{\s1 heading 1;}{\s2 Normal;}}
{\info{\title Site rules}{\author Somebody}}{\header Edition 4\par}
\pard\s1 Rules\par
\pard\s2 Caf\'e9 \f1 \'ec\'e8\'f0\f0  costs 10{\super 5} \u8364?, {\strike 990} {\v secret} now{\super\chftn}{\footnote\pard Since May.\par}.\par
{\listtext 1.2\tab}Damage by fire.\par {\listtext\'b7\tab}A point.\par
\trowd\cellx1000\cellx2000\intbl Model\cell Level\cell\row \trowd\clvmgf\cellx1000\cellx2000\intbl X200\cell low\cell\row \trowd\clvmrg\cellx1000\cellx2000\intbl\cell high\cell\row
\pard See {\field{\*\fldinst HYPERLINK x}{\fldrslt the plan}}{\*\unknown not seen}{\pict 00ff}.\par
\pard Use {\mmath {\*\moMath{\mf{\mnum{\mr 1}}{\mden{\mr 2}}}}} litre.\par}";
    let found = read(Format::Rtf, text.as_bytes().to_vec()).await;
    let rules = "Rules\nCafé мир costs 10^5 €,   now.\n\n1.2 Damage by fire.\n- A point.\nModel | Level\nX200 | low\nX200 | high\n\nSee the plan.\n\nUse 1/2 litre.";
    assert_eq!(found.chunks, chunks([("Rules", rules), ("", "Edition 4\n\nSince May.")]));
    assert_eq!(found.title, "Site rules");
}

#[tokio::test]
async fn what_is_no_document_of_its_kind_says_so() {
    let other = packed(&[("readme.txt", "hello".to_owned())]);
    let wanted = [
        (Format::Docx, "it is no DOCX document: it does not say where its text is"),
        (Format::Pptx, "it is no PPTX document: it does not say where its slides are"),
        (Format::Odt, "it is no ODT document: it has no content.xml"),
        (Format::Epub, "it is no EPUB document: it does not say where its chapters are"),
    ];
    for (format, said) in wanted {
        assert_eq!(failure(format, other.clone()).await, said);
    }
    assert!(failure(Format::Xlsx, other).await.starts_with("this XLSX document cannot be read: "));
    let renamed = failure(Format::Docx, workbook(&[("Pumps", "visible", "")])).await;
    assert_eq!(renamed, "it is XLSX and not DOCX; name it .xlsx");
}

#[tokio::test]
async fn what_was_built_to_exhaust_the_reader_is_refused_at_a_bound() {
    let content = format!("<office:body><text:p>{}", " ".repeat(80 << 20));
    let said = failure(Format::Odt, packed(&[("content.xml", content)])).await;
    assert_eq!(said, "content.xml inflates to more than 67108864 bytes; it may be built to exhaust the reader");
    let deep = failure(Format::Odp, packed(&[("content.xml", "<office:body>".repeat(2000))])).await;
    assert_eq!(deep, "more than 1000 elements inside each other");
    let deep = failure(Format::Rtf, format!("{{\\rtf1 {}", "{".repeat(2000)).into_bytes()).await;
    assert_eq!(deep, "more than 1000 groups inside each other");
    let many: Vec<_> = (0..50_001).map(|at| (format!("{at}"), Vec::new())).collect();
    let many: Vec<_> = many.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let said = failure(Format::Epub, archive(&many)).await;
    assert_eq!(said, "it has 50001 parts, more than 50000; it may be built to exhaust the reader");
}
