//! An answer, for tests of what is done with one.

use uuid::Uuid;

use crate::model::{Answer, AnswerStatus, Explanation, Generation};

/// A grounded answer of this text, out of one passage that was searched, without citations.
pub fn answer(text: &str) -> Answer {
    Answer {
        id: Uuid::nil(),
        status: AnswerStatus::Grounded,
        text: text.to_owned(),
        citations: Vec::new(),
        sentences: Vec::new(),
        searched: 1,
        degraded: Vec::new(),
        explanation: Explanation::default(),
        generation: Generation::default(),
    }
}
