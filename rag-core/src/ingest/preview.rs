//! What an ingestion would do, without doing it: documents are read, parsed and compared, and nothing is embedded or written.

use std::{collections::HashMap, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    Ingest, Interrupted, SubmitError,
    direct::{BATCH, Cut, plan},
    failure::{DocumentReport, FailureReason},
    read::{Inspected, Parsed},
    source::Source,
    submit,
};
use crate::model::{ContentHash, DocumentId, DocumentRecord, Outcome};

/// Documents of this run by their content: the first of them is what the others would duplicate.
type Seen = HashMap<ContentHash, DocumentId>;

impl Ingest {
    /// Says of each document what would become of it, in their order.
    pub async fn preview_all(
        &self,
        sources: Vec<Source>,
        stop: &CancellationToken,
        report: &mut (dyn FnMut(DocumentReport) + Send),
    ) -> Result<(), Interrupted> {
        let mut seen = Seen::new();
        let mut waiting = sources.into_iter().peekable();
        while waiting.peek().is_some() && !stop.is_cancelled() {
            let batch: Arc<Vec<Source>> = Arc::new(waiting.by_ref().take(BATCH).collect());
            let inspected = self.inspect_all(Arc::clone(&batch)).await?;
            let standing = self.standing(&batch).await.map_err(Interrupted::Store)?;
            for (source, inspected) in batch.iter().zip(inspected) {
                if stop.is_cancelled() {
                    break;
                }
                report(match inspected {
                    Err(reason) => DocumentReport::failed(source.id.as_str(), reason),
                    Ok(inspected) => self.foresee(source, inspected, standing.get(source.id.key()), &mut seen).await?,
                });
            }
        }
        Ok(())
    }

    /// The same for the documents of a request, which must make sense as one.
    pub async fn preview(&self, sources: Vec<Source>) -> Result<Vec<DocumentReport>, SubmitError> {
        submit::check(&sources)?;
        let mut reports = Vec::with_capacity(sources.len());
        self.preview_all(sources, &CancellationToken::new(), &mut |report| reports.push(report))
            .await
            .map_err(SubmitError::Interrupted)?;
        Ok(reports)
    }

    async fn foresee(
        &self,
        source: &Source,
        inspected: Inspected,
        standing: Option<&DocumentRecord>,
        seen: &mut Seen,
    ) -> Result<DocumentReport, Interrupted> {
        let plan = plan(source, &inspected, None);
        if let Some(standing) = standing {
            if plan.is_met_by(standing) {
                return Ok(DocumentReport::unchanged(standing));
            }
            if plan.changes_metadata_alone(standing) {
                return Ok(DocumentReport { result: Ok(Outcome::MetadataOnly), ..DocumentReport::unchanged(standing) });
            }
        }
        let Parsed { chunks, notices } = match self.cut_to_the_end(source.clone(), inspected).await? {
            Ok(parsed) => parsed,
            Err(reason) => return Ok(DocumentReport::failed(source.id.as_str(), reason)),
        };
        let outcome = match standing {
            Some(standing) if *standing.content() == plan.content => Outcome::MetadataOnly,
            standing => match self.foreseen_original(&plan.content, &plan.id, seen).await? {
                Some(original) => Outcome::DuplicateOf(original),
                None if standing.is_none() => Outcome::Created,
                None => Outcome::Updated,
            },
        };
        Ok(DocumentReport { name: source.id.as_str().to_owned(), result: Ok(outcome), chunks, notices })
    }

    async fn foreseen_original(
        &self,
        content: &ContentHash,
        id: &DocumentId,
        seen: &mut Seen,
    ) -> Result<Option<DocumentId>, Interrupted> {
        let first = seen.entry(content.clone()).or_insert_with(|| id.clone());
        if first != id {
            return Ok(Some(first.clone()));
        }
        let original = self.original(content, id).await.map_err(Interrupted::Store)?;
        Ok(original.map(|original| original.id))
    }

    /// How many chunks a document has, and what is said of it.
    async fn cut_to_the_end(
        &self,
        source: Source,
        inspected: Inspected,
    ) -> Result<Result<Parsed, FailureReason>, Interrupted> {
        let mut cuts = self.cut(source, inspected);
        loop {
            match cuts.next().await? {
                Cut::Chunk(..) => {}
                Cut::End(ended) => return Ok(ended),
            }
        }
    }
}
