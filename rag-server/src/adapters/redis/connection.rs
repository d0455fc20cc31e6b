//! The one connection to Redis: made and tried beside the requests, given up when it fails, and left alone behind a breaker.
//!
//! Flow: a call without a connection begins one and is not answered; a connection is used once it was made, its user was accepted, and a read and a write were answered within the budget.
//! Guarantees: a call takes no longer than the budget; files of credentials and of CA certificates are read for each connection, so what changed is found by the next one; what is wrong is said once for each cause until Redis answers again.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, RedisConnectionInfo, RedisError, Value, aio::MultiplexedConnection,
    io::tcp::TcpSettings,
};
use tokio::time::timeout;

use super::{
    address::Address,
    entry::Names,
    failure::{Cause, Failure},
};
use crate::{
    key_file::{Key, NoKey},
    ports::Sight,
    resilience::{BreakerState, Guard, Verdict},
};

/// Longest wait for a connection. No request waits for it; one that takes longer is no connection that keeps a budget of milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the entry of a try is kept, in milliseconds; it is never asked for again.
const TRIAL_MILLIS: u64 = 1000;

/// Where Redis is, and how long it may take.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// Its address, `redis://HOST:PORT`, or `rediss://HOST:PORT` over TLS.
    pub url: String,
    /// The file of the user's name; where there is none, it is the default user.
    pub user_file: Option<PathBuf>,
    /// The file of the password; where there is none, it is told none.
    pub password_file: Option<PathBuf>,
    /// The file of the CA certificates, in PEM, that its own is checked against over TLS; where there is none, those of the system.
    pub ca_file: Option<PathBuf>,
    /// Each call ends by then.
    pub budget: Duration,
}

/// The address is none; it may hold a secret, and is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address of Redis is not of the form redis://HOST:PORT or rediss://HOST:PORT")]
pub struct BadAddress;

/// The way to one Redis.
pub struct Link {
    settings: RedisSettings,
    address: Address,
    names: Names,
    guard: Arc<Guard>,
    sight: Arc<Sight>,
    current: RwLock<Option<Current>>,
    /// Counts connections, so that only the one that failed is given up.
    made: AtomicU64,
    /// Whether one is being made.
    reaching: AtomicBool,
    /// What was said since Redis answered last.
    said: Mutex<BTreeSet<Cause>>,
}

/// A connection that was tried.
#[derive(Clone)]
struct Current {
    number: u64,
    connection: MultiplexedConnection,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// It was not asked.
    LeftAlone,
    /// It was, and did not do it.
    Failed(Cause),
}

impl NoAnswer {
    /// The class, as a metric label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::LeftAlone => super::tiered::LEFT_ALONE,
            Self::Failed(cause) => cause.as_str(),
        }
    }
}

impl Link {
    /// The way to this Redis for the entries of these names. Nothing is called. The breaker decides when it is left alone, and `sight` sees how it is.
    pub fn new(
        settings: RedisSettings,
        names: Names,
        guard: Arc<Guard>,
        sight: Arc<Sight>,
    ) -> Result<Arc<Self>, BadAddress> {
        let address = Address::parse(&settings.url).ok_or(BadAddress)?;
        let (current, made, reaching, said) = Default::default();
        Ok(Arc::new(Self { settings, address, names, guard, sight, current, made, reaching, said }))
    }

    /// How its entries are named.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Whether there is a connection. Where there is none, one is begun, unless Redis is left alone.
    pub(super) fn is_up(self: &Arc<Self>) -> bool {
        let is_up = self.current().is_some();
        if !is_up {
            self.reach();
        }
        is_up
    }

    /// What Redis answers within the budget; none where something that is no text has the name.
    pub(super) async fn call<T: FromRedisValue>(self: &Arc<Self>, command: &Cmd) -> Result<Option<T>, NoAnswer> {
        let Some(Current { number, mut connection }) = self.current() else {
            self.reach();
            return Err(NoAnswer::LeftAlone);
        };
        let pass = self.guard.admit().map_err(|_| NoAnswer::LeftAlone)?;
        let failure = match timeout(self.settings.budget, command.query_async::<T>(&mut connection)).await {
            Ok(Ok(value)) => {
                pass.judge(Verdict::Success);
                self.answered();
                return Ok(Some(value));
            }
            Ok(Err(error)) if error.code() == Some("WRONGTYPE") => {
                pass.judge(Verdict::Success);
                self.answered();
                return Ok(None);
            }
            Ok(Err(error)) => Failure::from(error),
            Err(_) => Failure::slow(self.settings.budget),
        };
        if failure.cause == Cause::Full {
            pass.judge(Verdict::Success);
            self.say(&failure);
        } else {
            pass.judge(Verdict::Failure);
            if failure.ends_connection() || self.guard.state() == BreakerState::Open {
                self.give_up(number, &failure);
            }
        }
        Err(NoAnswer::Failed(failure.cause))
    }

    /// A write was taken: should it become full again, that is said again.
    pub(super) fn takes_writes(&self) {
        self.said().remove(&Cause::Full);
    }

    fn current(&self) -> Option<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins a connection beside the request, unless one is being made or Redis is left alone.
    fn reach(self: &Arc<Self>) {
        if !self.guard.wait().is_zero() || self.reaching.swap(true, Ordering::SeqCst) {
            return;
        }
        let reaching = Reaching(Arc::clone(self));
        tokio::spawn(async move { reaching.0.connect().await });
    }

    /// One try; it counts for the breaker like a call.
    async fn connect(&self) {
        let Ok(pass) = self.guard.admit() else { return };
        let late = |_| Failure::new(Cause::Timeout, format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()));
        match timeout(CONNECT_TIMEOUT, self.opened()).await.map_err(late).flatten() {
            Ok(connection) => {
                pass.judge(Verdict::Success);
                self.answered();
                let number = self.made.fetch_add(1, Ordering::SeqCst);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Current { number, connection });
            }
            Err(failure) => {
                pass.judge(Verdict::Failure);
                self.fails(&failure);
            }
        }
    }

    /// A connection that was tried.
    async fn opened(&self) -> Result<MultiplexedConnection, Failure> {
        let info = self.address.info()?.set_redis_settings(self.credentials()?);
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = self.address.client(info, self.settings.ca_file.as_deref())?;
        // Times are kept here, around a call or a connection as a whole.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        self.try_out(&mut connection).await?;
        Ok(connection)
    }

    /// The user and the password, as the files have them now.
    fn credentials(&self) -> Result<RedisConnectionInfo, Failure> {
        // A Secret of which all keys may be absent is mounted without the files of those that are.
        let read = |path: Option<&PathBuf>| path.filter(|path| path.exists()).map(|path| Key::read(path)).transpose();
        let named = |setting: &str, error: NoKey| Failure::new(Cause::AuthFailed, format!("its {setting} {error}"));
        let user = read(self.settings.user_file.as_ref()).map_err(|error| named("user_file", error))?;
        let password = read(self.settings.password_file.as_ref()).map_err(|error| named("password_file", error))?;
        let info = RedisConnectionInfo::default().set_skip_set_lib_name();
        let info = user.iter().fold(info, |info, user| info.set_username(user.expose()));
        Ok(password.iter().fold(info, |info, password| info.set_password(password.expose())))
    }

    /// Finds out whether it is what a cache can be kept in: one that is no replica, no Sentinel and no node of a cluster, reads and takes writes, and is as fast as its calls must be.
    async fn try_out(&self, connection: &mut MultiplexedConnection) -> Result<(), Failure> {
        let hello = redis::cmd("HELLO");
        match self.within(hello.query_async::<HashMap<String, Value>>(connection)).await {
            Ok(said) => refuse(said)?,
            // One that does not know the command, or a user who may not use it: what it is shows in its answers.
            Err(Failure { cause: Cause::Failed | Cause::Forbidden, .. }) => {}
            Err(failure) => return Err(failure),
        }
        let name = self.names.trial();
        let (mut read, mut write) = (redis::cmd("GETRANGE"), redis::cmd("SET"));
        read.arg(&name).arg(0).arg(0);
        write.arg(&name).arg("").arg("PX").arg(TRIAL_MILLIS);
        self.within(read.query_async::<Value>(connection)).await?;
        match self.within(write.query_async::<Value>(connection)).await {
            Err(full @ Failure { cause: Cause::Full, .. }) => self.say(&full),
            tried => drop(tried?),
        }
        Ok(())
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, RedisError>>) -> Result<T, Failure> {
        let budget = self.settings.budget;
        timeout(budget, call).await.map_err(|_| Failure::slow(budget))?.map_err(Failure::from)
    }

    fn answered(&self) {
        self.sight.answered(Timestamp::now());
        self.said().retain(|cause| *cause == Cause::Full);
    }

    /// Gives up the connection of this number, if it is still the one that is used.
    fn give_up(&self, number: u64, failure: &Failure) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.number == number) {
            *current = None;
            drop(current);
            self.fails(failure);
        }
    }

    fn fails(&self, failure: &Failure) {
        self.sight.failed(failure.cause.as_str(), Timestamp::now());
        self.say(failure);
    }

    /// Says what is wrong, once for each cause until it answers again.
    fn say(&self, failure: &Failure) {
        if self.said().insert(failure.cause) {
            let cause = failure.cause.as_str();
            tracing::warn!(cause, redis = %self.address, "the cache in Redis cannot be used: {failure}");
        }
    }

    fn said(&self) -> std::sync::MutexGuard<'_, BTreeSet<Cause>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to make a connection, which ends with the try, however that ends.
struct Reaching(Arc<Link>);

impl Drop for Reaching {
    fn drop(&mut self) {
        self.0.reaching.store(false, Ordering::SeqCst);
    }
}

/// Refuses what says of itself that it is not the one server that is wanted.
fn refuse(mut said: HashMap<String, Value>) -> Result<(), Failure> {
    let mut of = |name: &str| said.remove(name).and_then(|value| redis::from_redis_value::<String>(value).ok());
    match (of("mode").as_deref(), of("role").as_deref()) {
        (Some("cluster"), _) => Err(Failure::new(Cause::Cluster, "it is a node of a cluster")),
        (Some("sentinel"), _) => Err(Failure::new(Cause::Sentinel, "it is a Sentinel")),
        (_, Some("replica" | "slave")) => Err(Failure::new(Cause::Replica, "it is a replica")),
        (_, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_single_primary_is_refused() {
        let said = |mode: &str, role: &str| {
            let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
            refuse(HashMap::from([("mode".to_owned(), text(mode)), ("role".to_owned(), text(role))]))
        };
        let cause = |refused: Result<(), Failure>| refused.err().map(|failure| failure.cause);
        assert_eq!(cause(said("standalone", "master")), None);
        assert_eq!(cause(said("standalone", "replica")), Some(Cause::Replica));
        assert_eq!(cause(said("cluster", "master")), Some(Cause::Cluster));
        assert_eq!(cause(said("sentinel", "master")), Some(Cause::Sentinel));
        assert_eq!(cause(refuse(HashMap::new())), None);
    }
}
