//! The entries of a FAQ page as Sphinx writes it: sections whose heading is a question.

/// Words below which an entry says nothing.
const MIN_WORDS: usize = 25;

/// A question, and the HTML that answers it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) question: String,
    pub(super) text: String,
}

/// The entries of a page, in its order.
pub(super) fn entries(page: &str) -> Vec<Entry> {
    page.split("<section id=\"").skip(1).filter_map(entry).collect()
}

fn entry(section: &str) -> Option<Entry> {
    let (before, rest) = section.split_once("<a class=\"headerlink\"")?;
    let heading = before.rsplit_once("<h")?.1.split_once('>')?.1;
    let question = words(heading).join(" ");
    let text = rest.split_once("</h")?.1.split_once('>')?.1.split("</section>").next()?.to_owned();
    (question.ends_with('?') && words(&text).len() >= MIN_WORDS).then_some(Entry { question, text })
}

/// The words of HTML without its tags; the few entities that headings hold are read.
fn words(html: &str) -> Vec<String> {
    let mut text = String::new();
    for part in html.split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, text)| text));
    }
    let entities = [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#8217;", "’")];
    let text = entities.into_iter().fold(text, |text, (entity, written)| text.replace(entity, written));
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_whose_heading_asks_is_an_entry_without_its_question() {
        let answer = "word ".repeat(MIN_WORDS);
        let page = format!(
            "<section id=\"a\"><h1>Library FAQ<a class=\"headerlink\" href=\"#a\">¶</a></h1>\
             <section id=\"b\"><h2>How do I <em>copy</em> a file?<a class=\"headerlink\" href=\"#b\">¶</a></h2><p>{answer}</p></section>\
             <section id=\"c\"><h2>And why?<a class=\"headerlink\" href=\"#c\">¶</a></h2><p>Short.</p></section></section>"
        );
        let found = entries(&page);
        assert_eq!(found, [Entry { question: "How do I copy a file?".to_owned(), text: format!("<p>{answer}</p>") }]);
    }
}
