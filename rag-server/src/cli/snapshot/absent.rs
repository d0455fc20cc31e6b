//! What is said where a snapshot is asked for that is not in the archive: which ones are. So whoever has lost everything but the
//! archive finds what to name.

use std::{error::Error, fmt};

use crate::snapshot::{self, Archived, Name, SnapshotError};

/// As many as a sentence holds.
const MOST_NAMED: usize = 5;

/// The archive has no snapshot of a name, and has these.
#[derive(Debug)]
pub(in crate::cli::snapshot) struct Absent {
    asked: Name,
    place: String,
    total: usize,
    /// The newest, each with when it began.
    newest: Vec<String>,
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, place, total, newest } = self;
        match (total, newest.is_empty()) {
            (0, _) => write!(f, "{place} has no snapshot {asked}, and no other"),
            (_, true) => write!(f, "{place} has no snapshot {asked}; it has {total}, none of which can be read"),
            (_, false) => {
                write!(f, "{place} has no snapshot {asked}; it has {total}, the newest: {}", newest.join(", "))
            }
        }
    }
}

impl Error for Absent {}

/// The error that a command ended with; of a snapshot that is not there, with those that are. Where they cannot be listed, it stays as it was.
pub(super) async fn with_what_is_there(
    error: Box<dyn Error>,
    archived: impl FnOnce() -> Option<Archived>,
) -> Box<dyn Error> {
    let Some(SnapshotError::Unknown(asked)) = error.downcast_ref::<SnapshotError>() else { return error };
    let Some(archived) = archived() else { return error };
    let asked = asked.clone();
    absent(asked, &archived).await.map_or(error, Into::into)
}

async fn absent(asked: Name, archived: &Archived) -> Option<Absent> {
    let names = snapshot::list(&*archived.archive).await.ok()?;
    let (total, mut found) = (names.len(), Vec::new());
    for name in names {
        if let Ok(outline) = archived.outline(&name).await {
            found.push((outline.began, outline.name));
        }
    }
    found.sort_by(|one, other| other.cmp(one));
    let newest =
        found.into_iter().take(MOST_NAMED).map(|(began, name)| format!("{name} of {}", format_args!("{began:.0}")));
    Some(Absent { asked, place: archived.archive.place().to_owned(), total, newest: newest.collect() })
}
