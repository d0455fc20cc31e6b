//! Small documents that are built to become large ones: what they cost is bounded by their size, in memory, in text and in steps.

use std::sync::atomic::AtomicBool;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{
    made,
    memory::{self, is_measured},
};
use crate::ingest::{
    Format, Reader, Source,
    chunk::Limits,
    read::{self, Cutting},
};

const MIB: u64 = 1 << 20;

/// Makes a document of about so many bytes, out of parts of about this length.
type Make = fn(bytes: usize, part: usize) -> Vec<u8>;

/// Ways to make much of little, by format.
const BOMBS: [(&str, Format, Make); 53] = [
    ("a word without end", Format::Text, |bytes, _| vec![b'x'; bytes]),
    ("marks without words", Format::Text, |bytes, _| b".,".repeat(bytes / 2)),
    ("one grapheme", Format::Text, |bytes, part| fill(bytes, &format!("e{}\n", "\u{301}".repeat(part)))),
    ("blank lines", Format::Markdown, |bytes, _| b" \n".repeat(bytes / 2)),
    ("long headings above small sections", Format::Markdown, |bytes, part| {
        let mut text: String = (1..6).map(|level| format!("{} {}\n", "#".repeat(level), "🦀".repeat(part))).collect();
        text.push_str(&"###### x\n\ny\n\n".repeat(bytes / 13));
        text.into_bytes()
    }),
    ("a paragraph that may be a table", Format::Markdown, |bytes, _| fill(bytes, "a\n-|-\n")),
    ("brackets", Format::Markdown, |bytes, _| fill(bytes, "[")),
    ("links that are none", Format::Markdown, |bytes, _| fill(bytes, "[a](<b")),
    ("emphasis without end", Format::Markdown, |bytes, _| fill(bytes, "*_*_")),
    ("code without end", Format::Markdown, |bytes, part| fill(bytes, &format!("{} ", "`".repeat(part.min(300))))),
    ("comments without end", Format::Markdown, |bytes, _| fill(bytes, "<!-- ")),
    ("comments", Format::Markdown, |bytes, _| fill(bytes, "a<!---->")),
    ("lists inside each other", Format::Markdown, |bytes, part| {
        fill(bytes, &format!("{}a\n\n", "- ".repeat(part.min(200))))
    }),
    ("a table of many columns", Format::Markdown, |bytes, part| {
        let columns = part.min(5_000);
        fill(bytes, &format!("{}\n{}\n{}\n\n", "|a".repeat(columns), "|-".repeat(columns), "|a\n".repeat(columns)))
    }),
    ("definitions of links", Format::Markdown, |bytes, _| fill(bytes, "[a]: b\n")),
    ("front matter of lists", Format::Markdown, |bytes, _| {
        format!("---\na: {}\n---\nx", "[".repeat(bytes)).into_bytes()
    }),
    ("comments at the beginning of a line", Format::Markdown, |bytes, _| {
        format!("{}x", String::from_utf8_lossy(&fill(bytes, " <!---->"))).into_bytes()
    }),
    ("pictures that are none", Format::Markdown, |bytes, _| fill(bytes, "data:data:a/b,")),
    ("small records in a list", Format::Json, |bytes, _| {
        format!("[{}1]", "{\"a\":{}},".repeat(bytes / 9)).into_bytes()
    }),
    ("an object of small objects", Format::Json, |bytes, part| {
        let values = (part * 3).min(49_000);
        let object: String = (0..values).map(|n| format!("\"{n}\":{{}},")).collect();
        format!("{{{object}\"text\":\"{}\"}}", "x".repeat(bytes)).into_bytes()
    }),
    ("long names inside each other", Format::Xml, |bytes, part| {
        let name = format!("n{}", "n".repeat(part.min(300)));
        let (open, close) = (format!("<{name}>").repeat(60), format!("</{name}>").repeat(60));
        format!("<a>{open}{}{close}</a>", "<x>1</x>".repeat(bytes / 8)).into_bytes()
    }),
    ("attributes of many elements", Format::Xml, |bytes, part| {
        let attributes: String = (0..part.min(999)).map(|n| format!(" a{n}='1'")).collect();
        format!("<a>{}</a>", String::from_utf8_lossy(&fill(bytes, &format!("<p{attributes}/>")))).into_bytes()
    }),
    ("many titles", Format::Xml, |bytes, _| {
        format!("<a>{}</a>", "<b><title>t</title><c>1</c></b>".repeat(bytes / 31)).into_bytes()
    }),
    ("values of one element", Format::Xml, |bytes, _| {
        format!("<a>{}</a>", "<b>1</b>".repeat(bytes * 12 / 8)).into_bytes()
    }),
    ("definitions of nothing", Format::Code, |bytes, _| fill(bytes, "fn a(\n")),
    ("long definitions inside each other", Format::Code, |bytes, part| {
        let name = "c".repeat(part.min(2_000));
        let classes: String = (0..6).map(|n| format!("{}class {name}:\n", " ".repeat(n))).collect();
        fill(bytes, &format!("{classes}       def f():\n"))
    }),
    ("adornments", Format::Rst, |bytes, _| fill(bytes, "==\n")),
    ("titles of all kinds", Format::Rst, |bytes, _| {
        let titles: String = "!#$%&'()*+,-./:;<=>?@^_`{|}~".chars().map(|c| format!("ab\n{c}{c}{c}\n\n")).collect();
        fill(bytes, &titles)
    }),
    ("fences", Format::Adoc, |bytes, _| fill(bytes, "----\n....\n")),
    ("braces", Format::Tex, |bytes, _| fill(bytes, "\\section{{{{\n")),
    ("cells of nothing", Format::Notebook, |bytes, _| {
        let cells = "{\"cell_type\":\"code\"},".repeat(bytes / 21);
        format!("{{\"cells\":[{cells}{{\"cell_type\":\"code\",\"source\":\"x\"}}]}}").into_bytes()
    }),
    ("lists instead of a text", Format::Notebook, |bytes, _| {
        let lists = "[0],".repeat(bytes.max(250_000) * 12 / 4);
        format!("{{\"cells\":[{{\"cell_type\":\"code\",\"source\":[{lists}0]}}]}}").into_bytes()
    }),
    ("parts of a mail", Format::Eml, |bytes, _| {
        format!("Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\na\n".repeat(bytes / 8))
            .into_bytes()
    }),
    ("mails inside each other", Format::Eml, |bytes, _| fill(bytes, "Subject: x\nContent-Type: message/rfc822\n\n")),
    ("many attributes", Format::Html, |bytes, part| {
        let attributes: String = (0..part.min(999)).map(|n| format!(" a{n}")).collect();
        fill(bytes, &format!("<p{attributes}>x"))
    }),
    ("a long attribute", Format::Html, |bytes, _| {
        format!("<p>a<img alt=\"{}\">", "=/ ".repeat(bytes / 3)).into_bytes()
    }),
    ("elements inside each other", Format::Html, |bytes, _| fill(bytes, "<div><ul><li>")),
    ("end tags of nothing", Format::Html, |bytes, _| {
        [b"<div>".repeat(4096), fill(bytes, "</ul>"), b"x".to_vec()].concat()
    }),
    ("cells of a table", Format::Html, |bytes, _| [b"<table>".to_vec(), fill(bytes, "<td>a<td>")].concat()),
    ("entities", Format::Html, |bytes, _| fill(bytes, "&ngE; ")),
    ("a comment", Format::Html, |bytes, _| format!("<p>a<!--{}", "<a b=".repeat(bytes / 5)).into_bytes()),
    ("long names of many columns", Format::Csv, |bytes, part| {
        let columns = vec!["🦀".repeat(100); part.clamp(1, 9_999)].join(",");
        let row = vec!["1"; part.clamp(1, 9_999)].join(",");
        [columns.clone().into_bytes(), b"\n".to_vec(), fill(bytes.max(columns.len()), &format!("{row}\n"))].concat()
    }),
    ("a row of marks", Format::Csv, |bytes, _| fill(bytes, &format!("a\n{}\n", ".;".repeat(500_000)))),
    ("rows of a letter", Format::Csv, |bytes, part| {
        [format!("{}\n", "n".repeat(part)).into_bytes(), fill(bytes, "1\n")].concat()
    }),
    ("a long name above many values", Format::Jsonl, |bytes, part| {
        fill(bytes, &format!("{{\"{}\":[{}[]]}}\n", "k".repeat(part), "[1],".repeat(9_000)))
    }),
    ("names inside each other", Format::Jsonl, |bytes, part| {
        let name = "k".repeat(part.min(1000));
        let fields: String = (0..5_000).map(|n| format!("\"{n}\":1,")).collect();
        let record = format!("{}{{{fields}\"z\":1}}{}\n", format!("{{\"{name}\":").repeat(100), "}".repeat(100));
        fill(bytes, &record)
    }),
    ("small objects", Format::Jsonl, |bytes, part| {
        fill(bytes, &format!("[{}{{}}]\n", "{\"a\":0},".repeat((part * 10).min(500_000))))
    }),
    ("a list of digits", Format::Jsonl, |bytes, part| {
        fill(bytes, &format!("{{\"a\":[{}0]}}\n", "0,".repeat((part * 100).min(2_000_000))))
    }),
    ("a title of marks", Format::Jsonl, |bytes, _| {
        fill(bytes, &format!("{{\"title\":\"{}\"}}\n", ". ".repeat(bytes.min(4_000_000) / 2)))
    }),
    ("a text that inflates", Format::Docx, |bytes, _| made::docx(&made::paragraph(&"a ".repeat(bytes * 12)))),
    ("paragraphs that inflate", Format::Docx, |bytes, _| made::docx(&made::paragraph("a").repeat(bytes / 8))),
    ("rows that inflate", Format::Docx, |bytes, part| {
        let row = format!("<w:tr>{}</w:tr>", "<w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc>".repeat(part.min(1_000)));
        made::docx(&format!("<w:tbl>{}</w:tbl>", row.repeat((bytes * 8 / row.len()).max(1))))
    }),
    ("pages of letters", Format::Pdf, |bytes, part| {
        let page: Vec<String> = vec!["x".repeat(part.min(200)); 50];
        made::pdf(&vec![page; (bytes / 20_000).clamp(1, 40)])
    }),
];

fn fill(bytes: usize, part: &str) -> Vec<u8> {
    part.repeat((bytes / part.len()).max(1)).into_bytes()
}

/// What a document cost.
#[derive(Debug)]
struct Cost {
    /// Bytes of its chunks, with their headings.
    written: u64,
    /// Bytes of which tokens were counted, which is most of the work.
    counted: u64,
    /// Bytes of memory at its highest beyond what was taken before.
    memory: u64,
}

fn cost(source: &Source) -> Cost {
    let counted = std::cell::Cell::new(0);
    let count = |text: &str| {
        counted.set(counted.get() + text.len() as u64);
        text.split_whitespace().count().max(text.len() / 4)
    };
    let mut written = 0;
    let before = memory::reset_peak();
    if let Ok(inspected) = read::inspect(source) {
        let limits = Limits::for_model(254);
        let given_up = AtomicBool::new(false);
        let cutting = Cutting { limits, count: &count, reader: &Reader::InProcess, given_up: &given_up };
        // What is refused on the way has cost what it has cost.
        drop(read::chunks(source, &inspected, cutting, &mut |draft, _| {
            written += (draft.text.len() + draft.headings.iter().map(String::len).sum::<usize>()) as u64;
            true
        }));
    }
    Cost { written, counted: counted.get(), memory: (memory::peak().saturating_sub(before)) << 10 }
}

#[test]
fn a_document_costs_no_more_memory_text_and_steps_than_its_size_allows() {
    const TEST: &str = "amplification::a_document_costs_no_more_memory_text_and_steps_than_its_size_allows";
    if is_measured(|_| async { tried() }) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [most, ..] = memory::growth(TEST, folder.path());
    assert!(most > 4 * 1024, "only {most} KiB: none of them was tried");
}

/// Tries all of them, and says what the most expensive one took.
fn tried() {
    let mut most = 0;
    for (name, format, make) in BOMBS {
        // Of its own: a runner counts the cases of all that it runs.
        let mut runner = TestRunner::new(Config { cases: 2, failure_persistence: None, ..Config::default() });
        let sizes = (10_000_usize..400_000, prop_oneof![1_usize..30, 30_usize..400, 400_usize..20_000]);
        let largest = std::cell::Cell::new(0);
        let checked = runner.run(&sizes, |(bytes, part)| {
            let document = make(bytes, part);
            let size = document.len() as u64;
            let cost = cost(&Source::bytes("x".parse().unwrap(), format, document));
            largest.set(largest.get().max(cost.memory));
            prop_assert!(cost.memory <= 16 * size + 64 * MIB, "{name}, {size} bytes: {cost:?}");
            prop_assert!(cost.written <= 20 * size + 10 * MIB, "{name}, {size} bytes: {cost:?}");
            prop_assert!(cost.counted <= 8 * cost.written + 16 * size + MIB, "{name}, {size} bytes: {cost:?}");
            Ok(())
        });
        checked.unwrap_or_else(|failed| panic!("{name}: {failed}"));
        most = most.max(largest.get());
    }
    println!("\ngrowth {} documents 0 chunks 0", most >> 10);
}
