//! What is said of documents that are ingested all the same, from the parser to whoever asks.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    made,
    world::{SetClock, World, replica},
};
use crate::{
    ingest::{DocumentState, Format, Ingest, Job, JobId, Source, jobs::job_of},
    model::{DocumentId, Notices, Outcome},
    ports::{Kind, Records},
};

const SAID: &str = "9 of 10 pages have no text (2-10): run OCR first";

/// A document of one page with text and nine pictures.
fn scanned(id: &str) -> Source {
    let mut pages = vec![vec![]; 10];
    pages[0] = vec!["The valve is opened by hand.".to_owned()];
    Source::bytes(id.parse().unwrap(), Format::Pdf, made::pdf(&pages))
}

fn said(notices: &Notices) -> Vec<String> {
    notices.iter().map(ToString::to_string).collect()
}

async fn job(flow: &Ingest, sources: Vec<Source>) -> (JobId, Job) {
    let id = flow.submit(sources).await.unwrap();
    flow.work_once(&CancellationToken::new()).await.unwrap();
    let job = flow.job(&id).await.unwrap().unwrap().job;
    (id, job)
}

fn said_in(job: &Job, document: usize) -> (Outcome, Vec<String>) {
    match &job.documents[document].state {
        DocumentState::Done { outcome, notices } => (outcome.clone(), said(notices)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn pages_without_text_are_said_in_the_outcome_the_job_and_the_record_also_when_nothing_changes_later() {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let kinds = Arc::<Mutex<Vec<&'static str>>>::default();
    let counted = Arc::clone(&kinds);
    let flow = replica(&world, &clock).noticed(move |kind| counted.lock().unwrap().push(kind));
    let previewed = flow.preview(vec![scanned("a.pdf")]).await.unwrap();
    assert_eq!(said(&previewed[0].notices), [SAID]);
    let (_, first) = job(&flow, vec![scanned("a.pdf")]).await;
    assert_eq!(said_in(&first, 0), (Outcome::Created, vec![SAID.to_owned()]));
    let (_, again) = job(&flow, vec![scanned("a.pdf")]).await;
    assert_eq!(said_in(&again, 0), (Outcome::Unchanged, vec![SAID.to_owned()]));
    let named = Source { metadata: Some([("team".to_owned(), "a".to_owned())].into()), ..scanned("a.pdf") };
    let report = flow.ingest(named.clone()).await;
    assert_eq!((report.result, said(&report.notices)), (Ok(Outcome::MetadataOnly), vec![SAID.to_owned()]));
    let report = flow.ingest(named).await;
    assert_eq!((report.result, said(&report.notices)), (Ok(Outcome::Unchanged), vec![SAID.to_owned()]));
    let previewed = flow.preview(vec![scanned("a.pdf")]).await.unwrap();
    assert_eq!(said(&previewed[0].notices), [SAID]);
    let record = flow.document(&"a.pdf".parse::<DocumentId>().unwrap()).await.unwrap().unwrap();
    assert_eq!(said(&record.notices), [SAID]);
    assert_eq!(*kinds.lock().unwrap(), ["pages_without_text"], "it is counted when the document is read");
}

#[tokio::test]
async fn what_is_said_of_a_document_goes_with_the_text_that_it_was_said_of() {
    let flow = replica(&Arc::default(), &Arc::default());
    assert_eq!(said(&flow.ingest(scanned("a.pdf")).await.notices), [SAID]);
    let whole = made::pdf(&vec![vec!["All pages have text.".to_owned()]; 2]);
    let report = flow.ingest(Source::bytes("a.pdf".parse().unwrap(), Format::Pdf, whole)).await;
    assert_eq!((report.result, report.notices), (Ok(Outcome::Updated), Notices::NONE));
    let record = flow.document(&"a.pdf".parse::<DocumentId>().unwrap()).await.unwrap().unwrap();
    assert_eq!(record.notices, Notices::NONE);
}

#[tokio::test]
async fn a_job_that_an_older_version_wrote_down_is_read_and_one_with_notices_says_them_again() {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let (id, written) = job(&replica(&world, &clock), vec![scanned("a.pdf")]).await;
    let mut body = world.get(Kind::Job, id.as_str()).await.unwrap().unwrap().body;
    assert_eq!(job_of(id.as_str(), body.clone()).unwrap(), written);
    let document = body["documents"][0].as_object_mut().unwrap();
    assert!(document.remove("notices").is_some());
    assert_eq!(Value::Object(document.clone())["outcome"], json!("created"));
    assert_eq!(said_in(&job_of(id.as_str(), body).unwrap(), 0), (Outcome::Created, vec![]));
}
