//! How a test of the flows waits.

use std::time::Duration;

/// Looks until a condition holds: the one place in which a test of the flows waits.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(2));
    let looking = async {
        looks.tick().await;
        while !holds().await {
            looks.tick().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, looking).await.is_ok(), "not within {PATIENCE:?}: {what}");
}

/// Generous, because a busy machine is no defect.
const PATIENCE: Duration = Duration::from_secs(60);
