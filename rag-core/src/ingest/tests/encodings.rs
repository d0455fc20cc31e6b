//! Texts in the encodings that people have: what is stored, and what is said of it.

use std::{path::Path, sync::Arc};

use encoding_rs::{Encoding, GBK, SHIFT_JIS, UTF_16BE, UTF_16LE, WINDOWS_1251, WINDOWS_1252};
use tokio_util::sync::CancellationToken;

use super::world::{SetClock, World, replica};
use crate::{
    ingest::{DocumentState, FailureReason, Format, Source},
    model::Outcome,
};

const SENTENCE: &str = "Der Schlüssel für das Café liegt im Büro – Fach 9.";
const AS_IT_SAYS: &str = "read as windows-1252, as it says";

fn case(name: &str) -> Source {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name);
    Source::file(name.parse().unwrap(), path).unwrap()
}

fn source(name: &str, bytes: Vec<u8>) -> Source {
    Source::bytes(name.parse().unwrap(), Format::of_name(name).unwrap(), bytes)
}

/// A text with its byte order mark, where it has one.
fn encoded(encoding: &'static Encoding, text: &str) -> Vec<u8> {
    if encoding == UTF_16LE {
        return std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    }
    if encoding == UTF_16BE {
        return std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
    }
    let (bytes, _, lost) = encoding.encode(text);
    assert!(!lost);
    bytes.into_owned()
}

/// The text of a document, and what is said of it.
async fn read(source: Source) -> Result<(String, Vec<String>), FailureReason> {
    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let id = source.id.clone();
    let report = replica(&world, &clock).ingest(source).await;
    report.result?;
    let said = report.notices.iter().map(ToString::to_string).collect();
    Ok((world.texts(id.as_str()).join("\n"), said))
}

async fn refused(source: Source) -> String {
    read(source).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_page_that_declares_windows_1252_is_read_as_that_and_it_is_said() {
    let (text, said) = read(case("windows1252.html")).await.unwrap();
    assert!(text.contains(SENTENCE), "{text}");
    assert_eq!(said, [AS_IT_SAYS]);
}

#[tokio::test]
async fn a_text_with_the_byte_order_mark_of_utf16_is_read_in_every_format() {
    for encoding in [UTF_16LE, UTF_16BE] {
        for (name, written) in [
            ("a.txt", SENTENCE.to_owned()),
            ("a.md", format!("# Café\n\n{SENTENCE}\n")),
            ("a.html", format!("<meta charset=utf-8><p>{SENTENCE}</p>")),
            ("a.csv", format!("ort,satz\nBüro,{SENTENCE}\n")),
            ("a.jsonl", format!("{{\"text\": \"{SENTENCE}\"}}\n")),
        ] {
            let (text, said) = read(source(name, encoded(encoding, &written))).await.unwrap();
            assert!(text.contains(SENTENCE) && !text.contains('\u{feff}'), "{name}: {text}");
            assert_eq!(said, [format!("read as {}, as it says", encoding.name())], "{name}");
        }
    }
}

#[tokio::test]
async fn what_the_sender_says_comes_before_what_the_page_says_and_is_remembered_with_the_job() {
    let bytes = encoded(WINDOWS_1251, "<meta charset=koi8-r><p>Ключи у вахтёра.</p>");
    let sent = |charset: &str| Source { charset: Some(charset.to_owned()), ..source("a.html", bytes.clone()) };
    let (text, said) = read(sent("windows-1251")).await.unwrap();
    assert!(text.contains("Ключи у вахтёра."), "{text}");
    assert_eq!(said, ["read as windows-1251, as it says"]);

    let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
    let flow = replica(&world, &clock);
    let job = flow.submit(vec![sent("windows-1251")]).await.unwrap();
    flow.work_once(&CancellationToken::new()).await.unwrap();
    let job = flow.job(&job).await.unwrap().unwrap().job;
    assert!(matches!(&job.documents[0].state, DocumentState::Done { outcome: Outcome::Created, .. }), "{job:?}");
    assert!(world.texts("a.html").join("").contains("Ключи у вахтёра."));
    // In another encoding the same bytes are another text.
    assert_eq!(flow.ingest(sent("KOI8-R")).await.result, Ok(Outcome::Updated));
}

#[tokio::test]
async fn a_text_that_came_as_text_is_not_decoded_again_whatever_it_declares() {
    let page = format!("<meta charset=shift_jis><p>{SENTENCE}</p>");
    let (text, said) = read(Source::text("a.html".parse().unwrap(), Format::Html, &page)).await.unwrap();
    assert!(text.contains(SENTENCE) && said.is_empty(), "{text} {said:?}");
}

#[tokio::test]
async fn a_text_that_nobody_describes_is_read_as_what_it_looks_like_and_it_is_said() {
    for (encoding, name, text, wanted) in [
        (
            WINDOWS_1252,
            "a.csv",
            "ort;satz\nBüro;Der Schlüssel für das Café liegt im Büro.\n",
            "Der Schlüssel für das Café liegt im Büro.",
        ),
        (
            SHIFT_JIS,
            "a.txt",
            "地下室の鍵は守衛室にあります。持ち出すときは名前を書いてください。",
            "名前を書いてください。",
        ),
        (GBK, "a.md", "# 阀门\n\n阀门在十二号货架上，钥匙在门卫那里，请不要带走。", "钥匙在门卫那里"),
    ] {
        let (read, said) = read(source(name, encoded(encoding, text))).await.unwrap();
        assert!(read.contains(wanted), "{read}");
        let name = encoding.name();
        assert_eq!(said, [format!("read as {name}, which it looks like: where letters are wrong, save it as UTF-8")]);
    }
}

#[tokio::test]
async fn a_lone_byte_of_latin_1_and_one_that_the_declared_encoding_does_not_have_are_refused_by_their_place() {
    assert_eq!(refused(case("lone_latin1.txt")).await, "invalid UTF-8 at byte 5; save it as UTF-8");
    let mut page = encoded(WINDOWS_1252, "<meta charset=windows-1252><p>Büro ");
    page.push(0x81);
    assert_eq!(refused(source("a.html", page)).await, "invalid windows-1252 at byte 35; save it as UTF-8");
    let mut late = encoded(SHIFT_JIS, &"地下室の鍵は守衛室にあります。".repeat(20_000));
    let at = late.len();
    late.extend(b"\xff\xff");
    assert_eq!(refused(source("a.txt", late)).await, format!("invalid Shift_JIS at byte {at}; save it as UTF-8"));
}

#[tokio::test]
async fn a_character_is_whole_wherever_a_piece_of_a_long_text_ends() {
    let sentence = "地下室の鍵は守衛室にあります。";
    for (encoding, lead) in [(SHIFT_JIS, 0), (SHIFT_JIS, 1), (UTF_16LE, 0), (UTF_16LE, 1)] {
        let text = format!("{}{}", "a".repeat(lead), format!("{sentence}\n\n").repeat(20_000));
        let (read, _) = read(source("a.txt", encoded(encoding, &text))).await.unwrap();
        assert_eq!(read.matches(sentence).count(), 20_000);
    }
}
