use super::*;
use crate::ingest::chunk::{Draft, Limits};

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn read(page: &str) -> (Vec<Draft>, Option<String>) {
    let mut chunker = Chunker::new(Limits { tokens: 50, bytes: 4000 }, &words);
    let mut html = Html::new();
    for piece in page.split_inclusive([' ', '>']) {
        html.feed(piece, &mut chunker).unwrap();
    }
    html.finish(&mut chunker);
    chunker.finish();
    (std::iter::from_fn(|| chunker.pop()).collect(), chunker.title().map(str::to_owned))
}

fn text(page: &str) -> String {
    read(page).0.into_iter().map(|draft| draft.text).collect::<Vec<_>>().join("\n---\n")
}

#[test]
fn a_page_gives_its_title_headings_and_text_without_its_frame() {
    let (drafts, title) = read(
        "<html><head><title>The &amp; page</title><style>p{}</style><script>if (a<b) x()</script></head><body>\
         <header>Site</header><nav><a>Menu</a></nav><main><header><h1>Kept</h1></header>\
         <p>One <b>bold</b>\n word.<p>Two.<script>y</script><aside>Ad</aside><h2>Next</h2>Three.</main>\
         <div role=navigation>More menu</div><footer>Legal</footer></body></html>",
    );
    assert_eq!(title.as_deref(), Some("The & page"));
    // A frame inside the main part is dropped too, unless it is the article's own header, whose heading counts.
    assert_eq!(
        drafts.iter().map(|d| d.text.as_str()).collect::<Vec<_>>(),
        ["Kept\nOne bold word.\n\nTwo.", "Next\nThree."]
    );
    assert_eq!(drafts[1].headings, ["Kept", "Next"]);
}

#[test]
fn a_table_is_read_by_rows() {
    let page = "<p>Kept:</p><table><thead><tr><th>class<th>kept</tr></thead><tbody><tr><td>daily</td><td><p>7 days</p>\
                </td></tr><tr><td>weekly<td>5 <i>weeks</i></table><p>End.</p>";
    assert_eq!(text(page), "Kept:\n\nclass | kept\ndaily | 7 days\nweekly | 5 weeks\n\nEnd.");
}

#[test]
fn code_keeps_its_lines_and_lists_their_items() {
    let page = "<ul><li>first<li><p>second</p></ul><pre><code>\nlet x = 1;\n\n  if x &lt; 2 {}\n</code></pre>";
    assert_eq!(text(page), "- first\n- second\n\nlet x = 1;\n\n  if x < 2 {}");
}

#[test]
fn what_is_left_open_hides_no_more_than_its_parent() {
    assert_eq!(text("<div><nav><p>menu<ul><li>a</div><p>text"), "text");
    assert_eq!(text("<div><table><tr><td>cell</div><p>text</p></table>"), "cell\n\ntext");
}

#[test]
fn a_byte_that_opens_no_tag_is_text() {
    assert_eq!(text("<p>1 < 2 & 3 > 2 &copy; &#x1F600; &nosuch;</p>"), "1 < 2 & 3 > 2 © 😀 &nosuch;");
}

#[test]
fn a_long_paragraph_is_passed_on_in_parts() {
    let page = format!("<p>{}</p>", "some words of a very long paragraph without an end ".repeat(2000));
    let drafts = read(&page).0;
    assert!(drafts.len() > 300 && drafts.iter().all(|d| words(&d.text) <= 50));
    let words: usize = drafts.iter().map(|d| words(&d.text)).sum();
    assert_eq!(words, 10 * 2000);
}

/// Why a page is refused, if it is, and the text if it is not.
fn attempt(page: &str) -> Result<String, String> {
    let mut chunker = Chunker::new(Limits { tokens: 50, bytes: 4000 }, &words);
    let mut html = Html::new();
    html.feed(page, &mut chunker).map_err(|reason| reason.to_string())?;
    html.finish(&mut chunker);
    chunker.finish();
    Ok(std::iter::from_fn(|| chunker.pop()).map(|draft| draft.text).collect())
}

#[test]
fn what_is_long_and_no_attribute_is_read_as_any_page() {
    let base64 = "QUJD/+==".repeat(300_000);
    let path = "M 10 20 L 30 = 40 / 5 ".repeat(5_000);
    let words = "a=b c/d e ".repeat(5_000);
    for inside in [
        format!("<img alt='a > b' src=\"data:image/png;base64,{base64}\">"),
        format!("<img src=data:{base64}>"),
        format!("<svg viewBox='0 0 9 9'><path d='{path}'/></svg>"),
        format!("<p style=\"{words}\" srcset='{words}'>"),
        format!("<!-- <a {words} -->"),
        format!("<script>if (a <b {words}) '</scr' </script >"),
        format!("<script><!-- <script> </script> <a {words} --></script>"),
        format!("<style>a <b {words}</style>"),
        format!("<textarea><a {words}</textarea>"),
        "<i a b='c' d>".repeat(2_000),
    ] {
        let page = format!("<p>Before.</p>{inside}<p>After.</p>");
        let read = attempt(&page).unwrap_or_else(|reason| panic!("{}: {reason}", &page[..60]));
        assert!(read.starts_with("Before.") && read.ends_with("After."), "{}: {read:.100}", &page[..60]);
    }
}

#[test]
fn a_tag_with_attributes_without_end_is_refused_by_its_line() {
    let names: String = (0..60_000).map(|n| format!(" a{n}")).collect();
    let valued: String = (0..60_000).map(|n| format!(" a{n}='<>'")).collect();
    let slashed: String = (0..60_000).map(|n| format!("/a{n}")).collect();
    let same = " a".repeat(60_000);
    for attributes in [&names, &valued, &slashed, &same] {
        for before in ["", "<script>'</scr</script>", "<!-- > -->", "1 <", "</>", "<a b=\"'\">", "<p\n"] {
            for open in ["<x", "</x"] {
                let refused = attempt(&format!("line\n{before}{open}{attributes}")).unwrap_err();
                assert!(refused.contains("a tag has more than 1000 attributes"), "{before}{open}: {refused}");
                assert!(refused.starts_with("line 2"), "{refused}");
            }
        }
    }
    assert!(attempt(&format!("<x{}>fine", &names[..4_000])).is_ok());
}

/// The text of a page that is kept beside the tests.
fn case(name: &str) -> String {
    text(&std::fs::read_to_string(path(name)).unwrap())
}

fn path(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)
}

#[test]
fn a_cell_that_is_empty_keeps_its_column() {
    let wanted = "Plans\n | Basic | Pro\nStorage | 20 GB | 500 GB\nSeats |  | 25\n | cheap | roomy";
    assert_eq!(case("empty_corner.html"), wanted);
}

#[test]
fn each_row_of_a_small_table_is_a_line() {
    assert!(case("small_table.html").contains("\nZone East | 44 kr | 21 kr\n"));
}

#[test]
fn each_chunk_of_a_long_table_names_its_columns() {
    let (drafts, _) = read(&std::fs::read_to_string(path("long_table.html")).unwrap());
    assert!(drafts.len() > 5);
    for draft in &drafts {
        let table = draft.text.strip_prefix("Stations\n").unwrap_or(&draft.text);
        assert!(table.starts_with("Station | Pumps | Operators | Depth in metres\nStation "), "{}", draft.text);
    }
    assert!(drafts.iter().any(|draft| draft.text.contains("\nStation 117 | ")));
}

#[test]
fn a_cell_that_spans_columns_or_rows_stands_in_each_of_them() {
    let page = "<table><tr><th rowspan=2>Zone<th colspan=2>Fare</tr><tr><th>Adult<th>Child</tr>\
                <tr><td rowspan=2>North<td>30<td>15</tr><tr><td>31<td>16</tr><tr><td>South<td colspan=2>free</tr>\
                <tr><td colspan=9>Prices of 2031</tr></table>";
    let wanted = "Zone | Fare | Fare\nZone | Adult | Child\nNorth | 30 | 15\nNorth | 31 | 16\nSouth | free | free\nPrices of 2031";
    assert_eq!(text(page), wanted);
}

#[test]
fn a_small_table_in_a_cell_is_its_text_and_the_cells_beside_it_keep_their_columns() {
    let page =
        "<table><tr><th>a<th>b<th>c</tr><tr><td>1<td>x<table><tr><td>2<td>3</tr><tr><td>4<td>5</table><td>6</table>";
    assert_eq!(text(page), "a | b | c\n1 | x 2, 3; 4, 5 | 6");
}

#[test]
fn what_makes_a_layout_of_a_table_is_read_as_blocks() {
    let rows = "<tr><td>row of a table</td><td>that is long</td></tr>".repeat(20);
    let page = format!("<table><tr><td>Menu<td><h2>Title</h2><p>Text.<table>{rows}</table><p>End.</table>After.");
    let read = text(&page).replace("\n---\nEnd", "\n\nEnd");
    assert!(read.starts_with("Menu\n---\nTitle\nText.\n\nrow of a table | that is long\nrow of"), "{read}");
    assert!(read.ends_with("that is long\n\nEnd.\n\nAfter."), "{read}");
    let code = "<table class=x><tr><td><pre>1\n2</pre></td><td><pre>let x = 1;\nlet y;</pre></td></tr></table>";
    assert_eq!(text(code), "1\n2\n\nlet x = 1;\nlet y;");
    let numbered = "<table class=highlighttable><tr><td class=linenos><pre>1\n2</pre><td><pre>a\nb</pre></table>";
    assert_eq!(text(numbered), "a\nb");
}

#[test]
fn a_table_of_a_spreadsheet_is_named_by_its_first_row() {
    let row = |n: usize| format!("<tr height=20><td height=20>Anlage {n}</td><td align=right>{n}</td><td></td></tr>");
    let rows: String = (0..60).map(row).collect();
    let page =
        format!("<table border=0><col width=64><tr><td>Anlage</td><td>Tiefe</td><td>Bemerkung</td></tr>{rows}</table>");
    let (drafts, _) = read(&page);
    assert!(drafts.len() > 4);
    assert!(drafts.iter().all(|draft| draft.text.starts_with("Anlage | Tiefe | Bemerkung\nAnlage ")), "{drafts:#?}");
}

#[test]
fn a_caption_and_a_head_of_two_rows_stand_above_each_chunk() {
    let rows: String = (0..60).map(|n| format!("<tr><th scope=row>{n}</th><td>a<td>b</tr>")).collect();
    let page = format!(
        "<table><caption>Depths</caption><thead><tr><td>No.<td colspan=2>Depth<tr><td><td>min<td>max</thead>{rows}</table>"
    );
    let (drafts, _) = read(&page);
    assert!(drafts.len() > 4);
    let head = "Depths\nNo. | Depth | Depth\n | min | max\n";
    assert!(drafts.iter().all(|draft| draft.text.starts_with(head)), "{drafts:#?}");
}

#[test]
fn a_mark_in_a_cell_ends_no_cell() {
    assert_eq!(text("<table><tr><td>a | b<td>||<td>c</table>"), "a \\| b | || | c");
}

#[test]
fn raised_text_never_makes_another_number() {
    let wanted = "The hull withstands 10^5 pascal. The fine is 50 [3] euro a day. The scale factor is 2^10.\n\nCO2 is measured hourly.";
    assert_eq!(case("sup.html"), wanted);
    assert_eq!(
        text("<p>Half: <sup>1</sup>/<sub>2</sub>, 1<sup>1</sup>&frasl;<sub>4</sub>, 2&frac12;"),
        "Half: 1/2, 1 1/4, 2½"
    );
    assert_eq!(text("<p>log<sub>10</sub>100 is 2<sup>1</sup>5"), "log10 100 is 2 [1]5");
    assert_eq!(
        text("<p>As shown<sup id=r><a href='#n1'>[3]</a></sup> and 20<a href='#f'><sup>4</sup></a>."),
        "As shown [3] and 20 [4]."
    );
}

#[test]
fn what_is_deleted_is_left_out_and_what_is_inserted_is_kept() {
    assert_eq!(case("del.html"), "The parking fee is 145 euro a quarter.\n\nPump price: 780 euro.");
    assert_eq!(text("<del><p>Old.<p>Older.</del><p>New <strike>bad</strike>good.<p><s>x<p>y"), "New good.\n\ny");
}

#[test]
fn what_is_hidden_is_left_out() {
    assert_eq!(case("hidden.html"), "The quay is open.\n\nNew price 6 euro.");
    let page = "<ul><li hidden>a<li>b<li style='color:red; Display : NONE !important'>c<li>d</ul><template><p>t</template>\
                <noscript>n</noscript><p style='visibility:hidden'>v<p>w<dialog>q</dialog><table><tr><td hidden>x<td>y</table>";
    assert_eq!(text(page), "- b\n- d\n\nw\n\ny");
    assert_eq!(text("<p>a <svg><path/></svg> b <button>c</button> d <span aria-hidden=true />e"), "a b d e");
}

#[test]
fn marks_of_links_to_their_own_place_are_left_out() {
    let (drafts, title) = read(&std::fs::read_to_string(path("sphinx.html")).unwrap());
    assert_eq!(title.as_deref(), Some("Draining"));
    let texts: Vec<_> = drafts.iter().map(|draft| draft.text.as_str()).collect();
    assert_eq!(texts, ["Draining\nOpen valve V-207.", "Refilling\nClose valve V-207."]);
    let others = "<h2 id=a>C#<a href='#a'>#</a></h2><h3>D<a class=hash-link href='#d'>&#8203;</a></h3><p>See <a href='#a'>#1</a> in <a href='x'>§</a>.";
    assert_eq!(text(others), "C#\nD\nSee #1 in §.");
}

#[test]
fn pictures_and_fields_are_their_texts() {
    let wanted = "Model KX-200\n\nPort 8443\n\nLine one\nline two\n\nAB and Sun\u{a0}day";
    assert_eq!(case("spans.html"), wanted);
    let page = "<p>Press <img src=a.png alt='the green key'>.<p><img alt='photo-12.JPG'>x<input type=password value=p>\
                <input type=checkbox checked>Backup<p><select><option>a<option selected>b</select>";
    assert_eq!(text(page), "Press the green key.\n\nx [x] Backup\n\nb");
}

#[test]
fn spans_side_by_side_are_words_and_letters_in_other_type_are_none() {
    assert_eq!(text("<div><a>Home</a><a>Docs</a> <b>K</b><i>X</i></div>"), "Home Docs KX");
    assert_eq!(text("<p><span>Mod</span><span>el</span> <b>K</b>X"), "Model KX");
    assert_eq!(text("<p style=display:flex><span style='display:block'>Model</span><span>KX</span>"), "Model KX");
}

#[test]
fn readings_stand_behind_the_word_that_they_are_of() {
    let page = "<p><ruby>東<rp>(</rp><rt>とう</rt><rp>)</rp>京<rt>きょう</rt></ruby>に行く";
    assert_eq!(text(page), "東京(とうきょう)に行く");
}

#[test]
fn a_term_stands_before_its_definition_and_items_keep_their_numbers() {
    let page = "<dl><dt>Port<dd>8443<dt>Who pays?</dt><dd><p>The tenant.</p><p>Always.</p></dd><dt>a<dt>b<dd>both</dl>\
                <ol start=3><li>open<li><p>close</p><li value=9>lock</ol>";
    assert_eq!(
        text(page),
        "Port: 8443\n\nWho pays? The tenant.\n\nAlways.\n\na, b: both\n\n3. open\n4. close\n9. lock"
    );
}

#[test]
fn a_formula_is_a_line_that_can_be_read() {
    let page = "<p>Use <math><mfrac><mn>1</mn><mn>2</mn></mfrac></math> litre: <math><mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi>\
                <mn>2</mn></msup></math> and <math><semantics><msqrt><mi>a</mi><mo>+</mo><mi>b</mi></msqrt><annotation>x</annotation></semantics></math>.";
    assert_eq!(text(page), "Use 1/2 litre: E=mc^2 and sqrt(a+b).");
}

#[test]
fn tables_of_other_programs_and_languages_keep_their_columns() {
    let pandoc = "<table style=\"width:72%;\"><caption><p>Fahrpreise</p></caption><colgroup><col style=\"width: 16%\" /></colgroup>\
                  <thead><tr class=\"header\"><th style=\"text-align: left;\"><p>Zone</p></th><th><p>Preis</p></th></tr></thead>\
                  <tbody><tr class=\"odd\"><td><p>Größe 1</p><p>klein</p></td><td><ul><li>3 €</li><li>4 €</li></ul></td></tr></tbody></table>";
    assert_eq!(text(pandoc), "Fahrpreise\nZone | Preis\nGröße 1 klein | 3 €; 4 €");
    let office = "<TABLE CELLSPACING=\"0\" BORDER=\"0\"><COLGROUP SPAN=\"2\" WIDTH=\"85\"></COLGROUP>\n\t<TR>\n\t\t<TD HEIGHT=\"17\" ALIGN=\"LEFT\">\
                  <FONT FACE=\"Arial\">品名</FONT></TD>\n\t\t<TD><B>単価<BR></B></TD>\n\t</TR>\n\t<TR>\n\t\t<TD><BR></TD>\n\t\t<TD>1,200 円</TD>\n\t</TR>\n</TABLE>";
    assert_eq!(text(office), "品名 | 単価\n | 1,200 円");
}

/// A table whose cells say their row and column; some span two rows, some are empty, some end tags are left out.
fn made(columns: usize, kinds: &[Vec<u8>]) -> String {
    let mut page = "<table><tr>".to_owned();
    (0..columns).for_each(|column| page.push_str(&format!("<th>n{column}")));
    let mut spanned = vec![false; columns];
    for (row, kinds) in kinds.iter().enumerate() {
        page.push_str("<tr>");
        for column in 0..columns {
            if std::mem::take(&mut spanned[column]) {
                continue;
            }
            let name = format!("r{row}c{column}");
            page.push_str(&match kinds[column % kinds.len()] {
                0 => "<td>".to_owned(),
                1 => format!("<td><p>{name}</p><p>{name}</p></td>\n"),
                2 => {
                    spanned[column] = true;
                    format!("<td rowspan=2>{name}")
                }
                3 => format!("<td>{}", format!("{name}w ").repeat(30)),
                4 => format!("<td><table><tr><td>{name}<td>{name}</table></td>"),
                _ => format!("<td>{name}</td>"),
            });
        }
        page.push_str(if row % 2 == 0 { "</tr>" } else { "" });
    }
    page + "</table><p>After."
}

proptest::proptest! {
    #[test]
    fn every_cell_of_any_table_stands_under_its_column_in_every_chunk(
        columns in 2_usize..9,
        kinds in proptest::collection::vec(proptest::collection::vec(0_u8..9, 1..5), 1..40),
    ) {
        let page = made(columns, &kinds);
        let mut cells = std::collections::HashSet::new();
        for draft in read(&page).0 {
            let mut lines = draft.text.lines().take_while(|line| !line.is_empty() && *line != "After.");
            let names: Vec<&str> = lines.next().unwrap_or("n0").split('|').map(str::trim).collect();
            proptest::prop_assert!(names[0] == "n0", "{}", draft.text);
            for line in lines {
                for (at, cell) in line.split('|').enumerate() {
                    let Some(word) = cell.split_whitespace().find(|word| word.starts_with('r')) else { continue };
                    let word = word.trim_end_matches(['w', ',']);
                    cells.insert(word.to_owned());
                    let column = word.split_once('c').map_or("", |(_, column)| column);
                    proptest::prop_assert_eq!(names.get(at).map(|name| &name[1..]), Some(column), "{}", draft.text);
                }
            }
        }
        let wanted: Vec<_> = page.split(['>', ' ', '<']).filter(|word| word.starts_with("r") && word.contains('c')).map(|word| word.trim_end_matches('w')).collect();
        for word in wanted {
            proptest::prop_assert!(cells.contains(word), "{word} is lost");
        }
    }
}
