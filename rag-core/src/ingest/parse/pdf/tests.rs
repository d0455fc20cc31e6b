//! Documents as programs write them and as they go wrong; what each of them says when it is read.

mod encodings;
mod faults;
mod pages;

use std::path::Path;

use super::{super::piece::Piece, read};
use crate::ingest::failure::FailureReason;

/// What was read of a document.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    title: Option<String>,
    /// Pages with text, and their text.
    pages: Vec<(u32, String)>,
    notices: Vec<String>,
}

fn said(bytes: &[u8]) -> Result<Said, FailureReason> {
    let mut said = Said::default();
    read(bytes, &mut |piece| {
        match piece {
            Piece::Title(title) => said.title = Some(title),
            Piece::Page(number) => said.pages.push((number, String::new())),
            Piece::Prose(text) => said.pages.last_mut().unwrap().1.push_str(&text),
            Piece::Notice(notice) => said.notices.push(notice.to_string()),
            other => panic!("{other:?} is not read of a PDF"),
        }
        Ok(())
    })?;
    for (_, text) in &mut said.pages {
        text.truncate(text.trim_end().len());
    }
    Ok(said)
}

/// The text of a document of one page.
fn text(bytes: &[u8]) -> String {
    let said = said(bytes).unwrap();
    let [(1, text)] = &said.pages[..] else { panic!("{said:?}") };
    text.clone()
}

fn case(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)).unwrap()
}

fn stream(content: &[u8]) -> Vec<u8> {
    [format!("<< /Length {} >>\nstream\n", content.len()).as_bytes(), content, b"\nendstream"].concat()
}

/// A document of one page with these instructions, more in its dictionary, more fonts, and more objects, which are numbered from 6.
#[derive(Default)]
struct Made<'m> {
    content: &'m [u8],
    page: &'m str,
    fonts: &'m str,
    objects: &'m [&'m str],
    /// More of the catalog.
    catalog: &'m str,
}

impl Made<'_> {
    fn bytes(&self) -> Vec<u8> {
        let Self { content, page, fonts, objects, catalog } = self;
        let mut all = vec![
            format!("<< /Type /Catalog /Pages 2 0 R {catalog} >>").into_bytes(),
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>".to_vec(),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_vec(),
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R \
                 /Resources << /Font << /F1 3 0 R {fonts} >> >> {page} >>"
            )
            .into_bytes(),
            stream(content),
        ];
        all.extend(objects.iter().map(|object| object.as_bytes().to_vec()));
        crate::ingest::tests::made::pdf_of(&all)
    }

    fn text(&self) -> String {
        text(&self.bytes())
    }
}

/// Instructions that write a line, at a place and under a matrix.
fn line((x, y): (f64, f64), matrix: &str, size: u32, text: &str) -> String {
    format!("BT /F1 {size} Tf {matrix} {x} {y} Tm ({text}) Tj ET\n")
}

fn upright(x: f64, y: f64, text: &str) -> String {
    line((x, y), "1 0 0 1", 11, text)
}

/// Lines below each other.
fn lines(x: f64, y: f64, texts: &[&str]) -> String {
    texts.iter().zip(0..).map(|(text, n)| upright(x, y - 14.0 * f64::from(n), text)).collect()
}

fn shows(content: &str) -> String {
    Made { content: content.as_bytes(), ..Made::default() }.text()
}
