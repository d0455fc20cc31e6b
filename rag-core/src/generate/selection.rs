//! A text that the asker brings along, as passages.

use crate::{
    model::{Chunk, ChunkId, ContentHash, DocumentId, InvalidDocumentId},
    ports::Passage,
};

/// What a passage of a selection is called where a document's id belongs.
pub(super) const DOCUMENT: &str = "selection";
/// Longest piece in bytes: about what the embedding model reads at once.
const PIECE_BYTES: usize = 900;

/// The text in pieces that can be cited: paragraphs, and lines or words of longer ones.
pub(super) fn passages(text: &str) -> Result<Vec<Passage>, InvalidDocumentId> {
    let document: DocumentId = DOCUMENT.parse()?;
    let version = ContentHash(blake3::hash(text.as_bytes()).to_hex().to_string());
    let passage = |(ordinal, text): (u32, &str)| Passage {
        chunk: Chunk {
            id: ChunkId::new(&document, &version, ordinal),
            document: document.clone(),
            version: version.clone(),
            ordinal,
            title: "Selection".to_owned(),
            headings: Vec::new(),
            text: text.to_owned(),
        },
        score: 1.0,
    };
    Ok((0..).zip(pieces(text)).map(passage).collect())
}

/// Slices of the text, in its order, without the white space between them.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), text.trim());
    while rest.len() > PIECE_BYTES {
        let head = &rest[..rest.floor_char_boundary(PIECE_BYTES)];
        let end = ["\n\n", "\n", ". ", " "].iter().find_map(|end| head.rfind(end).map(|at| at + end.len()));
        let (piece, tail) = rest.split_at(end.filter(|end| *end > 0).unwrap_or(head.len()));
        pieces.push(piece.trim());
        rest = tail.trim_start();
    }
    pieces.push(rest);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_text_is_one_passage_and_a_long_one_is_cut_between_paragraphs() {
        let short = passages("Kept 7 days.\n").unwrap();
        assert_eq!((short.len(), short[0].chunk.text.as_str()), (1, "Kept 7 days."));
        let long = format!("{}\n\n{}", "a ".repeat(300), "b ".repeat(300));
        let texts: Vec<_> = passages(&long).unwrap().into_iter().map(|passage| passage.chunk.text).collect();
        assert_eq!(texts, ["a ".repeat(300).trim(), "b ".repeat(300).trim()]);
        assert_eq!(passages(" \n ").unwrap(), []);
    }

    proptest! {
        #[test]
        fn nothing_of_a_text_is_lost_and_no_piece_is_too_long(text in "[a-c .\n日]{0,4000}") {
            let squeezed = |text: &str| text.split_whitespace().collect::<String>();
            let found = pieces(&text);
            prop_assert_eq!(squeezed(&found.concat()), squeezed(&text));
            prop_assert!(found.iter().all(|piece| piece.len() <= PIECE_BYTES && !piece.is_empty()));
        }
    }
}
