//! One call of a provider: its pieces passed on as they come, and everything that was taken for it given back or paid however it ends.
//!
//! Guarantee: from the moment at which the request was sent its prompt is owed, whether or not anybody waits for the answer; only a call that the provider did not accept costs nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use jiff::Timestamp;
use tracing::Instrument;

use super::{
    allowance::Share,
    fallback::{Guarded, Job, Price, Providers},
    ledger::Reservation,
    outlet::Outlet,
};
use crate::{
    model::{Cut, Usage},
    ports::{ChatError, ChatPiece, ChatRequest, Payer, Tokens},
    resilience::{Pass, Verdict},
};

/// A call that ran into the request's deadline sooner than this, and sooner than its own timeout, says nothing about its provider.
const FAIR: Duration = Duration::from_secs(5);

/// What writing answers is called among the costs.
const PART: &str = "generate";

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
    /// Why the answer ended before it was whole.
    pub(super) cut: Option<Cut>,
    /// Whether a piece is just being passed on: what takes long then is the reader.
    passing_on: bool,
}

impl Progress {
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

/// One call. Dropped, it was given up by its caller, which says nothing about the provider.
pub(super) struct Call<'a> {
    providers: &'a Providers,
    guarded: &'a Guarded,
    pass: Option<Pass<'a>>,
    /// Of the vendor's limit, until the vendor has said something.
    share: Option<Share>,
    reservation: Option<Reservation>,
    payer: Payer,
    pub(super) progress: Progress,
    /// None before it was made.
    began: Option<Instant>,
}

impl<'a> Call<'a> {
    /// A call that may be made, and is not made yet.
    pub(super) fn new(providers: &'a Providers, guarded: &'a Guarded, pass: Pass<'a>) -> Self {
        let (share, reservation, progress) = (None, None, Progress::default());
        let payer = Payer::current();
        Self { providers, guarded, pass: Some(pass), share, reservation, payer, progress, began: None }
    }

    /// What it may cost was put aside, so now it takes its share of the vendor's limit; or how long that does not allow it.
    pub(super) fn afforded(&mut self, reservation: Reservation, tokens: u64) -> Result<(), Duration> {
        self.reservation = Some(reservation);
        let mut allowance = self.guarded.allowance();
        self.share = Some(allowance.take(tokens, self.providers.began.elapsed())?);
        self.guarded.tell_allowance(&allowance, &*self.providers.meter);
        Ok(())
    }

    /// It is made now, with a prompt of about so many tokens.
    pub(super) fn begin(&mut self, prompt_tokens: u64) -> Instant {
        self.progress.prompt_tokens = prompt_tokens;
        *self.began.insert(Instant::now())
    }

    /// Asks, and passes on what is answered.
    pub(super) async fn converse(
        &mut self,
        request: &ChatRequest,
        (outlet, job): (&mut Outlet<'_>, &Job<'_>),
    ) -> Result<(), ChatError> {
        let mut answer = self.guarded.provider.model.chat(request).await?;
        if let Some(share) = self.share.take() {
            let mut allowance = self.guarded.allowance();
            allowance.answered(share, &answer.rate_limit, self.providers.began.elapsed());
            self.guarded.tell_allowance(&allowance, &*self.providers.meter);
        }
        self.guarded.provider.quota.heard(&answer.rate_limit);
        let progress = &mut self.progress;
        let mut said_anything = false;
        while let Some(piece) = answer.pieces.next().await {
            let (text, is_said) = match piece? {
                ChatPiece::Tokens(tokens) => {
                    progress.told = Some(tokens);
                    continue;
                }
                ChatPiece::Cut(cut) => {
                    progress.cut = Some(cut);
                    continue;
                }
                ChatPiece::Thought(text) => (text, false),
                ChatPiece::Text(text) => (text, true),
            };
            // No piece has less than a token.
            progress.written_tokens += job.embedder.count_tokens(&text).max(1) as u64;
            if is_said {
                progress.first_text.get_or_insert_with(|| job.since.elapsed());
                said_anything |= !text.trim().is_empty();
                progress.passing_on = true;
                outlet.push(&text).await;
                progress.passing_on = false;
            }
        }
        match progress.cut {
            _ if said_anything => Ok(()),
            None => Err(ChatError::Garbage { cause: "an empty answer".to_owned() }),
            // Its filter or the limit of tokens left nothing, which is no illness.
            Some(cut) => Err(ChatError::Refused { status: 200, code: format!(", {}", cut.as_str()) }),
        }
    }

    /// It was answered, and took this.
    pub(super) async fn answered(mut self) -> Usage {
        self.judge(Verdict::Success, "answered");
        let usage = self.progress.usage(self.guarded.provider.price);
        if let Some(reservation) = self.pay() {
            reservation.settle().await;
        }
        usage
    }

    /// It failed.
    pub(super) async fn failed(mut self, error: &ChatError) {
        let provider = &self.guarded.provider;
        tracing::warn!(provider = provider.name, cause = error.class(), "the provider {error}");
        if let Some(share) = self.share.take() {
            let mut allowance = self.guarded.allowance();
            match error {
                ChatError::RateLimited { rate_limit } => {
                    allowance.refused(share, rate_limit, self.providers.began.elapsed());
                }
                error if error.was_sent() => allowance.ended(share),
                _ => allowance.give_back(share),
            }
            self.guarded.tell_allowance(&allowance, &*self.providers.meter);
        }
        if let ChatError::RateLimited { rate_limit } = error {
            let (quota, said) = (Arc::clone(&provider.quota), *rate_limit);
            // The next provider need not wait for that.
            tokio::spawn(async move { quota.refused(&said).await }.in_current_span());
        }
        let had_its_time = self.took() >= provider.timeout.min(FAIR) && !self.progress.passing_on;
        let was_fair = *error != ChatError::Timeout || had_its_time;
        let verdict = if error.is_provider_fault() && was_fair { Verdict::Failure } else { Verdict::Nothing };
        self.judge(verdict, error.class());
        let reservation = if error.was_accepted() { self.pay() } else { self.reservation.take() };
        if let Some(reservation) = reservation {
            reservation.settle().await;
        }
    }

    /// Counts what is owed by now, and gives out the reservation, to be settled at that.
    fn pay(&mut self) -> Option<Reservation> {
        let Usage { prompt_tokens, completion_tokens, cost_usd, .. } = self.progress.usage(self.guarded.provider.price);
        self.providers.meter.tokens(&self.guarded.provider.name, prompt_tokens, completion_tokens);
        self.providers.ledger().spent_on(PART, &self.payer, cost_usd);
        let mut reservation = self.reservation.take()?;
        reservation.costs(cost_usd);
        Some(reservation)
    }

    fn judge(&mut self, verdict: Verdict, outcome: &'static str) {
        let Some(pass) = self.pass.take() else { return };
        pass.judge(verdict);
        match verdict {
            Verdict::Success => self.guarded.sight.answered(Timestamp::now()),
            Verdict::Failure => self.guarded.sight.failed(outcome, Timestamp::now()),
            Verdict::Nothing => {}
        }
        if self.began.is_some() && verdict != Verdict::Nothing {
            self.guarded.sight.took(self.took());
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
        // What was answered or failed was judged.
        if self.pass.is_some() && self.began.is_some() {
            let _settles_by_itself = self.pay();
        }
        if let Some(share) = self.share.take() {
            let mut allowance = self.guarded.allowance();
            match self.began {
                Some(_) => allowance.ended(share),
                None => allowance.give_back(share),
            }
            self.guarded.tell_allowance(&allowance, &*self.providers.meter);
        }
        self.judge(Verdict::Nothing, "abandoned");
    }
}
