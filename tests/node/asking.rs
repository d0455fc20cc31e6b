//! A client that asks while something else happens, and is answered rightly all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use ragops_tests::until;

use crate::documents::id;
use crate::service::Server;
use crate::shared::WITHIN;

/// A client that asks all the time.
pub(crate) struct Asking {
    answered: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    client: tokio::task::JoinHandle<Result<()>>,
}

impl Asking {
    pub(crate) fn begin(server: &Arc<Server>) -> Self {
        let (answered, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (server, counted, told) = (Arc::clone(server), Arc::clone(&answered), Arc::clone(&over));
        let client = tokio::spawn(async move {
            while !told.load(Ordering::SeqCst) {
                // It is in what stands before and in what stands after.
                let answer = server.ask("Where is the key of room 3?").await?;
                ensure!(answer["citations"][0]["document"] == id(3), "{answer}");
                counted.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        Self { answered, over, client }
    }

    /// Waits until it was answered some more.
    pub(crate) async fn has_answers(&self) -> Result<()> {
        let before = self.answered.load(Ordering::SeqCst);
        until("the client is answered", WITHIN, || async {
            ensure!(!self.client.is_finished(), "it has stopped asking");
            Ok((self.answered.load(Ordering::SeqCst) > before + 3).then_some(()))
        })
        .await
    }

    pub(crate) async fn end(self) -> Result<()> {
        self.over.store(true, Ordering::SeqCst);
        self.client.await?
    }
}
