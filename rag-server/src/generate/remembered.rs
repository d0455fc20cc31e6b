//! Answers of providers that are given again without asking one.
//!
//! An answer is kept under everything that its writing depended on: question, passages with their texts, what was said before, how it was to be written, and the configuration.
//! So one that is found is the one that would be written now, however the documents changed in between; another tenant's passages are others.

use serde::{Deserialize, Serialize};

use super::{Ask, flow::Checked, prompt::Material};
use crate::ports::{CacheKind, Key, Memory};

/// What is kept of an answer.
#[derive(Serialize, Deserialize)]
struct Remembered {
    by: String,
    checked: Checked,
}

/// The place of one answer in the memory; none where nothing is remembered.
pub(super) struct Place<'m> {
    memory: &'m Memory,
    key: Key,
}

impl<'m> Place<'m> {
    /// Where the answer to this question would be.
    pub(super) async fn of(memory: Option<&'m Memory>, material: &Material<'_>, ask: &Ask) -> Option<Self> {
        let memory = memory?;
        let depends_on = (material.question, material.passages, material.history, material.instructions, &ask.sampling);
        let bytes = serde_json::to_vec(&depends_on).ok()?;
        let key = memory.key(CacheKind::Response, &[&bytes]).await?;
        Some(Self { memory, key })
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
