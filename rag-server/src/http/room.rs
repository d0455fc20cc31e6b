//! The memory that a body takes: counted while its bytes come, so that a client which sends none holds none.

use axum::{body::Body, http::HeaderMap};
use futures::StreamExt;

use super::{
    encoding,
    error::{Code, Problem},
    extract::declared_length,
    state::Api,
};
use crate::resilience::{Bodies, Class, Permit};

/// What a body takes; given back when this is dropped.
pub(super) struct Room {
    api: Api,
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
            Bodies::Texts | Bodies::Questions => api.server.max_body_bytes / 2,
        };
        Self::within(api, kind, headers, limit)
    }

    /// The same for a body that has a limit of its own.
    pub(super) fn within(api: &Api, kind: Bodies, headers: &HeaderMap, limit: usize) -> Result<Self, Problem> {
        match declared_length(headers) {
            Some(length) if length > limit => Err(too_large(limit)),
            Some(length) if length > api.admission.free(kind) => Err(full(api, kind)),
            _ => Ok(Self { api: api.clone(), kind, taken: None, limit, left: limit }),
        }
    }

    /// Takes room for bytes that came.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Problem> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| too_large(self.limit))?;
        let more = self.api.admission.body(self.kind, bytes).ok_or_else(|| full(&self.api, self.kind))?;
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
    let mut bytes = Vec::new();
    // Many clients may announce much at once: what the system does not give costs one of them its request, and not the process.
    let refused = |_| {
        Problem::new(Code::Overloaded, "there is no memory for so large a body now; try again").retry_after(RETRY_AFTER)
    };
    bytes.try_reserve_exact(expected.min(limit)).map_err(refused)?;
    let mut stream = body.into_data_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| encoding::unread(error, limit))?;
        take(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// How long a body of the usual size takes to be dealt with, in seconds.
const RETRY_AFTER: u64 = 2;

fn full(api: &Api, kind: Bodies) -> Problem {
    let class = match kind {
        Bodies::Documents => Class::Ingests,
        Bodies::Texts => Class::Texts,
        Bodies::Questions => Class::Questions,
    };
    api.metrics.doors.shed.with_label_values(&[class.as_str()]).inc();
    let detail = "other bodies fill the memory that they may take together; try again";
    Problem::new(Code::Overloaded, detail).retry_after(RETRY_AFTER)
}

pub(super) fn too_large(limit: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body may have {limit} bytes here; send less at once"))
}
