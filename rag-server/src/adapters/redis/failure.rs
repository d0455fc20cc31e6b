//! Why Redis did not do what it was asked, by the class of the cause, with what a person can do about it.

use std::{error::Error, io, sync::Arc, time::Duration};

use redis::{ErrorKind, RedisError};

use crate::{key_file::NoKey, outside};

/// The class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// No connection, or one that broke.
    Unreachable,
    /// No secure connection: its certificate was not accepted, or it does not speak TLS as it should.
    Tls,
    /// No answer within the budget.
    Timeout,
    /// The user or the password was refused, or there is none to show.
    AuthFailed,
    /// The user may not do what the cache needs.
    Forbidden,
    /// It is a node of a cluster.
    Cluster,
    /// It is a Sentinel.
    Sentinel,
    /// It is a replica.
    Replica,
    /// It still loads its data.
    Loading,
    /// It answers, and takes nothing more: its memory is full, or it cannot save.
    Full,
    /// It said something else.
    Failed,
}

impl Cause {
    /// Every class.
    pub const ALL: [Self; 11] = [
        Self::Unreachable,
        Self::Tls,
        Self::Timeout,
        Self::AuthFailed,
        Self::Forbidden,
        Self::Cluster,
        Self::Sentinel,
        Self::Replica,
        Self::Loading,
        Self::Full,
        Self::Failed,
    ];

    /// The name, as a metric label and in the health of the part.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::AuthFailed => "auth_failed",
            Self::Forbidden => "forbidden",
            Self::Cluster => "cluster",
            Self::Sentinel => "sentinel",
            Self::Replica => "replica",
            Self::Loading => "loading",
            Self::Full => "full",
            Self::Failed => "failed",
        }
    }

    /// What is to be done about it.
    fn remedy(self) -> &'static str {
        match self {
            Self::Unreachable | Self::Timeout | Self::Loading => "it is asked again in a while",
            Self::Tls => {
                "its certificate must be for the host of cache.redis.url, valid now, and by an authority of cache.redis.ca_file (without one, of the system); it must ask for none of its clients (`tls-auth-clients no`)"
            }
            Self::AuthFailed => "check the files that cache.redis.user_file and cache.redis.password_file name",
            Self::Forbidden => "the user needs `~ragops:* +getrange +set`, and best `+hello`, too",
            Self::Cluster => {
                "a cluster is not supported; name a Redis that is none, in cache.redis.url (there is nothing in it that is worth more than one)"
            }
            Self::Sentinel => {
                "Sentinel is not supported; name the Redis itself in cache.redis.url, or a Service that follows it"
            }
            Self::Replica => {
                "a replica takes no writes; name the primary in cache.redis.url, or a Service that follows it"
            }
            Self::Full => {
                "what is there is still used; give it `maxmemory-policy allkeys-lru`, and no snapshots (`save \"\"`)"
            }
            Self::Failed => "see its log",
        }
    }
}

/// A failure, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{said}; {}", .cause.remedy())]
pub(super) struct Failure {
    /// Its class.
    pub(super) cause: Cause,
    /// What happened. No key, no value and no password is part of it.
    said: String,
}

impl Failure {
    pub(super) fn new(cause: Cause, said: impl Into<String>) -> Self {
        Self { cause, said: said.into() }
    }

    /// No answer within this time.
    pub(super) fn slow(budget: Duration) -> Self {
        Self::new(Cause::Timeout, format!("no answer within {} ms", budget.as_millis()))
    }

    /// Whether another connection may do better: this one is given up.
    pub(super) fn ends_connection(&self) -> bool {
        match self.cause {
            // A slow one is given up only with the next ones: it may have been a moment.
            Cause::Timeout | Cause::Full => false,
            Cause::Unreachable
            | Cause::Tls
            | Cause::AuthFailed
            | Cause::Forbidden
            | Cause::Cluster
            | Cause::Sentinel
            | Cause::Replica
            | Cause::Loading
            | Cause::Failed => true,
        }
    }
}

impl From<NoKey> for Failure {
    fn from(error: NoKey) -> Self {
        Self::new(Cause::AuthFailed, error.to_string())
    }
}

impl From<RedisError> for Failure {
    /// Of what Redis said only the code is repeated: its sentences may quote what it was asked.
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Self::new(Cause::Timeout, "no answer in time");
        }
        if error.kind() == ErrorKind::AuthenticationFailed {
            return Self::new(Cause::AuthFailed, "the user or the password was refused");
        }
        if let Some(error) = of_tls(&error) {
            return Self::new(Cause::Tls, error.to_string());
        }
        let Some(code) = error.code() else {
            let cause = if error.is_io_error() { Cause::Unreachable } else { Cause::Failed };
            return Self::new(cause, outside::innermost(&error));
        };
        let cause = match code {
            "NOAUTH" | "WRONGPASS" => Cause::AuthFailed,
            "NOPERM" => Cause::Forbidden,
            "MOVED" | "ASK" | "CLUSTERDOWN" | "TRYAGAIN" => Cause::Cluster,
            "READONLY" | "MASTERDOWN" => Cause::Replica,
            "LOADING" | "BUSY" => Cause::Loading,
            "OOM" | "MISCONF" => Cause::Full,
            _ => Cause::Failed,
        };
        Self::new(cause, format!("it answered {code}"))
    }
}

/// What went wrong in the encryption of the connection, if that is what went wrong. The client hands it on in an error of the network, whose sources leave out what it holds itself.
fn of_tls(error: &RedisError) -> Option<&rustls::Error> {
    let held = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    match held.downcast_ref::<io::Error>() {
        Some(network) => network.get_ref()?.downcast_ref(),
        None => held.downcast_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(line: &str) -> Failure {
        match redis::parse_redis_value(line.as_bytes()) {
            Ok(redis::Value::ServerError(error)) => Failure::from(RedisError::from(error)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Failure::from(error),
        }
    }

    #[test]
    fn each_answer_is_said_as_what_it_is_and_quotes_nothing() {
        for (line, cause, remedy) in [
            ("-NOAUTH Authentication required.\r\n", Cause::AuthFailed, "password_file"),
            ("-NOPERM this user has no permissions\r\n", Cause::Forbidden, "~ragops:*"),
            ("-MOVED 3999 10.0.0.7:6381\r\n", Cause::Cluster, "a cluster is not supported"),
            ("-ASK 3999 10.0.0.7:6381\r\n", Cause::Cluster, "a cluster is not supported"),
            ("-CLUSTERDOWN Hash slot not served\r\n", Cause::Cluster, "a cluster is not supported"),
            ("-READONLY You can't write against a read only replica.\r\n", Cause::Replica, "name the primary"),
            ("-LOADING Redis is loading the dataset in memory\r\n", Cause::Loading, "asked again"),
            ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", Cause::Full, "allkeys-lru"),
            ("-MISCONF Redis is configured to save RDB snapshots\r\n", Cause::Full, "allkeys-lru"),
            ("-ERR unknown command 'secret'\r\n", Cause::Failed, "see its log"),
        ] {
            let failure = answered(line);
            let said = failure.to_string();
            assert_eq!(failure.cause, cause, "{line}");
            assert!(said.contains(remedy) && !said.contains("10.0.0.7") && !said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_from_a_network_that_is_down() {
        let wrong = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let failure = Failure::from(RedisError::from(io::Error::new(io::ErrorKind::InvalidData, wrong)));
        assert_eq!(failure.cause, Cause::Tls);
        assert!(failure.to_string().contains("UnknownIssuer") && failure.to_string().contains("ca_file"), "{failure}");
        let down = Failure::from(RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert_eq!(down.cause, Cause::Unreachable);
    }

    #[test]
    fn every_class_has_a_name_of_its_own() {
        let mut names = Cause::ALL.map(Cause::as_str);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
