//! An answer as server-sent events: `citations`, `text` as often as there is some, `answer` at the end; `error` instead of what did not come.

use axum::response::sse::Event;
use serde::Serialize;

use super::{
    About,
    response::{CitationsEvent, QueryResponse, TextEvent},
};
use crate::{
    generate::AnswerEvent,
    http::{answering::Told, error::Problem, passage::CitationView},
    model::Answer,
};

impl Told for About {
    fn news(&mut self, event: AnswerEvent) -> Vec<Result<Event, axum::Error>> {
        match event {
            AnswerEvent::Found { id, citations, searched } => {
                let citations = citations.into_iter().map(CitationView::from).collect();
                vec![named("citations", &CitationsEvent { id, searched, citations })]
            }
            AnswerEvent::Text(text) => vec![named("text", &TextEvent { text })],
            AnswerEvent::Finished(answer) => self.end(*answer),
        }
    }

    fn end(&mut self, answer: Answer) -> Vec<Result<Event, axum::Error>> {
        vec![named("answer", &QueryResponse::new(answer, self))]
    }

    fn broken(&mut self, problem: &Problem) -> Result<Event, axum::Error> {
        named("error", &problem.document(&self.request_id))
    }
}

fn named(name: &str, data: &impl Serialize) -> Result<Event, axum::Error> {
    Event::default().event(name).json_data(data)
}
