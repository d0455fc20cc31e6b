//! Evaluation by a running server: one request, whose answer tells how far it is.

use std::{io, time::Duration};

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use sse_stream::SseStream;

use super::{Asked, EvaluateArgs, modes, show::Bar};
use crate::{
    cli::server::{AskError, Server},
    evaluate::{measures::Judgements, query_set::JudgedQuery, report::Report},
    model::{DocumentId, Mode},
    outside::bounded_pieces,
};

/// How long a server may be silent; it says something every fifteen seconds.
const SILENCE: Duration = Duration::from_secs(90);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Bytes of all events: a thousand questions come to about two millions.
const MAX_BYTES: usize = 16 << 20;

/// What `POST /evaluate` takes.
#[derive(Serialize)]
struct Request<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    queries: Option<Vec<NewQuery<'r>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<usize>,
    modes: Vec<Mode>,
    k: usize,
    stream: bool,
}

#[derive(Serialize)]
struct NewQuery<'r> {
    id: &'r str,
    text: &'r str,
    relevant: &'r Judgements<DocumentId>,
}

impl<'r> From<&'r JudgedQuery> for NewQuery<'r> {
    fn from(JudgedQuery { id, text, relevant }: &'r JudgedQuery) -> Self {
        Self { id, text, relevant }
    }
}

#[derive(Deserialize)]
struct Progress {
    done: usize,
    total: usize,
}

/// Asks the server and waits for its report.
pub(super) async fn evaluate(address: &str, args: &EvaluateArgs, asked: Asked) -> Result<Report, AskError> {
    let builder = reqwest::Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE);
    let server = Server::new(address, args.key_file.as_deref(), builder)?;
    let (queries, sample) = match &asked {
        Asked::Queries(queries) => (Some(queries.iter().map(NewQuery::from).collect()), None),
        Asked::Sample(sample) => (None, Some(*sample)),
    };
    let request = Request { queries, sample, modes: modes(args), k: args.k, stream: true };
    let response = server.post("/evaluate", &request).await?;
    let mut events = Box::pin(SseStream::from_bytes_stream(bounded_pieces(response.bytes_stream(), MAX_BYTES)));
    let bar = Bar::new();
    while let Some(event) = events.next().await {
        let event = event.map_err(|e| server.unreachable(&e))?;
        let data = event.data.unwrap_or_default();
        match event.event.as_deref() {
            Some("progress") => {
                let Progress { done, total } = serde_json::from_str(&data).map_err(|e| server.not_ours(&e))?;
                bar.at(done, total);
            }
            Some("report") => {
                bar.end();
                return serde_json::from_str(&data).map_err(|e| server.not_ours(&e));
            }
            Some("error") => return Err(server.refused(500, data.as_bytes())),
            Some(_) | None => {}
        }
    }
    Err(server.unreachable(&io::Error::from(io::ErrorKind::UnexpectedEof)))
}
