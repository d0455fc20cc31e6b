//! JSON Lines: each line a record of its own.
//!
//! A document whose first line is not a value by itself is no JSON Lines, whatever its name: it is read as JSON.

use super::{
    json::Json,
    record::{self, MAX_BYTES, MAX_VALUES, Unread},
};
use crate::ingest::{chunk::Chunker, failure::FailureReason};

/// Records that are being read.
#[derive(Default)]
pub(in crate::ingest) struct Jsonl {
    pending: String,
    lines: u64,
    /// Whether a line was read that is a value by itself.
    told: bool,
    json: Option<Json>,
}

impl Jsonl {
    pub(super) fn feed(&mut self, piece: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        out.keep_headings_from_naming();
        for part in piece.split_inclusive('\n') {
            if let Some(json) = &mut self.json {
                json.feed(part, out)?;
                continue;
            }
            if self.pending.len() + part.len() > MAX_BYTES {
                return Err(self.refused(&format!("longer than {MAX_BYTES} bytes; one record belongs on one line")));
            }
            self.pending.push_str(part);
            if part.ends_with('\n') {
                self.line(out)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        match self.json {
            Some(json) => json.finish(out),
            None => self.line(out),
        }
    }

    fn line(&mut self, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
        let line = std::mem::take(&mut self.pending);
        // Files that were put one behind the other have marks of their beginnings inside.
        let record = line.trim_start_matches('\u{feff}').trim();
        let record = record.strip_suffix(',').unwrap_or(record);
        if record.is_empty() {
            self.lines += 1;
            return Ok(());
        }
        // The parser refuses what is nested too deep.
        let values = match record::read(record, MAX_VALUES) {
            Ok(values) => values,
            Err(Unread::TooMany) => return Err(self.refused(&format!("more than {MAX_VALUES} values in one record"))),
            Err(Unread::NotJson(cause)) => return Err(self.refused(&cause)),
            Err(Unread::Unfinished) if !self.told && line.ends_with('\n') => {
                let mut json = Json::behind(self.lines);
                json.feed(&line, out)?;
                self.json = Some(json);
                return Ok(());
            }
            Err(Unread::Unfinished) => {
                return Err(self.refused("not JSON: it ends within a value; one record belongs on one line"));
            }
        };
        self.lines += 1;
        self.told = true;
        let place = format!("line {}", self.lines);
        values.into_iter().try_for_each(|value| record::push(value, &place, out))
    }

    fn refused(&self, cause: &str) -> FailureReason {
        FailureReason::Malformed { cause: format!("line {}: {cause}", self.lines + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::chunk::{Draft, Limits};

    fn read(lines: &str) -> Result<Vec<Draft>, String> {
        let count = |text: &str| text.split_whitespace().count();
        let mut chunker = Chunker::new(Limits { tokens: 50, bytes: 4000 }, &count);
        let mut jsonl = Jsonl::default();
        for piece in lines.split_inclusive([' ', ':']) {
            jsonl.feed(piece, &mut chunker).map_err(|e| e.to_string())?;
        }
        jsonl.finish(&mut chunker).map_err(|e| e.to_string())?;
        chunker.finish();
        assert_eq!(chunker.title(), None, "a record is not the document");
        Ok(std::iter::from_fn(|| chunker.pop()).collect())
    }

    #[test]
    fn each_record_is_a_section_of_its_own() {
        let lines = "{\"_id\": \"q1\", \"title\": \"Pump\", \"text\": \"It turns.\\n\\nAlways.\", \"metadata\": {\"year\": 2020}}\r\n\
                     {\"id\": 7, \"passage\": \"No title here.\"}\n\n{\"a\": {\"b\": [1, true, \"x\"]}, \"n\": null}\n\"bare text\"\n";
        let drafts = read(lines).unwrap();
        let seen: Vec<_> = drafts.iter().map(|d| (d.headings.join("/"), d.text.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("Pump".to_owned(), "Pump\nIt turns.\n\nAlways.\n_id: q1\nmetadata.year: 2020"),
                ("7".to_owned(), "7\nNo title here.\nid: 7"),
                (String::new(), "a.b: 1, true, x\n\nbare text"),
            ]
        );
    }

    #[test]
    fn what_python_writes_for_numbers_that_json_does_not_have_is_null() {
        let drafts = read(include_str!("../../../tests/cases/nan.jsonl")).unwrap();
        let texts: Vec<_> = drafts.iter().map(|draft| draft.text.as_str()).collect();
        assert_eq!(texts, ["1\nThe mixer runs at 60 rpm.\nid: 1", "2\nThe dryer runs at 90 rpm.\nid: 2\nscore: 0.5"]);
        let drafts = read("{\"a\": [Infinity, -Infinity, 1.50], \"text\": \"NaN \\ud83d stays\"}\n").unwrap();
        assert_eq!(drafts[0].text, "NaN \u{fffd} stays\na: 1.50");
    }

    #[test]
    fn what_stands_on_the_lines_otherwise_is_read_all_the_same() {
        let wanted = ["a\nx: 1", "b\nx: 2"];
        for lines in [
            "{\"title\": \"a\", \"x\": 1}\r\n{\"title\": \"b\", \"x\": 2}\r\n",
            "{\"title\": \"a\", \"x\": 1},\n{\"title\": \"b\", \"x\": 2},\n",
            "{\"title\": \"a\", \"x\": 1}{\"title\": \"b\", \"x\": 2}",
            "\u{feff}{\"title\": \"a\", \"x\": 1}\n\u{feff}{\"title\": \"b\", \"x\": 2}",
            "[{\"title\": \"a\", \"x\": 1}, {\"title\": \"b\", \"x\": 2}]\n",
            "[\n{\"title\": \"a\", \"x\": 1},\n{\"title\": \"b\", \"x\": 2}\n]\n",
            "\n{\n  \"title\": \"a\",\n  \"x\": 1\n}\n{\n  \"title\": \"b\",\n  \"x\": 2\n}\n",
        ] {
            let drafts = read(lines).unwrap_or_else(|reason| panic!("{lines:?}: {reason}"));
            assert_eq!(drafts.iter().map(|draft| draft.text.as_str()).collect::<Vec<_>>(), wanted, "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_with_what_helps() {
        for (line, hint) in [
            ("{'title': 'a'}", "texts stand in double quotes (what Python prints is no JSON, json.dumps writes it)"),
            ("{\"a\": 'b'}", "texts stand in double quotes"),
            ("{\"a\": True}", "these are written true, false and null"),
            ("{\"a\": None}", "these are written true, false and null"),
            ("{\"a\": 1,}", "trailing comma"),
            ("{\"a\": NaN, \"b\": }", "expected value at line 1 column 17"),
            ("{\"a\": 1} // why", "JSON has no comments"),
            ("{\"a\": 01}", "invalid number"),
        ] {
            let refused = read(&format!("{{\"text\": \"fine\"}}\n{line}\n")).unwrap_err();
            assert!(refused.starts_with("line 2: not JSON: ") && refused.contains(hint), "{line}: {refused}");
        }
        let refused = read("{\"text\": \"fine\"}\n{\"text\":\n").unwrap_err();
        assert_eq!(refused, "line 2: not JSON: it ends within a value; one record belongs on one line");
    }

    #[test]
    fn a_broken_line_is_named() {
        let broken = read("{\"text\": \"fine\"}\n{\"text\": }\n").unwrap_err();
        assert!(broken.starts_with("line 2: not JSON: expected value"), "{broken}");
    }

    #[test]
    fn deep_nesting_is_refused_without_using_the_stack() {
        let broken = read(&format!("{}1", "[".repeat(1_000_000))).unwrap_err();
        assert!(broken.contains("recursion limit"), "{broken}");
    }
    #[test]
    fn lists_of_plain_values_are_a_line_and_others_one_for_each_value() {
        let drafts =
            read("{\"a\": [1, null, true, 2.50, \"x\"], \"b\": [1, {\"c\": 2}, [3, [4]], false], \"c\": []}").unwrap();
        assert_eq!(drafts[0].text, "a: 1, true, 2.50, x\nb: 1\nb.c: 2\nb: 3\nb: 4\nb: false");
    }

    #[test]
    fn of_a_name_that_comes_twice_the_last_value_counts() {
        assert_eq!(read("{\"text\": \"first\", \"text\": \"last\"}").unwrap()[0].text, "last");
    }

    #[test]
    fn a_name_that_would_be_repeated_without_bound_is_refused_by_its_line() {
        let values = vec!["[1]"; 9000].join(",");
        let bomb = |name: usize| format!("{{\"text\": \"fine\"}}\n{{\"{}\": [{values}]}}\n", "k".repeat(name));
        assert!(read(&bomb(400)).is_ok());
        let refused = read(&bomb(20_000)).unwrap_err();
        assert!(refused.starts_with("line 2: the names of outer values stand before each inner one"), "{refused}");
        assert!(refused.contains("more than 4194304 bytes"), "{refused}");
    }

    #[test]
    fn more_values_than_a_record_may_have_are_refused_however_small_they_are() {
        for value in ["null", "1", "{}", "[]", "{\"a\":1}"] {
            let fields: Vec<String> = (0..=MAX_VALUES).map(|n| format!("\"{n}\":{value}")).collect();
            let list = vec![value; MAX_VALUES + 1].join(",");
            for record in
                [format!("{{{}}}", fields.join(",")), format!("{{\"a\":[[],{list}]}}"), format!("[{{}},{list}]")]
            {
                let refused = read(&record).unwrap_err();
                assert_eq!(refused, "line 1: more than 10000 values in one record", "{value}");
            }
        }
    }

    #[test]
    fn a_long_list_of_numbers_is_one_value() {
        let numbers = vec!["0.25"; 20_000].join(",");
        assert!(read(&format!("{{\"embedding\": [{numbers}], \"text\": \"fine\"}}")).is_ok());
    }
}
