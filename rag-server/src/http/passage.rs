//! A passage as it is shown, wherever an answer or a search shows one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    model::{Chunk, Citation},
    ports::Passage,
};

/// A passage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PassageView {
    /// The document's id.
    pub document: String,
    /// The document's title.
    pub title: String,
    /// The headings above the passage, outermost first, with ` > ` between them.
    pub heading: String,
    /// The text of its chunk exactly as it was cut; where neighbours were joined to it (`explain` names them), their texts in order with a blank line between them.
    pub text: String,
    /// Fused score, 0 to 1.
    pub score: f32,
    /// The chunk's id.
    pub chunk: String,
}

/// A passage that an answer may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CitationView {
    /// The number in the answer.
    #[serde(rename = "ref")]
    pub reference: usize,
    /// The passage.
    #[serde(flatten)]
    pub passage: PassageView,
}

impl From<Passage> for PassageView {
    fn from(passage: Passage) -> Self {
        let Passage { chunk: Chunk { id, document, title, headings, text, .. }, score } = passage;
        let heading = headings.join(" > ");
        Self { document: document.into(), title, heading, text, score, chunk: id.0.to_string() }
    }
}

impl From<Citation> for CitationView {
    fn from(citation: Citation) -> Self {
        let Citation { reference, document, title, headings, text, score, chunk } = citation;
        let (heading, chunk) = (headings.join(" > "), chunk.0.to_string());
        Self { reference, passage: PassageView { document: document.into(), title, heading, text, score, chunk } }
    }
}
