//! Mail: subject, sender and date, the body, and what is attached, each by the parser of its format.
//!
//! The crate `mail-parser` takes a message apart; of what is attached, text comes back as text and is read by the process that asked, other formats are read here. What cannot be read is named.

use mail_parser::{Address, Message, MessageParser, MessagePart, MimeHeaders as _, PartType};

use super::{
    Format,
    piece::{Piece, Take},
    read_binary,
};
use crate::ingest::failure::FailureReason;

/// Attachments of one message that are looked at.
const MAX_ATTACHMENTS: usize = 200;
/// Messages attached to each other.
const MAX_DEPTH: usize = 4;
/// Bytes of a text that is handed over whole.
const MAX_TEXT: usize = 4 << 20;

/// Reads a message.
pub(in crate::ingest) fn read(bytes: &[u8], take: &mut Take<'_>) -> Result<(), FailureReason> {
    let message = MessageParser::default().parse(bytes).filter(|message| !message.headers().is_empty());
    let message =
        message.ok_or_else(|| FailureReason::Malformed { cause: "it is no mail: it has no header".to_owned() })?;
    if let Some(subject) = message.subject() {
        take(Piece::Title(subject.to_owned()))?;
    }
    one(&message, &[], take)
}

/// Reads a message under the subjects of those that it is attached to.
fn one(message: &Message<'_>, above: &[String], take: &mut Take<'_>) -> Result<(), FailureReason> {
    if let Some(subject) = message.subject().filter(|subject| !subject.trim().is_empty()) {
        take(Piece::Heading(1, format!("{}\n\n", subject.trim())))?;
    }
    let mut lines = String::new();
    for (name, who) in [("From", message.from()), ("To", message.to()), ("Cc", message.cc())] {
        if let Some(who) = who.map(people).filter(|who| !who.is_empty()) {
            lines.push_str(&format!("{name}: {who}\n"));
        }
    }
    if let Some(date) = message.date() {
        lines.push_str(&format!("Date: {}\n", date.to_rfc3339()));
    }
    if !lines.is_empty() {
        take(Piece::Lines(format!("{lines}\n")))?;
    }
    let mut unread = String::new();
    for part in message.html_bodies() {
        let (format, text) = match &part.body {
            PartType::Html(text) => (Format::Html, text),
            PartType::Text(text) => (Format::Text, text),
            _ => continue,
        };
        let read = beginning(text);
        if read.len() < text.len() {
            unread.push_str(&format!("Of the body the last {} bytes were not read\n", text.len() - read.len()));
        }
        take(Piece::Part(format, read.to_owned()))?;
    }
    let mut attachments = message.attachments();
    let mut causes = Vec::new();
    for part in attachments.by_ref().take(MAX_ATTACHMENTS) {
        if let Err(cause) = attached(part, above, take)? {
            causes.push(format!("{} ({cause})", name(part)));
        }
    }
    causes.extend(attachments.by_ref().take(MAX_ATTACHMENTS).map(|part| format!("{} (too many)", name(part))));
    causes.extend(Some(attachments.count()).filter(|more| *more > 0).map(|more| format!("{more} more (too many)")));
    if !causes.is_empty() {
        unread.push_str(&format!("Attachments that were not read: {}\n", causes.join(", ")));
    }
    if !unread.is_empty() {
        take(Piece::Within(above.to_vec()))?;
        take(Piece::Lines(format!("{unread}\n")))?;
    }
    Ok(())
}

fn name<'p>(part: &'p MessagePart<'_>) -> &'p str {
    part.attachment_name().unwrap_or("without a name")
}

/// Reads what is attached, or tells why that is not done. An error of whoever takes the pieces ends the reading.
fn attached(
    part: &MessagePart<'_>,
    above: &[String],
    take: &mut Take<'_>,
) -> Result<Result<(), String>, FailureReason> {
    let under = |name: &str| above.iter().cloned().chain([name.to_owned()]).collect::<Vec<_>>();
    if let PartType::Message(message) = &part.body {
        if above.len() >= MAX_DEPTH {
            return Ok(Err("too deep".to_owned()));
        }
        let under = under(message.subject().unwrap_or_default().trim());
        take(Piece::Within(under.clone()))?;
        return one(message, &under, take).map(Ok);
    }
    let name = part.attachment_name().unwrap_or_default();
    let Some(format) = Format::of_name(name).ok().or_else(|| media_type(part)) else {
        return Ok(Err("unknown type".to_owned()));
    };
    let bytes = part.contents();
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_TEXT);
    if !format.is_binary() && text.is_none() {
        return Ok(Err("no UTF-8, or too large".to_owned()));
    }
    if format == Format::Eml {
        return Ok(Err("a message inside a file".to_owned()));
    }
    let name = format!("Attachment {name}");
    let under = under(&name);
    take(Piece::Within(under.clone()))?;
    take(Piece::Heading(1, format!("{name}\n\n")))?;
    if let Some(text) = text.filter(|_| !format.is_binary()) {
        return take(Piece::Part(format, text.to_owned())).map(Ok);
    }
    let mut refused = None;
    let read = read_binary(format, bytes, &mut |piece| {
        let taken = match piece {
            // The title is the subject's.
            Piece::Title(_) => Ok(()),
            Piece::Within(names) => take(Piece::Within(under.iter().cloned().chain(names).collect())),
            piece => take(piece),
        };
        taken.inspect_err(|reason| refused = Some(reason.clone()))
    });
    match (refused, read) {
        (Some(reason), _) => Err(reason),
        (None, read) => Ok(read.map_err(|reason| reason.to_string())),
    }
}

fn media_type(part: &MessagePart<'_>) -> Option<Format> {
    let kind = part.content_type()?;
    Format::of_media_type(&format!("{}/{}", kind.ctype(), kind.subtype()?))
}

/// Names and addresses.
fn people(who: &Address<'_>) -> String {
    let one = |name: Option<&str>, address: Option<&str>| match (name, address) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    };
    who.iter().take(50).map(|who| one(who.name(), who.address())).collect::<Vec<_>>().join(", ")
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ingest::chunk::{Chunker, Draft, Limits};

    fn drafts(mail: &str) -> Result<(Option<String>, Vec<Draft>), String> {
        let count = |text: &str| text.split_whitespace().count();
        let mut chunker = Chunker::new(Limits { tokens: 200, bytes: 4000 }, &count);
        read(mail.as_bytes(), &mut |piece| piece.push(&mut chunker)).map_err(|reason| reason.to_string())?;
        chunker.finish();
        let title = chunker.title().map(str::to_owned);
        Ok((title, std::iter::from_fn(|| chunker.pop()).collect()))
    }

    fn read_mail(mail: &str) -> Result<(Option<String>, String), String> {
        let (title, drafts) = drafts(mail)?;
        Ok((title, drafts.into_iter().map(|draft| draft.text).collect::<Vec<_>>().join("\n~\n")))
    }

    /// A mail with these parts, each with its header.
    fn mixed(subject: &str, parts: &[String]) -> String {
        let parts: String = parts.iter().map(|part| format!("--{subject}\r\n{part}\r\n")).collect();
        format!(
            "Subject: {subject}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary={subject}\r\n\r\n{parts}--{subject}--\r\n"
        )
    }

    fn attachment(name: &str, text: &str) -> String {
        format!("Content-Type: text/plain\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\r\n{text}")
    }

    const MAIL: &str = "From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nTo: depot@example.org\r\nSubject: =?utf-8?b?UHVtcGVuIGbDvHIgTm9yZA==?=\r\nDate: Wed, 01 Jan 2031 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nDie Pumpe l=E4uft.\r\n--c\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Die <b>Pumpe</b> l\u{e4}uft.</p><script>no</script>\r\n--c--\r\n--b\r\nContent-Type: text/csv; name=\"fares.csv\"\r\nContent-Disposition: attachment; filename=\"fares.csv\"\r\nContent-Transfer-Encoding: base64\r\n\r\nem9uZSxmYXJlDQplYXN0LDQ0DQo=\r\n--b\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=\"p.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b--\r\n";

    #[test]
    fn a_mail_is_its_subject_its_people_its_body_and_what_is_attached() {
        let (title, text) = read_mail(MAIL).unwrap();
        assert_eq!(title.as_deref(), Some("Pumpen für Nord"));
        assert_eq!(
            text,
            "Pumpen für Nord\n\nFrom: Jürgen <j@example.org>\nTo: depot@example.org\nDate: 2031-01-01T10:00:00Z\n\nDie Pumpe läuft.\n~\nAttachment fares.csv\n\nzone: east; fare: 44\n~\nAttachments that were not read: p.png (unknown type)"
        );
    }

    #[test]
    fn a_message_in_a_message_is_read_and_one_that_nests_without_end_is_not() {
        let inner = "Subject: Inner\r\nContent-Type: text/plain\r\n\r\nThe valve is open.\r\n";
        let outer = format!(
            "Subject: Outer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n--b--\r\n"
        );
        let (title, text) = read_mail(&outer).unwrap();
        assert_eq!(title.as_deref(), Some("Outer"));
        assert!(text.contains("See below.") && text.contains("Inner\n\nThe valve is open."), "{text}");
        let mut deep = inner.to_owned();
        for _ in 0..50 {
            deep = format!("Subject: x\r\nContent-Type: message/rfc822\r\n\r\n{deep}");
        }
        assert!(read_mail(&deep).is_ok_and(|(_, text)| text.len() < 1000));
        assert!(read_mail("").is_err());
    }

    #[test]
    fn all_of_an_attachment_stands_under_its_name() {
        let inner = mixed(
            "Inner",
            &[
                "Content-Type: text/html\r\n\r\n<h1>Valve</h1><p>It is open.</p>".to_owned(),
                attachment("in.md", "# Deep\n\nSeven."),
            ],
        );
        let mail = mixed(
            "Outer",
            &[
                "Content-Type: text/plain\r\n\r\nSee below.".to_owned(),
                attachment("a.md", "# Start\n\nOne.\n\n# Stop\n\nTwo."),
                attachment("b.jsonl", "{\"title\": \"Pump\", \"text\": \"Three.\"}\n{\"text\": \"Four.\"}"),
                format!("Content-Type: message/rfc822\r\n\r\n{inner}"),
                attachment("c.bin", "x").replace("text/plain", "application/octet-stream"),
            ],
        );
        let (_, drafts) = drafts(&mail).unwrap();
        let places: Vec<_> = drafts
            .iter()
            .map(|draft| (draft.headings.join(" > "), draft.text.lines().last().unwrap_or_default()))
            .collect();
        let places: Vec<_> = places.iter().map(|(headings, text)| (headings.as_str(), *text)).collect();
        assert_eq!(
            places,
            [
                ("Outer", "See below."),
                ("Attachment a.md > Start", "One."),
                ("Attachment a.md > Stop", "Two."),
                ("Attachment b.jsonl", "Attachment b.jsonl"),
                ("Attachment b.jsonl > Pump", "Three."),
                ("Attachment b.jsonl", "Four."),
                ("Inner > Valve", "It is open."),
                ("Inner > Attachment in.md > Deep", "Seven."),
                ("", "Attachments that were not read: c.bin (unknown type)"),
            ]
        );
    }

    #[test]
    fn what_is_too_many_or_too_long_is_named_at_the_end() {
        let long = "word ".repeat(MAX_TEXT / 5 + 1);
        let parts = std::iter::once(format!("Content-Type: text/plain\r\n\r\n{long}"))
            .chain((1..=2 * MAX_ATTACHMENTS + 3).map(|n| attachment(&format!("{n}.txt"), &format!("This is {n}."))));
        let mut pieces = Vec::new();
        read(mixed("Many", &parts.collect::<Vec<_>>()).as_bytes(), &mut |piece| {
            pieces.push(piece);
            Ok(())
        })
        .unwrap();
        let read: Vec<_> = pieces.iter().filter(|piece| matches!(piece, Piece::Part(..))).collect();
        assert_eq!(read.len(), 1 + MAX_ATTACHMENTS);
        let Some(Piece::Lines(unread)) = pieces.last() else { panic!("{:?}", pieces.last()) };
        let left = long.len() - MAX_TEXT;
        assert!(unread.starts_with(&format!("Of the body the last {left} bytes were not read\nAttachments that were not read: 201.txt (too many), 202.txt (too many), ")), "{}", &unread[..200]);
        assert!(unread.ends_with(", 400.txt (too many), 3 more (too many)\n\n"), "{unread}");
    }

    proptest! {
        #[test]
        fn whatever_is_done_to_a_mail_its_reader_does_not_panic(
            at in any::<prop::sample::Index>(),
            length in 0_usize..40,
            scrap in prop::sample::select(vec!["", "--b\r\n", "--b--\r\n", "\r\n\r\n", "Content-Type: message/rfc822\r\n\r\n", "=?utf-8?b?", "=", "\u{0}", "boundary=", "é"]),
        ) {
            let from = MAIL.floor_char_boundary(at.index(MAIL.len()));
            let to = MAIL.ceil_char_boundary((from + length).min(MAIL.len()));
            let mail = format!("{}{scrap}{}", &MAIL[..from], &MAIL[to..]);
            if let Ok((_, text)) = read_mail(&mail) {
                prop_assert!(text.len() <= 4 * mail.len());
            }
        }
    }
}
