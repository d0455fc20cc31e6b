//! The newest snapshot of an archive, by when each began: names need not tell the time.

use jiff::Timestamp;

use super::{Archived, Name, SnapshotError, list};

/// The newest of the snapshots whose manifest can be read, or of those of them that began before a time. One that cannot be read is said in the log, and passed over.
pub async fn newest(archived: &Archived, before: Option<Timestamp>) -> Result<Name, SnapshotError> {
    let (mut newest, mut unread) = (None::<(Timestamp, Name)>, None);
    for name in list(&*archived.archive).await? {
        match archived.read(&name).await {
            Ok(manifest) if before.is_none_or(|before| manifest.began < before) => {
                newest = newest.max(Some((manifest.began, name)));
            }
            Ok(_) => {}
            Err(error @ (SnapshotError::Archive(_) | SnapshotError::Store(_))) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, snapshot = name.as_str(), "passed over while the newest snapshot was looked for");
                unread = Some(error);
            }
        }
    }
    let none = || before.map_or(SnapshotError::None, SnapshotError::NoneBefore);
    match newest {
        Some((_, name)) => Ok(name),
        None => Err(unread.unwrap_or_else(none)),
    }
}
