//! Documents that were built to exhaust or break their reader, through the real child process: each costs one clear error and nothing else.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use async_trait::async_trait;
use rag_server::{
    adapters::{edge::EdgeStore, sqlite::SqliteRecords},
    ingest::{Bounds, Format, Ingest, Reader, Source},
    ports::{EmbedError, Embedder, Epoch, ModelIdentity, SystemClock, VectorStore as _},
};

use crate::process::{Home, eventually};

/// The same vector for every text: nothing here is searched.
struct Flat(ModelIdentity);

#[async_trait]
impl Embedder for Flat {
    fn model(&self) -> &ModelIdentity {
        &self.0
    }
    fn count_tokens(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }
    fn max_tokens(&self) -> usize {
        254
    }
    async fn embed_query(&self, _text: &str) -> Result<Vec<f32>, EmbedError> {
        Ok(vec![1.0, 0.0])
    }
    async fn embed_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(vec![vec![1.0, 0.0]; texts.len()])
    }
}

/// A flow whose children are those of the real program.
struct Flow {
    ingest: Ingest,
    _folder: tempfile::TempDir,
}

impl Flow {
    async fn new(bounds: Bounds) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = EdgeStore::open(&folder.path().join("vectors")).await.unwrap();
        store.create_epoch(Epoch(1), 2).await.unwrap();
        store.activate(Epoch(1)).await.unwrap();
        let records = SqliteRecords::open(&folder.path().join("records.db")).await.unwrap();
        let embedder = Flat(ModelIdentity { name: "flat".to_owned(), dimension: 2 });
        let program = env!("CARGO_BIN_EXE_rag-server").into();
        let ingest =
            Ingest::new(Arc::new(store), Arc::new(records), Arc::new(embedder), Arc::new(SystemClock), Epoch(1))
                .reader(Reader::Child { program, bounds });
        Self { ingest, _folder: folder }
    }

    /// Why a document fails; none when it does not.
    async fn failure(&self, format: Format, bytes: Vec<u8>) -> Option<String> {
        let source = Source::bytes("x".parse().unwrap(), format, bytes);
        self.ingest.ingest(source).await.result.err().map(|reason| reason.to_string())
    }

    /// A document that is as it should be is read by the same flow.
    async fn still_reads(&self) {
        let failure = self.failure(Format::Docx, fixture("pandoc.docx")).await;
        assert_eq!(failure, None);
    }
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../rag-core/tests/fixtures").join(name)).unwrap()
}

/// Little memory and time, so that a test needs no more.
const TIGHT: Bounds = Bounds { memory_mib: 128, cpu_seconds: 5, wall_seconds: 150 };

/// A PDF document of these objects, numbered from 1; the first one is its catalog.
pub(crate) fn pdf(objects: impl Iterator<Item = String>) -> Vec<u8> {
    let (mut pdf, mut offsets) = (b"%PDF-1.4\n".to_vec(), Vec::new());
    for (index, object) in objects.enumerate() {
        offsets.push(pdf.len());
        write!(pdf, "{} 0 obj\n{object}\nendobj\n", index + 1).unwrap();
    }
    let (xref, size) = (pdf.len(), offsets.len() + 1);
    write!(pdf, "xref\n0 {size}\n0000000000 65535 f \n").unwrap();
    for offset in offsets {
        writeln!(pdf, "{offset:010} 00000 n ").unwrap();
    }
    write!(pdf, "trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{xref}\n%%EOF\n").unwrap();
    pdf
}

#[tokio::test]
async fn a_pdf_whose_references_form_a_loop_costs_one_error() {
    let flow = Flow::new(TIGHT).await;
    // The page is its own parent, and says neither its size nor its fonts.
    let own_parent = pdf([
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 3 0 R /Contents 4 0 R >>",
        "<< /Length 0 >>\nstream\n\nendstream",
    ]
    .map(str::to_owned)
    .into_iter());
    // The tree of pages holds itself.
    let own_kid = pdf(["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"]
        .map(str::to_owned)
        .into_iter());
    for looped in [own_parent, own_kid] {
        let said = flow.failure(Format::Pdf, looped).await.expect("it cannot be read");
        let known = [
            "inside each other too deep",
            "of computing",
            "of memory",
            "cannot be read",
            "no text inside",
            "broke down",
        ];
        assert!(known.iter().any(|known| said.contains(known)), "{said}");
    }
    flow.still_reads().await;
}

#[tokio::test]
async fn a_pdf_of_a_million_objects_costs_bounded_memory_and_one_answer() {
    let flow = Flow::new(TIGHT).await;
    let head = ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [] /Count 0 >>"].map(str::to_owned);
    let many = pdf(head.into_iter().chain((0..1_000_000).map(|_| "<< /A [1 2 3] >>".to_owned())));
    assert!(many.len() > 40_000_000);
    let said = flow.failure(Format::Pdf, many).await.expect("it holds no text");
    let bounded =
        ["more than 128 MiB of memory", "more than 5 s of computing", "no text inside", "cannot be read", "broke down"];
    assert!(bounded.iter().any(|bound| said.contains(bound)), "{said}");
    flow.still_reads().await;
}

#[tokio::test]
async fn a_docx_that_is_a_zip_bomb_costs_one_error() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("word/document.xml", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"<w:document><w:body>").unwrap();
    let part = "<w:p><w:r><w:t> </w:t></w:r></w:p>".repeat(30_000);
    for _ in 0..100 {
        zip.write_all(part.as_bytes()).unwrap();
    }
    let bomb = zip.finish().unwrap().into_inner();
    assert!(bomb.len() < 1_000_000);
    let flow = Flow::new(Bounds { cpu_seconds: 60, ..TIGHT }).await;
    let said = flow.failure(Format::Docx, bomb).await.expect("it is refused");
    assert!(said.contains("inflates to more than") || said.contains("of computing"), "{said}");
    flow.still_reads().await;
}

#[tokio::test]
async fn the_child_reads_rich_text_and_opendocuments_as_well() {
    let flow = Flow::new(TIGHT).await;
    assert_eq!(flow.failure(Format::Rtf, b"{\\rtf1 Salt is kept dry.\\par}".to_vec()).await, None);
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("content.xml", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"<office:body><text:p>Pepper is kept dark.</text:p></office:body>").unwrap();
    let text = zip.finish().unwrap().into_inner();
    assert_eq!(flow.failure(Format::Odt, text).await, None);
}

#[tokio::test]
async fn a_reader_that_never_ends_is_ended_at_its_deadline() {
    let home = Home::new();
    let script = home.write("endless", "#!/bin/sh\nexec tail -f /dev/null\n");
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut flow = Flow::new(TIGHT).await;
    flow.ingest = flow.ingest.reader(Reader::Child { program: script, bounds: Bounds { wall_seconds: 1, ..TIGHT } });
    let said = flow.failure(Format::Pdf, fixture("libreoffice.pdf")).await.expect("nobody reads it");
    assert_eq!(said, "reading it took longer than 1 s; it may be built to exhaust the reader");
}

#[tokio::test]
async fn whatever_is_done_to_a_pdf_is_an_answer() {
    let flow = Flow::new(TIGHT).await;
    let whole = fixture("libreoffice.pdf");
    // A fixed sequence, so that a failure can be repeated.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..24 {
        let mut damaged = whole.clone();
        for _ in 0..=next(30) {
            let at = next(damaged.len());
            damaged[at] = next(256) as u8;
        }
        if next(3) == 0 {
            damaged.truncate(next(whole.len()).max(100));
        }
        // Whether it can be read is its own business; that the flow goes on is ours.
        let _answer = flow.failure(Format::Pdf, damaged).await;
    }
    flow.still_reads().await;
}

#[tokio::test]
async fn the_child_bounds_itself_and_knows_nothing_of_its_parents_secrets() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rag-server"))
        .args(["read-document", "docx", "--memory-mib", "64", "--cpu-seconds", "7"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let limits = || fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let bounded = |limits: &str| {
        limits.lines().any(|line| line.starts_with("Max cpu time") && line.split_whitespace().nth(3) == Some("7"))
            && limits
                .lines()
                .any(|line| line.starts_with("Max file size") && line.split_whitespace().nth(3) == Some("0"))
    };
    eventually("the child has bounded itself", async || bounded(&limits())).await;
    assert!(!limits().lines().any(|line| line.starts_with("Max address space") && line.contains("unlimited")));
    child.stdin.take().unwrap().write_all(&fixture("pandoc.docx")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("Pump Handbook"));
}
