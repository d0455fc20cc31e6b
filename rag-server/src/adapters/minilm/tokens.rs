//! Text to token ids, by the model's own tokenizer.
//!
//! Truncation and padding that the tokenizer's file asks for are ignored: counting must not cut, and singles must not be padded.

use tokenizers::Tokenizer;

/// Tokens that the model was trained on, the two special ones included; more are cut.
pub(super) const MAX_IDS: usize = 256;

/// Bytes that are counted at once.
const PIECE: usize = 16 * 1024;

/// Bytes that are looked at first when a text is to be cut anyway: 256 tokens of ordinary text are about 1,000 bytes.
const FIRST_LOOK: usize = 4096;

/// Turns text into ids.
pub(super) struct Tokens(Tokenizer);

impl Tokens {
    /// Reads a tokenizer's JSON.
    pub(super) fn new(json: &[u8]) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(|e| e.to_string())?;
        tokenizer.with_truncation(None).map_err(|e| e.to_string())?;
        tokenizer.with_padding(None);
        // A document that speaks of `[SEP]` means the word; only the template adds the real ones.
        tokenizer.set_encode_special_tokens(true);
        Ok(Self(tokenizer))
    }

    /// How many tokens a text has, without the special ones, uncut.
    ///
    /// Counted in pieces: the tokenizer takes a hundred times a text's size in memory.
    pub(super) fn count(&self, text: &str) -> usize {
        let mut rest = text;
        let mut count = 0;
        while !rest.is_empty() {
            let (piece, after) = split_piece(rest);
            // It fails on no text; if it ever did, bytes are an upper bound that keeps a chunker going.
            count += self.0.encode_fast(piece, false).map_or(piece.len(), |encoding| encoding.len());
            rest = after;
        }
        count
    }

    /// The ids of a text with the special ones around them, at most [`MAX_IDS`].
    ///
    /// Of a long text only the beginning is read, so that a hostile megabyte costs no more than a page.
    pub(super) fn ids(&self, text: &str) -> Result<Vec<u32>, String> {
        let mut look = FIRST_LOOK;
        loop {
            let head = beginning(text, look);
            let encoding = self.0.encode_fast(head, true).map_err(|e| e.to_string())?;
            let ids = encoding.get_ids();
            // Twice the limit: the last word of a beginning may be cut, so the end of its tokens does not count.
            if head.len() == text.len() || ids.len() > 2 * MAX_IDS {
                return Ok(cut(ids));
            }
            look *= 4;
        }
    }
}

/// The first piece of a text and the rest, parted between words where there is a space at all.
fn split_piece(text: &str) -> (&str, &str) {
    if text.len() <= PIECE {
        return (text, "");
    }
    let head = beginning(text, PIECE);
    let cut = head.rfind(char::is_whitespace).filter(|at| *at > 0).unwrap_or(head.len());
    text.split_at(cut)
}

/// The first bytes of a text, up to a character's border.
fn beginning(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// Keeps the first tokens and the closing special one.
fn cut(ids: &[u32]) -> Vec<u32> {
    match ids.split_last() {
        Some((end, _)) if ids.len() > MAX_IDS => ids.iter().take(MAX_IDS - 1).chain([end]).copied().collect(),
        _ => ids.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(include_bytes!("../../../model/tokenizer.json")).unwrap()
    }

    #[test]
    fn a_count_is_neither_padded_nor_cut_and_leaves_the_special_tokens_out() {
        let tokens = tokens();
        assert_eq!(tokens.count(""), 0);
        assert_eq!(tokens.count("hello world"), 2);
        assert_eq!(tokens.count(&"word ".repeat(10_000)), 10_000);
    }

    #[test]
    fn counting_in_pieces_gives_the_count_of_the_whole() {
        let tokens = tokens();
        let texts = [
            "lorem ipsum dolor, sit-amet! ".repeat(3_000),
            "日本語".repeat(9_000),
            "a\n\n".repeat(20_000),
            " ".repeat(50_000),
        ];
        for text in texts {
            assert_eq!(tokens.count(&text), tokens.0.encode_fast(text.as_str(), false).unwrap().len());
        }
    }

    #[test]
    fn ids_begin_and_end_with_the_special_tokens_and_are_cut_at_the_limit() {
        let tokens = tokens();
        assert_eq!(tokens.ids("").unwrap(), [101, 102]);
        assert_eq!(tokens.ids("hello world").unwrap(), [101, 7592, 2088, 102]);
        let long = tokens.ids(&"word ".repeat(10_000)).unwrap();
        assert_eq!((long.len(), long[0], long[255]), (256, 101, 102));
    }

    #[test]
    fn reading_only_the_beginning_of_a_long_text_gives_the_ids_of_the_whole() {
        let tokens = tokens();
        let texts = [
            "lorem ipsum dolor, sit-amet! ".repeat(3_000),
            "日本語のテキスト".repeat(2_000),
            " ".repeat(20_000) + "end",
        ];
        for text in texts {
            let whole = cut(tokens.0.encode_fast(text.as_str(), true).unwrap().get_ids());
            assert_eq!(tokens.ids(&text).unwrap(), whole);
        }
    }

    #[test]
    fn special_tokens_inside_a_text_are_words() {
        let ids = tokens().ids("a [SEP] b [CLS]").unwrap();
        assert_eq!(ids.iter().filter(|id| **id == 102 || **id == 101).count(), 2);
    }
}
