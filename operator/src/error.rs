//! What went wrong in a reconcile: which phase, which call, and the class that decides when to try again.
//!
//! Only effects fail. An invalid spec, a foreign object or a missing Secret is a finding, and travels in ordinary values.

use std::fmt;
use std::time::Duration;

/// The phase of a reconcile that talked to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading the facts.
    Observe,
    /// Writing children.
    Apply,
    /// Writing the status and its events.
    Report,
}

/// A verb of the API server, as a Role spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read all objects.
    List,
    /// Create an object.
    Create,
    /// Change an object, by server-side apply too.
    Patch,
    /// Remove an object.
    Delete,
}

impl Verb {
    /// The verb's name in a Role and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// One call to the API server, in the words that a Role uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is done.
    pub verb: Verb,
    /// To which resource: `deployments.apps`, `ragclusters.ragops.dev/status`.
    pub resource: String,
    /// In which namespace.
    pub namespace: String,
    /// To which object.
    pub name: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, resource, namespace, name } = self;
        write!(f, "{} {resource} {namespace}/{name}", verb.name())
    }
}

/// When it makes sense to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The API server refuses what we built; only a change of the spec, or of the operator, helps.
    Invalid,
    /// Somebody else wrote at the same time: look again at once.
    Conflict,
    /// Unreachable, overloaded or late: back off and try again.
    Transient,
    /// A verb is missing in the operator's Role, or its token is not accepted.
    Forbidden,
}

impl Class {
    /// The class as a label of metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::Transient => "transient",
            Self::Forbidden => "forbidden",
        }
    }
}

/// Why a pass could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to the API server failed.
    #[error("{call}: {}", sentence(.source))]
    Call {
        /// Which phase it happened in.
        phase: Phase,
        /// What was called.
        call: Call,
        /// What the client or the API server said.
        source: Box<kube::Error>,
    },
    /// An object of somebody else's bears a name that we were about to use. It is left alone.
    #[error("{object} exists and belongs to {owner}")]
    NameTaken {
        /// The object, as KIND/NAME.
        object: String,
        /// Whose it is.
        owner: String,
    },
    /// What belongs to a deleted object of the same name, a child or a server of it, is still there. It goes in a moment.
    #[error("{object} still belongs to a namesake of its owner that was deleted")]
    Leftover {
        /// The object, as KIND/NAME.
        object: String,
    },
}

impl Error {
    /// The phase in which it happened.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Call { phase, .. } => *phase,
            Self::NameTaken { .. } => Phase::Apply,
            Self::Leftover { .. } => Phase::Observe,
        }
    }

    /// When to try again.
    pub fn class(&self) -> Class {
        match self {
            Self::Call { source, .. } => class(source),
            Self::NameTaken { .. } => Class::Invalid,
            Self::Leftover { .. } => Class::Transient,
        }
    }

    /// Whether the namespace is going away, so that nothing can be created in it any more.
    pub fn is_of_terminating_namespace(&self) -> bool {
        let Self::Call { source, .. } = self else { return false };
        matches!(source.as_ref(), kube::Error::Api(status) if status.code == 403 && is_terminating(status))
    }

    /// The pause that the API server itself asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        let Self::Call { source, .. } = self else { return None };
        let kube::Error::Api(status) = source.as_ref() else { return None };
        let seconds = status.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// What a person can do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Call { call, .. } => self.remedy_of(call),
            Self::NameTaken { .. } => "rename or remove it, or use another name".to_owned(),
            Self::Leftover { .. } => {
                "wait until it has gone; a pod whose node is lost goes when somebody deletes it with --force".to_owned()
            }
        }
    }

    fn remedy_of(&self, call: &Call) -> String {
        let Call { verb, resource, namespace, .. } = call;
        match self.class() {
            Class::Forbidden => {
                let verbs = if *verb == Verb::List { "list and watch" } else { verb.name() };
                format!(
                    "grant {verbs} on {resource} in namespace {namespace} to the operator (the chart's Role has it)"
                )
            }
            Class::Invalid => format!("the API server refuses the {resource}; change the field that it names"),
            Class::Conflict => "somebody wrote at the same time; it is tried again at once".to_owned(),
            Class::Transient => {
                "it is tried again with growing pauses; see the API server's health if it lasts".to_owned()
            }
        }
    }
}

/// The class of what the client returned. Exhaustive, so that a new kind of error has to be given a class.
pub fn class(error: &kube::Error) -> Class {
    match error {
        kube::Error::Api(status) => class_of_status(status),
        kube::Error::HyperError(_)
        | kube::Error::Service(_)
        | kube::Error::ReadEvents(_)
        | kube::Error::LinesCodecMaxLineLengthExceeded
        | kube::Error::FromUtf8(_)
        | kube::Error::SerdeError(_)
        | kube::Error::HttpError(_)
        | kube::Error::RustlsTls(_)
        | kube::Error::ProxyProtocolUnsupported { .. }
        | kube::Error::ProxyProtocolDisabled { .. }
        | kube::Error::Discovery(_) => Class::Transient,
        kube::Error::BuildRequest(_) => Class::Invalid,
        kube::Error::Auth(_)
        | kube::Error::TlsRequired
        | kube::Error::InferConfig(_)
        | kube::Error::InferKubeconfig(_) => Class::Forbidden,
    }
}

fn class_of_status(status: &kube::core::Status) -> Class {
    match status.code {
        // A namespace that is going away answers 403; nothing is wrong with the Role.
        403 if is_terminating(status) => Class::Transient,
        // A quota answers 403 too, and may have room later.
        403 if status.message.contains("exceeded quota") => Class::Transient,
        401 | 403 => Class::Forbidden,
        409 => Class::Conflict,
        400 | 405 | 413 | 415 | 422 => Class::Invalid,
        _ => Class::Transient,
    }
}

fn is_terminating(status: &kube::core::Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// The API server's own sentence without its debug form; the client's whole chain of causes otherwise.
pub fn sentence(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return if status.message.is_empty() { format!("HTTP {}", status.code) } else { status.message.clone() };
    }
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use kube::core::response::{StatusCause, StatusDetails};

    fn api(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Status::failure(message, "").with_code(code).boxed())
    }

    fn error(source: kube::Error) -> Error {
        let call = Call {
            verb: Verb::Patch,
            resource: "deployments.apps".into(),
            namespace: "team-a".into(),
            name: "handbook-server".into(),
        };
        Error::Call { phase: Phase::Apply, call, source: Box::new(source) }
    }

    #[test]
    fn every_answer_has_its_class() {
        for (code, expected) in [
            (400, Class::Invalid),
            (401, Class::Forbidden),
            (403, Class::Forbidden),
            (404, Class::Transient),
            (409, Class::Conflict),
            (422, Class::Invalid),
            (429, Class::Transient),
            (500, Class::Transient),
            (503, Class::Transient),
        ] {
            assert_eq!(class(&api(code, "no")), expected, "{code}");
        }
        assert_eq!(class(&kube::Error::LinesCodecMaxLineLengthExceeded), Class::Transient);
    }

    #[test]
    fn a_terminating_namespace_and_a_full_quota_are_not_a_missing_verb() {
        assert!(!error(api(403, "forbidden")).is_of_terminating_namespace());
        let cause = StatusCause { reason: "NamespaceTerminating".into(), message: String::new(), field: String::new() };
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: vec![cause],
            retry_after_seconds: 0,
        };
        let status = Status::failure("forbidden", "Forbidden").with_code(403).with_details(details);
        assert_eq!(class(&kube::Error::Api(status.clone().boxed())), Class::Transient);
        assert!(error(kube::Error::Api(status.boxed())).is_of_terminating_namespace());
        assert_eq!(class(&api(403, "pods is forbidden: exceeded quota: small")), Class::Transient);
    }

    #[test]
    fn a_missing_verb_is_named_with_its_resource_and_namespace() {
        let error = error(api(403, "deployments.apps is forbidden"));
        assert_eq!(error.to_string(), "patch deployments.apps team-a/handbook-server: deployments.apps is forbidden");
        assert_eq!(
            error.remedy(),
            "grant patch on deployments.apps in namespace team-a to the operator (the chart's Role has it)"
        );
    }

    #[test]
    fn the_pause_that_the_api_server_asks_for_is_kept() {
        let mut status = Status::failure("slow down", "TooManyRequests").with_code(429);
        assert_eq!(error(kube::Error::Api(status.clone().boxed())).retry_after(), None);
        status.details = Some(StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: 7,
        });
        assert_eq!(error(kube::Error::Api(status.boxed())).retry_after(), Some(Duration::from_secs(7)));
    }
}
