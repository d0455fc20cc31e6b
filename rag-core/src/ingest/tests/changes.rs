//! A change in the middle of a long document embeds again what is near it, in every format.

use std::sync::Arc;

use super::{
    made,
    world::{SetClock, World, replica},
};
use crate::{
    ingest::{Format, Source},
    model::Outcome,
};

/// Parts of the long document: far more than its chunks may be embedded again.
const PARTS: usize = 400;
/// Chunks around a change that may be cut in another way before the cuts are the old ones again.
const NEAR: u64 = 16;

/// The parts of a document; one of them may be another one, and one may be new.
fn parts(changed: Option<usize>, added: Option<usize>) -> Vec<String> {
    let mut parts: Vec<String> = (0..PARTS)
        .map(|n| match changed {
            Some(changed) if changed == n => format!(
                "Step {n} was written anew with many more words than it had before, so everything after it moves"
            ),
            _ => format!(
                "Step {n} of the procedure opens valve {} by hand{}",
                n * 7 % 101,
                " and turns it slowly".repeat(n * 7 % 5 % 3)
            ),
        })
        .collect();
    if let Some(added) = added {
        parts.insert(added, "A step that nobody knew of stands here now".to_owned());
    }
    parts
}

fn source(format: Format, parts: &[String]) -> Source {
    let id = "long".parse().unwrap();
    let text = |text: String| text.into_bytes();
    let bytes = match format {
        Format::Text => text(parts.iter().map(|part| format!("{part}.\n\n")).collect()),
        Format::Rst | Format::Adoc | Format::Tex | Format::Code => {
            text(parts.iter().map(|part| format!("{part}.\n\n")).collect())
        }
        Format::Xml => {
            text(format!("<a>{}</a>", parts.iter().map(|part| format!("<p>{part}.</p>")).collect::<String>()))
        }
        Format::Notebook => {
            let cells: Vec<_> =
                parts.iter().map(|part| serde_json::json!({"cell_type": "markdown", "source": part})).collect();
            text(serde_json::json!({"cells": cells}).to_string())
        }
        Format::Eml => {
            text(format!("Subject: Long\n\n{}", parts.iter().map(|part| format!("{part}.\n\n")).collect::<String>()))
        }
        Format::Markdown => {
            text(format!("# Long\n\n{}", parts.iter().map(|part| format!("{part}.\n\n")).collect::<String>()))
        }
        Format::Html => {
            text(format!("<h1>Long</h1>{}", parts.iter().map(|part| format!("<p>{part}.</p>")).collect::<String>()))
        }
        Format::Csv | Format::Tsv => {
            text(format!("what,kind\n{}", parts.iter().map(|part| format!("{part},step\n")).collect::<String>()))
        }
        Format::Json => {
            let records: Vec<_> = parts.iter().map(|part| serde_json::json!({"text": part})).collect();
            text(serde_json::to_string_pretty(&records).unwrap())
        }
        Format::Jsonl => text(parts.iter().map(|part| serde_json::json!({"text": part}).to_string() + "\n").collect()),
        Format::Docx => made::docx(&parts.iter().map(|part| made::paragraph(part)).collect::<String>()),
        Format::Odt => {
            let paragraphs: String = parts.iter().map(|part| format!("<text:p>{part}.</text:p>")).collect();
            let content = format!("<office:document><office:body>{paragraphs}</office:body></office:document>");
            made::archive(&[("content.xml", content.as_bytes())])
        }
        Format::Rtf => {
            text(format!("{{\\rtf1 {}}}", parts.iter().map(|part| format!("{part}.\\par\n")).collect::<String>()))
        }
        Format::Pdf => {
            let lines: Vec<String> = parts.iter().flat_map(|part| [format!("{part}."), String::new()]).collect();
            // Pages are broken by hand, as between chapters: what moves from page to page is changed.
            made::pdf(&lines.chunks(40).map(<[String]>::to_vec).collect::<Vec<_>>())
        }
        // Read by the same means as those above.
        Format::Pptx | Format::Xlsx | Format::Ods | Format::Odp | Format::Epub => unreachable!("{format:?}"),
    };
    Source::bytes(id, format, bytes)
}

#[tokio::test]
async fn a_paragraph_changed_in_the_middle_embeds_only_the_chunks_near_it_in_every_format() {
    let elsewhere = [Format::Pptx, Format::Xlsx, Format::Ods, Format::Odp, Format::Epub];
    for format in Format::ALL.iter().copied().filter(|format| !elsewhere.contains(format)) {
        let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
        let flow = replica(&world, &clock);
        assert_eq!(flow.ingest(source(format, &parts(None, None))).await.result, Ok(Outcome::Created), "{format:?}");
        let all = flow.chunks_embedded();
        assert!(all > 60, "{format:?}: {all} chunks");
        assert_eq!(flow.ingest(source(format, &parts(Some(PARTS / 2), None))).await.result, Ok(Outcome::Updated));
        let changed = flow.chunks_embedded() - all;
        assert!((1..=NEAR).contains(&changed), "{format:?}: {changed} of {all} chunks were embedded again");
        assert!(world.texts("long").concat().contains("written anew"), "{format:?}");
        assert_eq!(world.torn().await, Vec::<String>::new(), "{format:?}");
    }
}

#[tokio::test]
async fn a_paragraph_added_at_the_start_does_not_move_every_cut_after_it() {
    for format in [Format::Text, Format::Markdown, Format::Html, Format::Csv, Format::Jsonl, Format::Docx] {
        let flow = replica(&Arc::default(), &Arc::default());
        flow.ingest(source(format, &parts(None, None))).await.result.unwrap();
        let all = flow.chunks_embedded();
        flow.ingest(source(format, &parts(None, Some(1)))).await.result.unwrap();
        let again = flow.chunks_embedded() - all;
        assert!((1..=NEAR).contains(&again), "{format:?}: {again} of {all} chunks were embedded again");
    }
}

#[tokio::test]
async fn going_back_to_what_it_was_before_embeds_only_the_change_again() {
    let flow = replica(&Arc::default(), &Arc::default());
    for changed in [None, Some(7), None, Some(7)] {
        let before = flow.chunks_embedded();
        flow.ingest(source(Format::Text, &parts(changed, None))).await.result.unwrap();
        let embedded = flow.chunks_embedded() - before;
        assert!(before == 0 || embedded <= NEAR, "{embedded}");
    }
}
