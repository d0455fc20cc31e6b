//! `rag-server snapshot evidence`, and what the commands that find something out about a snapshot leave for it in the archive.

use std::error::Error;

use clap::Args;
use jiff::Timestamp;

use super::{
    Said,
    figures::Run,
    report::{self, Cause, Done, Report, Trouble},
};
use crate::{
    cli::{printable, this_process::this_process},
    snapshot::{Act, Archived, Evidence, Exhibit, MOST_EVIDENCE, Measured, Name, Verdict},
};

/// Most characters of whoever asked.
const MOST_ASKED_BY: usize = 256;

/// Most characters of the sentence.
const MOST_MESSAGE: usize = 1024;

/// Who asked, where nobody says.
const COMMAND_LINE: &str = "the command line";

/// How many.
#[derive(Debug, Args)]
pub(super) struct EvidenceArgs {
    /// Only the newest so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=MOST_EVIDENCE as i64))]
    last: u16,
}

/// Names what was found out, the newest first.
pub(super) async fn evidence(archived: &Archived, args: EvidenceArgs) -> Result<Said, Box<dyn Error>> {
    let (exhibits, total) = archived.evidence(usize::from(args.last)).await?;
    let entries = exhibits.iter().filter_map(|exhibit| exhibit.finding.as_ref().ok().map(entry)).collect();
    Ok(Said::done(said(&exhibits, total), Done::Evidence(report::Findings { evidence: entries, total })))
}

/// What the act came to, after it has left evidence, where it has found something out. What keeps it from leaving any is no failure of the act.
pub(super) async fn left(
    archived: &Archived,
    (act, name): (Act, &Name),
    run: &Run<'_>,
    ended: Result<Said, Box<dyn Error>>,
) -> Result<Said, Box<dyn Error>> {
    let report = match &ended {
        Ok(said) => said.report.clone(),
        Err(error) => Report::failed(&**error),
    };
    if let Some(found) = found(&report, act, name) {
        let asked_by = run.asked_by.as_deref().unwrap_or(COMMAND_LINE).chars().take(MOST_ASKED_BY).collect();
        let program = format!("{} {}", this_process(&format!("snapshot {act}")), env!("CARGO_PKG_VERSION"));
        let found = Evidence { asked_by, found_by: program, ..found };
        if let Err(error) = keep(archived, found).await {
            tracing::warn!(%error, "what was found out about the snapshot stands here and in no evidence of the archive");
        }
    }
    ended
}

async fn keep(archived: &Archived, mut found: Evidence) -> Result<(), Box<dyn Error>> {
    // Where it is encrypted, whoever can read the archive learns neither how many documents there are nor what one is called.
    if archived.encryption.recipients.is_some() || archived.encryption.identities.is_some() {
        found.message = None;
        found.measured = Measured { documents: None, chunks: None, ..found.measured };
    }
    if found.manifest_sha256.is_none() {
        found.manifest_sha256 = archived.manifest_sha256(&found.snapshot).await?;
    }
    Ok(archived.keep_evidence(&found).await?)
}

/// What a report says about a snapshot; nothing where it says something about the stores, the archive or the caller alone.
fn found(report: &Report, act: Act, name: &Name) -> Option<Evidence> {
    let evidence = |verdict| Evidence::new(Timestamp::now(), act, name.clone(), verdict);
    let of = |snapshot: &report::Snapshot, measured: Measured| Evidence {
        manifest_sha256: Some(snapshot.sha256.clone()),
        measured: Measured {
            documents: Some(snapshot.documents),
            chunks: Some(snapshot.chunks),
            bytes: Some(snapshot.bytes),
            ..measured
        },
        ..evidence(Verdict::Passed)
    };
    let golden = |asked: usize, found: usize| Measured {
        asked: Some(asked as u64),
        found: Some(found as u64),
        ..Measured::default()
    };
    match report {
        Report::Done(Done::Kept(kept)) => kept.verified.then(|| of(&kept.snapshot, Measured::default())),
        Report::Done(Done::Drilled(drilled)) => {
            let (rto_seconds, rpo_seconds) = (Some(drilled.rto_seconds), Some(drilled.rpo_seconds));
            let golden = golden(drilled.asked, drilled.found);
            Some(of(&drilled.snapshot, Measured { rto_seconds, rpo_seconds, ..golden }))
        }
        Report::Done(Done::Restored(restored)) => {
            let golden = golden(restored.asked, restored.proven);
            Some(of(&restored.snapshot, Measured { rto_seconds: Some(restored.seconds), ..golden }))
        }
        Report::Done(Done::Removed(_) | Done::Listed(_) | Done::Evidence(_) | Done::Settled(_)) => None,
        Report::Skipped(trouble) => Some(because(evidence(Verdict::Skipped), trouble)),
        Report::Failed(trouble) => {
            is_about_snapshot(trouble.cause).then(|| because(evidence(Verdict::Failed), trouble))
        }
    }
}

fn because(evidence: Evidence, trouble: &Trouble) -> Evidence {
    let cause = serde_json::to_value(trouble.cause).ok().and_then(|cause| cause.as_str().map(str::to_owned));
    let message = Some(trouble.message.chars().take(MOST_MESSAGE).collect());
    Evidence { cause, message, ..evidence }
}

/// Whether a failure of this cause says something about the snapshot.
fn is_about_snapshot(cause: Cause) -> bool {
    match cause {
        Cause::Damaged | Cause::Incomplete | Cause::Unsigned | Cause::Forged | Cause::NotFound | Cause::Recall => true,
        Cause::NewerFormat
        | Cause::NoKey
        | Cause::Model
        | Cause::Exists
        | Cause::None
        | Cause::NotEmpty
        | Cause::Empty
        | Cause::Last
        | Cause::Held
        | Cause::Stopped
        | Cause::NoRoom
        | Cause::Unreachable
        | Cause::AuthFailed
        | Cause::NoPlace
        | Cause::Failed
        | Cause::StoreUnreachable
        | Cause::Configuration => false,
    }
}

fn entry(found: &Evidence) -> report::Finding {
    report::Finding {
        at: found.at,
        act: found.act,
        snapshot: found.snapshot.to_string(),
        manifest_sha256: found.manifest_sha256.clone(),
        verdict: found.verdict,
        cause: found.cause.clone(),
    }
}

/// A line for each, as people read them.
fn said(exhibits: &[Exhibit], total: usize) -> String {
    if total == 0 {
        return "the archive has no evidence: nothing in it was verified, drilled or restored yet".to_owned();
    }
    let line = |exhibit: &Exhibit| match &exhibit.finding {
        Ok(found) => in_words(found),
        Err(why) => printable::line(&format!("{} is not believed: {why}", exhibit.object)),
    };
    let mut lines: Vec<String> = exhibits.iter().map(line).collect();
    if exhibits.len() < total {
        lines.push(format!("these are the newest {} of {total}", exhibits.len()));
    }
    lines.join("\n")
}

fn in_words(found: &Evidence) -> String {
    let Evidence { at, act, snapshot, verdict, measured, asked_by, .. } = found;
    let mut said = vec![format!("{at:.0}  {act} of {snapshot}: {verdict}")];
    said.extend(found.cause.iter().map(|cause| format!("for {cause}")));
    said.extend(found.message.clone());
    let of_golden = |(found, asked): (u64, u64)| format!("{found} of {asked} chunks found");
    said.extend(measured.found.zip(measured.asked).map(of_golden));
    said.extend(measured.rto_seconds.map(|seconds| format!("in {seconds:.1} s")));
    said.extend(measured.rpo_seconds.map(|seconds| format!("{seconds:.0} s after it began")));
    said.extend(found.manifest_sha256.iter().map(|hash| format!("manifest {hash}")));
    said.push(format!("asked by {asked_by}"));
    // Without a key, whoever can write to the archive writes this.
    printable::line(&said.join(", ")).replacen(' ', "  ", 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::{doubles::ArchiveDouble, snapshot::Recipients};

    const RECIPIENT: &str = "age19pupnuvvjn86d0skq3k7feq6m0q55fl8k64cxumtfs6qpw78auwsd6k27s";

    fn name() -> Name {
        "nightly".parse().unwrap()
    }

    fn failed(cause: Cause) -> Report {
        Report::Failed(Trouble { cause, message: "it is so".to_owned(), listed: None })
    }

    fn snapshot() -> report::Snapshot {
        report::Snapshot {
            name: "nightly".to_owned(),
            place: "/a".to_owned(),
            sha256: "ab".repeat(32),
            began: Timestamp::UNIX_EPOCH,
            ended: Timestamp::UNIX_EPOCH,
            last_write: None,
            documents: 10,
            chunks: 100,
            left_out: 0,
            bytes: 4096,
            encrypted: false,
            signed: false,
            format: 1,
        }
    }

    fn drilled() -> Report {
        Report::Done(Done::Drilled(report::Drilled {
            snapshot: snapshot(),
            recall: 0.95,
            asked: 20,
            found: 19,
            rto_seconds: 12.5,
            rpo_seconds: 3600.0,
            documents: 10,
            chunks: 100,
        }))
    }

    #[test]
    fn a_drill_leaves_its_figures_and_what_it_was_about() {
        let found = found(&drilled(), Act::Drill, &name()).unwrap();
        assert_eq!(
            (found.verdict, found.manifest_sha256.as_deref()),
            (Verdict::Passed, Some("ab".repeat(32).as_str()))
        );
        let measured = json!({
            "documents": 10, "chunks": 100, "bytes": 4096, "asked": 20, "found": 19, "rto_seconds": 12.5, "rpo_seconds": 3600.0,
        });
        assert_eq!(serde_json::to_value(&found.measured).unwrap(), measured);
        let said =
            in_words(&Evidence { at: Timestamp::UNIX_EPOCH, asked_by: "RagRestore\u{1b}[2J".to_owned(), ..found });
        let expected = "1970-01-01T00:00:00Z  drill of nightly: passed, 19 of 20 chunks found, in 12.5 s, 3600 s after it began, manifest";
        assert!(said.starts_with(expected), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }

    #[test]
    fn what_says_nothing_about_the_snapshot_leaves_nothing() {
        for cause in [Cause::Unreachable, Cause::Held, Cause::Stopped, Cause::NoKey, Cause::Model, Cause::Failed] {
            assert_eq!(found(&failed(cause), Act::Drill, &name()), None, "{cause:?}");
        }
        let unread = report::Kept { snapshot: snapshot(), written_bytes: 0, verified: false };
        assert_eq!(found(&Report::Done(Done::Kept(unread)), Act::Verify, &name()), None);
        for (cause, word) in [(Cause::Damaged, "damaged"), (Cause::Recall, "recall"), (Cause::Forged, "forged")] {
            let found = found(&failed(cause), Act::Verify, &name()).unwrap();
            assert_eq!((found.verdict, found.cause.as_deref()), (Verdict::Failed, Some(word)));
        }
        let skipped = Report::Skipped(Trouble { cause: Cause::NoRoom, message: String::new(), listed: None });
        assert_eq!(found(&skipped, Act::Drill, &name()).unwrap().verdict, Verdict::Skipped);
    }

    #[tokio::test]
    async fn what_is_said_of_an_encrypted_snapshot_tells_neither_its_documents_nor_a_sentence_about_them() {
        let archive = Arc::<ArchiveDouble>::default();
        let mut archived = Archived::plain(Arc::clone(&archive) as _);
        archived.encryption.recipients = Some(Recipients::parse(RECIPIENT).unwrap());
        for report in [drilled(), failed(Cause::Damaged)] {
            keep(&archived, found(&report, Act::Drill, &name()).unwrap()).await.unwrap();
        }
        let kept: Vec<Value> = archive
            .objects()
            .values()
            .map(|object| serde_json::from_slice(object.split(|byte| *byte == b'\n').next().unwrap()).unwrap())
            .collect();
        assert_eq!(kept.len(), 2);
        for found in kept {
            let measured = &found["measured"];
            assert!(
                measured["documents"].is_null() && measured["chunks"].is_null() && found["message"].is_null(),
                "{found}"
            );
        }
    }
}
