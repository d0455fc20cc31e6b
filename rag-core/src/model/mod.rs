//! The words of the server: documents, chunks, questions, hits and answers.
//!
//! Plain values without input or output; every other module speaks in them.

mod answer;
mod chunk;
mod document;
mod explanation;
mod hit;
mod money;
mod notice;
mod query;
mod subject;
mod tenant;

pub use answer::{Answer, AnswerStatus, Attempt, CheckedSentence, Citation, Cut, Generation, Usage};
pub use chunk::{Chunk, ChunkId, ChunkPlace, Embedded, Point};
pub use document::{ContentHash, DocumentId, DocumentRecord, InvalidDocumentId, Outcome, key_prefix};
pub use explanation::{Candidates, Degradation, Explanation, HitExplained, Place, Stage};
pub use hit::{Hit, Legs, Scored, Similarity, SparseVector};
pub use money::MicroUsd;
pub use notice::{Notice, Notices, Pages};
pub use query::{Filter, Mode, Query, Sampling, Scope, Speaker, Turn};
pub use subject::Subject;
pub use tenant::{InvalidTenant, Tenant};
