//! The built-in embedder: all-MiniLM-L6-v2 with int8 weights, on the CPU.
//!
//! Concurrent questions share batches; passages are spread over the cores one by one, longest first, and give way to questions. Those of documents and those of callers take turns.
//! Assumption: the model's files are the pinned ones, checked when they are loaded.
//! Caveat: the weights are quantised for each batch, so a vector depends a little (cosine above 0.999) on what it was computed with.

mod files;
mod queue;
mod session;
mod tokens;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    thread,
};

use async_trait::async_trait;
use tokio::sync::oneshot;

pub use self::files::{ModelError, folder};
use self::{
    queue::{Job, Queue, Whose},
    session::{DIMENSION, Session, single_thread},
    tokens::{MAX_IDS, Tokens},
};
use crate::ports::{EmbedError, Embedder, ModelIdentity};

/// The model's name, in configuration and beside a collection.
pub const NAME: &str = "all-MiniLM-L6-v2";

/// Cores that are used at most: each thread holds its own working memory, and a server has neighbours.
const MAX_CORES: usize = 8;

/// Bytes of text that are tokenised on the spot, in well under a millisecond.
const INLINE: usize = 2048;

/// Passages of one caller that are queued at once, so that one large call does not fill the queue.
const WINDOW: usize = 256;

/// What a corpus of this model's vectors is marked with.
pub fn identity() -> ModelIdentity {
    ModelIdentity { name: NAME.to_owned(), dimension: DIMENSION }
}

/// The embedder. Its threads end when it is dropped.
pub struct MiniLm {
    identity: ModelIdentity,
    tokens: Arc<Tokens>,
    queue: Arc<Queue>,
}

impl MiniLm {
    /// Loads the model from a folder (see [`folder`]) and starts its threads. Takes a tenth of a second.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let files = files::read(folder)?;
        let unusable = |cause| ModelError::Unusable { folder: folder.to_owned(), cause };
        let tokens = Tokens::new(&files.tokenizer).map_err(unusable)?;
        let session = Arc::new(Session::load(files.model).map_err(unusable)?);
        let empty = tokens.ids("").map_err(unusable)?;
        session.embed(&[&empty], &single_thread()).map_err(unusable)?;
        let queue = Arc::new(Queue::default());
        let cores = thread::available_parallelism().map_or(1, usize::from).min(MAX_CORES);
        for _ in 0..cores {
            start("embed-question", &queue, &session, answer_questions).map_err(unusable)?;
            start("embed-passage", &queue, &session, embed_passages).map_err(unusable)?;
        }
        Ok(Self { identity: identity(), tokens: Arc::new(tokens), queue })
    }

    async fn tokenise(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        if text.len() <= INLINE {
            return self.tokens.ids(text).map_err(failed);
        }
        let (tokens, text) = (Arc::clone(&self.tokens), text.to_owned());
        blocking(move || tokens.ids(&text)).await
    }

    async fn embed_window(&self, texts: Vec<String>, whose: Whose) -> Result<Vec<Vec<f32>>, EmbedError> {
        let tokens = Arc::clone(&self.tokens);
        let ids = blocking(move || texts.iter().map(|text| tokens.ids(text)).collect::<Result<Vec<_>, _>>()).await?;
        let (mut jobs, answers): (Vec<Job>, Vec<_>) = ids
            .into_iter()
            .map(|ids| {
                let (reply, answer) = oneshot::channel();
                (Job { ids, reply }, answer)
            })
            .unzip();
        // Longest first: the cores finish together.
        jobs.sort_by_key(|job| std::cmp::Reverse(job.ids.len()));
        self.queue.add(jobs, whose)?;
        let mut vectors = Vec::with_capacity(answers.len());
        for answer in answers {
            vectors.push(answer.await.unwrap_or(Err(EmbedError::Stopping))?);
        }
        Ok(vectors)
    }
}

impl Drop for MiniLm {
    fn drop(&mut self) {
        self.queue.stop();
    }
}

#[async_trait]
impl Embedder for MiniLm {
    fn model(&self) -> &ModelIdentity {
        &self.identity
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.tokens.count(text)
    }

    fn max_tokens(&self) -> usize {
        // Two are the special ones.
        MAX_IDS - 2
    }

    async fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let ids = self.tokenise(text).await?;
        let (reply, answer) = oneshot::channel();
        self.queue.ask(Job { ids, reply })?;
        answer.await.unwrap_or(Err(EmbedError::Stopping))
    }

    async fn embed_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.embed_all(texts, Whose::Documents).await
    }

    async fn embed_texts(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.embed_all(texts, Whose::Callers).await
    }
}

impl MiniLm {
    async fn embed_all(&self, texts: Vec<String>, whose: Whose) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut vectors = Vec::with_capacity(texts.len());
        let mut texts = texts.into_iter();
        loop {
            let window: Vec<String> = texts.by_ref().take(WINDOW).collect();
            if window.is_empty() {
                return Ok(vectors);
            }
            vectors.extend(self.embed_window(window, whose).await?);
        }
    }
}

fn start(name: &str, queue: &Arc<Queue>, session: &Arc<Session>, work: fn(&Queue, &Session)) -> Result<(), String> {
    let (queue, session) = (Arc::clone(queue), Arc::clone(session));
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(move || work(&queue, &session)).map(drop).map_err(|e| e.to_string())
}

// Both loops run inside their pool: handing each batch to it would cost two changes of threads.
fn answer_questions(queue: &Queue, session: &Session) {
    let pool = single_thread();
    pool.run(|| {
        while let Some(batch) = queue.next_questions() {
            compute(session, &pool, batch);
            queue.answered();
        }
    });
}

fn embed_passages(queue: &Queue, session: &Session) {
    let pool = single_thread();
    pool.run(|| {
        while let Some(job) = queue.next_passage() {
            compute(session, &pool, vec![job]);
        }
    });
}

fn compute(session: &Session, pool: &Arc<rten::ThreadPool>, mut batch: Vec<Job>) {
    batch.retain(|job| !job.reply.is_closed());
    if batch.is_empty() {
        return;
    }
    let texts: Vec<&[u32]> = batch.iter().map(|job| job.ids.as_slice()).collect();
    // A panic inside the runtime must cost one batch, not the thread.
    let result = catch_unwind(AssertUnwindSafe(|| session.embed(&texts, pool)))
        .unwrap_or_else(|_| Err("it panicked; its message is in the log".to_owned()));
    match result {
        Ok(vectors) => {
            for (job, vector) in batch.into_iter().zip(vectors) {
                // Whoever asked may be gone by now.
                let _gone = job.reply.send(Ok(vector));
            }
        }
        Err(cause) => {
            for job in batch {
                let _gone = job.reply.send(Err(failed(cause.clone())));
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, EmbedError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(failed),
        Err(stopped) if stopped.is_cancelled() => Err(EmbedError::Stopping),
        Err(panicked) => Err(failed(panicked.to_string())),
    }
}

fn failed(cause: String) -> EmbedError {
    EmbedError::Model { model: NAME.to_owned(), cause }
}
