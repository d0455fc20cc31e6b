//! Where the cells of a line stand.

use std::ops::Range;

use unicode_segmentation::GraphemeCursor;

/// Where the cells of a line stand, each with the mark behind it. A part that continues a line may begin with that mark.
///
/// Cells have ` | ` between them; in Markdown they may be written closer, and a line may begin with a mark.
pub(super) fn cells(line: &str, continued: bool) -> Vec<Range<usize>> {
    let close = !continued && (line.starts_with('|') || !line.contains(" | "));
    let mut cells = Vec::new();
    let (mut start, bytes) = (0, line.as_bytes());
    for (at, _) in line.match_indices('|') {
        let spaced = bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace)
            && (at == 0 || bytes.get(at - 1).is_some_and(u8::is_ascii_whitespace));
        let escaped = at > 0 && bytes[at - 1] == b'\\';
        let opens = close && line[..at].trim().is_empty();
        let end = at + 1 + usize::from(bytes.get(at + 1) == Some(&b' '));
        let whole = GraphemeCursor::new(end, line.len(), true).is_boundary(line, 0).unwrap_or(true);
        if escaped || opens || !whole || !(close || spaced) {
            continue;
        }
        if !line[end..].trim().is_empty() {
            cells.push(start..end);
            start = end;
        } else if !close {
            // The last cell is empty.
            cells.push(start..end);
            start = end;
            break;
        }
    }
    if start < line.len() || cells.is_empty() {
        cells.push(start..line.len());
    }
    cells
}

/// What stands between a cell and the next one.
pub(super) fn mark_of(cell: &str) -> &str {
    [" | ", "| ", "|", "; "].into_iter().find(|mark| cell.ends_with(mark)).unwrap_or_default()
}
