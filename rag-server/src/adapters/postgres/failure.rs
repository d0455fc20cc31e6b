//! What errors of Postgres mean, by the class of their cause.
//!
//! Guarantee: a message names the address, the code and what the server said of it, and never who asked or with what: where the credential is refused, nothing of the server's words is repeated.

use std::{io, time::Duration};

use sqlx::{Error, error::DatabaseError, migrate::MigrateError};

use super::STORE;
use crate::{outside, ports::StoreError};

/// Seconds to wait when the server has no connection left.
const FULL_RETRY_SECONDS: u64 = 1;

/// Which server an error came from, and how long it had.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Host, port and database.
    pub(super) address: &'a str,
    /// The deadline of the call.
    pub(super) deadline: Duration,
}

impl Asked<'_> {
    /// The class of what the client said.
    pub(super) fn failed(&self, error: &Error) -> StoreError {
        match error {
            Error::Database(error) => self.answered(&**error),
            Error::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                self.unreachable("it closed the connection".to_owned())
            }
            Error::Io(_) | Error::Tls(_) => self.unreachable(outside::innermost(error)),
            Error::PoolTimedOut => self.late(),
            other => StoreError::Failed { store: STORE, cause: other.to_string() },
        }
    }

    /// The class of what became of a change of the schema.
    pub(super) fn migration(&self, error: &MigrateError) -> StoreError {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => match self.failed(error) {
                StoreError::Refused { store, cause } => {
                    let cause = format!(
                        "its tables cannot be made: {cause}; the user must own the database or may create in its schema"
                    );
                    StoreError::Refused { store, cause }
                }
                other => other,
            },
            MigrateError::VersionMissing(version) => {
                let cause = format!(
                    "{} was written by a newer version (its schema has change {version}, which this server does not know)",
                    self.address
                );
                StoreError::Refused { store: STORE, cause }
            }
            other => StoreError::Refused { store: STORE, cause: format!("the schema of {}: {other}", self.address) },
        }
    }

    /// The deadline passed.
    pub(super) fn late(&self) -> StoreError {
        StoreError::Timeout { store: STORE, seconds: self.deadline.as_secs() }
    }

    fn unreachable(&self, cause: String) -> StoreError {
        StoreError::Unreachable { store: STORE, address: self.address.to_owned(), cause }
    }

    fn answered(&self, error: &dyn DatabaseError) -> StoreError {
        let code = error.code().unwrap_or_default();
        let said = || format!("{} (code {code})", error.message());
        match &*code {
            code if code.starts_with("28") => StoreError::AuthFailed { store: STORE, address: self.address.to_owned() },
            // A statement that took too long, or waited too long for another one.
            "57014" | "55P03" => self.late(),
            "53300" => StoreError::RateLimited { store: STORE, retry_after_seconds: FULL_RETRY_SECONDS },
            // It stops, starts, or takes no writes because another one is the leader now.
            "57P01" | "57P02" | "57P03" | "57P05" | "25006" => self.unreachable(said()),
            code if code.starts_with("08") => self.unreachable(said()),
            "XX001" | "XX002" => StoreError::Corrupt { what: format!("the database {}", self.address), cause: said() },
            // Wrong data, no such database, no such table, no right to it.
            code if ["22", "23", "3D", "3F", "42"].iter().any(|class| code.starts_with(class)) => {
                StoreError::Refused { store: STORE, cause: said() }
            }
            _ => StoreError::Failed { store: STORE, cause: said() },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    /// What a server answers with this code.
    #[derive(Debug)]
    struct Answer(&'static str);

    impl std::fmt::Display for Answer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.message())
        }
    }

    impl std::error::Error for Answer {}

    impl DatabaseError for Answer {
        fn message(&self) -> &'static str {
            "what happened to user \"rag\""
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::Other
        }
    }

    const ASKED: Asked<'static> = Asked { address: "db:5432/d", deadline: Duration::from_secs(3) };

    #[test]
    fn every_answer_has_the_class_that_says_what_to_do() {
        let cases = [
            ("28P01", "auth_failed"),
            ("28000", "auth_failed"),
            ("57014", "timeout"),
            ("53300", "rate_limited"),
            ("57P01", "unreachable"),
            ("57P03", "unreachable"),
            ("08006", "unreachable"),
            ("25006", "unreachable"),
            ("XX001", "corrupt"),
            ("3D000", "refused"),
            ("42501", "refused"),
            ("22021", "refused"),
            ("53100", "failed"),
            ("40P01", "failed"),
        ];
        for (code, expected) in cases {
            assert_eq!(ASKED.failed(&Error::Database(Box::new(Answer(code)))).cause(), expected, "{code}");
        }
        let refused = Error::Io(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(ASKED.failed(&refused).cause(), "unreachable");
    }

    #[test]
    fn a_refused_credential_is_told_without_the_words_of_the_server() {
        let error = ASKED.failed(&Error::Database(Box::new(Answer("28P01")))).to_string();
        assert_eq!(error, "the records at db:5432/d refused the credential; check its file");
    }
}
