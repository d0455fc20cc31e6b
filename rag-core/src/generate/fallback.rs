//! Providers in order: the first that may be called and answers, writes.
//!
//! ```text
//! breaker and rate limit -> budget -> quota of all replicas -> call -> text, as it comes -> tokens, settle
//! ```
//!
//! Guarantees: each provider has a breaker of its own; a vendor's limit is kept before it is hit, and only calls that are made take from it; a quota that comes back soon is waited for, and otherwise the next provider is called; a budget that is spent is said whatever else keeps a provider from being called; nothing is tried again once a reader has seen text; a provider that hangs ends at its timeout or in time for what follows it within the request's deadline; whatever ends a call, its ticket is judged and its reservation settled.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::Instrument;

use super::{
    allowance::Allowance,
    budget::Spent,
    call::Call,
    ledger::{Ledger, NotReserved, Reservation},
    meter::Meter,
    outlet::Outlet,
    prompt::{self, Material, Prompt},
};
use crate::{
    model::{Attempt, Cut, Generation, MicroUsd, Sampling},
    ports::{ChatError, ChatModel, ChatRequest, Embedder, Sight},
    quota::{Amount, NotGranted, Quota},
    resilience::{BreakerPolicy, BreakerState, Deadline, Guard},
    spans,
};

/// What is kept of the deadline for the answer after a provider that hangs: a tenth, at most this.
const MOST_SPARE: Duration = Duration::from_millis(500);
/// The outcome of a call that was not made because the vendor would refuse it.
const RATE_LIMIT_KEPT: &str = "rate_limit_kept";
/// Longest wait for a quota: who reads is better served by the next provider, or by the documents, than by a longer one.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Seconds until another try makes sense where nobody said how long.
const USUAL_WAIT: Duration = Duration::from_secs(5);

/// What a provider charges for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    /// That it reads.
    pub input: MicroUsd,
    /// That it writes.
    pub output: MicroUsd,
}

impl Price {
    pub(super) fn of(self, prompt: u64, completion: u64) -> MicroUsd {
        self.input.for_tokens(prompt).plus(self.output.for_tokens(completion))
    }
}

/// A provider and how it may be used.
pub struct Provider {
    /// Its name in answers, metrics and the log.
    pub name: String,
    /// The way to it.
    pub model: Arc<dyn ChatModel>,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// Tokens for passages and history.
    pub context_tokens: usize,
    /// How long a whole answer may take.
    pub timeout: Duration,
    /// What it charges.
    pub price: Price,
    /// What it allows within a minute to all replicas together.
    pub quota: Arc<Quota>,
}

impl Provider {
    /// What an answer costs at most whose prompt has as many passages as it takes.
    fn dearest(&self) -> MicroUsd {
        self.price.of(self.context_tokens as u64, u64::from(self.max_tokens))
    }
}

/// A provider with what is known about it.
pub(super) struct Guarded {
    pub(super) provider: Provider,
    /// What its calls saw of it.
    pub(super) sight: Arc<Sight>,
    guard: Guard,
    allowance: Mutex<Allowance>,
}

/// Providers in order.
pub struct Providers {
    list: Vec<Guarded>,
    ledger: Arc<Ledger>,
    pub(super) meter: Arc<dyn Meter>,
    /// The moment from which the vendors' windows count.
    pub(super) began: Instant,
}

/// What is to be written.
pub(super) struct Job<'a> {
    pub(super) material: Material<'a>,
    pub(super) sampling: &'a Sampling,
    pub(super) deadline: Deadline,
    /// Counts tokens.
    pub(super) embedder: &'a dyn Embedder,
    /// Since when the asker waits.
    pub(super) since: Instant,
}

/// What a provider wrote.
pub(super) struct Written {
    pub(super) text: String,
    /// How many of the passages it was given.
    pub(super) passages: usize,
    /// Why it is not whole.
    pub(super) cut: Option<Cut>,
}

/// Why no provider wrote anything.
#[derive(Debug)]
pub(super) enum NotWritten {
    /// Every one that could be called costs more than is left.
    Spent(Spent),
    /// Every one that was called refused the request, and another try will not change that.
    Refused { provider: String, error: ChatError },
    /// Each failed or is left alone; another try may make sense after this.
    Nobody {
        retry_after: Duration,
        /// Whether it is nothing but their rate limits that kept them from being called.
        limited: bool,
    },
    /// It broke off after a reader had seen text.
    Broken { provider: String, error: ChatError },
}

/// Why one provider wrote nothing.
enum Miss {
    /// It was not called, because it is left alone.
    Skipped(&'static str),
    /// It was not called, because of the budget.
    Spent(Spent),
    /// It was called.
    Failed { error: ChatError, began: Instant },
}

impl Providers {
    /// These providers, none of them called yet. `meter` is told where their breakers stand.
    pub fn new(providers: Vec<Provider>, policy: BreakerPolicy, ledger: Arc<Ledger>, meter: Arc<dyn Meter>) -> Self {
        let guarded = |provider: Provider| {
            let meter = Arc::clone(&meter);
            let told = move |name: &str, state, changed| meter.breaker(name, state, changed);
            let guard = Guard::new(provider.name.clone(), policy, Box::new(told));
            let sight = Sight::new(format!("provider {}", provider.name));
            Guarded { provider, sight, guard, allowance: Mutex::default() }
        };
        Self { list: providers.into_iter().map(guarded).collect(), ledger, meter, began: Instant::now() }
    }

    /// Each of them, and where its breaker stands; open until somebody asks after its time is up.
    pub fn breakers(&self) -> Vec<(String, BreakerState)> {
        self.list.iter().map(|guarded| (guarded.provider.name.clone(), guarded.guard.state())).collect()
    }

    /// Trusts the provider of this name again, whatever its calls came to; nothing where there is none.
    pub fn reset(&self, name: &str) {
        for guarded in self.list.iter().filter(|guarded| guarded.provider.name == name) {
            guarded.guard.reset();
        }
    }

    /// Each of them, as its calls saw it.
    pub fn sights(&self) -> impl Iterator<Item = &Arc<Sight>> {
        self.list.iter().map(|guarded| &guarded.sight)
    }

    /// The ledger, for what a spent budget means.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Has the job written by the first provider that can, and notes the way in `generation`.
    pub(super) async fn write(
        &self,
        job: &Job<'_>,
        outlet: &mut Outlet<'_>,
        generation: &mut Generation,
    ) -> Result<Written, NotWritten> {
        let (mut spent, mut refused, mut others, mut limited) = (None, None, 0, 0);
        for guarded in self.in_order().await {
            let name = &guarded.provider.name;
            let (outcome, began) = match self.attempt(guarded, job, outlet, generation).await {
                Ok(written) => return Ok(written),
                Err(Miss::Skipped(outcome)) => {
                    others += 1;
                    limited += usize::from(outcome == RATE_LIMIT_KEPT);
                    (outcome, None)
                }
                Err(Miss::Spent(found)) => {
                    spent = Some(found);
                    ("over_budget", None)
                }
                Err(Miss::Failed { error, began }) => {
                    if outlet.is_committed() {
                        return Err(NotWritten::Broken { provider: name.clone(), error });
                    }
                    let class = error.class();
                    match error {
                        ChatError::Refused { .. } => refused = Some((name.clone(), error)),
                        _ => others += 1,
                    }
                    (class, Some(began))
                }
            };
            let took = began.map_or(Duration::ZERO, |began| began.elapsed());
            note(generation, name, outcome, took);
        }
        match (refused, spent) {
            (Some((provider, error)), _) if others == 0 => Err(NotWritten::Refused { provider, error }),
            (None, Some(spent)) if others == 0 => Err(NotWritten::Spent(spent)),
            _ => {
                let limited = limited == self.list.len();
                Err(NotWritten::Nobody { retry_after: self.retry_after(), limited })
            }
        }
    }

    /// The providers as they are to be tried: as they are configured, or by their price once so much of the budget is spent that money counts first.
    async fn in_order(&self) -> Vec<&Guarded> {
        let mut list: Vec<&Guarded> = self.list.iter().collect();
        if list.len() > 1 && self.ledger.prefers_cheaper().await {
            // A sort that keeps the order of those that cost the same.
            list.sort_by_key(|guarded| guarded.provider.dearest());
        }
        list
    }

    /// Whether this provider is the one that is to write, where nothing is in the way.
    pub(super) fn is_first(&self, name: &str) -> bool {
        self.list.first().is_some_and(|guarded| guarded.provider.name == name)
    }

    /// When the first of them may be called again.
    fn retry_after(&self) -> Duration {
        let now = self.began.elapsed();
        let wait = |guarded: &Guarded| {
            let wait = guarded.guard.wait().max(guarded.allowance().wait(now)).max(guarded.provider.quota.wait());
            if wait.is_zero() { USUAL_WAIT } else { wait }
        };
        self.list.iter().map(wait).min().unwrap_or(USUAL_WAIT)
    }

    async fn attempt(
        &self,
        guarded: &Guarded,
        job: &Job<'_>,
        outlet: &mut Outlet<'_>,
        generation: &mut Generation,
    ) -> Result<Written, Miss> {
        let provider = &guarded.provider;
        let count = |text: &str| job.embedder.count_tokens(text);
        let prompt = prompt::prompt(&job.material, provider.context_tokens, &count);
        let max_tokens = job.sampling.max_tokens.map_or(provider.max_tokens, |wanted| wanted.min(provider.max_tokens));
        let most = prompt.tokens as u64 + u64::from(max_tokens);
        // No tokenizer counts more tokens than bytes, so this is a bound whatever the model.
        let bound = provider.price.of(prompt.bytes as u64, u64::from(max_tokens));
        let mut call = match self.admit(guarded, most) {
            Ok(call) => call,
            Err(outcome) => return Err(self.skipped(outcome, bound).await),
        };
        let reservation = self.reserve(bound, provider).await?;
        // Last of all, since what is taken of it is lost if nothing is sent.
        let patience = LONGEST_WAIT.min(job.deadline.left() / 2);
        provider
            .quota
            .take(Amount::request(most), patience)
            .await
            .map_err(|refused| not_granted(provider, &refused))?;
        call.afforded(reservation, most).map_err(|_| Miss::Skipped(RATE_LIMIT_KEPT))?;
        outlet.announce().await;
        outlet.begin(prompt.passages);
        let Prompt { system, turns, passages, tokens: prompt_tokens, .. } = prompt;
        let request = ChatRequest { system, turns, max_tokens, sampling: job.sampling.clone() };
        let left = job.deadline.left();
        let limit = Deadline::after(provider.timeout.min(left.saturating_sub((left / 10).min(MOST_SPARE))));
        let began = call.begin(prompt_tokens as u64);
        let span = spans::call(guarded.sight.name(), "chat");
        let ended = limit.run(call.converse(&request, (&mut *outlet, job)).instrument(span.clone())).await;
        if let Err(error) = ended.unwrap_or(Err(ChatError::Timeout)) {
            spans::failed(&span, error.class());
            call.failed(&error).await;
            return Err(Miss::Failed { error, began });
        }
        let text = outlet.finish().await;
        let (cut, first_text, took) = (call.progress.cut, call.progress.first_text, began.elapsed());
        generation.usage = call.answered().await;
        note(generation, &provider.name, "answered", took);
        generation.by = Some(provider.name.clone());
        generation.cut = cut;
        generation.first_text_millis = first_text.map(millis);
        Ok(Written { text, passages, cut })
    }

    /// A call that the breaker admits and the vendor's limit seems to allow, or why there is none. Nothing of the limit is taken yet.
    fn admit<'a>(&'a self, guarded: &'a Guarded, tokens: u64) -> Result<Call<'a>, &'static str> {
        let pass = guarded.guard.admit().map_err(|_| "open")?;
        let checked = guarded.allowance().check(tokens, self.began.elapsed());
        checked.map(|()| Call::new(self, guarded, pass)).map_err(|_| RATE_LIMIT_KEPT)
    }

    /// A provider that is left alone, and would be too expensive besides, is too expensive: that does not pass with its rest.
    async fn skipped(&self, outcome: &'static str, bound: MicroUsd) -> Miss {
        self.ledger.spent(bound).await.map_or(Miss::Skipped(outcome), Miss::Spent)
    }

    async fn reserve(&self, bound: MicroUsd, provider: &Provider) -> Result<Reservation, Miss> {
        self.ledger.reserve(bound, provider.timeout).await.map_err(|refused| match refused {
            NotReserved::Spent(spent) => Miss::Spent(spent),
            NotReserved::Unknown(error) => {
                tracing::warn!(%error, provider = provider.name, "not called, because it is not known what is left of the budget");
                Miss::Skipped("budget_unknown")
            }
        })
    }
}

impl Guarded {
    pub(super) fn allowance(&self) -> MutexGuard<'_, Allowance> {
        self.allowance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what is left of the vendor's limit, as far as it is known.
    pub(super) fn tell_allowance(&self, allowance: &Allowance, meter: &dyn Meter) {
        if let Some(left) = allowance.requests_left() {
            meter.rate_limit_remaining(&self.provider.name, left);
        }
    }
}

fn not_granted(provider: &Provider, refused: &NotGranted) -> Miss {
    if let NotGranted::Unknown { error, .. } = refused {
        tracing::warn!(%error, provider = provider.name, "not called, because it is not known what is left of its quota");
    }
    Miss::Skipped(refused.class())
}

fn note(generation: &mut Generation, provider: &str, outcome: &str, took: Duration) {
    let millis = millis(took);
    generation.provider_millis += millis;
    generation.path.push(Attempt { provider: provider.to_owned(), outcome: outcome.to_owned(), millis });
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
