//! Reads the files of local stores once, so that the first questions find them in memory and not on the disk.
//!
//! Nothing depends on it: what is not read is read when it is asked for. It takes half of the memory that is free at most, and ends in time. Dropping it ends it.

mod room;

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{fs::File, io::AsyncReadExt, time::Instant};
use walkdir::WalkDir;

/// How long it may hold up a start.
const MAX_TIME: Duration = Duration::from_secs(20);
/// Between two lines about the progress.
const SAID_EACH: Duration = Duration::from_secs(2);
/// Bytes that are read at once.
const STEP: usize = 1 << 20;
/// Bytes of a block, by which the system counts what a file takes: a file may have holes.
const BLOCK: u64 = 512;
/// What no search reads.
const UNREAD: [&str; 2] = ["wal", "lock"];

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Warmed {
    /// Bytes that are in memory now.
    pub bytes: u64,
    /// Bytes that there are.
    pub of: u64,
}

/// A file, and what it takes.
type Sized = (PathBuf, u64);

/// Reads these files and folders, the first of them first, as far as there is room and time.
pub async fn read(paths: &[PathBuf]) -> Warmed {
    let room = room::free().map_or(0, |free| free / 2);
    within(paths, room, MAX_TIME).await
}

async fn within(paths: &[PathBuf], room: u64, time: Duration) -> Warmed {
    let files: Vec<Sized> = paths.iter().flat_map(|path| files(path)).collect();
    let mut warmed = Warmed { bytes: 0, of: files.iter().map(|(_, bytes)| bytes).sum() };
    let (until, mut said) = (Instant::now() + time, Instant::now());
    for (path, bytes) in files {
        if Instant::now() >= until {
            break;
        }
        if warmed.bytes + bytes > room {
            // A smaller one may fit.
            continue;
        }
        match tokio::time::timeout_at(until, whole(&path)).await {
            Ok(Ok(())) => warmed.bytes += bytes,
            // It was removed meanwhile, or it is for the search to say what is wrong with it.
            Ok(Err(error)) => tracing::debug!(%error, file = %path.display(), "not read ahead"),
            Err(_) => break,
        }
        if said.elapsed() >= SAID_EACH {
            said = Instant::now();
            tracing::info!(bytes = warmed.bytes, of = warmed.of, "reading the index into memory");
        }
    }
    warmed
}

/// The files below a path that a search may read: what it compares first, then what it shows.
fn files(path: &Path) -> Vec<Sized> {
    let is_read = |entry: &walkdir::DirEntry| entry.file_name().to_str().is_none_or(|name| !UNREAD.contains(&name));
    let entries = WalkDir::new(path).into_iter().filter_entry(is_read).filter_map(Result::ok);
    let sized = |entry: walkdir::DirEntry| {
        let metadata = entry.metadata().ok()?;
        let bytes = match metadata.blocks() {
            // Not every system says it of a file that was just written.
            0 => metadata.len(),
            blocks => metadata.len().min(blocks * BLOCK),
        };
        metadata.is_file().then(|| (entry.into_path(), bytes))
    };
    let mut files: Vec<_> = entries.filter_map(sized).collect();
    // By its name inside the store: where the store is says nothing.
    let is_compared = |file: &Path| {
        let inside = file.strip_prefix(path).unwrap_or(file);
        inside.to_str().is_some_and(|name| name.contains("vector"))
    };
    files.sort_by_key(|(file, _)| (!is_compared(file), file.clone()));
    files
}

async fn whole(path: &Path) -> std::io::Result<()> {
    let mut file = File::open(path).await?;
    let mut bytes = vec![0; STEP];
    while file.read(&mut bytes).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with an index of 3,000 bytes, a payload of 2,000, and a log.
    fn store() -> tempfile::TempDir {
        let root = tempfile::Builder::new().prefix("vectors").tempdir().unwrap();
        for (name, bytes) in [("s/vector_index/graph", 3_000), ("s/payload/page", 2_000), ("wal/open-1", 50_000)] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![1; bytes]).unwrap();
        }
        root
    }

    async fn warmed(room: u64, time: Duration) -> Warmed {
        let root = store();
        within(&[root.path().to_owned()], room, time).await
    }

    #[tokio::test]
    async fn everything_that_a_search_reads_is_read_where_there_is_room() {
        assert_eq!(warmed(1 << 20, MAX_TIME).await, Warmed { bytes: 5_000, of: 5_000 });
    }

    #[tokio::test]
    async fn the_index_comes_first_and_what_has_no_room_is_left() {
        assert_eq!(warmed(4_000, MAX_TIME).await, Warmed { bytes: 3_000, of: 5_000 });
        assert_eq!(warmed(2_500, MAX_TIME).await, Warmed { bytes: 2_000, of: 5_000 });
        assert_eq!(warmed(0, MAX_TIME).await, Warmed { bytes: 0, of: 5_000 });
    }

    #[tokio::test]
    async fn it_ends_when_its_time_is_up_and_where_there_is_nothing() {
        assert_eq!(warmed(1 << 20, Duration::ZERO).await, Warmed { bytes: 0, of: 5_000 });
        assert_eq!(within(&[PathBuf::from("/nowhere")], 1 << 20, MAX_TIME).await, Warmed::default());
    }
}
