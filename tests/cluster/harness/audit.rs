//! Reads what the API server recorded: who did what to which object, with what outcome.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The audit log of one cluster.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
}

/// A point in the log; what was recorded later can be read alone.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// The user whom the request acted as.
    pub user: String,
    /// get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: String,
    /// API group, empty for the core.
    pub group: String,
    /// Plural name; empty for a path that names no object.
    pub resource: String,
    /// `status`, `scale` or the like.
    pub subresource: String,
    /// Empty for cluster-wide objects.
    pub namespace: String,
    /// Empty for lists and for objects created with a generated name.
    pub name: String,
    /// The HTTP status of the answer.
    pub code: u16,
}

impl Request {
    /// True when the request could change an object.
    #[must_use]
    pub fn is_write(&self) -> bool {
        // Reviews are questions in the shape of a creation.
        let question = self.group == "authorization.k8s.io" || self.group == "authentication.k8s.io";
        !question && !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// True for a lease, which its holder renews for ever.
    #[must_use]
    pub fn is_lease(&self) -> bool {
        self.group == "coordination.k8s.io" && self.resource == "leases"
    }
}

impl AuditLog {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The end of the log as it is now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn mark(&self) -> Result<Mark> {
        let metadata =
            std::fs::metadata(&self.path).with_context(|| format!("no audit log {}", self.path.display()))?;
        Ok(Mark(metadata.len()))
    }

    /// What was recorded after `mark`, as it stands in the log: one event a line.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn text_since(&self, mark: Mark) -> Result<String> {
        let mut file = File::open(&self.path).with_context(|| format!("no audit log {}", self.path.display()))?;
        file.seek(SeekFrom::Start(mark.0))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // The last line may still be being written; a mark is always at the end of one.
        text.truncate(text.rfind('\n').unwrap_or(0));
        Ok(text)
    }

    /// All requests that were recorded after `mark`.
    ///
    /// # Errors
    /// When the log cannot be read or understood.
    pub fn since(&self, mark: Mark) -> Result<Vec<Request>> {
        let mut requests = Vec::new();
        for line in self.text_since(mark)?.lines() {
            let event: Event = serde_json::from_str(line).with_context(|| format!("not an audit event: {line}"))?;
            // A watch is recorded when it begins and again when it ends.
            if event.stage == "ResponseComplete" && event.verb == "watch" {
                continue;
            }
            requests.push(event.into());
        }
        Ok(requests)
    }

    /// What one user changed after `mark`, leases aside.
    ///
    /// # Errors
    /// When the log cannot be read or understood.
    pub fn writes_since(&self, mark: Mark, user: &str) -> Result<Vec<Request>> {
        let requests = self.since(mark)?;
        Ok(requests.into_iter().filter(|r| r.user == user && r.is_write() && !r.is_lease()).collect())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    user: User,
    impersonated_user: Option<User>,
    #[serde(default)]
    object_ref: ObjectRef,
    response_status: Option<ResponseStatus>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    api_group: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

impl From<Event> for Request {
    fn from(event: Event) -> Self {
        let object = event.object_ref;
        Self {
            user: event.impersonated_user.unwrap_or(event.user).username,
            verb: event.verb,
            group: object.api_group,
            resource: object.resource,
            subresource: object.subresource,
            namespace: object.namespace,
            name: object.name,
            code: event.response_status.map_or(0, |status| status.code),
        }
    }
}
