//! Where one part ends and the next begins. Pure.
//!
//! A cut is decided by the name of what comes next, so that the same documents make the same parts: one that changed changes its own part, and where many came or went the cuts meet again a few documents later.

/// A part that is smaller goes on: a request costs as much as so many bytes.
const LEAST: usize = 256 * 1024;
/// A part that is larger ends wherever it is; it bounds the memory of whoever writes or reads it.
pub(super) const MOST: usize = 8 * 1024 * 1024;
/// One name in so many ends a part. With documents of some tens of kilobytes a part has a few megabytes.
const ONE_IN: u32 = 64;

/// Whether a part of so many bytes ends before what is named so.
pub(super) fn ends_before(bytes: usize, name: &str) -> bool {
    bytes >= MOST || (bytes >= LEAST && is_cut(name))
}

/// Whether a part of so many bytes ends in the midst of a document.
pub(super) fn is_full(bytes: usize) -> bool {
    bytes >= MOST
}

fn is_cut(name: &str) -> bool {
    let hash = blake3::hash(name.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    u32::from_le_bytes([a, b, c, d]).is_multiple_of(ONE_IN)
}
