//! The connections of one server, as many as its part of the database's.
//!
//! A pool of its own, because that of the client keeps knocking at a server that is down until the time of the call is up, and does not know which of its connections was opened with which credential.
//! Guarantees: a connection is used by one statement at a time and closed when the statement was given up or failed, so no answer reaches another question; one that was opened with an older credential is closed before it is used again.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{timeout, timeout_at},
};

use super::{
    STORE,
    failure::Asked,
    follow::Follow,
    start::{self, Limits},
    target::{PostgresSettings, Target},
};
use crate::ports::StoreError;

/// Longest wait for a connection; a server that is up accepts at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection that nobody used for so long is closed: it is another server's turn.
const IDLE: Duration = Duration::from_secs(60);

/// How old a connection gets: the server's memory for one grows, and after a change of names another address may be meant.
const AGE: Duration = Duration::from_secs(1800);

/// While the credential is refused and other connections work, one of them is waited for so long before the next try.
const WAIT: Duration = Duration::from_millis(200);

/// For how long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// How many connections there are, and may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// That are open.
    pub open: usize,
    /// That this server opens at most.
    pub most: u32,
    /// That all servers may have together.
    pub limit: u32,
    /// That share them, as the configuration says.
    pub servers: u32,
}

/// The connections.
pub(super) struct Pool {
    follow: Follow,
    limits: Limits,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    /// One became idle.
    returned: Notify,
    open: Arc<AtomicUsize>,
}

/// An open connection. Dropped, it is closed at once.
pub(super) struct Connection {
    inner: PgConnection,
    generation: u64,
    born: Instant,
    used: Instant,
    _counted: Counted,
}

/// Counts for as long as it is there.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn one(of: &Arc<AtomicUsize>) -> Self {
        of.fetch_add(1, SeqCst);
        Self(Arc::clone(of))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// A connection for one statement. Unless it is given back, it is closed.
pub(super) struct Lease<'p> {
    pool: &'p Pool,
    connection: Connection,
    _permit: OwnedSemaphorePermit,
}

impl Lease<'_> {
    /// What the statement is sent by.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection.inner
    }

    /// The statement is done, and another one may have the connection.
    pub(super) fn give_back(self) {
        let Self { pool, mut connection, .. } = self;
        connection.used = Instant::now();
        pool.keep(connection);
    }
}

impl Pool {
    /// Reaches the server, brings its schema up to date, and asks how many connections there may be.
    pub(super) async fn reach(settings: PostgresSettings) -> Result<Self, StoreError> {
        let target = Target::read(&settings)?;
        let (address, deadline) = (target.address(), settings.deadline);
        let asked = Asked { address: &address, deadline };
        let open = Arc::new(AtomicUsize::new(0));
        let reaching = async {
            let mut first = connect(&target, (deadline, 0), &open).await?;
            let limits = start::prepare(&mut first.inner, asked).await?;
            Ok((first, limits))
        };
        // The statements of another server that changes the schema are waited for.
        let (first, limits) = timeout(deadline, reaching).await.unwrap_or_else(|_| Err(asked.late()))?;
        let most = limits.share(settings.reserved, settings.servers);
        let (permits, idle) = (Arc::new(Semaphore::new(most as usize)), Mutex::new(vec![first]));
        Ok(Self { follow: Follow::new(settings, target), limits, permits, idle, returned: Notify::new(), open })
    }

    /// How many connections there are, and may be.
    pub(super) fn connections(&self) -> Connections {
        let PostgresSettings { reserved, servers, .. } = *self.follow.settings();
        let (most, limit) = (self.limits.share(reserved, servers), self.limits.all(reserved));
        Connections { open: self.open.load(SeqCst), most, limit, servers }
    }

    /// The target that is used, and how long a call may take.
    pub(super) fn asked(&self) -> (String, Duration) {
        (self.follow.target().0.address(), self.follow.settings().deadline)
    }

    /// A connection that answers, by `until` at the latest.
    ///
    /// Where the credential is refused, the files are read again. Where they say nothing that works and other connections do, one of those is waited for: who changes a password changes the database and the files, one after the other.
    pub(super) async fn lease(&self, until: Instant) -> Result<Lease<'_>, StoreError> {
        let closed = |_| StoreError::Failed { store: STORE, cause: "it was closed".to_owned() };
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(closed)?;
        let lease = |connection| Lease { pool: self, connection, _permit: permit };
        if let Some(connection) = self.follow.look(self).await {
            return Ok(lease(connection));
        }
        loop {
            if let Some(connection) = self.take().await {
                return Ok(lease(connection));
            }
            let (target, generation) = self.follow.target();
            let error = match self.open(&target, generation).await {
                Ok(connection) => return Ok(lease(connection)),
                Err(error) => error,
            };
            if !matches!(error, StoreError::AuthFailed { .. }) {
                return Err(error);
            }
            if let Some(connection) = self.follow.look_again(self, generation).await {
                return Ok(lease(connection));
            }
            let taken_up = self.follow.target().1 != generation;
            if taken_up {
                continue;
            }
            if self.open.load(SeqCst) == 0 || Instant::now() + WAIT >= until {
                return Err(error);
            }
            // Whether one came back or not: it is looked for, and tried, again.
            let _came_back = timeout(WAIT, self.returned.notified()).await;
        }
    }

    /// Opens a connection to this target.
    pub(super) async fn open(&self, target: &Target, generation: u64) -> Result<Connection, StoreError> {
        connect(target, (self.follow.settings().deadline, generation), &self.open).await
    }

    /// An idle connection that still answers.
    async fn take(&self) -> Option<Connection> {
        loop {
            self.retire();
            let mut connection = self.idle().pop()?;
            // A server that was restarted left it without a word.
            if connection.inner.ping().await.is_ok() {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: Connection) {
        self.idle().push(connection);
        self.retire();
        self.returned.notify_one();
    }

    /// Closes idle connections that are too old, were idle for too long, or were opened with another credential.
    fn retire(&self) {
        let generation = self.follow.target().1;
        let stays = |connection: &mut Connection| {
            connection.generation == generation && connection.used.elapsed() < IDLE && connection.born.elapsed() < AGE
        };
        let leaving: Vec<Connection> = self.idle().extract_if(.., |connection| !stays(connection)).collect();
        if !leaving.is_empty() {
            tokio::spawn(part(leaving));
        }
    }

    /// Closes what is idle, and opens nothing any more.
    pub(super) async fn close(&self) {
        self.permits.close();
        let leaving = std::mem::take(&mut *self.idle());
        part(leaving).await;
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection that says so in `open`, with statements of this deadline, and of this generation.
async fn connect(
    target: &Target,
    (deadline, generation): (Duration, u64),
    open: &Arc<AtomicUsize>,
) -> Result<Connection, StoreError> {
    let address = target.address();
    let wait = CONNECT_TIMEOUT.min(deadline);
    let asked = Asked { address: &address, deadline: wait };
    let options = target.options(deadline);
    let connecting = timeout(wait, PgConnection::connect_with(&options));
    let inner = match connecting.await {
        Ok(Ok(inner)) => inner,
        Ok(Err(error)) => return Err(asked.failed(&error)),
        Err(_) => return Err(asked.late()),
    };
    let now = Instant::now();
    // Not before: whoever is refused asks whether another connection works.
    Ok(Connection { inner, generation, born: now, used: now, _counted: Counted::one(open) })
}

/// Says goodbye to the server, which otherwise would find out by itself.
async fn part(leaving: Vec<Connection>) {
    let farewells = leaving.into_iter().map(|connection| async move {
        let Connection { inner, _counted, .. } = connection;
        // Whoever does not hear it is left all the same.
        let _heard = timeout(FAREWELL, inner.close()).await;
    });
    futures::future::join_all(farewells).await;
}

/// Ends a call at its deadline.
pub(super) async fn within<T>(
    until: Instant,
    late: impl FnOnce() -> StoreError,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout_at(until.into(), call).await.unwrap_or_else(|_| Err(late()))
}
