//! `POST /evaluate`: how well the search finds what it should, measured here and now.
//!
//! One evaluation runs at a time, and it asks one question after the other: people who ask wait for one search at most. It ends with its caller, with the server, and at its deadline.

mod events;
mod request;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use utoipa::openapi::HttpMethod;

use self::{
    events::Progress,
    request::{Asked, Checked, EvaluateRequest},
};
use super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    extract::{JsonBody, WriterRole},
    observe::RequestId,
    room::Room,
    state::Api,
};
use crate::{
    evaluate::{Evaluation, Questions, report::Report},
    resilience::{Deadline, Permit},
};

/// How long an evaluation may take that tells how far it is.
const MAX_STREAM: Duration = Duration::from_secs(3600);
/// Time that is kept for summing up and for the answer.
const AFTER_QUESTIONS: Duration = Duration::from_secs(2);
/// When another evaluation may be over.
const RETRY_AFTER: u64 = 30;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "Measure how well each mode of the search finds the relevant documents; with `stream`, server-sent events tell how far it is";
    vec![
        Endpoint::new(HttpMethod::Post, "/evaluate", post(evaluate), summary)
            .keyed()
            .body::<EvaluateRequest>()
            .answers::<Report>(200, "the figures of each mode, with intervals and a recommendation")
            .also_sends::<Progress>()
            .problem(503, "another evaluation runs, or the search is not available")
            .problem(504, "not done in time; ask fewer questions, or stream"),
    ]
}

/// An evaluation with everything that it holds while it runs.
struct Running {
    api: Api,
    evaluation: Evaluation,
    deadline: Deadline,
    _permits: (Permit, Option<Room>),
}

async fn evaluate(
    WriterRole(client): WriterRole,
    State(api): State<Api>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Extension(deadline): Extension<Deadline>,
    body: JsonBody<EvaluateRequest>,
) -> Result<Response, Problem> {
    let (request, room) = body.into_parts();
    let flows = api.flows()?;
    let Checked { asked, settings, stream } = request.checked(api.retrieval.mode)?;
    let alone = api.admission.evaluation().ok_or_else(|| {
        let detail = "another evaluation runs on this server, and one runs at a time; try again when it is over";
        Problem::new(Code::Overloaded, detail).retry_after(RETRY_AFTER)
    })?;
    let tenant = client.tenant().clone();
    let questions = match asked {
        Asked::Queries(queries) => Questions::judged(queries, tenant, &*flows.records).await?,
        Asked::Sample(sample) => Questions::known_items((&*flows.store, &*flows.records), tenant, sample).await?,
    };
    let evaluation = Evaluation::new(Arc::clone(&flows.uncached), settings, questions);
    let deadline = if stream { Deadline::after(MAX_STREAM) } else { deadline };
    let mut running = Running { api: api.clone(), evaluation, deadline, _permits: (alone, room) };
    if stream {
        return Ok(events::stream(running, request_id));
    }
    while running.step().await? {}
    Ok(Json(running.report().await?).into_response())
}

impl Running {
    /// The next question; false when there is none.
    async fn step(&mut self) -> Result<bool, Problem> {
        let (done, total) = (self.evaluation.done(), self.evaluation.total());
        if self.api.readiness.is_stopping() {
            return Err(self.api.not_ready());
        }
        if self.deadline.left() < AFTER_QUESTIONS.min(self.api.server.request_timeout() / 4) && done < total {
            let fewer = if done > 0 { format!("send at most {done}, or ") } else { String::new() };
            let detail = format!(
                "{done} of {total} questions were measured in the time of a request; {fewer}set \"stream\" to true"
            );
            return Err(Problem::new(Code::DeadlineExceeded, detail));
        }
        // A search that hangs must not hold the place of all later evaluations.
        let step = Deadline::after(self.api.server.request_timeout()).run(self.evaluation.step()).await;
        let expired = |_| {
            let seconds = self.api.server.request_timeout_seconds;
            Problem::new(Code::DeadlineExceeded, format!("question {} took more than {seconds} s", done + 1))
        };
        step.map_err(expired)?.map_err(Problem::from)
    }

    /// Sums up, and publishes the figures as metrics.
    async fn report(self) -> Result<Report, Problem> {
        let Self { api, evaluation, .. } = self;
        let ended = |_| Problem::new(Code::Internal, "an internal error; the log has more under the request's id");
        // Resampling is pure computing.
        let report = tokio::task::spawn_blocking(move || evaluation.report()).await.map_err(ended)?;
        for mode in &report.modes {
            let name = format!("{:?}", mode.mode);
            api.metrics.query_accuracy.with_label_values(&[name.as_str()]).set(mode.ndcg.mean);
        }
        Ok(report)
    }
}
