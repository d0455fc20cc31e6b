//! Jupyter notebooks: cells of Markdown as Markdown is read, cells of code and what they printed as lines.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use super::{lines, markdown::Markdown};
use crate::ingest::{
    chunk::{Chunker, Shape},
    failure::FailureReason,
};

#[derive(Deserialize)]
struct Notebook {
    cells: Vec<Cell>,
}

#[derive(Deserialize)]
struct Cell {
    cell_type: String,
    #[serde(default)]
    source: Text,
    #[serde(default)]
    outputs: Vec<Output>,
}

/// What a cell printed, as text; pictures and pages are left out.
#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    text: Text,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
struct Data {
    #[serde(default, rename = "text/plain")]
    plain: Text,
}

/// A text, which is written whole or in lines.
#[derive(Default)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Joined)
    }
}

/// Joins lines as they come, so that nothing else of them is held.
struct Joined;

impl<'de> Visitor<'de> for Joined {
    type Value = Text;

    fn expecting(&self, wanted: &mut fmt::Formatter<'_>) -> fmt::Result {
        wanted.write_str("a text or a list of lines")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut lines: A) -> Result<Text, A::Error> {
        let mut text = String::new();
        while let Some(line) = lines.next_element::<Cow<'_, str>>()? {
            text.push_str(&line);
        }
        Ok(Text(text))
    }
}

/// Reads a notebook.
pub(super) fn read(text: &str, out: &mut Chunker<'_>) -> Result<(), FailureReason> {
    let notebook: Notebook = serde_json::from_str(text)
        .map_err(|error| FailureReason::Malformed { cause: format!("it is no notebook of version 4: {error}") })?;
    for cell in notebook.cells {
        let source = cell.source.0;
        if cell.cell_type == "markdown" {
            let mut markdown = Markdown::default();
            markdown.feed(&source, out)?;
            markdown.feed("\n\n", out)?;
            markdown.finish(out)?;
            continue;
        }
        body(&source, out);
        for output in cell.outputs {
            body(&output.text.0, out);
            body(&output.data.plain.0, out);
        }
    }
    Ok(())
}

fn body(text: &str, out: &mut Chunker<'_>) {
    if !text.trim().is_empty() {
        lines::push(&format!("{}\n\n", text.trim_end()), Shape::Lines, out);
    }
}

#[cfg(test)]
mod tests {
    use crate::ingest::parse::{Format, tried};

    #[test]
    fn cells_are_read_by_their_kind() {
        let notebook = serde_json::json!({
            "nbformat": 4, "metadata": {"kernelspec": {"name": "python3"}},
            "cells": [
                {"cell_type": "markdown", "metadata": {}, "source": ["# Pumps\n", "\n", "They *turn*. <!-- draft -->"]},
                {"cell_type": "code", "source": "# no heading\nprint(rate)", "execution_count": 1, "outputs": [
                    {"output_type": "stream", "name": "stdout", "text": ["60 rpm\n"]},
                    {"output_type": "execute_result", "data": {"text/plain": "0.5", "image/png": "iVBORw0KGgo="}},
                    {"output_type": "error", "ename": "X", "traceback": []},
                ]},
            ],
        });
        let read = tried::read(Format::Notebook, &notebook.to_string(), 9);
        assert_eq!(read.title.as_deref(), Some("Pumps"));
        assert_eq!(read.text(), "# Pumps\n\nThey *turn*. \n\n# no heading\nprint(rate)\n\n60 rpm\n\n0.5");
        let said = tried::attempt(Format::Notebook, "{\"a\": 1}", 9, 20).unwrap_err();
        assert!(said.starts_with("it is no notebook of version 4: missing field `cells`"), "{said}");
        let said = tried::attempt(Format::Notebook, "{\"cells\": [{\"cell_type\": \"code\", \"source\": [1]}]}", 9, 20)
            .unwrap_err();
        assert!(
            said.starts_with("it is no notebook of version 4: invalid type: integer `1`, expected a string"),
            "{said}"
        );
    }
}
