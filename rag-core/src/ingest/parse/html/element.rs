//! What the elements of HTML are to a reader: which hold blocks, which end themselves, and which nobody sees.

use html5ever::tokenizer::Tag;

/// An attribute of a tag.
pub(super) fn attribute<'t>(tag: &'t Tag, name: &str) -> Option<&'t str> {
    tag.attrs.iter().find(|a| &*a.name.local == name).map(|a| &*a.value)
}

/// Whether a tag is of a class.
pub(super) fn has_class(tag: &Tag, classes: &[&str]) -> bool {
    attribute(tag, "class").is_some_and(|all| all.split_ascii_whitespace().any(|class| classes.contains(&class)))
}

/// Elements that hold blocks, and whose end tag may not be left out.
pub(super) fn is_container(name: &str) -> bool {
    matches!(
        name,
        "html" | "body" | "main" | "article" | "section" | "div" | "header" | "footer" | "nav" | "aside" | "ul" | "ol"
    ) || matches!(name, "dl" | "menu" | "table" | "blockquote" | "figure" | "details" | "form" | "fieldset" | "dialog")
}

/// Elements whose content is no text of the page. What stands in `noscript` is for readers without scripts, and mostly says so.
pub(super) fn is_never_seen(name: &str) -> bool {
    matches!(name, "script" | "style" | "template" | "noscript" | "svg" | "iframe" | "object" | "canvas" | "button")
        || matches!(name, "datalist" | "audio" | "video" | "xmp" | "noembed" | "noframes")
}

/// Whether an element ends with its own end tag or the one of what it stands in, and with nothing else.
pub(super) fn is_closed_by_name(name: &str) -> bool {
    is_container(name) || is_never_seen(name)
}

/// Elements that have no content and no end tag.
pub(super) fn is_void(name: &str) -> bool {
    matches!(name, "area" | "base" | "br" | "col" | "embed" | "frame" | "hr" | "img" | "input" | "link" | "meta")
        || matches!(name, "param" | "source" | "track" | "wbr")
}

/// Elements that stand on lines of their own and are no containers.
pub(super) fn is_block(name: &str) -> bool {
    matches!(name, "p" | "li" | "dt" | "dd" | "hr" | "caption" | "figcaption" | "summary" | "legend" | "address")
        || matches!(name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "pre" | "listing" | "title" | "head" | "center")
        || is_table_part(name)
}

/// Rows, cells, and groups of rows.
pub(super) fn is_table_part(name: &str) -> bool {
    matches!(name, "tr" | "td" | "th" | "thead" | "tbody" | "tfoot")
}

/// The elements that a start tag of this name ends.
pub(super) fn ended_by(name: &str) -> &'static [&'static str] {
    match name {
        "li" => &["li", "p"],
        "dt" | "dd" => &["dt", "dd", "p"],
        "td" | "th" => &["td", "th", "caption"],
        "tr" => &["tr", "td", "th", "caption"],
        "thead" | "tbody" | "tfoot" => &["thead", "tbody", "tfoot", "tr", "td", "th", "caption"],
        "option" | "optgroup" => &["option"],
        "rt" | "rp" | "rtc" => &["rt", "rp", "rtc"],
        _ if is_block(name) || is_container(name) => &["p"],
        _ => &[],
    }
}

/// Whether a tag of this name ends nothing beyond an open element.
pub(super) fn is_bound(name: &str, open: &str) -> bool {
    match name {
        _ if is_table_part(name) || name == "caption" => open == "table",
        "rt" | "rp" | "rtc" => open == "ruby" || is_closed_by_name(open),
        _ => is_closed_by_name(open) || matches!(open, "td" | "th" | "caption"),
    }
}

/// Whether an element and everything in it is left out.
pub(super) fn is_left_out(tag: &Tag) -> bool {
    let name = &*tag.name;
    let role = || attribute(tag, "role");
    let framed = is_container(name)
        && matches!(role(), Some("navigation" | "banner" | "contentinfo" | "search" | "complementary"));
    let closed = match name {
        "dialog" => attribute(tag, "open").is_none(),
        // Of a list to choose from, what is chosen is its value.
        "option" => attribute(tag, "selected").is_none(),
        // What does not hold any more, as deletions that Word tracks.
        "del" | "s" | "strike" => true,
        // Brackets for readers that know no readings; they are set anew.
        "rp" => true,
        "a" => has_class(tag, &["headerlink", "header-anchor", "anchorjs-link", "hash-link", "heading-anchor"]),
        _ => has_class(tag, &["linenos", "linenodiv", "lineno", "blob-num"]),
    };
    framed || closed || is_hidden(tag) || is_never_seen(name) || matches!(name, "nav" | "aside" | "header" | "footer")
}

/// Whether a tag says itself that nobody sees it.
pub(super) fn is_hidden(tag: &Tag) -> bool {
    // What a search in the page opens is part of it.
    attribute(tag, "hidden").is_some_and(|how| !how.eq_ignore_ascii_case("until-found"))
        || attribute(tag, "aria-hidden") == Some("true")
        || style(tag, "display").is_some_and(|value| value == "none")
        || style(tag, "visibility").is_some_and(|value| matches!(&*value, "hidden" | "collapse"))
}

/// Whether a tag says that it is a box beside others rather than a part of a line.
pub(super) fn is_box(tag: &Tag) -> bool {
    let boxed = ["block", "flex", "grid", "inline-block", "inline-flex", "table-cell", "list-item"];
    style(tag, "display").is_some_and(|value| boxed.contains(&&*value))
}

/// What a tag's own style says of a property.
fn style(tag: &Tag, property: &str) -> Option<String> {
    let declarations = attribute(tag, "style")?.split(';').filter_map(|declaration| declaration.split_once(':'));
    let mut of = declarations.filter(|(name, _)| name.trim().eq_ignore_ascii_case(property));
    of.next_back().map(|(_, value)| value.split('!').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// The text that a field of a form shows.
pub(super) fn value_of(tag: &Tag) -> Option<String> {
    let checked = || attribute(tag, "checked").is_some();
    match attribute(tag, "type").unwrap_or("text").to_ascii_lowercase().as_str() {
        "checkbox" | "radio" => Some(if checked() { "[x]" } else { "[ ]" }.to_owned()),
        "hidden" | "password" | "submit" | "button" | "reset" | "image" | "file" | "search" => None,
        _ => attribute(tag, "value").map(str::to_owned),
    }
}

/// What stands for a picture: its text, unless that is the name of a file.
pub(super) fn picture(tag: &Tag) -> Option<&str> {
    let text = attribute(tag, "alt")?.trim();
    let ending = text.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let is_file = ending.is_some_and(|e| ["png", "jpg", "jpeg", "gif", "svg", "webp", "bmp"].contains(&&*e));
    (!text.is_empty() && !is_file && !is_hidden(tag)).then_some(text)
}

/// Whether a text is all that a link to its own place says.
pub(super) fn is_permalink(text: &str, in_heading: bool) -> bool {
    let mark = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{200b}');
    matches!(mark, "" | "¶" | "§" | "🔗" | "⚓") || in_heading && matches!(mark, "#" | "[#]" | "link" | "permalink")
}

/// Whether two elements of a line that adjoin without a blank are told apart all the same where they stand in a box: runs of letters in different type are one word, spans side by side are not.
pub(super) fn stand_apart(before: &str, after: &str) -> bool {
    let separate = |name: &str| matches!(name, "span" | "a" | "label" | "time" | "data" | "output");
    let inline = |name: &str| separate(name) || matches!(name, "b" | "strong" | "i" | "em" | "small");
    inline(before) && inline(after) && (separate(before) || separate(after))
}
