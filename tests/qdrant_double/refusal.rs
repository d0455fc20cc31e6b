//! Why a request is not served. The pure modules speak of refusals; only the gRPC layer knows status codes.

use tonic::Status;

/// A request that is not carried out, with the sentence that the client reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request contradicts itself or the collection.
    Invalid(String),
    /// The collection, alias or point is not there.
    NotFound(String),
    /// The name is taken.
    Exists(String),
    /// The real server can do this; the double cannot, and says so rather than ignore it.
    Unsupported(String),
    /// The storage failed; nothing more is written until a restart.
    Storage(String),
}

impl Refusal {
    /// Names a request field or call that the double does not serve.
    pub(crate) fn unsupported(what: &str) -> Self {
        Self::Unsupported(format!("the qdrant double does not support {what}"))
    }

    /// Says what is wrong with the input in the words of the real server.
    pub(crate) fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(format!("Wrong input: {}", why.into()))
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(why) => Status::invalid_argument(why),
            Refusal::NotFound(why) => Status::not_found(why),
            Refusal::Exists(why) => Status::already_exists(why),
            Refusal::Unsupported(why) => Status::unimplemented(why),
            Refusal::Storage(why) => Status::internal(why),
        }
    }
}

/// Refuses a field that is present but not served; an absent one passes.
pub(crate) fn refuse_if(present: bool, what: &str) -> Result<(), Refusal> {
    if present { Err(Refusal::unsupported(what)) } else { Ok(()) }
}
