//! What cannot be read costs itself alone, and is said.

use proptest::prelude::*;

use super::{Made, Said, case, said, stream, upright};
use crate::ingest::{failure::FailureReason, tests::made::pdf_of};

fn pages(texts: &[(u32, &str)]) -> Vec<(u32, String)> {
    texts.iter().map(|(page, text)| (*page, (*text).to_owned())).collect()
}

#[test]
fn one_bad_page() {
    let said = said(&case("one_bad_page.pdf")).unwrap();
    let wanted = [
        (1, "Page one tells that the alarm is tested on Tuesdays."),
        (3, "Page three tells that the lift is closed at night."),
    ];
    assert_eq!(said.pages, pages(&wanted));
    let notice =
        "1 of 3 pages cannot be read in full (2): fonts are missing or damaged; save it again with another program";
    assert_eq!(said.notices, [notice]);
}

#[test]
fn mixed_scan() {
    let said = said(&case("mixed_scan.pdf")).unwrap();
    assert_eq!(said.pages, pages(&[(1, "Delivery contract, cover sheet. The annexes follow.")]));
    assert_eq!(said.notices, ["9 of 10 pages have no text (2-10): run OCR first"]);
}

#[test]
fn img_td() {
    let said = said(&case("img_td.pdf")).unwrap();
    let text = "The crane is inspected every 400 hours.\n\nAfter the picture stands the rule: no load above 2 tonnes.";
    assert_eq!(said, Said { pages: pages(&[(1, text)]), ..Said::default() });
}

#[test]
fn pixels_of_a_picture_inside_a_page_are_no_instructions() {
    let before = upright(72.0, 720.0, "Before the picture.");
    let after = upright(72.0, 706.0, "After the picture.");
    for picture in [
        &b"/W 2 /H 2 /CS /G /BPC 8 ID \x00EI( EI Q"[..],
        b"/W 4 /H 4 /IM true /F /AHx ID 00FF00FF> EI Q",
        b"/W 2 /H 2 /CS /G /BPC 8 ID Tj ET EI Q",
    ] {
        let content = [before.as_bytes(), b"q 4 0 0 4 100 600 cm BI ", picture, b"\n", after.as_bytes()].concat();
        let made = Made { content: &content, ..Made::default() };
        assert_eq!(made.text(), "Before the picture.\nAfter the picture.", "{}", picture.escape_ascii());
    }
}

/// Three pages; the second one's instructions are these.
fn with_second_page(second: &[u8]) -> Vec<u8> {
    let page = |content: u32| {
        format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents {content} 0 R >>"
        )
    };
    pdf_of(&[
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [4 0 R 6 0 R 8 0 R] /Count 3 >>".to_vec(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_vec(),
        page(5).into_bytes(),
        stream(upright(72.0, 720.0, "First page.").as_bytes()),
        page(7).into_bytes(),
        second.to_vec(),
        page(9).into_bytes(),
        stream(b"0.5 g 10 10 100 100 re f"),
    ])
}

#[test]
fn a_page_that_cannot_be_unpacked_is_named_and_is_not_taken_for_a_picture() {
    let broken = b"<< /Length 18 /Filter /FlateDecode >>\nstream\n\x01\x02garbage garbage!\nendstream";
    let said = said(&with_second_page(broken)).unwrap();
    assert_eq!(said.pages, pages(&[(1, "First page.")]));
    let unread = "1 of 3 pages cannot be read in full (2): damaged, or written in a way that is not understood; \
                  save it again with another program";
    assert_eq!(said.notices, [unread, "1 of 3 pages has no text (3): run OCR first"]);
}

#[test]
fn a_document_of_pages_that_cannot_be_read_fails() {
    let made = Made { content: b"BT /F9 12 Tf 1 0 0 1 72 700 Tm (x) Tj ET", ..Made::default() };
    let wanted =
        "no page of this PDF document can be read: fonts are missing or damaged; save it again with another program";
    assert_eq!(said(&made.bytes()).unwrap_err().to_string(), wanted);
    let pictures = Made { content: b"0.5 g 10 10 100 100 re f", ..Made::default() };
    assert_eq!(said(&pictures.bytes()), Err(FailureReason::Scanned { pages: 1 }));
}

#[test]
fn a_document_that_only_its_owner_may_change_is_read_and_one_with_a_password_is_said() {
    for name in ["enc_owner_r4.pdf", "enc_owner_r6.pdf", "enc_owner_rc4.pdf"] {
        let said = said(&case(name)).unwrap();
        assert!(said.pages[0].1.contains("Hello, all 1100 bells ring."), "{name}: {said:?}");
    }
    let refused = said(&case("enc_user.pdf")).unwrap_err();
    assert_eq!(refused.to_string(), "this PDF document is encrypted; save it without a password");
}

#[test]
fn what_is_no_pdf_is_an_error() {
    for bytes in [&b""[..], b"%PDF-1.7", b"%PDF-1.7\ntrailer<</Root 1 0 R>>\nstartxref\n0\n%%EOF", &[0xff; 5000]] {
        let read = said(bytes);
        assert!(matches!(read, Err(FailureReason::Malformed { .. } | FailureReason::Scanned { .. })), "{read:?}");
    }
}

#[test]
fn letters_without_end_at_one_place_are_read_in_bounded_time() {
    let mut content = String::from("BT /F1 1 Tf 1 0 0 1 72 720 Tm 0 TL\n");
    for _ in 0..2000 {
        content += "(abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz) Tj T*\n";
    }
    let text = super::shows(&(content + "ET"));
    assert_eq!(text.matches("abcdefghijklmnopqrstuvwxyz").count(), 2, "{}", text.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_changed_in_a_document_it_is_read_or_refused(at in 0.0..1.0_f64, byte: u8, cut in 0.5..1.0_f64) {
        for name in ["form.pdf", "gbk_euc.pdf", "img_td.pdf", "enc_owner_r4.pdf", "ligature.pdf"] {
            let mut bytes = case(name);
            let place = (at * bytes.len() as f64) as usize;
            bytes[place] = byte;
            drop(said(&bytes));
            bytes.truncate((cut * bytes.len() as f64) as usize);
            drop(said(&bytes));
        }
    }
}
