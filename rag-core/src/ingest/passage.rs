//! What the embedder is given for a chunk: the chunk under its title and headings, within the model's limit, in the one form that words have; pure.

use crate::folding::folded;

/// Title and headings on a line of their own, the outermost left out first where the model has no room for all, then the text as it is.
pub fn passage(
    title: &str,
    headings: &[String],
    text: &str,
    max_tokens: usize,
    count: &dyn Fn(&str) -> usize,
) -> String {
    let text = folded(text);
    let mut above: Vec<&str> = Vec::with_capacity(headings.len() + 1);
    if headings.first().is_none_or(|first| first != title) {
        above.push(title);
    }
    above.extend(headings.iter().map(String::as_str));
    let room = max_tokens.saturating_sub(count(&text));
    for from in 0..above.len() {
        let line = above[from..].join(" > ");
        let line = folded(&line);
        if count(&line) <= room {
            return format!("{line}\n{text}");
        }
    }
    text.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> usize {
        text.split_whitespace().filter(|word| *word != ">").count()
    }

    #[test]
    fn title_and_headings_stand_above_the_text() {
        let headings = ["Guide".to_owned(), "Retention".to_owned()];
        assert_eq!(passage("Guide", &headings, "a b", 9, &words), "Guide > Retention\na b");
        assert_eq!(passage("Manual", &headings, "a b", 9, &words), "Manual > Guide > Retention\na b");
    }

    #[test]
    fn the_embedder_is_given_the_form_that_words_have_and_the_chunk_keeps_its_own() {
        let headings = ["Ｒｅｇｅｌｎ".to_owned()];
        assert_eq!(passage("ﬁrewall", &headings, "depart\u{ad}\nment", 9, &words), "firewall > Regeln\ndepartment");
    }

    #[test]
    fn the_outermost_headings_give_way_to_the_text() {
        let headings = ["Guide".to_owned(), "Retention".to_owned()];
        assert_eq!(passage("Manual", &headings, "a b", 4, &words), "Guide > Retention\na b");
        assert_eq!(passage("Manual", &headings, "a b", 3, &words), "Retention\na b");
        assert_eq!(passage("Manual", &headings, "a b", 2, &words), "a b");
    }
}
