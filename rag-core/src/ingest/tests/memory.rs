//! Memory does not grow with what is ingested. Each measurement runs in a process of its own, whose peak nobody else raises.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::super::{Content, Format, Ingest, Source, walk};
use crate::{
    doubles::RecordsDouble,
    model::{Chunk, ChunkId, ContentHash, DocumentId, Embedded, Legs, Outcome, Point},
    ports::{EmbedError, Embedder, Epoch, ModelIdentity, Scan, Search, StoreError, SystemClock, VectorStore},
};

/// Names the folder to ingest in the child process.
const FOLDER: &str = "RAG_TEST_MEMORY_FOLDER";
/// What a process with its threads, buffers and a few hundred chunks in flight may add to an idle one.
const ALLOWED_KIB: u64 = 64 * 1024;

/// A store that keeps nothing.
struct Nowhere;

#[async_trait]
impl VectorStore for Nowhere {
    async fn active(&self) -> Result<Option<Epoch>, StoreError> {
        Ok(Some(Epoch(1)))
    }
    async fn create_epoch(&self, _epoch: Epoch, _dimension: usize) -> Result<(), StoreError> {
        Ok(())
    }
    async fn activate(&self, _epoch: Epoch) -> Result<(), StoreError> {
        Ok(())
    }
    async fn upsert(&self, _epoch: Epoch, _points: Vec<Point>) -> Result<(), StoreError> {
        Ok(())
    }
    async fn purge(&self, _: Epoch, _: &DocumentId, _: &ContentHash) -> Result<(), StoreError> {
        Ok(())
    }
    async fn relabel(&self, _: Epoch, _: &DocumentId, _: &[String]) -> Result<(), StoreError> {
        Ok(())
    }
    async fn embedded(&self, _epoch: Epoch, _ids: &[ChunkId]) -> Result<Vec<Embedded>, StoreError> {
        Ok(Vec::new())
    }
    async fn search(&self, _search: &Search) -> Result<Legs, StoreError> {
        Ok(Legs::default())
    }
    async fn chunks(&self, _epoch: Option<Epoch>, _ids: &[ChunkId]) -> Result<Vec<Chunk>, StoreError> {
        Ok(Vec::new())
    }
    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        Ok(vec![Epoch(1)])
    }
    async fn drop_epoch(&self, _epoch: Epoch) -> Result<(), StoreError> {
        Ok(())
    }
    async fn scan(&self, _: Epoch, _: Option<ChunkId>, _: usize) -> Result<Scan, StoreError> {
        Ok(Scan::default())
    }
    async fn count(&self, _epoch: Epoch) -> Result<u64, StoreError> {
        Ok(0)
    }
    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// An embedder that answers from a script: the same small vector for everything.
struct Scripted(ModelIdentity);

#[async_trait]
impl Embedder for Scripted {
    fn model(&self) -> &ModelIdentity {
        &self.0
    }
    fn count_tokens(&self, text: &str) -> usize {
        text.len().div_ceil(5)
    }
    fn max_tokens(&self) -> usize {
        254
    }
    async fn embed_query(&self, _text: &str) -> Result<Vec<f32>, EmbedError> {
        Ok(vec![1.0; self.0.dimension])
    }
    async fn embed_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(vec![vec![1.0; self.0.dimension]; texts.len()])
    }
}

/// The peak memory of this process in KiB.
pub(super) fn peak() -> u64 {
    figure("VmHWM:")
}

/// Forgets the peak; tells what is taken now, in KiB.
pub(super) fn reset_peak() -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    figure("VmRSS:")
}

fn figure(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn ingest_a_folder_and_print_the_growth(folder: PathBuf) {
    let embedder = Arc::new(Scripted(ModelIdentity { name: "scripted".to_owned(), dimension: 384 }));
    let flow =
        Ingest::new(Arc::new(Nowhere), Arc::<RecordsDouble>::default(), embedder, Arc::new(SystemClock), Epoch(1));
    let sources: Vec<Source> = walk(&folder, drop).map(Result::unwrap).collect();
    let (before, mut created) = (peak(), 0);
    flow.ingest_all(sources, &CancellationToken::new(), &mut |report| {
        created += u64::from(report.result == Ok(Outcome::Created));
    })
    .await
    .unwrap();
    println!("\ngrowth {} documents {created} chunks {}", peak() - before, flow.chunks_written());
}

/// A line of a gigabyte, and never more of it than is read.
fn gigabyte() -> Box<dyn std::io::Read + Send> {
    use std::io::Read as _;
    Box::new((&b"\""[..]).chain(std::io::repeat(b'x').take(GIGABYTE)))
}

const GIGABYTE: u64 = 1 << 30;

async fn ingest_a_line_of_a_gigabyte_and_print_the_growth(_: PathBuf) {
    let embedder = Arc::new(Scripted(ModelIdentity { name: "scripted".to_owned(), dimension: 384 }));
    let flow =
        Ingest::new(Arc::new(Nowhere), Arc::<RecordsDouble>::default(), embedder, Arc::new(SystemClock), Epoch(1));
    let before = peak();
    for format in [Format::Csv, Format::Jsonl] {
        let content = Content::Generated(GIGABYTE + 1, gigabyte);
        let source = Source::of("line".parse().unwrap(), content, format);
        let reason = flow.ingest(source).await.result.unwrap_err().to_string();
        assert!(reason.contains("line") && reason.contains("longer than"), "{reason}");
    }
    println!("\ngrowth {} documents 0 chunks 0", peak() - before);
}

#[test]
fn memory_is_bounded_at_a_line_of_a_gigabyte() {
    if is_measured(ingest_a_line_of_a_gigabyte_and_print_the_growth) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [growth, ..] = growth("memory::memory_is_bounded_at_a_line_of_a_gigabyte", folder.path());
    assert!(growth < ALLOWED_KIB, "memory grew by {growth} KiB");
}

/// In the process that is measured: does the work. The test itself is told that it has to start one.
pub(super) fn is_measured<F: Future<Output = ()>>(work: impl FnOnce(PathBuf) -> F) -> bool {
    let Some(folder) = std::env::var_os(FOLDER) else { return false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work(folder.into()));
    true
}

/// Growth in KiB, documents and chunks of what the test does once more with this folder, in a process of its own.
pub(super) fn growth(test: &str, folder: &Path) -> [u64; 3] {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("ingest::tests::{test}")])
        .env(FOLDER, folder)
        // What is given back is given back at once, so that it is not taken for what is in use.
        .envs([("MALLOC_ARENA_MAX", "1"), ("MALLOC_TRIM_THRESHOLD_", "0"), ("MALLOC_MMAP_THRESHOLD_", "65536")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said
        .lines()
        .find(|line| line.starts_with("growth "))
        .unwrap_or_else(|| panic!("no growth in {said}{}", String::from_utf8_lossy(&output.stderr)));
    let figures: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    figures.try_into().unwrap()
}

#[test]
fn memory_is_bounded_at_a_text_of_200_megabytes() {
    if is_measured(ingest_a_folder_and_print_the_growth) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut file = std::io::BufWriter::new(std::fs::File::create(folder.path().join("large.txt")).unwrap());
    let sentence = "The valve of pump is opened when the pressure of the boiler rises above its limit. ";
    let paragraph = format!("{}\r\n\r\n", sentence.repeat(12));
    for _ in 0..200_000_000 / paragraph.len() {
        file.write_all(paragraph.as_bytes()).unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    let [growth, documents, chunks] = growth("memory::memory_is_bounded_at_a_text_of_200_megabytes", folder.path());
    assert_eq!(documents, 1);
    assert!(chunks > 190_000, "{chunks}");
    assert!(growth < ALLOWED_KIB, "memory grew by {growth} KiB");
}

#[test]
fn memory_is_bounded_at_ten_thousand_tiny_files() {
    if is_measured(ingest_a_folder_and_print_the_growth) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for number in 0..10_000 {
        let below = folder.path().join(format!("{:02}", number % 100));
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join(format!("{number}.md")), format!("# Note {number}\n\nA short one.\n")).unwrap();
    }
    let [growth, documents, chunks] = growth("memory::memory_is_bounded_at_ten_thousand_tiny_files", folder.path());
    assert_eq!((documents, chunks), (10_000, 10_000));
    assert!(growth < ALLOWED_KIB, "memory grew by {growth} KiB");
}
