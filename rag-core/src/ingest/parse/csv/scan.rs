//! Where cells and rows of a table end, byte by byte.

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a cell, where a quote opens.
    #[default]
    Start,
    Plain,
    Quoted,
    /// After a backslash inside a quoted cell.
    Escape,
    /// After a quote inside a quoted cell: another one escapes, anything else ends it.
    Closing {
        /// Whether a backslash stands before it.
        escaped: bool,
    },
}

/// What a byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Part of a cell.
    Cell,
    /// What ends a cell.
    Delimiter,
    /// What ends a row.
    Row,
}

/// Reads a table's bytes.
#[derive(Debug, Clone)]
pub(super) struct Scanner {
    state: State,
    pub(super) delimiter: u8,
    /// Whether a backslash escapes a quote. A quote behind one that does not end its cell says so.
    pub(super) escapes: bool,
    /// Quotes that close a cell in which something follows.
    pub(super) torn: usize,
}

impl Scanner {
    pub(super) fn new(delimiter: u8, escapes: bool) -> Self {
        Self { state: State::Start, delimiter, escapes, torn: 0 }
    }

    /// Whether a quote is open.
    pub(super) fn is_quoted(&self) -> bool {
        matches!(self.state, State::Quoted | State::Escape)
    }

    /// Takes the next byte.
    pub(super) fn take(&mut self, byte: u8) -> Mark {
        let ends = byte == self.delimiter || matches!(byte, b'\n' | b'\r');
        match self.state {
            State::Closing { escaped: true } if !ends && byte != b'"' => {
                (self.escapes, self.state) = (true, State::Quoted);
            }
            State::Closing { .. } if !ends && byte != b'"' => self.torn += 1,
            _ => {}
        }
        self.state = match (self.state, byte) {
            (State::Escape, b'"') if !self.escapes => State::Closing { escaped: true },
            (State::Quoted | State::Escape, b'\\') if self.state == State::Quoted || !self.escapes => State::Escape,
            (State::Quoted, b'"') => State::Closing { escaped: false },
            (State::Quoted | State::Escape, _) => State::Quoted,
            (State::Start | State::Closing { .. }, b'"') => State::Quoted,
            (_, b'\n' | b'\r') => State::Start,
            (_, other) if other == self.delimiter => State::Start,
            _ => State::Plain,
        };
        match (self.state, byte) {
            (State::Start, b'\n' | b'\r') => Mark::Row,
            (State::Start, _) => Mark::Delimiter,
            _ => Mark::Cell,
        }
    }
}

/// A row with its quotes doubled where a backslash escapes them, as the crate that takes it apart wants them.
pub(super) fn doubled(row: &str, delimiter: u8) -> String {
    let mut scanner = Scanner::new(delimiter, true);
    let mut doubled = String::with_capacity(row.len());
    let mut start = 0;
    for (at, byte) in row.bytes().enumerate() {
        if scanner.state == State::Escape && matches!(byte, b'"' | b'\\') {
            doubled.push_str(&row[start..at - 1]);
            // An escaped backslash is one; an escaped quote is doubled.
            doubled.push_str(if byte == b'"' { "\"" } else { "" });
            start = at;
        }
        scanner.take(byte);
    }
    doubled.push_str(&row[start..]);
    doubled
}
