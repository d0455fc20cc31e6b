//! Which target is used: that of the files, once a connection by it stood.
//!
//! A Secret and the database change at different moments. So what the files say anew is tried first, and what worked goes on being used until then.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    pool::{Connection, Pool},
    target::{PostgresSettings, Target},
};

/// Changed files are noticed after this time at the latest; reading a few small files costs microseconds.
const INTERVAL: Duration = Duration::from_secs(1);

/// Between two looks while the credential is refused, however many ask.
const REFUSED_INTERVAL: Duration = Duration::from_millis(100);

/// The target that is used, and its files.
pub(super) struct Follow {
    settings: PostgresSettings,
    used: Mutex<Used>,
    /// Held by whoever looks and tries; one at a time is enough.
    turn: tokio::sync::Mutex<()>,
}

/// See [`Follow`].
struct Used {
    target: Arc<Target>,
    /// Grows with each target that is taken up.
    generation: u64,
    looked: Instant,
    /// What was tried in vain and said so, to be said once.
    in_vain: Option<Target>,
}

impl Follow {
    /// This target of these settings is used from now on.
    pub(super) fn new(settings: PostgresSettings, target: Target) -> Self {
        let used = Used { target: Arc::new(target), generation: 0, looked: Instant::now(), in_vain: None };
        Self { settings, used: Mutex::new(used), turn: tokio::sync::Mutex::default() }
    }

    /// What is asked for.
    pub(super) fn settings(&self) -> &PostgresSettings {
        &self.settings
    }

    /// The target that is used, and which one it is.
    pub(super) fn target(&self) -> (Arc<Target>, u64) {
        self.read(|used| (Arc::clone(&used.target), used.generation))
    }

    /// Looks at the files if it is time, and takes up what they say anew if a connection by it stands; this is that connection.
    pub(super) async fn look(&self, pool: &Pool) -> Option<Connection> {
        if self.read(|used| used.looked.elapsed() < INTERVAL) {
            return None;
        }
        // Whoever finds somebody at it goes on with what there is.
        let _turn = self.turn.try_lock().ok()?;
        self.take_up(pool).await
    }

    /// The same, now, because the credential of this generation was refused.
    pub(super) async fn look_again(&self, pool: &Pool, refused: u64) -> Option<Connection> {
        let _turn = self.turn.lock().await;
        let known = self.read(|used| used.generation != refused || used.looked.elapsed() < REFUSED_INTERVAL);
        if known { None } else { self.take_up(pool).await }
    }

    async fn take_up(&self, pool: &Pool) -> Option<Connection> {
        let dir = self.settings.dir.display();
        self.change(|used| used.looked = Instant::now());
        let found = match Target::read(&self.settings) {
            Ok(found) => found,
            // Files that are away for a moment, as while a Secret is swapped, do not take the working credential away.
            Err(error) => {
                tracing::warn!(%error, "the credential of the records is kept until its files can be read");
                return None;
            }
        };
        let (target, generation) = self.target();
        if *target == found {
            return None;
        }
        match pool.open(&found, generation + 1).await {
            Ok(connection) => {
                self.change(|used| {
                    used.target = Arc::new(found);
                    used.generation += 1;
                    used.in_vain = None;
                });
                tracing::info!(%dir, "the records are asked by what the files say now; older connections are let go");
                Some(connection)
            }
            Err(error) => {
                if self.read(|used| used.in_vain.as_ref() != Some(&found)) {
                    tracing::warn!(%error, %dir, "what the files say now does not work yet; what they said before is used on");
                    self.change(|used| used.in_vain = Some(found));
                }
                None
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Used) -> T) -> T {
        read(&self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Used)) {
        change(&mut self.used.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
