//! What is asked before a service is called that has a price or a rate limit, and told after the call.

use std::time::Duration;

use async_trait::async_trait;

/// What a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fare {
    /// Tokens that are read.
    pub tokens: u64,
    /// What is priced by the piece: a request, or what a vendor bills as several.
    pub requests: u64,
}

/// A call that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trip {
    /// What it takes, as it is estimated: this counts for the rate limit, and is owed if the service does not say what it took.
    pub estimate: Fare,
    /// The most that it can take.
    pub most: Fare,
    /// How long it may last.
    pub lasts: Duration,
    /// How long it can wait until the rate limit allows it.
    pub patience: Duration,
}

/// Why a call may not be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// It costs more than is left of the budget.
    #[error("the budget is spent")]
    OverBudget {
        /// When the next one begins.
        retry_after: Duration,
    },
    /// The rate limit is used up.
    #[error("the rate limit that all servers share is used up")]
    RateLimited {
        /// When it allows a call again, if nobody is faster.
        retry_after: Duration,
    },
    /// The records do not tell what is left of the budget or of the rate limit.
    #[error("the records do not tell what is left of the budget or the rate limit")]
    Unknown {
        /// When another try makes sense.
        retry_after: Duration,
    },
}

impl NotAdmitted {
    /// When another try makes sense.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::OverBudget { retry_after } | Self::RateLimited { retry_after } | Self::Unknown { retry_after } => {
                *retry_after
            }
        }
    }
}

/// The bill of one call. Dropped, it is settled at what is owed by then, which is nothing before the call was sent.
pub trait Bill: Send {
    /// This is owed, as far as is known.
    fn owes(&mut self, fare: Fare);
}

/// Lets calls of one service pass.
#[async_trait]
pub trait Toll: Send + Sync {
    /// Puts aside what the call may take.
    async fn admit(&self, trip: Trip) -> Result<Box<dyn Bill>, NotAdmitted>;
}

/// Lets every call pass, for a service without a price and a limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoToll;

struct NoBill;

impl Bill for NoBill {
    fn owes(&mut self, _: Fare) {}
}

#[async_trait]
impl Toll for NoToll {
    async fn admit(&self, _: Trip) -> Result<Box<dyn Bill>, NotAdmitted> {
        Ok(Box::new(NoBill))
    }
}
