//! What a listing needs of an id in a store that can order and compare numbers only. Pure.

use std::ops::RangeInclusive;

/// A double holds the integers of 48 bits exactly, and filters compare in doubles.
const ORDER_BYTES: usize = 6;

/// Folders of an id that are kept; what lies deeper is told apart by reading the ids.
const MAX_FOLDERS: usize = 8;

/// The first bytes of an id as a number: ids in byte order never have it falling.
pub(super) fn order(id: &str) -> i64 {
    padded(id, 0)
}

/// The numbers that ids with this prefix have, those at or below `after` excepted as far as the number tells.
pub(super) fn orders(prefix: &str, after: Option<&str>) -> RangeInclusive<i64> {
    let lowest = order(prefix).max(after.map_or(0, order));
    lowest..=padded(prefix, 0xff)
}

/// The folders that an id lies in: every beginning of it that ends with a slash, the shortest first.
pub(super) fn folders(id: &str) -> impl Iterator<Item = &str> {
    id.match_indices('/').take(MAX_FOLDERS).map(|(at, slash)| &id[..at + slash.len()])
}

fn padded(text: &str, pad: u8) -> i64 {
    let bytes = text.bytes().chain(std::iter::repeat(pad)).take(ORDER_BYTES);
    bytes.fold(0, |number, byte| (number << 8) | i64::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assume, proptest};

    use super::*;

    proptest! {
        #[test]
        fn the_number_never_falls_while_ids_rise(a in any::<String>(), b in any::<String>()) {
            let (low, high) = if a <= b { (a, b) } else { (b, a) };
            prop_assert!(order(&low) <= order(&high));
        }

        #[test]
        fn every_id_with_the_prefix_after_another_lies_in_the_range(
            prefix in any::<String>(), rest in any::<String>(), after in any::<String>()
        ) {
            let id = format!("{prefix}{rest}");
            prop_assume!(after < id);
            prop_assert!(orders(&prefix, Some(&after)).contains(&order(&id)));
            prop_assert!(orders(&prefix, None).contains(&order(&id)));
        }

        #[test]
        fn the_folders_of_a_prefix_are_folders_of_every_id_with_it(prefix in "[a/é]{0,20}", rest in "[a/]{0,20}") {
            let id = format!("{prefix}{rest}");
            let of_id: Vec<&str> = folders(&id).collect();
            prop_assert!(folders(&prefix).all(|folder| of_id.contains(&folder)));
        }
    }

    #[test]
    fn folders_end_with_their_slash() {
        assert_eq!(folders("a/b//c").collect::<Vec<_>>(), ["a/", "a/b/", "a/b//"]);
        assert_eq!(folders("plain").count(), 0);
    }

    #[test]
    fn a_number_is_exact_as_a_double() {
        let largest = orders("\u{10ffff}\u{10ffff}", None).end().to_owned();
        assert_eq!(largest as f64 as i64, largest);
        assert!(largest < 1 << 48);
    }
}
