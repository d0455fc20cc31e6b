//! What of a corpus is there after a store was damaged: which documents have all their text, which lost some, and which have text and no record. What can be made anew from the other store is.
//!
//! For stores that no other process writes to meanwhile. Memory grows with the number of documents, by some hundred bytes each; this is for a start after a damage, and nothing that is asked for waits for it.
//! Caveats: a record that is made anew knows neither metadata nor the size of the source nor until when the document was to be found; these stood in the record alone. A document that was being written when its
//! record was lost may be made anew as far as it was written.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::{
    ingest::document_of,
    model::{ChunkId, ContentHash, DocumentId, DocumentRecord, Notices},
    ports::{self, Epoch, Kind, Put, Records, StoreError, VectorStore},
};

/// Documents that are listed together.
const PAGE: usize = 256;
/// Chunks that are listed together.
const CHUNKS: usize = 1_000;

/// A version of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writing {
    /// The document.
    pub id: DocumentId,
    /// The version.
    pub version: ContentHash,
    /// How many chunks it has.
    pub chunks: u32,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reckoning {
    /// Documents that have a record and all of their text.
    pub whole: u64,
    /// Documents that have a record, and all of their text in another epoch alone: whoever changed over died before they were brought.
    pub elsewhere: u64,
    /// Documents that have a record, and not all of their text anywhere.
    pub lost: Vec<DocumentId>,
    /// Documents that have text and no record.
    pub unrecorded: Vec<Writing>,
    /// Documents that have text and no record, and of which it cannot be told which text stood last, or whether it is all.
    pub unclear: Vec<DocumentId>,
}

/// Chunks of one version: how many, and the number of the last.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    count: u32,
    last: u32,
}

impl Held {
    /// How many chunks there are, if none is missing before the last.
    fn chunks(self) -> Option<u32> {
        (self.last.checked_add(1) == Some(self.count)).then_some(self.count)
    }
}

type Versions = HashMap<DocumentId, HashMap<ContentHash, Held>>;

/// How many chunks an epoch certainly lacks of those that the records promise; leftovers of writings may hide that it lacks more.
pub async fn lacking(store: &dyn VectorStore, records: &dyn Records, epoch: Option<Epoch>) -> Result<u64, StoreError> {
    let (mut promised, mut after) = (0_u64, None::<String>);
    loop {
        let (documents, next) = page(records, after.as_deref()).await?;
        promised += documents.iter().map(|document| u64::from(document.chunks)).sum::<u64>();
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let held = match epoch {
        Some(epoch) if promised > 0 => store.count(epoch).await?,
        Some(_) | None => 0,
    };
    Ok(promised.saturating_sub(held))
}

/// Compares the records with what an epoch holds, and with the others where it lacks something.
pub async fn reckon(
    store: &dyn VectorStore,
    records: &dyn Records,
    epoch: Option<Epoch>,
) -> Result<Reckoning, StoreError> {
    let mut held = match epoch {
        Some(epoch) => held(store, epoch).await?,
        None => Versions::new(),
    };
    let (mut reckoning, mut after) = (Reckoning::default(), None::<String>);
    let mut lacking: Vec<Writing> = Vec::new();
    loop {
        let (documents, next) = page(records, after.as_deref()).await?;
        for DocumentRecord { id, version, chunks, .. } in documents {
            let promised = Writing { id, version, chunks };
            let is_whole = is_whole(&held, &promised);
            held.remove(&promised.id);
            match is_whole {
                true => reckoning.whole += 1,
                false => lacking.push(promised),
            }
        }
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let here = lacking.len();
    let others = if lacking.is_empty() { Vec::new() } else { store.epochs().await? };
    for other in others.into_iter().filter(|other| Some(*other) != epoch) {
        match self::held(store, other).await {
            Ok(held) => lacking.retain(|promised| !is_whole(&held, promised)),
            Err(error) => tracing::warn!(epoch = other.0, %error, "an epoch beside the searched one cannot be read"),
        }
    }
    reckoning.elsewhere = (here - lacking.len()) as u64;
    reckoning.lost = lacking.into_iter().map(|promised| promised.id).collect();
    for (id, versions) in held {
        let mut versions = versions.into_iter();
        match (versions.next(), versions.next()) {
            (Some((version, held)), None) if held.chunks().is_some() => {
                reckoning.unrecorded.push(Writing { id, version, chunks: held.count });
            }
            _ => reckoning.unclear.push(id),
        }
    }
    reckoning.unrecorded.sort_by(|a, b| a.id.cmp(&b.id));
    reckoning.unclear.sort();
    Ok(reckoning)
}

fn is_whole(held: &Versions, promised: &Writing) -> bool {
    let found = held.get(&promised.id).and_then(|versions| versions.get(&promised.version));
    found.and_then(|held| held.chunks()) == Some(promised.chunks)
}

async fn held(store: &dyn VectorStore, epoch: Epoch) -> Result<Versions, StoreError> {
    let (mut held, mut after) = (Versions::new(), None::<ChunkId>);
    loop {
        let page = store.scan(epoch, after, CHUNKS).await?;
        for place in page.held {
            let version = held.entry(place.document).or_default().entry(place.version).or_default();
            version.count += 1;
            version.last = version.last.max(place.ordinal);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(held),
        }
    }
}

async fn page(records: &dyn Records, after: Option<&str>) -> Result<(Vec<DocumentRecord>, Option<String>), StoreError> {
    let page = records.list(Kind::Document, "", after, PAGE).await?;
    let standing = page.records.iter().filter(|record| ports::stands(record));
    Ok((standing.map(document_of).collect::<Result<_, _>>()?, page.next))
}

/// Makes the records of documents anew from their text; how many.
pub async fn record_anew(
    store: &dyn VectorStore,
    records: &dyn Records,
    (epoch, unrecorded): (Epoch, &[Writing]),
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut made = 0;
    for some in unrecorded.chunks(PAGE) {
        let firsts: Vec<ChunkId> = some.iter().map(|one| ChunkId::new(&one.id, &one.version, 0)).collect();
        let firsts = store.chunks(Some(epoch), &firsts).await?;
        let titles: HashMap<_, _> = firsts.into_iter().map(|chunk| (chunk.document, chunk.title)).collect();
        for Writing { id, version, chunks } in some {
            let record = DocumentRecord {
                id: id.clone(),
                title: titles.get(id).cloned().unwrap_or_else(|| id.as_str().to_owned()),
                version: version.clone(),
                content: None,
                metadata: Default::default(),
                chunks: *chunks,
                bytes: 0,
                notices: Notices::NONE,
                expires_at: None,
                updated_at: now,
            };
            let body = serde_json::to_value(&record)
                .map_err(|e| StoreError::Failed { store: "the record", cause: e.to_string() })?;
            made += u64::from(matches!(records.put_if_absent(Kind::Document, id.key(), body).await?, Put::Created(_)));
        }
    }
    Ok(made)
}

/// Removes the records of documents that lost their text, so that nothing lists what nobody can find. What is left of their text is swept up.
pub async fn forget(records: &dyn Records, lost: &[DocumentId]) -> Result<(), StoreError> {
    for some in lost.chunks(PAGE) {
        let keys: Vec<&str> = some.iter().map(DocumentId::key).collect();
        for record in records.get_many(Kind::Document, &keys).await? {
            records.remove(Kind::Document, &record.id, record.version).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        doubles::{EmbedderDouble, RecordsDouble, StoreDouble, chunk},
        ingest::{Format, Ingest, Source},
        model::{Chunk, Outcome, Point, SparseVector},
        ports::SystemClock,
    };

    const EPOCH: Epoch = Epoch(1);

    struct World {
        store: Arc<StoreDouble>,
        records: Arc<RecordsDouble>,
        ingest: Ingest,
    }

    /// Documents a, b and c, each of several chunks.
    async fn world() -> World {
        let (store, records) = (Arc::<StoreDouble>::default(), Arc::<RecordsDouble>::default());
        store.create_epoch(EPOCH, 512).await.unwrap();
        store.activate(EPOCH).await.unwrap();
        let embedder = Arc::<EmbedderDouble>::default();
        let (vectors, held) = (Arc::clone(&store) as _, Arc::clone(&records) as _);
        let ingest = Ingest::new(vectors, held, embedder, Arc::new(SystemClock), EPOCH);
        for name in ["a", "b", "c"] {
            ingest.ingest(source(name)).await.result.unwrap();
        }
        World { store, records, ingest }
    }

    fn source(name: &str) -> Source {
        let text = format!("# About {name}\n\n{}", format!("The {name} is explained in a sentence.\n\n").repeat(300));
        Source::text(name.parse().unwrap(), Format::Markdown, &text)
    }

    async fn document(world: &World, name: &str) -> DocumentRecord {
        let document = world.ingest.document(&name.parse().unwrap()).await.unwrap().unwrap();
        assert!(document.chunks > 1, "{document:?}");
        document
    }

    #[tokio::test]
    async fn stores_that_fit_lack_nothing() {
        let World { store, records, .. } = world().await;
        assert_eq!(lacking(&*store, &*records, Some(EPOCH)).await, Ok(0));
        assert_eq!(lacking(&*store, &*records, None).await, store.count(EPOCH).await, "no epoch has any of it");
        let reckoning = reckon(&*store, &*records, Some(EPOCH)).await.unwrap();
        assert_eq!(reckoning, Reckoning { whole: 3, ..Reckoning::default() });
    }

    #[tokio::test]
    async fn a_document_that_lacks_a_chunk_is_lost_by_name_and_once_it_is_forgotten_it_can_come_again() {
        let world = world().await;
        let b = document(&world, "b").await;
        world.store.purge(EPOCH, &b.id, &b.version).await.unwrap();
        let (store, records) = (&*world.store, &*world.records);
        assert_eq!(lacking(store, records, Some(EPOCH)).await, Ok(u64::from(b.chunks)));
        let reckoning = reckon(store, records, Some(EPOCH)).await.unwrap();
        assert_eq!(reckoning, Reckoning { whole: 2, lost: vec![b.id], ..Reckoning::default() });
        forget(records, &reckoning.lost).await.unwrap();
        assert_eq!(lacking(store, records, Some(EPOCH)).await, Ok(0));
        assert_eq!(world.ingest.ingest(source("b")).await.result, Ok(Outcome::Created));
    }

    #[tokio::test]
    async fn a_document_that_another_epoch_has_whole_is_not_lost() {
        let world = world().await;
        let (store, records) = (&*world.store, &*world.records);
        store.create_epoch(Epoch(2), 512).await.unwrap();
        store.activate(Epoch(2)).await.unwrap();
        assert!(lacking(store, records, Some(Epoch(2))).await.unwrap() > 0);
        let reckoning = reckon(store, records, Some(Epoch(2))).await.unwrap();
        assert_eq!(reckoning, Reckoning { elsewhere: 3, ..Reckoning::default() });
    }

    #[tokio::test]
    async fn records_are_made_anew_from_the_text_and_what_is_unclear_is_left() {
        let world = world().await;
        let (store, records) = (&*world.store, &*world.records);
        let [a, b] = [document(&world, "a").await, document(&world, "b").await];
        forget(records, &["a", "b", "c"].map(|name| name.parse().unwrap())).await.unwrap();
        // Of b there are two writings.
        world.ingest.ingest(source("b")).await.result.unwrap();
        forget(records, std::slice::from_ref(&b.id)).await.unwrap();
        let reckoning = reckon(store, records, Some(EPOCH)).await.unwrap();
        assert_eq!((reckoning.whole, reckoning.lost.len(), &reckoning.unclear), (0, 0, &vec![b.id]));
        let made = record_anew(store, records, (EPOCH, &reckoning.unrecorded), Timestamp::now()).await;
        assert_eq!(made, Ok(2));
        let made = record_anew(store, records, (EPOCH, &reckoning.unrecorded), Timestamp::now()).await;
        assert_eq!(made, Ok(0), "they stand already");
        let again = document(&world, "a").await;
        assert_eq!((&again.title, &again.version, again.chunks), (&a.title, &a.version, a.chunks));
        assert_eq!(reckon(store, records, Some(EPOCH)).await.unwrap().whole, 2);
        assert_eq!(world.ingest.ingest(source("a")).await.result, Ok(Outcome::Updated), "what it was is not known");
    }

    #[tokio::test]
    async fn text_without_a_record_that_lacks_its_beginning_is_unclear() {
        let World { store, records, .. } = world().await;
        let chunk = chunk("d".parse().unwrap(), "the end");
        let chunk = Chunk { id: ChunkId::new(&chunk.document, &chunk.version, 1), ordinal: 1, ..chunk };
        let point = Point { chunk, dense: vec![1.0; 512], sparse: SparseVector::default(), labels: Vec::new() };
        store.upsert(EPOCH, vec![point]).await.unwrap();
        let reckoning = reckon(&*store, &*records, Some(EPOCH)).await.unwrap();
        assert_eq!(reckoning, Reckoning { whole: 3, unclear: vec!["d".parse().unwrap()], ..Reckoning::default() });
    }
}
