//! One answer from its question to its last word. Whoever started it may go away at any moment: everything that is held is given back by being dropped.

use std::{sync::Arc, time::Instant};

use serde::{Deserialize, Serialize};
use tracing::Instrument;

use super::{
    AnswerError, AnswerIds, Ask, EXTRACTIVE, REFUSAL, SessionKey, Sessions, Writers,
    cite::{self, Cited},
    fallback::{Job, NotWritten, Written},
    outlet::{Delivery, Outlet},
    prompt::Material,
    remembered::Place,
    selection,
    stream::{AnswerEvent, Events},
    support,
};
use crate::{
    model::{
        Answer, AnswerStatus, CheckedSentence, Citation, Degradation, Explanation, Generation, Query, Scope, Speaker,
    },
    ports::{GenerateError, Generator, Memory, Passage},
    resilience::Deadline,
    retrieve::{Retrieve, Retrieved},
    spans,
};

/// What is said of an answer whose question the budget kept from being embedded.
const BY_WORDS: &str = "found by the words of the question alone, and written without a language model, because the budget is spent; what says the same in other words was not looked for";

/// The parts of the flow. Cheap to clone.
#[derive(Clone)]
pub(super) struct Flow {
    pub(super) retrieve: Arc<Retrieve>,
    pub(super) generator: Arc<dyn Generator>,
    pub(super) writers: Option<Arc<Writers>>,
    pub(super) memory: Option<Memory>,
    pub(super) ids: AnswerIds,
}

/// What an answer may be made of.
#[derive(Default)]
struct Found {
    passages: Vec<Passage>,
    searched: u64,
    degraded: Vec<Degradation>,
    explanation: Explanation,
    /// What the passages were found by, where that is not the question as it stands: spelt as the documents do, or with the one before it.
    question: Option<String>,
}

/// A text that was written and checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Checked {
    status: AnswerStatus,
    text: String,
    sentences: Vec<CheckedSentence>,
}

impl Flow {
    pub(super) async fn work(
        &self,
        ask: Ask,
        sessions: Option<&Sessions>,
        delivery: Delivery,
        events: &Events,
    ) -> Result<(), AnswerError> {
        let (id, since) = (self.ids.name(&ask.query.tenant), Instant::now());
        let session = sessions.zip(ask.session.clone());
        let ask = &continued(ask, &session).await?;
        let Found { passages, searched, degraded, explanation, question } = self.find(ask).await?;
        let question = question.as_deref().unwrap_or(&ask.query.text);
        let mut citations: Vec<_> = (1..).zip(passages.iter().cloned()).map(citation).collect();
        let found = AnswerEvent::Found { id, citations: citations.clone(), searched };
        let mut outlet = Outlet::new(events, delivery, found);
        let mut generation = Generation::default();
        let checked = if passages.is_empty() {
            outlet.say(REFUSAL).await;
            refusal()
        } else if degraded.contains(&Degradation::DenseSkipped) {
            // The sentences of what a provider writes could not be checked either.
            generation.notice = Some(BY_WORDS.to_owned());
            self.extract((question, ask.deadline), &passages, (&mut outlet, &mut generation)).await?
        } else {
            self.write((ask, question), &passages, (&mut outlet, &mut generation), since).await?
        };
        if checked.status == AnswerStatus::Refused {
            citations.clear();
        }
        let Checked { status, text, sentences } = checked;
        let mut answer = Answer { id, status, text, citations, sentences, searched, degraded, explanation, generation };
        if let Some((sessions, key)) = session
            && let Some(notice) = remember(sessions, &key, ask, &answer).await
        {
            answer.generation.notice.get_or_insert_with(|| notice.to_owned());
        }
        events.send(Ok(AnswerEvent::Finished(Box::new(answer)))).await;
        Ok(())
    }

    /// The passages for a question.
    async fn find(&self, ask: &Ask) -> Result<Found, AnswerError> {
        if let Scope::Selection(text) = &ask.scope {
            let passages = selection::passages(text).map_err(|e| {
                AnswerError::Generate(GenerateError::Failed {
                    name: selection::DOCUMENT.to_owned(),
                    cause: e.to_string(),
                })
            })?;
            return Ok(Found { searched: passages.len() as u64, passages, ..Found::default() });
        }
        let deadline = Some(ask.deadline);
        let mut found = self.retrieve.retrieve(&ask.query, deadline).await;
        let mut question = None;
        let is_nothing = match &found {
            Ok(found) => found.passages.is_empty(),
            Err(error) => error.is_over_budget(),
        };
        if is_nothing && let Some(query) = follow_up(ask) {
            found = self.retrieve.retrieve(&query, deadline).await;
            question = Some(query.text);
        }
        let found = found.map_err(AnswerError::Retrieve)?;
        let Retrieved { passages, searched, degraded, explanation, respelt, .. } = found;
        Ok(Found { passages, searched, degraded, explanation, question: respelt.or(question) })
    }

    async fn write(
        &self,
        (ask, question): (&Ask, &str),
        passages: &[Passage],
        (outlet, generation): (&mut Outlet<'_>, &mut Generation),
        since: Instant,
    ) -> Result<Checked, AnswerError> {
        if let Some(writers) = &self.writers {
            let material = Material {
                question: &ask.query.text,
                passages,
                history: &ask.history,
                instructions: ask.instructions.as_deref(),
                refusal: REFUSAL,
            };
            let place = self
                .memory
                .as_ref()
                .and_then(|memory| Place::written(memory, &material, &ask.sampling, self.retrieve.unrelated()));
            if let Some(checked) = recalled(place.as_ref(), outlet, generation).await {
                return Ok(checked);
            }
            let embedder = &*writers.embedder;
            let job = Job { material, sampling: &ask.sampling, deadline: ask.deadline, embedder, since };
            match writers.providers.write(&job, outlet, generation).await {
                Ok(written) => {
                    let checking = writers.checked(written, passages, self.retrieve.unrelated());
                    let checked = checking.instrument(spans::stage("check")).await;
                    // What is not whole is tried again, and what another provider than the first wrote is given up once the first answers.
                    let by_first = generation.by.as_ref().is_some_and(|by| writers.providers.is_first(by));
                    let is_kept = generation.cut.is_none() && generation.path.len() == 1 && by_first;
                    if let (Some(place), Some(by), true) = (&place, &generation.by, is_kept) {
                        place.keep(by, &checked).await;
                    }
                    return Ok(checked);
                }
                Err(missed) => generation.notice = Some(writers.instead(missed)?),
            }
        }
        self.extract((question, ask.deadline), passages, (outlet, generation)).await
    }

    /// An answer of sentences of the passages.
    async fn extract(
        &self,
        (question, deadline): (&str, Deadline),
        passages: &[Passage],
        (outlet, generation): (&mut Outlet<'_>, &mut Generation),
    ) -> Result<Checked, AnswerError> {
        let place = self.memory.as_ref().and_then(|memory| Place::extracted(memory, question, passages));
        if let Some(checked) = recalled(place.as_ref(), outlet, generation).await {
            return Ok(checked);
        }
        let drafting = self.generator.generate(question, passages, deadline.left());
        let draft = drafting.instrument(spans::stage("extract")).await.map_err(AnswerError::Generate)?;
        generation.by = Some(EXTRACTIVE.to_owned());
        let Cited { text, status, sentences } = cite::cite(&draft, passages);
        let checked = match (status, cite::not_found(&draft.missing)) {
            (AnswerStatus::Refused, None) => refusal(),
            (AnswerStatus::Refused, Some(missing)) => Checked { text: format!("{REFUSAL} {missing}"), ..refusal() },
            _ => Checked { status, text, sentences },
        };
        tell(&checked, outlet).await;
        // What is made without the model's vectors is made again with them.
        if let Some(place) = place.as_ref().filter(|_| !draft.is_makeshift) {
            place.keep(EXTRACTIVE, &checked).await;
        }
        Ok(checked)
    }
}

/// Says a whole answer.
async fn tell(checked: &Checked, outlet: &mut Outlet<'_>) {
    if checked.status == AnswerStatus::Refused {
        outlet.refuse();
    }
    outlet.say(&checked.text).await;
}

/// The answer that was kept at this place, said.
async fn recalled(place: Option<&Place<'_>>, outlet: &mut Outlet<'_>, generation: &mut Generation) -> Option<Checked> {
    let (by, checked) = place?.recall().await?;
    tell(&checked, outlet).await;
    (generation.by, generation.cached) = (Some(by), true);
    Some(checked)
}

impl Writers {
    /// What a provider wrote, with each sentence checked.
    async fn checked(&self, written: Written, passages: &[Passage], unrelated: f32) -> Checked {
        let Written { text, passages: given, cut } = written;
        if says_refusal(&text) {
            return Checked { text, ..refusal() };
        }
        let given = &passages[..given.min(passages.len())];
        let sentences = support::judge(&text, given, &*self.embedder, unrelated).await;
        // A text without any sentence claims nothing that could be supported, and one that is not whole may lack what its sentences need.
        let is_open = sentences.is_empty() || cut.is_some();
        let status = if is_open { AnswerStatus::Partial } else { support::status(&sentences) };
        Checked { status, text, sentences }
    }

    /// Why the answer is made without a provider, or that there is none.
    fn instead(&self, missed: NotWritten) -> Result<String, AnswerError> {
        match missed {
            NotWritten::Spent(spent) => {
                let (period, limit) = (spent.period, spent.limit);
                if self.providers.ledger().current().refuse {
                    let resets_in_seconds = u64::try_from(spent.resets_in.as_secs()).unwrap_or_default().max(1);
                    return Err(AnswerError::BudgetSpent { period, limit, resets_in_seconds });
                }
                let period = period.as_str();
                Ok(format!("written without a language model, because the budget of this {period} ({limit}) is spent"))
            }
            NotWritten::Refused { provider, error } if self.extractive_fallback => {
                Ok(format!("written without a language model, because {provider} {error}"))
            }
            NotWritten::Refused { provider, error } => Err(AnswerError::Refused { provider, cause: error.to_string() }),
            NotWritten::Nobody { limited: true, .. } if self.extractive_fallback => {
                Ok("written without a language model, because the rate limit of every provider is used up".to_owned())
            }
            NotWritten::Nobody { .. } if self.extractive_fallback => {
                Ok("written without a language model, because no provider answered".to_owned())
            }
            NotWritten::Nobody { retry_after, .. } => {
                let retry_after_seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
                Err(AnswerError::NoProvider { retry_after_seconds: retry_after_seconds.max(1) })
            }
            NotWritten::Broken { provider, error } => {
                let cause = error.to_string();
                Err(AnswerError::Generate(GenerateError::Failed { name: provider, cause }))
            }
        }
    }
}

/// The question with what its session remembers before it.
async fn continued(mut ask: Ask, session: &Option<(&Sessions, SessionKey)>) -> Result<Ask, AnswerError> {
    if let Some((sessions, key)) = session {
        let remembered = sessions.get(key).await.map_err(AnswerError::Session)?;
        let mut history = remembered.map(|session| session.history()).unwrap_or_default();
        history.append(&mut ask.history);
        ask.history = history;
    }
    Ok(ask)
}

/// Adds the answer to its session; why not, in words, if it was not added. The answer is there and was paid for: a memory that fails does not take it back.
async fn remember(sessions: &Sessions, key: &SessionKey, ask: &Ask, answer: &Answer) -> Option<&'static str> {
    if ask.read_only {
        return Some("the server is read-only for now, so the session does not remember this answer");
    }
    let error = sessions.remember(key, &ask.query.text, answer).await.err()?;
    tracing::warn!(%error, "a question and its answer were not remembered in their session");
    Some("the session does not remember this answer")
}

/// A question that says nothing by itself, such as "and weekly?", together with the one before it.
fn follow_up(ask: &Ask) -> Option<Query> {
    let before = ask.history.iter().rev().find(|turn| turn.speaker == Speaker::User)?;
    Some(Query { text: format!("{} {}", before.text, ask.query.text), ..ask.query.clone() })
}

fn says_refusal(text: &str) -> bool {
    let letters =
        |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    letters(text) == letters(REFUSAL)
}

fn refusal() -> Checked {
    Checked { status: AnswerStatus::Refused, text: REFUSAL.to_owned(), sentences: Vec::new() }
}

fn citation((reference, passage): (usize, Passage)) -> Citation {
    let Passage { chunk, score } = passage;
    Citation {
        reference,
        document: chunk.document,
        title: chunk.title,
        headings: chunk.headings,
        text: chunk.text,
        score,
        chunk: chunk.id,
    }
}
