//! One call of a provider: its pieces passed on as they come, its ticket judged and its reservation settled however it ends.

use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;

use super::{
    fallback::{Guarded, Job, Price, Providers},
    ledger::Reservation,
    outlet::Outlet,
};
use crate::{
    model::Usage,
    ports::{ChatError, ChatPiece, ChatRequest, Tokens},
    resilience::{Ticket, Verdict},
};

/// A call that ran into the request's deadline sooner than this, and sooner than its own timeout, says nothing about its provider.
const FAIR: Duration = Duration::from_secs(5);

/// What is known about a call while it goes on.
#[derive(Default)]
pub(super) struct Progress {
    /// Estimated.
    prompt_tokens: u64,
    /// Estimated.
    written_tokens: u64,
    told: Option<Tokens>,
    /// After which time of waiting the first text came.
    pub(super) first_text: Option<Duration>,
    /// Whether a piece is just being passed on: what takes long then is the reader.
    passing_on: bool,
}

impl Progress {
    /// Nothing has come yet for a prompt of about so many tokens.
    pub(super) fn of(prompt_tokens: u64) -> Self {
        Self { prompt_tokens, ..Self::default() }
    }

    /// What the call took: the provider's figures, or estimates.
    pub(super) fn usage(&self, price: Price) -> Usage {
        let estimate = Tokens { prompt: self.prompt_tokens, completion: self.written_tokens };
        let tokens = self.told.unwrap_or(estimate);
        Usage {
            prompt_tokens: tokens.prompt,
            completion_tokens: tokens.completion,
            estimated: self.told.is_none(),
            cost_usd: price.of(tokens.prompt, tokens.completion),
        }
    }
}

/// One call. Dropped without a verdict, it was given up by its caller, which says nothing about the provider.
pub(super) struct Call<'a> {
    providers: &'a Providers,
    guarded: &'a Guarded,
    ticket: Option<Ticket>,
    /// What it may cost.
    pub(super) reservation: Option<Reservation>,
    /// None before it was made.
    began: Option<Instant>,
}

impl<'a> Call<'a> {
    /// A call that may be made, and is not made yet.
    pub(super) fn new(providers: &'a Providers, guarded: &'a Guarded, ticket: Ticket) -> Self {
        Self { providers, guarded, ticket: Some(ticket), reservation: None, began: None }
    }

    /// It is made now.
    pub(super) fn begin(&mut self) -> Instant {
        *self.began.insert(Instant::now())
    }

    /// Asks, and passes on what is answered.
    pub(super) async fn converse(
        &mut self,
        request: &ChatRequest,
        (outlet, job): (&mut Outlet<'_>, &Job<'_>),
        progress: &mut Progress,
    ) -> Result<(), ChatError> {
        let provider = &self.guarded.provider;
        let mut answer = provider.model.chat(request).await?;
        {
            let mut gate = self.guarded.gate();
            gate.allowance.learn(&answer.rate_limit, self.providers.began.elapsed());
            if let Some(left) = gate.allowance.requests_left() {
                self.providers.meter.rate_limit_remaining(&provider.name, left);
            }
        }
        let mut said_anything = false;
        while let Some(piece) = answer.pieces.next().await {
            let (text, is_said) = match piece? {
                ChatPiece::Tokens(tokens) => {
                    progress.told = Some(tokens);
                    continue;
                }
                ChatPiece::Thought(text) => (text, false),
                ChatPiece::Text(text) => (text, true),
            };
            // No piece has less than a token.
            progress.written_tokens += job.embedder.count_tokens(&text).max(1) as u64;
            let so_far = progress.usage(provider.price).cost_usd;
            self.reservation.iter_mut().for_each(|reservation| reservation.costs(so_far));
            if is_said {
                progress.first_text.get_or_insert_with(|| job.since.elapsed());
                said_anything |= !text.trim().is_empty();
                progress.passing_on = true;
                outlet.push(&text).await;
                progress.passing_on = false;
            }
        }
        match said_anything {
            true => Ok(()),
            false => Err(ChatError::Garbage { cause: "an empty answer".to_owned() }),
        }
    }

    /// It was answered, and took this.
    pub(super) async fn answered(mut self, usage: Usage) {
        self.judge(Verdict::Success, "answered");
        let meter = &self.providers.meter;
        meter.tokens(&self.guarded.provider.name, usage.prompt_tokens, usage.completion_tokens);
        meter.cost(usage.cost_usd);
        if let Some(mut reservation) = self.reservation.take() {
            reservation.costs(usage.cost_usd);
            reservation.settle().await;
        }
    }

    /// It failed.
    pub(super) async fn failed(mut self, error: &ChatError, progress: &Progress) {
        let provider = &self.guarded.provider;
        tracing::warn!(provider = provider.name, cause = error.class(), "the provider {error}");
        if let ChatError::RateLimited { rate_limit } = error {
            self.guarded.gate().allowance.refused(rate_limit, self.providers.began.elapsed());
        }
        let had_its_time = self.took() >= provider.timeout.min(FAIR) && !progress.passing_on;
        let was_fair = *error != ChatError::Timeout || had_its_time;
        let verdict = if error.is_provider_fault() && was_fair { Verdict::Failure } else { Verdict::Nothing };
        self.judge(verdict, error.class());
        if let Some(reservation) = self.reservation.take() {
            reservation.settle().await;
        }
    }

    fn judge(&mut self, verdict: Verdict, outcome: &'static str) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut gate = self.guarded.gate();
        let before = gate.breaker.state();
        gate.breaker.judge(ticket, verdict, self.providers.began.elapsed());
        self.providers.tell_breaker(self.guarded, &gate.breaker, before);
        match verdict {
            Verdict::Success => self.guarded.sight.answered(Timestamp::now()),
            Verdict::Failure => self.guarded.sight.failed(outcome, Timestamp::now()),
            Verdict::Nothing => {}
        }
        if self.began.is_some() {
            self.providers.meter.called(&self.guarded.provider.name, outcome, self.took());
        }
    }

    fn took(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.judge(Verdict::Nothing, "abandoned");
    }
}
