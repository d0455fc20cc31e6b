//! Answers that are given again without writing them.
//!
//! An answer is kept under everything that its writing depended on: question, passages with their texts, what was said before, how it was to be written, and the configuration.
//! So one that is found is the one that would be written now, however the documents changed in between; another tenant's passages are others.

use serde::{Deserialize, Serialize};

use super::{flow::Checked, prompt::Material};
use crate::{
    model::Sampling,
    ports::{CacheKind, Kept, Key, Memory, Passage},
};

/// What is kept of an answer.
#[derive(Serialize, Deserialize)]
struct Remembered {
    by: String,
    checked: Checked,
}

impl Kept for Remembered {
    const VERSION: u32 = 2;
}

/// The place of one answer in the memory; none where nothing is remembered.
pub(super) struct Place<'m> {
    memory: &'m Memory,
    key: Key,
}

impl<'m> Place<'m> {
    /// Where a provider's answer to this question would be, judged beside what unrelated texts reach.
    pub(super) fn written(
        memory: &'m Memory,
        material: &Material<'_>,
        sampling: &Sampling,
        unrelated: f32,
    ) -> Option<Self> {
        // A score moves with every document, and no prompt holds it.
        let chunks: Vec<_> = material.passages.iter().map(|passage| &passage.chunk).collect();
        let depends_on =
            (material.question, chunks, material.history, material.instructions, sampling, unrelated.to_bits());
        Self::at(memory, material.passages, b"written", &depends_on)
    }

    /// Where an answer made of sentences of these passages would be.
    pub(super) fn extracted(memory: &'m Memory, question: &str, passages: &[Passage]) -> Option<Self> {
        // Which sentences are chosen depends on the scores, too.
        let depends_on: Vec<_> = passages.iter().map(|passage| (&passage.chunk, passage.score.to_bits())).collect();
        Self::at(memory, passages, b"extracted", &(question, depends_on))
    }

    /// It is its passages' tenant's, which all of them have in common; without passages nothing is answered.
    fn at(memory: &'m Memory, passages: &[Passage], how: &[u8], depends_on: &impl Serialize) -> Option<Self> {
        let bytes = serde_json::to_vec(depends_on).ok()?;
        let tenant = passages.first()?.chunk.document.tenant();
        Some(Self { memory, key: memory.lasting_key(CacheKind::Response, &tenant, &[how, &bytes])? })
    }

    /// The answer, and who wrote it.
    pub(super) async fn recall(&self) -> Option<(String, Checked)> {
        let Remembered { by, checked } = self.memory.recall(self.key).await?;
        Some((by, checked))
    }

    /// Keeps an answer.
    pub(super) async fn keep(&self, by: &str, checked: &Checked) {
        self.memory.keep(self.key, &Remembered { by: by.to_owned(), checked: checked.clone() }).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        doubles,
        model::{DocumentId, Speaker, Tenant, Turn},
        ports::{Cache, CacheKey, Changes, Held},
    };

    /// A cache that nobody asks: the keys alone are looked at.
    struct Unasked;

    #[async_trait::async_trait]
    impl Cache for Unasked {
        async fn get(&self, _: &CacheKey) -> Option<Arc<[u8]>> {
            None
        }

        async fn put(&self, _: CacheKey, _: Arc<[u8]>) {}

        async fn held(&self) -> Held {
            Held { entries: 0, bytes: 0 }
        }
    }

    fn passage(tenant: &Tenant, text: &str, score: f32) -> Passage {
        Passage { score, ..doubles::passage("a".parse::<DocumentId>().unwrap().of(tenant), text) }
    }

    #[test]
    fn everything_that_an_answer_is_written_from_tells_it_from_others_and_nothing_else_does() {
        let memory = Memory::new(Arc::new(Unasked), Changes::alone(), Vec::new());
        let acme: Tenant = "acme".parse().unwrap();
        let said = [Turn { speaker: Speaker::User, text: "before".to_owned() }];
        let warm = Sampling { temperature: Some(1.0), ..Sampling::default() };
        let of = |tenant: &Tenant, text: &str, score: f32| [passage(tenant, text, score)];
        let default = Tenant::default();
        let (plain, scored) = (of(&default, "text", 0.5), of(&default, "text", 0.9));
        let (other, foreign) = (of(&default, "other", 0.5), of(&acme, "text", 0.5));
        let material = |passages| Material { question: "q", passages, history: &[], instructions: None, refusal: "no" };
        let key = |material: &Material<'_>, sampling: &Sampling| {
            Place::written(&memory, material, sampling, 0.3).map(|place| place.key)
        };
        let base = key(&material(&plain), &Sampling::default());
        assert_eq!(key(&material(&scored), &Sampling::default()), base);
        for (material, sampling) in [
            (Material { question: "p", ..material(&plain) }, &Sampling::default()),
            (Material { history: &said, ..material(&plain) }, &Sampling::default()),
            (Material { instructions: Some("in German"), ..material(&plain) }, &Sampling::default()),
            (material(&other), &Sampling::default()),
            (material(&foreign), &Sampling::default()),
            (material(&plain), &warm),
        ] {
            assert_ne!(key(&material, sampling), base);
        }
        let judged = Place::written(&memory, &material(&plain), &Sampling::default(), 0.4).map(|place| place.key);
        assert_ne!(judged, base);
        let extracted =
            |question: &str, passages: &[Passage]| Place::extracted(&memory, question, passages).map(|place| place.key);
        let base = extracted("q", &plain);
        assert_eq!(extracted("q", &of(&default, "text", 0.5)), base);
        for (question, passages) in [("p", &plain), ("q", &scored), ("q", &other), ("q", &foreign)] {
            assert_ne!(extracted(question, passages), base);
        }
    }
}
