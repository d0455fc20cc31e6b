//! `/v1`: the routes that clients of OpenAI's API call, so that they work unchanged.
//!
//! Members of a request that change nothing here are ignored, as compatible servers do; those that would change the meaning of the answer are refused by name.

mod chat;
mod embeddings;
mod models;
mod rerank;

use super::super::{
    endpoint::Endpoint,
    error::{Code, Problem},
    state::Flows,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    [models::endpoints(), chat::endpoints(), embeddings::endpoints(), rerank::endpoints()]
        .into_iter()
        .flatten()
        .collect()
}

/// A value that is not allowed, with the field that holds it.
fn invalid(field: impl Into<String>, what: impl std::fmt::Display) -> Problem {
    let field = field.into();
    Problem::new(Code::InvalidValue, format!("{field}: {what}")).param(field)
}

/// Refuses every model but this one.
fn expect_model(flows: &Flows, given: Option<&str>, expected: &str) -> Result<(), Problem> {
    match given {
        None => Err(invalid("model", format_args!("it is missing; here it is {expected:?}"))),
        Some(given) if given == expected => Ok(()),
        Some(given) => Err(models::unknown(flows, given, Some(expected)).param("model")),
    }
}
