//! Collects why a question found what it found. Nothing here decides anything.

use std::{collections::HashMap, time::Instant};

use tracing::Instrument;

use super::{candidates, threshold::Evidence};
use crate::{
    model::{Candidates, ChunkId, Explanation, HitExplained, Mode, Place, Scored, Stage},
    spans,
};

/// Collects what an [`Explanation`] tells.
pub(super) struct Notes {
    pub(super) explanation: Explanation,
    places: HashMap<ChunkId, (Option<Place>, Option<Place>)>,
}

impl Notes {
    pub(super) fn new(min_score: f32) -> Self {
        let explanation = Explanation { min_score, ..Explanation::default() };
        Self { explanation, places: HashMap::new() }
    }

    /// A stage of the question: a span while it lasts, a line of the explanation once it is over.
    pub(super) async fn stage<T>(&mut self, name: &'static str, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = work.instrument(spans::stage(name)).await;
        let millis = began.elapsed().as_secs_f64() * 1000.0;
        self.explanation.stages.push(Stage { name: name.to_owned(), millis });
        done
    }

    /// What the legs found, and what it is worth.
    pub(super) fn searched(&mut self, mode: Mode, found: &candidates::Candidates, evidence: Evidence) {
        let legs = found.legs();
        let told = &mut self.explanation;
        told.mode = format!("{mode:?}");
        told.candidates = Candidates { dense: legs.dense.len(), lexical: legs.lexical.len() };
        told.best_cosine = found.best_cosine();
        let evidence = match evidence {
            Evidence::Near(_) => "near",
            Evidence::Worded(_) => "worded",
            Evidence::Covered(_) => "covered",
            Evidence::Identifier => "identifier",
            Evidence::None => "none",
        };
        told.evidence = evidence.to_owned();
        for (place, hit) in ranked(&legs.dense) {
            self.places.entry(hit.chunk).or_default().0 = Some(place);
        }
        for (place, hit) in ranked(&legs.lexical) {
            self.places.entry(hit.chunk).or_default().1 = Some(place);
        }
    }

    /// A passage of the result.
    pub(super) fn shown(&mut self, chunk: ChunkId, joined: &[ChunkId], fused: f32, reranked: Option<f32>) {
        let (dense, lexical) = self.places.get(&chunk).copied().unwrap_or_default();
        let joined = joined.iter().map(|id| id.0.to_string()).collect();
        let hit = HitExplained { chunk: chunk.0.to_string(), joined, dense, lexical, fused, reranked };
        self.explanation.hits.push(hit);
    }
}

fn ranked(hits: &[Scored]) -> impl Iterator<Item = (Place, &Scored)> {
    (1..).zip(hits).map(|(rank, hit)| (Place { rank, score: hit.score.0 }, hit))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{
        Subscriber,
        field::{Field, Visit},
        span,
    };
    use tracing_subscriber::{
        Layer,
        layer::{Context, SubscriberExt},
    };

    use super::*;

    /// Writes down the names of stages whose spans ended.
    #[derive(Clone, Default)]
    struct Ended(Arc<Mutex<HashMap<span::Id, String>>>, Arc<Mutex<Vec<String>>>);

    struct Named(String);

    impl Visit for Named {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            if field.name() == "otel.name" {
                self.0 = format!("{value:?}").replace('"', "");
            }
        }
    }

    impl<S: Subscriber> Layer<S> for Ended {
        fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, _: Context<'_, S>) {
            let mut named = Named(String::new());
            attributes.record(&mut named);
            self.0.lock().unwrap().insert(id.clone(), named.0);
        }

        fn on_close(&self, id: span::Id, _: Context<'_, S>) {
            let name = self.0.lock().unwrap().remove(&id);
            self.1.lock().unwrap().extend(name);
        }
    }

    #[tokio::test]
    async fn every_stage_of_an_explanation_was_a_span() {
        let ended = Ended::default();
        let _told = tracing::subscriber::set_default(tracing_subscriber::registry().with(ended.clone()));
        let mut notes = Notes::new(0.4);
        assert_eq!(notes.stage("embed", async { 1 }).await, 1);
        assert_eq!(notes.stage("search", async { "found" }).await, "found");
        let told: Vec<_> = notes.explanation.stages.iter().map(|stage| stage.name.clone()).collect();
        assert_eq!(
            (told, ended.1.lock().unwrap().clone()),
            (vec!["embed".to_owned(), "search".to_owned()], vec!["embed".to_owned(), "search".to_owned()])
        );
    }
}
