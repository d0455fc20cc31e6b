//! One question with everything that belongs to it alone. Nothing of it is kept between requests, so that two of them never mix.

use std::time::Duration;

use super::SessionKey;
use crate::{
    model::{Query, Sampling, Scope, Turn},
    resilience::Deadline,
};

/// How long an answer may take where the caller sets no deadline, such as on the command line.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(120);

/// What is asked, and how.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The question and how it is searched.
    pub query: Query,
    /// What the answer may come from.
    pub scope: Scope,
    /// What was said before, oldest first; with a session, what the caller adds to it.
    pub history: Vec<Turn>,
    /// The conversation that this belongs to and that is remembered here.
    pub session: Option<SessionKey>,
    /// Whether nothing may be written now: a session is read, and does not remember this.
    pub read_only: bool,
    /// What the caller wishes of the answer's form, such as a language; the rules about passages stand above it.
    pub instructions: Option<String>,
    /// How a provider is to write.
    pub sampling: Sampling,
    /// When the answer is given up.
    pub deadline: Deadline,
}

impl From<Query> for Ask {
    fn from(query: Query) -> Self {
        Self {
            query,
            scope: Scope::FullBook,
            history: Vec::new(),
            session: None,
            read_only: false,
            instructions: None,
            sampling: Sampling::default(),
            deadline: Deadline::after(DEFAULT_DEADLINE),
        }
    }
}

impl From<&Query> for Ask {
    fn from(query: &Query) -> Self {
        query.clone().into()
    }
}
