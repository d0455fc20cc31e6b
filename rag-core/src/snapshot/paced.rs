//! An archive that is read and written no faster than somebody wants, so that questions beside it stay fast.

use std::{
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::ports::{Archive, ArchiveError, Object};

/// Waits after each object until it may have taken so long; what the call itself took counts.
pub struct Paced {
    archive: Arc<dyn Archive>,
    bytes_per_second: NonZeroU64,
    /// Whoever stopped waits no longer.
    stop: CancellationToken,
    /// When everything that went through may have ended.
    free: Mutex<Instant>,
}

impl Paced {
    /// The archive at so many bytes a second, reading and writing together, until it is stopped.
    pub fn new(archive: Arc<dyn Archive>, bytes_per_second: NonZeroU64, stop: CancellationToken) -> Self {
        Self { archive, bytes_per_second, stop, free: Mutex::new(Instant::now()) }
    }

    async fn pay(&self, began: Instant, bytes: usize) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.get() as f64);
        let until = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            *free = (*free).max(began) + takes;
            *free
        };
        tokio::select! {
            () = sleep_until(until) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

#[async_trait]
impl Archive for Paced {
    async fn put_if_absent(&self, name: &str, bytes: Vec<u8>) -> Result<bool, ArchiveError> {
        let (began, size) = (Instant::now(), bytes.len());
        let put = self.archive.put_if_absent(name, bytes).await?;
        self.pay(began, size).await;
        Ok(put)
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        let began = Instant::now();
        let got = self.archive.get(name).await?;
        self.pay(began, got.as_ref().map_or(0, Vec::len)).await;
        Ok(got)
    }

    async fn size(&self, name: &str) -> Result<Option<u64>, ArchiveError> {
        self.archive.size(name).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<Object>, ArchiveError> {
        self.archive.list(folder).await
    }

    async fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        self.archive.remove(name).await
    }

    fn place(&self) -> &str {
        self.archive.place()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::ArchiveDouble;

    fn paced(bytes_per_second: u64, stop: &CancellationToken) -> Paced {
        let archive: Arc<ArchiveDouble> = Arc::default();
        Paced::new(archive, NonZeroU64::new(bytes_per_second).unwrap(), stop.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_and_read_takes_as_long_as_it_may() {
        let (archive, began) = (paced(1_000, &CancellationToken::new()), Instant::now());
        archive.put_if_absent("parts/a", vec![0; 30_000]).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 30);
        archive.get("parts/a").await.unwrap();
        archive.get("parts/none").await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 60);
        tokio::time::sleep(Duration::from_secs(100)).await;
        archive.get("parts/a").await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 190, "what was not used is not saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stops_waits_no_longer() {
        let stop = CancellationToken::new();
        let (archive, began) = (paced(1, &stop), Instant::now());
        stop.cancel();
        assert_eq!(archive.put_if_absent("parts/a", vec![0; 30_000]).await, Ok(true));
        assert_eq!(began.elapsed().as_secs(), 0);
    }
}
