//! Who is to pay for what is done just now: known where a request comes in, and asked for where a service is called, which is many calls deeper.
//!
//! It goes along with the task. Work that is given to another task takes it along with [`Payer::pays`]; what nobody asked for is paid by the server itself.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
};

use crate::model::Tenant;

tokio::task_local! {
    static PAYER: Arc<OnceLock<Payer>>;
}

/// Who pays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payer {
    /// The name of the client, such as `api-key.shop`, or one of the server's own.
    pub client: String,
    /// Whose documents are asked or written.
    pub tenant: Tenant,
}

impl Payer {
    /// The server: what it does by itself, such as finding a threshold.
    pub fn server() -> Self {
        Self { client: "server".to_owned(), tenant: Tenant::default() }
    }

    /// Jobs of a tenant: who sent the documents is not kept with them.
    pub fn ingestion(tenant: Tenant) -> Self {
        Self { client: "ingestion".to_owned(), tenant }
    }

    /// Who pays for what is done just now.
    pub fn current() -> Self {
        PAYER.try_with(|payer| payer.get().cloned()).ok().flatten().unwrap_or_else(Self::server)
    }

    /// Pays for this work.
    pub async fn pays<F: Future>(self, work: F) -> F::Output {
        PAYER.scope(Arc::new(OnceLock::from(self)), work).await
    }

    /// Does work whose payer turns out while it is done.
    pub async fn is_named_by<F: Future>(work: F) -> F::Output {
        PAYER.scope(Arc::default(), work).await
    }

    /// Turns out to pay for what is done just now, unless somebody did before.
    pub fn turns_out(self) {
        // Outside of a request nobody waits for a name.
        let _named = PAYER.try_with(|payer| payer.set(self));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> Payer {
        Payer { client: name.to_owned(), tenant: Tenant::default() }
    }

    #[tokio::test]
    async fn a_payer_goes_along_with_its_work_and_into_no_other() {
        assert_eq!(Payer::current(), Payer::server());
        let request = Payer::is_named_by(async {
            assert_eq!(Payer::current(), Payer::server(), "it is not known yet");
            client("a").turns_out();
            client("b").turns_out();
            let payer = Payer::current();
            let spawned = tokio::spawn(async { Payer::current() }).await.unwrap();
            let taken_along = tokio::spawn(payer.clone().pays(async { Payer::current() })).await.unwrap();
            (payer, spawned, taken_along)
        });
        assert_eq!(request.await, (client("a"), Payer::server(), client("a")));
        assert_eq!(Payer::current(), Payer::server());
    }
}
