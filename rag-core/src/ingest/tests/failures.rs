//! Each broken document fails alone, by name and reason.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use super::world::{SetClock, World, ingest, markdown, replica};
use crate::{
    ingest::{FailureReason, Format, Source, walk},
    model::Outcome,
};

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// One file that is good, and every kind of file that is not.
fn write_broken(root: &Path) {
    let mut late = vec![b'a'; 200_000];
    late.extend(b"\xc3\x28 and more");
    write(root, "good.md", b"# Good\n\nThis one is fine.\n");
    write(root, "utf8.txt", &late);
    write(root, "cut.txt", "half a character: é".as_bytes().split_last().unwrap().1);
    write(root, "utf32.txt", b"\xff\xfe\0\0h\0\0\0");
    write(root, "empty.md", b"");
    write(root, "blank.txt", "\u{feff} \r\n\t\u{2003}\n".as_bytes());
    write(root, "nul.txt", b"text and \0 more");
    write(root, "image.md", b"\x89PNG\r\n\x1a\n");
    write(root, "office.txt", b"PK\x03\x04word/document.xml");
    write(root, "scan.pdf", b"%PDF-1.7");
    write(root, "Makefile", b"all:\n");
    write(root, "scripts.html", b"<html><script>let x = 1;</script><nav>Menu</nav></html>");
    fs::File::create(root.join("huge.html")).unwrap().set_len(17 << 20).unwrap();
    fs::create_dir(root.join("deep")).unwrap();
    std::os::unix::fs::symlink(root, root.join("deep/loop")).unwrap();
    std::os::unix::fs::symlink("self.md", root.join("self.md")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.join("dangling.md")).unwrap();
}

#[tokio::test]
async fn each_broken_file_fails_alone_by_name_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (root, mut outcomes) = (folder.path(), BTreeMap::new());
    write_broken(root);
    let (sources, mut failures): (Vec<_>, BTreeMap<_, _>) =
        walk(root, drop).fold(Default::default(), |mut all, found| {
            match found {
                Ok(source) => all.0.push(source),
                Err((name, reason)) => drop(all.1.insert(name, reason.to_string())),
            }
            all
        });
    let flow = replica(&Arc::<World>::default(), &Arc::<SetClock>::default());
    let stop = tokio_util::sync::CancellationToken::new();
    flow.ingest_all(sources, &stop, &mut |report| {
        match report.result {
            Ok(outcome) => drop(outcomes.insert(report.name, outcome)),
            Err(reason) => drop(failures.insert(report.name, reason.to_string())),
        };
    })
    .await
    .unwrap();
    assert_eq!(outcomes, BTreeMap::from([("good.md".to_owned(), Outcome::Created)]));
    let looped = failures.remove("deep/loop").unwrap();
    assert!(looped.starts_with("symlink loop: it leads back to /"), "{looped}");
    let damaged = failures.remove("scan.pdf").unwrap();
    assert!(damaged.starts_with("this PDF document cannot be read: "), "{damaged}");
    let unknown = format!("unknown type (no extension); {} can be read", Format::ends());
    assert_eq!(failures.remove("Makefile"), Some(unknown));
    insta::assert_yaml_snapshot!(failures, @r#"
    blank.txt: "empty: there is no text in it"
    cut.txt: invalid UTF-8 at byte 18; save it as UTF-8
    dangling.md: "cannot be read: the link leads nowhere"
    empty.md: "empty: there is no text in it"
    huge.html: "too large: 17825792 bytes, at most 16777216 are allowed; split it"
    image.md: "binary: it begins like a PNG image; run OCR first, and ingest the text that it finds"
    nul.txt: "binary: it holds a NUL byte at 9"
    office.txt: "binary: it begins like a ZIP archive or an office document; name it as what it is, or unpack it and ingest the folder"
    scripts.html: no text in it that a reader would see
    self.md: "symlink loop: it leads back to itself; remove the link"
    utf32.txt: invalid UTF-8 at byte 0 (it looks like UTF-32); save it as UTF-8
    utf8.txt: invalid UTF-8 at byte 200000; save it as UTF-8
    "#);
}

#[tokio::test]
async fn a_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe.txt");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let flow = replica(&Arc::<World>::default(), &Arc::<SetClock>::default());
    let source = Source::file("pipe.txt".parse().unwrap(), path).unwrap();
    assert_eq!(flow.ingest(source).await.result, Err(FailureReason::NotAFile));
}

#[tokio::test]
async fn metadata_that_would_not_fit_a_record_is_refused() {
    let flow = replica(&Arc::<World>::default(), &Arc::<SetClock>::default());
    let metadata = BTreeMap::from([("k".to_owned(), "v".repeat(20_000))]);
    let source = Source { metadata: Some(metadata), ..markdown("a.md", "text") };
    let (reports, _) = ingest(&flow, vec![source, markdown("b.md", "text")]).await;
    assert_eq!((&reports["a.md"], &reports["b.md"]), (&Err("metadata_too_large".to_owned()), &Ok(Outcome::Created)));
}

#[tokio::test]
async fn a_hostile_page_costs_bounded_time_and_no_stack() {
    let flow = replica(&Arc::<World>::default(), &Arc::<SetClock>::default());
    let deep = format!("{}text at the bottom", "<div>".repeat(200_000));
    let wide = format!("<a{}>text</a>", " x".repeat(60_000));
    let unclosed = format!("<p>before</p><aside>{}</aside><p>after</p>", "<section>".repeat(200));
    let page = |id: &str, text: &str| Source::text(id.parse().unwrap(), Format::Html, text);
    let (reports, _) = ingest(&flow, vec![page("deep", &deep), page("wide", &wide), page("open", &unclosed)]).await;
    assert_eq!(reports["deep"], Ok(Outcome::Created));
    assert_eq!(reports["wide"], Err("malformed".to_owned()));
    assert_eq!(reports["open"], Ok(Outcome::Created));
}
