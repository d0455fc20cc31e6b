//! The memory that a body takes: counted while its bytes come, so that a client which sends none holds none.

use axum::{body::Body, http::HeaderMap};
use futures::StreamExt;

use super::{
    encoding,
    error::{Code, Problem},
    extract::declared_length,
    state::Api,
};
use crate::resilience::{Admission, Bodies, Permit};

/// What a body takes; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    admission: Admission,
    kind: Bodies,
    taken: Option<Permit>,
    limit: usize,
    left: usize,
}

impl Room {
    /// For a body that is about to come. One that says to be too large, or larger than what is free now, is refused before it is read.
    pub(super) fn open(api: &Api, kind: Bodies, headers: &HeaderMap) -> Result<Self, Problem> {
        let limit = match kind {
            Bodies::Documents => api.server.max_body_bytes,
            Bodies::Texts => api.server.max_body_bytes / 2,
        };
        match declared_length(headers) {
            Some(length) if length > limit => Err(too_large(limit)),
            Some(length) if length > api.admission.free(kind) => Err(full()),
            _ => Ok(Self { admission: api.admission.clone(), kind, taken: None, limit, left: limit }),
        }
    }

    /// Takes room for bytes that came.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Problem> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| too_large(self.limit))?;
        let more = self.admission.body(self.kind, bytes).ok_or_else(full)?;
        match &mut self.taken {
            Some(taken) => taken.join(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }

    /// Reads a body into one buffer of the right size from the start: a second copy of a large body would not fit into a small pod.
    pub(super) async fn read(&mut self, body: Body, declared: Option<usize>) -> Result<Vec<u8>, Problem> {
        read(body, declared.unwrap_or(0), self.limit, |bytes| self.take(bytes)).await
    }
}

/// Reads a body of which so many bytes are expected, up to a limit; `take` hears of each piece before it is kept.
pub(super) async fn read(
    body: Body,
    expected: usize,
    limit: usize,
    mut take: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(expected.min(limit));
    let mut stream = body.into_data_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| encoding::unread(error, limit))?;
        take(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn full() -> Problem {
    Problem::new(Code::Overloaded, "other uploads fill the memory that bodies may take; try again").retry_after(2)
}

pub(super) fn too_large(limit: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body may have {limit} bytes here; send less at once"))
}
