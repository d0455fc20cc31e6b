use encoding_rs::{BIG5, EUC_JP, EUC_KR, GBK, SHIFT_JIS, UTF_16BE, UTF_16LE, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252};
use proptest::prelude::*;

use super::*;

fn chosen(bytes: &[u8], sent: Option<&str>) -> Result<Chosen, FailureReason> {
    Start { bytes, whole: true, sent }.encoding()
}

fn told(bytes: &[u8], sent: Option<&str>) -> &'static Encoding {
    let chosen = chosen(bytes, sent).unwrap();
    assert!(!chosen.guessed, "{chosen:?}");
    chosen.encoding
}

fn guessed(bytes: &[u8]) -> Option<&'static Encoding> {
    let chosen = chosen(bytes, None).unwrap();
    chosen.guessed.then_some(chosen.encoding)
}

fn encoded(encoding: &'static Encoding, text: &str) -> Vec<u8> {
    let (bytes, _, lost) = encoding.encode(text);
    assert!(!lost, "{text}");
    bytes.into_owned()
}

const GERMAN: &str = "Der Schlüssel für das Café liegt im Büro – Fach 9.";
const RUSSIAN: &str = "Ключи от подвала лежат у вахтёра, и выдают их только под расписку.";
const CHINESE: &str = "阀门在十二号货架上，钥匙在门卫那里，请不要带走。";
const JAPANESE: &str = "地下室の鍵は守衛室にあります。持ち出すときは名前を書いてください。";
const KOREAN: &str = "지하실 열쇠는 경비실에 있습니다. 가져갈 때는 이름을 적으세요.";
const POLISH: &str = "Klucz do piwnicy leży u portiera; proszę go nie wypożyczać bez pokwitowania, także w święta.";

#[test]
fn a_byte_order_mark_comes_first() {
    assert_eq!(told(b"\xff\xfeh\0i\0", Some("windows-1252")), UTF_16LE);
    assert_eq!(told(b"\xfe\xff\0h\0i", None), UTF_16BE);
    assert_eq!(told(b"\xef\xbb\xbf<meta charset=gbk>", None), UTF_8);
    let utf32 = chosen(b"\xff\xfe\0\0h\0\0\0", None).unwrap_err().to_string();
    assert!(utf32.contains("UTF-32") && utf32.contains("save it as UTF-8"), "{utf32}");
}

#[test]
fn the_sender_comes_before_the_page_and_the_page_names_it_in_several_ways() {
    for (page, expected) in [
        ("<html><head><meta charset=\"windows-1252\">", WINDOWS_1252),
        ("<META CHARSET=latin1>", WINDOWS_1252),
        ("<meta http-equiv=Content-Type content='text/html; charset=Shift_JIS'>", SHIFT_JIS),
        ("<?xml version='1.0' encoding='gb2312'?><html>", GBK),
        ("<!-- <meta charset=big5> --><meta charset=euc-kr>", EUC_KR),
        ("<meta name=description content='the charset=big5 of old'><meta charset=koi8-r>", encoding_rs::KOI8_R),
        ("<meta name='x'><p>charset=gbk</p>", UTF_8),
        ("<meta charset=utf-16>", UTF_8),
        ("<meta charset=nonsense>", UTF_8),
    ] {
        assert_eq!(told(page.as_bytes(), None), expected, "{page}");
    }
    assert_eq!(told(b"<meta charset=big5>", Some("EUC-JP")), EUC_JP);
    let refused = chosen(b"<meta charset=hz-gb-2312>", None).unwrap_err().to_string();
    assert!(refused.contains("save it as UTF-8"), "{refused}");
    let far = format!("{}<meta charset=gbk>", " ".repeat(DECLARED_WITHIN));
    assert_eq!(told(far.as_bytes(), None), UTF_8);
}

#[test]
fn a_content_type_may_have_a_charset() {
    for (kind, expected) in [
        ("text/html; charset=windows-1252", Some("windows-1252")),
        ("text/plain;Charset=\"ISO-8859-1\"; format=flowed", Some("windows-1252")),
        ("text/csv; header=present; charset=sjis", Some("Shift_JIS")),
        ("text/plain", None),
        ("text/plain; charset=klingon", None),
    ] {
        assert_eq!(charset_of(kind).as_deref(), expected, "{kind}");
    }
}

#[test]
fn what_is_valid_utf8_is_no_old_single_byte_text_whatever_it_says() {
    let page = format!("<meta charset=iso-8859-1>{GERMAN}");
    assert_eq!(told(page.as_bytes(), None), UTF_8);
    assert_eq!(told(GERMAN.as_bytes(), Some("windows-1251")), UTF_8);
    // Two bytes of one character may well be two of another.
    assert_eq!(told(page.as_bytes(), Some("GBK")), GBK);
}

#[test]
fn a_text_that_nobody_describes_is_read_as_what_all_of_it_looks_like() {
    for (encoding, text) in [
        (WINDOWS_1252, GERMAN),
        (WINDOWS_1251, RUSSIAN),
        (WINDOWS_1250, POLISH),
        (GBK, CHINESE),
        (SHIFT_JIS, JAPANESE),
        (EUC_JP, JAPANESE),
        (EUC_KR, KOREAN),
        (BIG5, "閥門在十二號貨架上，鑰匙在門衛那裡，請不要帶走。"),
    ] {
        let bytes = encoded(encoding, text);
        assert_eq!(guessed(&bytes), Some(encoding), "{text}");
        let mut decoding = Decoding::of(encoding);
        assert_eq!(decoding.text(&bytes, 0, true).unwrap(), (text, bytes.len()));
    }
}

#[test]
fn stray_bytes_in_ascii_or_utf8_are_refused_by_their_place_as_ever() {
    let mut mixed = GERMAN.as_bytes().to_vec();
    mixed.extend_from_slice(b" caf\xe9 ");
    for (bytes, at) in
        [(&b"A caf\xe9 opens at eight.\n"[..], 5), (b"na\xefve caf\xe9", 2), (&mixed, GERMAN.len() as u64 + 4)]
    {
        assert_eq!(guessed(bytes), None, "{bytes:?}");
        let refused = Decoding::Utf8.text(bytes, 0, true).unwrap_err();
        assert_eq!(refused, FailureReason::InvalidUtf8 { at, hint: None });
    }
}

#[test]
fn a_byte_that_means_nothing_in_the_encoding_is_refused_by_its_place() {
    for (encoding, bytes, at) in [
        (WINDOWS_1252, &b"caf\xe9 \x81 "[..], 5),
        (encoding_rs::WINDOWS_1253, b"abc \xaa", 4),
        (SHIFT_JIS, b"\x83\x7e\x83\xff", 2),
        (GBK, b"ab\x81", 2),
        (UTF_16LE, b"a\0b\0\0\xd8c\0", 4),
    ] {
        let refused = Decoding::of(encoding).text(bytes, 0, true).unwrap_err();
        assert_eq!(refused, FailureReason::InvalidEncoding { encoding: encoding.name().to_owned(), at });
        // The same where each byte comes alone.
        let mut decoding = Decoding::of(encoding);
        let pieces =
            (0..bytes.len()).map(|from| (&bytes[from..=from], from as u64)).chain([(&b""[..], bytes.len() as u64)]);
        let refused =
            pieces.map(|(piece, from)| decoding.text(piece, from, piece.is_empty()).map(|_| ())).find(Result::is_err);
        assert_eq!(refused, Some(Err(FailureReason::InvalidEncoding { encoding: encoding.name().to_owned(), at })));
    }
    assert!(
        matches!(Decoding::Utf8.text(b"a\0", 7, true), Err(FailureReason::Binary { what }) if what.ends_with("at 8"))
    );
    assert!(matches!(Decoding::of(UTF_16LE).text(b"a\0\0\0", 0, true), Err(FailureReason::Binary { .. })));
}

proptest! {
    #[test]
    fn whatever_the_bytes_are_something_is_chosen_and_nothing_is_replaced(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        html in "[<>!a-z=\"' /-]{0,60}(<meta charset=)?[a-z0-9-]{0,12}",
        sent in prop::option::of("[a-z0-9-]{0,12}"),
        whole in any::<bool>(),
    ) {
        for bytes in [bytes, html.into_bytes()] {
            let Ok(chosen) = (Start { bytes: &bytes, whole, sent: sent.as_deref() }).encoding() else { continue };
            let mut decoding = Decoding::of(chosen.encoding);
            if let Ok((text, used)) = decoding.text(&bytes, 0, whole) {
                prop_assert!(used <= bytes.len() && !text.contains('\0'));
                prop_assert!(!chosen.encoding.is_single_byte() || text.chars().count() == bytes.len());
            }
        }
    }
}
