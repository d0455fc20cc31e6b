//! Makes small documents in binary formats, the way a program would.

use std::io::{Cursor, Write as _};

use zip::{ZipWriter, write::SimpleFileOptions};

/// A ZIP archive with these parts.
pub(super) fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A DOCX document with this body.
pub(super) fn docx(body: &str) -> Vec<u8> {
    let xml = format!(
        "<?xml version=\"1.0\"?><w:document xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:body>{body}</w:body></w:document>"
    );
    archive(&[("word/document.xml", xml.as_bytes())])
}

/// A paragraph of a DOCX document.
pub(super) fn paragraph(text: &str) -> String {
    format!("<w:p><w:r><w:t xml:space=\"preserve\">{text}</w:t></w:r></w:p>")
}

/// A PDF document with these objects, numbered from 1; the first one is the catalog.
pub(in crate::ingest) fn pdf_of(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut pdf = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(pdf.len());
        pdf.extend_from_slice(format!("{} 0 obj\n", index + 1).as_bytes());
        pdf.extend_from_slice(object);
        pdf.extend_from_slice(b"\nendobj\n");
    }
    let xref = pdf.len();
    pdf.extend_from_slice(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).as_bytes());
    for offset in offsets {
        pdf.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
    }
    let trailer = format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{xref}\n%%EOF\n", objects.len() + 1);
    pdf.extend_from_slice(trailer.as_bytes());
    pdf
}

/// A PDF document with these lines on each page; a page without lines is a picture.
pub(super) fn pdf(pages: &[Vec<String>]) -> Vec<u8> {
    let kids: Vec<String> = (0..pages.len()).map(|page| format!("{} 0 R", 4 + 2 * page)).collect();
    let mut objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        format!("<< /Type /Pages /Kids [{}] /Count {} >>", kids.join(" "), pages.len()).into_bytes(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_vec(),
    ];
    for (page, lines) in pages.iter().enumerate() {
        let mut content = String::from("0.5 g 10 10 100 100 re f\n");
        if !lines.is_empty() {
            content.push_str("BT /F1 10 Tf 50 780 Td\n");
            for line in lines {
                let escaped = line.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
                content.push_str(&format!("({escaped}) Tj 0 -{} Td\n", if line.is_empty() { 24 } else { 12 }));
            }
            content.push_str("ET\n");
        }
        objects.push(
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> /Contents {} 0 R >>",
                5 + 2 * page
            )
            .into_bytes(),
        );
        objects.push(format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()).into_bytes());
    }
    pdf_of(&objects)
}

/// What relationships of office documents begin with.
pub(super) const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

/// A DOCX document with this body and these parts by their kinds, as Word packs it.
pub(super) fn word(body: &str, parts: &[(&str, &str)]) -> Vec<u8> {
    let list = |relations: &str| format!("<Relationships>{relations}</Relationships>");
    let relation =
        |kind: &str, target: &str| format!("<Relationship Id=\"r\" Type=\"{OFFICE}/{kind}\" Target=\"{target}\"/>");
    let (mut of_package, mut of_document) = (relation("officeDocument", "word/document.xml"), String::new());
    let mut files = vec![(
        "word/document.xml".to_owned(),
        format!("<?xml version=\"1.0\"?><w:document><w:body>{body}</w:body></w:document>"),
    )];
    for (at, (kind, xml)) in parts.iter().enumerate() {
        if kind.ends_with("-properties") {
            of_package += &relation(kind, &format!("docProps/p{at}.xml"));
            files.push((format!("docProps/p{at}.xml"), (*xml).to_owned()));
        } else {
            of_document += &relation(kind, &format!("p{at}.xml"));
            files.push((format!("word/p{at}.xml"), (*xml).to_owned()));
        }
    }
    files.push(("_rels/.rels".to_owned(), list(&of_package)));
    files.push(("word/_rels/document.xml.rels".to_owned(), list(&of_document)));
    archive(&files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect::<Vec<_>>())
}
