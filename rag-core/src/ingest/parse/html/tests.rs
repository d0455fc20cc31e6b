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
