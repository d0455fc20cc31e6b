//! What the objects and the servers say of whose the corpus is.

use serde::Deserialize;

use super::{Frozen, LiveChildren};
use crate::api::{CorpusId, InvalidName};

/// The key of NAME-corpus under which the id of the corpus stands.
pub const CORPUS_ID_KEY: &str = "id";

/// How a server says among what it waits for that the corpus is somebody else's.
pub const CORPUS_OF_ANOTHER: &str = "belongs to another cluster";

impl LiveChildren {
    /// What NAME-corpus says, where there is one.
    pub fn corpus_id(&self) -> Option<Result<CorpusId, InvalidName>> {
        let data = self.corpus.as_ref()?.data.as_ref();
        let id = data.and_then(|data| data.get(CORPUS_ID_KEY)).map(String::as_str).unwrap_or_default();
        Some(CorpusId::parse(id))
    }
}

/// The part of a servers' configuration that says for whom they work.
#[derive(Deserialize)]
struct OwnerConfig {
    owner_id: Option<String>,
}

impl Frozen {
    /// The id of the corpus that these servers work for; nothing in what was frozen before there were ids.
    pub fn corpus_id(&self) -> Option<CorpusId> {
        let config: OwnerConfig = toml::from_str(self.config.as_deref()?).ok()?;
        CorpusId::parse(&config.owner_id?).ok()
    }
}
