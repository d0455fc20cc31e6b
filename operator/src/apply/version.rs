//! The order of an object's versions. Pure.

/// Whether `version` is `other` or a later one. Versions of one resource grow as numbers, which Kubernetes promises since 1.35 and
/// has always kept; of anything else only equality is known.
pub fn has_reached(version: &str, other: &str) -> bool {
    match (version.parse::<u128>(), other.parse::<u128>()) {
        (Ok(version), Ok(other)) => version >= other,
        _ => version == other,
    }
}

/// Whether a cache that shows `shown` has not seen the write that made `after` of `before`. Where versions have no order, it is
/// known only of one that still shows exactly what was written over.
pub(super) fn is_behind(shown: &str, before: Option<&str>, after: &str) -> bool {
    let are_numbers = shown.parse::<u128>().is_ok() && after.parse::<u128>().is_ok();
    !has_reached(shown, after) && (are_numbers || before == Some(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(has_reached("10", "9") && has_reached("10", "10"));
        assert!(!has_reached("9", "10"));
        assert!(has_reached("b", "b") && !has_reached("c", "b"));
    }

    #[test]
    fn a_cache_is_behind_until_it_shows_the_write_or_what_came_later() {
        for (shown, behind) in [("7", true), ("9", true), ("10", false), ("11", false)] {
            assert_eq!(is_behind(shown, Some("7"), "10"), behind, "{shown}");
        }
        for (shown, behind) in [("a", true), ("b", false), ("c", false)] {
            assert_eq!(is_behind(shown, Some("a"), "b"), behind, "{shown}");
        }
        assert!(!is_behind("a", Some("a"), "a"), "a write that changed nothing hides nothing");
    }
}
